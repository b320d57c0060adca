package history

import (
	"context"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// readLimits bound what is read of single ticks for one answer: who waits for
// whom, what is listed, and time.
type readLimits struct {
	edges, listed int
	time          time.Duration
}

var someHours = readLimits{edges: 3_000_000, listed: 100_000, time: 8 * time.Second}

// BlockingHistory is who held whom up over a range.
type BlockingHistory struct {
	// Range is what was read: where Truncated, the newest part of what was asked for.
	Range     Range
	Truncated bool
	// Episodes and Pairs are those first for which most time was waited.
	Episodes      []Episode
	Pairs         []Pair
	EpisodesTotal int
	PairsTotal    int
	Coverage      Coverage
}

// BlockingOver gives who held whom up over a range, at most limit episodes and
// pairs. The error wraps ErrGone where no tick of the range is kept.
func (r *Reader) BlockingOver(ctx context.Context, t target.Target, span Range, limit int) (BlockingHistory, error) {
	answer, err := r.blockingOver(ctx, t, span, limit, someHours)
	if err != nil {
		return answer, fmt.Errorf("read blocking: %w", statsdb.Classify(err))
	}
	return answer, nil
}

func (r *Reader) blockingOver(ctx context.Context, t target.Target, span Range, limit int, most readLimits) (BlockingHistory, error) {
	kept, err := r.keptTicks(ctx, t, span)
	if err != nil {
		return BlockingHistory{}, err
	}
	w, begun := newWaitSums(r, t.ID), time.Now()
	w.apart, w.inPairs = true, true
	read, err := r.newestFirst(ctx, t.ID, kept, parts{edges: true}, w.take, func() (bool, error) {
		err := w.add(ctx)
		return w.edges < most.edges && len(w.all)+len(w.pairs) < most.listed && time.Since(begun) < most.time, err
	})
	if err != nil {
		return BlockingHistory{}, err
	}
	answer := BlockingHistory{Range: read, Truncated: read != span, EpisodesTotal: len(w.all), PairsTotal: len(w.pairs)}
	episodes, pairs := w.longest(limit), w.longestPairs(limit)
	if err := w.name(ctx, episodes, pairs); err != nil {
		return BlockingHistory{}, err
	}
	for _, b := range episodes {
		b.Before, b.End = b.told == w.told, earlier(b.End, read.To)
		answer.Episodes = append(answer.Episodes, b.Episode)
	}
	for _, p := range pairs {
		answer.Pairs = append(answer.Pairs, p.Pair)
	}
	answer.Coverage, err = r.Coverage(ctx, t, read)
	return answer, err
}

// keptTicks gives the part of a range of which single ticks are kept.
func (r *Reader) keptTicks(ctx context.Context, t target.Target, span Range) (Range, error) {
	if err := r.ticksKept(ctx, t, span.To); err != nil {
		return span, err
	}
	since, err := r.keptSince(ctx)
	if oldest := since["activity"]; t.CreatedAt.Before(oldest) {
		span.From = later(span.From, oldest)
	}
	return span, err
}
