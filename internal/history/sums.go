package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// settling is how far the newest stored tick may lie behind the clock while a
// collector is at work: the flush of a slot, and what may hold it up.
const settling = 2 * time.Minute

// sums is what is stored of a range in numbers, and what its coverage is judged
// by.
type sums struct {
	plan Plan
	// parts are in the order of time; each lies in one bucket of the plan's.
	parts []sample.Summary
	// judged is the part of the range that was promised: since the server was
	// added, and until the next tick is due. It may be empty.
	judged Range
	before look // the last tick before judged, or one that would have been there
}

// look is when a tick was planned, and the interval in force.
type look struct {
	planned time.Time
	cadence time.Duration
}

// sums reads what a plan, made of ledgerPlan or of wait classes, says. Whole
// minutes need no ticks: those of buckets that are compacted are stored, those of
// others are slots. Without samples, sums by class are those of whole minutes only.
func (r *Reader) sums(ctx context.Context, t target.Target, plan Plan, kept Kept, samples bool) (*sums, error) {
	s := &sums{plan: plan, judged: plan.Range}
	added := t.CreatedAt.UTC()
	s.judged.From = later(s.judged.From, added)
	var (
		open        []time.Time
		now         time.Time
		due         *time.Time
		args        = pgx.NamedArgs{"server_id": t.ID, "from": plan.Range.From, "to": plan.Range.To, "at": s.judged.From}
		cadence, ok = int32(0), false
	)
	b := &pgx.Batch{}
	b.Queue(sql("open"), args).Query(func(rows pgx.Rows) (err error) {
		open, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		return err
	})
	b.Queue(sql("newest_tick"), args).QueryRow(func(row pgx.Row) error { return row.Scan(&now, &due) })
	b.Queue(sql("tick_before"), args).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&s.before.planned, &cadence)
		if ok = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	s.before = look{s.before.planned.UTC(), time.Duration(cadence) * time.Millisecond}
	until := now.UTC()
	switch {
	case due != nil && now.Sub(*due) < settling:
		until = earlier(until, due.UTC())
	case due == nil && now.Sub(added) < settling:
		until = added
	}
	s.judged.To = later(earlier(s.judged.To, until), s.judged.From)
	if err := r.addParts(ctx, t.ID, s, plan.Stretches(kept, open), samples); err != nil {
		return nil, err
	}
	if !ok {
		s.before = s.virtual(added, t.Intervals.Activity)
	}
	return s, nil
}

// virtual is the tick before a range, of a server that has none before: one that
// goes with the first tick that there is, or that was due when the server was added.
func (s *sums) virtual(added time.Time, cadence time.Duration) look {
	if cadence <= 0 {
		cadence = time.Second
	}
	if len(s.parts) == 0 {
		return look{added.Add(-cadence), cadence}
	}
	first := &s.parts[0]
	if first.FirstCadence > 0 {
		cadence = first.FirstCadence
	}
	late := max(first.First.Sub(s.judged.From), 0)
	return look{first.First.Add(late%cadence - late - cadence), cadence}
}

// addParts reads what the stretches of a plan say.
func (r *Reader) addParts(ctx context.Context, server target.ID, s *sums, stretches []Stretch, samples bool) error {
	var (
		steps    []int32
		from, to []time.Time
		ticks    []Range
	)
	s.plan.Grain = s.plan.Coarsest(stretches)
	for _, part := range stretches {
		if part.Grain == GrainTick {
			ticks = append(ticks, part.Range)
			continue
		}
		steps = append(steps, int32(part.Grain.Step()/time.Second))
		from, to = append(from, part.Range.From), append(to, part.Range.To)
	}
	if len(steps) > 0 {
		rows, err := r.pool.Query(ctx, sql("sums"), pgx.NamedArgs{"server_id": server, "step": steps, "from": from, "to": to})
		if err != nil {
			return err
		}
		if s.parts, err = pgx.CollectRows(rows, scanSummary); err != nil {
			return err
		}
	}
	err := r.rows(ctx, server, ticks, parts{samples: samples}, func(row *sample.Row, within Range) error {
		s.addTicks(row, within)
		return nil
	})
	slices.SortStableFunc(s.parts, func(a, b sample.Summary) int { return a.First.Compare(b.First) })
	return err
}

func scanSummary(row pgx.CollectableRow) (sample.Summary, error) {
	var stored sample.StoredSummary
	err := row.Scan(stored.Fields()...)
	return stored.Summary(), err
}

// addTicks adds the ticks of a row that lie in a range, bucket by bucket.
func (s *sums) addTicks(row *sample.Row, within Range) {
	var (
		list   []*sample.Summary
		bucket time.Time
	)
	row.Summarize(func(tick int) *sample.Summary {
		at := row.PlannedAt(tick)
		if !within.Holds(at) {
			return nil
		}
		start := within.From
		if s.plan.Step > 0 {
			start = Floor(at, s.plan.Step)
		}
		if len(list) == 0 || !start.Equal(bucket) {
			list, bucket = append(list, new(sample.Summary)), start
		}
		return list[len(list)-1]
	})
	for _, part := range list {
		s.parts = append(s.parts, *part)
	}
}

// answered is how many ticks' sessions were read.
func (s *sums) answered() (n int64) {
	for i := range s.parts {
		n += s.parts[i].Answered()
	}
	return n
}

// coverage judges the whole range.
func (s *sums) coverage() Coverage { return coverageOf(s.judged, s.before, s.parts) }

// series judges the buckets of a step too.
func (s *sums) series() CoverageSeries {
	series := CoverageSeries{Step: s.plan.Step, Times: s.plan.Times(), Coverage: s.coverage()}
	before, rest := s.before, s.parts
	for _, start := range series.Times {
		bucket, n := Range{start, start.Add(s.plan.Step)}, 0
		for n < len(rest) && rest[n].First.Before(bucket.To) {
			n++
		}
		judged := bucket.Clip(s.judged)
		if judged.Empty() {
			judged.To = judged.From
		}
		series.Buckets = append(series.Buckets, coverageOf(judged, before, rest[:n]))
		if n > 0 {
			before = look{rest[n-1].Last, rest[n-1].Cadence}
		}
		rest = rest[n:]
	}
	return series
}
