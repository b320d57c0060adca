package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Coverage says how much of a range was seen. Planned is always the sum of OK,
// Degraded, Failed and Skipped.
type Coverage struct {
	// Range is what was judged: the part of the question since the server was
	// added, up to when the next tick is due while a collector runs.
	Range                                  Range
	Planned, OK, Degraded, Failed, Skipped int64
	// FailedBy and SkippedBy add up to Failed and Skipped. Ticks that no
	// collector planned are skipped by sample.NotRunning.
	FailedBy, SkippedBy map[sample.Reason]int64
	// LongestGap is the longest time without an answered tick; zero when no
	// tick is missing.
	LongestGap time.Duration
}

// Answered is the number of ticks whose sessions were read.
func (c Coverage) Answered() int64 { return c.OK + c.Degraded }

// coverageOf judges a range by the tick before it and what is stored of its own, in
// the order of time. What the last tick's cadence promised until the next one is
// missing, at the ends of the range too: so the parts of a range add up to it.
func coverageOf(r Range, before look, stored []sample.Summary) Coverage {
	var l sample.Ledger
	for i := range stored {
		l.Add(&stored[i].Ledger)
	}
	last, missing := look{l.Last, l.Cadence}, l.Missing
	if l.First.IsZero() {
		last = before
	} else {
		missing += before.promised(Range{r.From, l.First})
	}
	missing += last.promised(Range{later(r.From, last.planned), r.To})
	c := Coverage{
		Range: r, OK: l.Outcomes[sample.OK], Degraded: l.Outcomes[sample.Degraded], Failed: l.Outcomes[sample.Failed],
		Skipped: l.Outcomes[sample.Skipped] + missing, FailedBy: map[sample.Reason]int64{}, SkippedBy: map[sample.Reason]int64{},
	}
	c.Planned = c.OK + c.Degraded + c.Failed + c.Skipped
	if missing > 0 {
		c.SkippedBy[sample.NotRunning] = missing
	}
	for f, n := range l.Faults {
		switch f.Outcome {
		case sample.Failed:
			c.FailedBy[f.Reason] += n
		case sample.Skipped:
			c.SkippedBy[f.Reason] += n
		case sample.OK, sample.Degraded:
		}
	}
	switch {
	case c.Failed+c.Skipped == 0:
	case l.FirstSeen.IsZero():
		c.LongestGap = r.Length()
	default:
		c.LongestGap = max(l.Gap, l.FirstSeen.Sub(r.From), r.To.Sub(l.LastSeen))
	}
	return c
}

// promised is how many ticks are due in a range until the next one comes.
func (l look) promised(r Range) int64 {
	return max(0, sample.Promised(l.planned, r.To, l.cadence)-sample.Promised(l.planned, r.From, l.cadence))
}

// Coverage says how much of a range was seen: see the type. What lies before the
// server was added was never promised; nor was, while a collector is at work, the
// time that is not written yet. Where nothing finer than minutes or hours is kept,
// whole ones are judged. The error wraps ErrGone where not even those are.
func (r *Reader) Coverage(ctx context.Context, t target.Target, span Range) (Coverage, error) {
	s, err := r.ledger(ctx, t, span, 0)
	if err != nil {
		return Coverage{}, err
	}
	return s.coverage(), nil
}

// CoverageSeries says how much of each step of a range was seen. The step is
// whole minutes; zero: only the whole range is judged. The error wraps ErrGone
// where the range begins before what is kept for it.
func (r *Reader) CoverageSeries(ctx context.Context, t target.Target, span Range, step time.Duration) (CoverageSeries, error) {
	s, err := r.ledger(ctx, t, span, step)
	switch {
	case err != nil:
		return CoverageSeries{}, err
	case step == 0:
		return CoverageSeries{Coverage: s.coverage()}, nil
	}
	return s.series(), nil
}

// ledger reads the ledger of a range.
func (r *Reader) ledger(ctx context.Context, t target.Target, span Range, step time.Duration) (*sums, error) {
	kept, err := r.kept(ctx, t, ByWaitClass, nil)
	if err != nil {
		return nil, fmt.Errorf("read coverage: %w", statsdb.Classify(err))
	}
	plan, err := ledgerPlan(span, step, kept)
	if err != nil {
		return nil, fmt.Errorf("read coverage: %w", err)
	}
	s, first, second := newSums(t, plan, kept), &pgx.Batch{}, &pgx.Batch{}
	s.ask(first)
	if err = r.send(ctx, first); err == nil {
		s.read(second, false)
		err = r.send(ctx, second)
	}
	if err != nil {
		return nil, fmt.Errorf("read coverage: %w", statsdb.Classify(err))
	}
	s.end()
	return s, nil
}

// CoverageSeries is how much of each bucket was seen; the whole is Coverage.
type CoverageSeries struct {
	Step     time.Duration
	Times    []time.Time
	Buckets  []Coverage
	Coverage Coverage
}

// MostCoverageBuckets bounds the buckets of a CoverageSeries.
const MostCoverageBuckets = 2000

// PlanCoverage checks a step of a series of coverage: zero is none.
func PlanCoverage(r Range, step time.Duration) error {
	switch {
	case step == 0:
		return nil
	case step < time.Minute || step%time.Minute != 0:
		return fmt.Errorf("%w: step must be whole minutes", ErrInvalid)
	case r.Widen(step).Length()/step > MostCoverageBuckets:
		return fmt.Errorf("%w: the range holds more than %d steps: ask for a shorter range or a longer step", ErrInvalid, MostCoverageBuckets)
	}
	return nil
}
