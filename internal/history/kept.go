package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/target"
)

const (
	// keptFresh is how long what is kept is taken as it was.
	keptFresh = 20 * time.Second
	// keptLimit bounds one reading of it. Whoever asks meanwhile waits for the same
	// reading, as long as their own context allows.
	keptLimit = 5 * time.Second
)

// Kept says since when each grain is kept. A grain that is not in it was never
// thrown away.
type Kept map[Grain]time.Time

func (k Kept) holds(g Grain, t time.Time) bool { return !t.Before(k[g]) }

// String says it to a person.
func (k Kept) String() string {
	names := map[Grain]string{
		GrainTick: "single ticks", GrainMinute: "sums by minute", GrainTenMinutes: "by ten minutes", GrainHour: "by hour", GrainDay: "by day",
	}
	var list []string
	for _, g := range slices.Backward(Grains()) {
		if since, limited := k[g.Grain]; limited {
			list = append(list, names[g.Grain]+" since "+since.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(list, ", ")
}

// kept says since when what answers by a dimension is kept for a server. What a
// server can have lost nothing of, because it was added later, is not in it.
func (r *Reader) kept(ctx context.Context, t target.Target, by Dimension, f Filter) (Kept, error) {
	since, err := r.keptSince(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what is kept: %w", err)
	}
	kept, ledger := make(Kept), ""
	for _, g := range slices.Backward(Grains()) {
		ledger = cmp.Or(g.Sums, ledger)
		at := since[ledger] // every answer has one
		if by != ByWaitClass || !f.Empty() {
			at = later(at, since[g.Rollups])
		}
		if t.CreatedAt.Before(at) {
			kept[g.Grain] = at
		}
	}
	return kept, nil
}

// stillKept refuses a range that begins before the oldest partition of a table,
// unless the server was added later: then there never was anything. Of a table
// with several steps the name goes on with the step, as in table/3600. what names
// in the error what is kept. The error wraps ErrGone, or is stats_db's.
func (r *Reader) stillKept(ctx context.Context, t target.Target, table, what string, span Range) error {
	since, err := r.keptSince(ctx)
	if err != nil {
		return fmt.Errorf("read what is kept: %w", err)
	}
	if oldest := since[table]; span.From.Before(oldest) && t.CreatedAt.Before(oldest) {
		return fmt.Errorf("%w: %s are kept since %s: begin there", ErrGone, what, oldest.Format(time.RFC3339))
	}
	return nil
}

// keptList remembers since when each table, or each step of one, is kept.
type keptList struct {
	last    atomic.Pointer[keptRead]
	reading singleflight.Group
}

type keptRead struct {
	since map[string]time.Time
	at    time.Time
}

// keptSince gives the start of the oldest partition of each table and step.
func (r *Reader) keptSince(ctx context.Context) (map[string]time.Time, error) {
	if last := r.partitions.last.Load(); last != nil && time.Since(last.at) < keptFresh {
		return last.since, nil
	}
	read := r.partitions.reading.DoChan("", func() (any, error) {
		return guard.Call(func() (map[string]time.Time, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keptLimit) // nobody's leaving ends it for others
			defer cancel()
			return r.readKept(ctx)
		})
	})
	select {
	case answer := <-read:
		since, _ := answer.Val.(map[string]time.Time)
		return since, answer.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *Reader) readKept(ctx context.Context) (map[string]time.Time, error) {
	rows, err := r.pool.Query(ctx, sql("kept"))
	if err != nil {
		return nil, err
	}
	since := make(map[string]time.Time)
	var (
		table string
		at    time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&table, &at}, func() error {
		since[table] = at.UTC()
		return nil
	})
	if err == nil {
		r.partitions.last.Store(&keptRead{since, time.Now()})
	}
	return since, err
}
