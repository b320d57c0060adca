package history

import (
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
// by. It is read in two steps, ask and read, each a part of a batch; then end.
type sums struct {
	server target.Target
	plan   Plan
	kept   Kept
	// open are the buckets of the range that are not compacted.
	open []time.Time
	// parts are in the order of time; each lies in one bucket of the plan's.
	parts []sample.Summary
	// judged is the part of the range that was promised: since the server was
	// added, and until the next tick is due. It may be empty.
	judged Range
	before look       // the last tick before judged, or one that would have been there
	now    time.Time  // by stats_db's clock
	due    *time.Time // when the tick is that follows the newest one
}

// look is when a tick was planned, and the interval in force.
type look struct {
	planned time.Time
	cadence time.Duration
}

// newSums takes a plan, made of ledgerPlan or of wait classes.
func newSums(t target.Target, plan Plan, kept Kept) *sums {
	s := &sums{server: t, plan: plan, kept: kept, judged: plan.Range}
	s.judged.From = later(s.judged.From, t.CreatedAt.UTC())
	return s
}

// ask asks for what must be known before it is read.
func (s *sums) ask(b *pgx.Batch) {
	args := pgx.NamedArgs{"server_id": s.server.ID, "from": s.plan.Range.From, "to": s.plan.Range.To, "at": s.judged.From}
	b.Queue(sql("open"), args).Query(func(rows pgx.Rows) (err error) {
		s.open, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		return err
	})
	b.Queue(sql("newest_tick"), args).QueryRow(func(row pgx.Row) error { return row.Scan(&s.now, &s.due) })
	var (
		planned time.Time
		cadence int32
	)
	b.Queue(sql("tick_before"), args).Query(each([]any{&planned, &cadence}, func() error {
		s.before = look{planned.UTC(), time.Duration(cadence) * time.Millisecond}
		return nil
	}))
}

// read reads what the plan says. Whole minutes need no ticks: those of buckets that
// are compacted are stored, those of others are slots. With samples, ticks are
// counted by wait class too.
func (s *sums) read(b *pgx.Batch, samples bool) {
	until, added := s.now.UTC(), s.server.CreatedAt.UTC()
	switch {
	case s.due != nil && s.now.Sub(*s.due) < settling:
		until = earlier(until, s.due.UTC())
	case s.due == nil && s.now.Sub(added) < settling:
		until = added
	}
	s.judged.To = later(earlier(s.judged.To, until), s.judged.From)
	stretches := s.plan.Stretches(s.kept, s.open)
	s.plan.Grain = s.plan.Coarsest(stretches)
	stored, ticks := stretchArgs(s.server.ID, stretches)
	if stored != nil {
		var one sample.StoredSummary
		columns := one.Fields()
		b.Queue(sql("sums"), stored).Query(each(columns[:len(columns)-int(sample.NumClasses)], func() error {
			s.parts = append(s.parts, one.Summary())
			return nil
		}))
	}
	queueRows(b, s.server.ID, ticks, parts{samples: samples}, func(row *sample.Row, within Range) error {
		s.addTicks(row, within)
		return nil
	})
}

// end is for when all is read.
func (s *sums) end() {
	slices.SortStableFunc(s.parts, func(a, b sample.Summary) int { return a.First.Compare(b.First) })
	if s.before.planned.IsZero() {
		s.before = s.virtual(s.server.CreatedAt.UTC(), s.server.Intervals.Activity)
	}
}

// stretchArgs are the arguments of a statement about stretches that are summed up,
// nil if none is, and the ranges of which there are ticks only.
func stretchArgs(server target.ID, stretches []Stretch) (args pgx.NamedArgs, ticks []Range) {
	var (
		steps    []int32
		from, to []time.Time
	)
	for _, part := range stretches {
		if part.Grain == GrainTick {
			ticks = append(ticks, part.Range)
			continue
		}
		steps = append(steps, int32(part.Grain.Step()/time.Second))
		from, to = append(from, part.Range.From), append(to, part.Range.To)
	}
	if len(steps) > 0 {
		args = pgx.NamedArgs{"server_id": server, "step": steps, "from": from, "to": to}
	}
	return args, ticks
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
