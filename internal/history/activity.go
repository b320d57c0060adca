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

// ActivityQuestion asks for sessions over time.
type ActivityQuestion struct {
	Range Range
	// Step is the width of a bucket; zero: one that fits the range, and is not
	// shorter than Cadence, the time between two looks at the server.
	Step    time.Duration
	Cadence time.Duration
	By      Dimension // empty: ByWaitClass
	Filter  Filter
	// Limit is how many keys get a series; zero: DefaultKeys.
	Limit int
}

// ActivityBy is sessions by one dimension over time: one element a bucket in
// every series.
type ActivityBy struct {
	Plan Plan
	By   Dimension
	// Times are the starts of the buckets, aligned to the Unix epoch.
	Times []time.Time
	// Keys are the most frequent of the range, the first one leading. Samples has
	// a series of session samples for each of them; divide by Answered for the
	// average number of sessions.
	Keys    []Key
	Samples [][]int64
	// Tail is what is not counted under one of Keys, TailKeys the least number of
	// keys that make it up. See Top.TailKeys.
	Tail     []int64
	TailKeys int
	// Answered counts the ticks whose sessions were read; where it is zero the
	// bucket is unknown.
	Answered []int64
	// MaxSessions is the most sessions in one tick; nil: sums do not tell, because
	// of the filter.
	MaxSessions []int32
	Coverage    Coverage
}

// Complete is as that of TopQuestion.
func (q ActivityQuestion) Complete() (ActivityQuestion, error) {
	by, limit, err := q.Filter.complete(q.By, q.Limit)
	q.By, q.Limit = by, limit
	return q, err
}

// ActivityBy gives sessions over time by a dimension. The error wraps ErrInvalid,
// ErrGone or ErrCounting where the question is at fault.
func (r *Reader) ActivityBy(ctx context.Context, t target.Target, q ActivityQuestion) (ActivityBy, error) {
	answer, err := r.activityBy(ctx, t, q)
	if err != nil {
		return answer, fmt.Errorf("read activity: %w", statsdb.Classify(err))
	}
	return answer, nil
}

func (r *Reader) activityBy(ctx context.Context, t target.Target, q ActivityQuestion) (ActivityBy, error) {
	q, err := q.Complete()
	if err != nil {
		return ActivityBy{}, err
	}
	kept, err := r.kept(ctx, t, q.By, q.Filter)
	if err != nil {
		return ActivityBy{}, err
	}
	plan, err := q.Plan(kept)
	if err != nil {
		return ActivityBy{}, err
	}
	if q.By == ByWaitClass {
		if q.Filter.Empty() {
			answer, _, err := r.classes(ctx, t, plan, kept)
			return answer, err
		}
		q.Limit = int(sample.NumClasses)
	}
	counted, err := r.count(ctx, t, kept, TopQuestion{Filter: q.Filter, Limit: q.Limit}, []Dimension{q.By}, plan)
	if err != nil {
		return ActivityBy{}, err
	}
	return counted[0].series(counted[0].by[0]), nil
}

// classes gives sessions by wait class as planned, and the ledger. Whole minutes
// are summed up by class; what is shorter is counted from ticks.
func (r *Reader) classes(ctx context.Context, t target.Target, plan Plan, kept Kept) (ActivityBy, *sums, error) {
	n, byTick, ledger := plan.Buckets(), plan.Step < time.Minute, plan
	a := ActivityBy{
		Plan: plan, By: ByWaitClass, Times: plan.Times(), Tail: make([]int64, n), Answered: make([]int64, n), MaxSessions: make([]int32, n),
	}
	for class := range sample.NumClasses {
		a.Keys, a.Samples = append(a.Keys, Key{Label: class.String()}), append(a.Samples, make([]int64, n))
	}
	add := func(at time.Time, answered int64, most int32, classes *[sample.NumClasses]int64) {
		b := plan.bucket(at)
		for class, samples := range classes {
			a.Samples[class][b] += samples
		}
		a.Answered[b] += answered
		a.MaxSessions[b] = max(a.MaxSessions[b], most)
	}
	if !byTick { // the coarsest will do
		var err error
		if ledger, err = ledgerPlan(plan.Range, 0, kept); err != nil {
			return a, nil, err
		}
	}
	s, first, second := newSums(t, ledger, kept), &pgx.Batch{}, &pgx.Batch{}
	s.ask(first)
	if err := r.send(ctx, first); err != nil {
		return a, nil, err
	}
	s.read(second, byTick)
	if !byTick {
		stretches := plan.Stretches(kept, s.open)
		a.Plan.Grain = plan.Coarsest(stretches)
		args, _ := stretchArgs(t.ID, stretches)
		queueClasses(second, args, add)
	}
	if err := r.send(ctx, second); err != nil {
		return a, nil, err
	}
	s.end()
	for i := range s.parts {
		if part := &s.parts[i]; byTick {
			add(part.First, part.Answered(), part.MaxSessions, &part.Classes)
		}
	}
	a.Coverage = s.coverage()
	return a, s, nil
}

func queueClasses(b *pgx.Batch, args pgx.NamedArgs, add func(at time.Time, answered int64, most int32, classes *[sample.NumClasses]int64)) {
	var (
		start    time.Time
		answered int64
		most     int32
		classes  [sample.NumClasses]int64
		into     = []any{&start, &answered, &most}
	)
	for class := range classes {
		into = append(into, &classes[class])
	}
	b.Queue(sql("classes"), args).Query(each(into, func() error {
		add(start, answered, most, &classes)
		return nil
	}))
}

// series makes the answer of what is counted by a dimension.
func (c *counting) series(t *tally) ActivityBy {
	answer := ActivityBy{
		Plan: c.plan, By: t.by, Times: c.plan.Times(), Answered: make([]int64, len(t.unlisted)), Coverage: c.ledger.coverage(),
		Tail: t.unlisted, TailKeys: c.notShown(t),
	}
	// What is filtered by another dimension is counted from ticks.
	if c.filter.Empty() || !c.filter.Within(t.by) {
		answer.MaxSessions = c.most
	}
	for i := range c.ledger.parts {
		part := &c.ledger.parts[i]
		b := c.plan.bucket(part.First)
		answer.Answered[b] += part.Answered()
		if c.filter.Empty() {
			c.most[b] = max(c.most[b], part.MaxSessions)
		}
	}
	for i, g := range t.groups {
		series := answer.Tail
		if i < len(t.shown) {
			series = make([]int64, len(answer.Times))
			answer.Keys, answer.Samples = append(answer.Keys, g.key), append(answer.Samples, series)
		}
		for _, p := range g.points {
			series[p.bucket] += p.samples
		}
	}
	return answer
}
