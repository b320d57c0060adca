package history

import (
	"context"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Activity is sessions by wait class over time: one element a bucket in every
// series.
type Activity struct {
	Plan Plan
	// Times are the starts of the buckets, aligned to the Unix epoch.
	Times []time.Time
	// Samples are session samples by class; divide by Answered for the average
	// number of sessions.
	Samples [sample.NumClasses][]int64
	// Answered counts the ticks whose sessions were read; where it is zero the
	// bucket is unknown.
	Answered []int64
	// MaxSessions is the most sessions in one tick.
	MaxSessions []int32
	Coverage    Coverage
}

// ActivityQuestion asks for sessions over time.
type ActivityQuestion struct {
	Range Range
	// Step is the width of a bucket; zero: one that fits the range.
	Step   time.Duration
	By     Dimension // empty: ByWaitClass
	Filter Filter
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

// ActivityByWaitClass gives the sessions of a server by wait class as planned.
func (r *Reader) ActivityByWaitClass(ctx context.Context, t target.Target, plan Plan) (Activity, error) {
	kept, err := r.kept(ctx, t, ByWaitClass, nil)
	if err != nil {
		return Activity{}, fmt.Errorf("read activity: %w", statsdb.Classify(err))
	}
	s, err := r.sums(ctx, t, plan, kept, true)
	if err != nil {
		return Activity{}, fmt.Errorf("read activity: %w", statsdb.Classify(err))
	}
	return s.activity(), nil
}

// activity gives wait classes, and what is known beside them, by bucket.
func (s *sums) activity() Activity {
	n := s.plan.Buckets()
	a := Activity{Plan: s.plan, Times: s.plan.Times(), Answered: make([]int64, n), MaxSessions: make([]int32, n), Coverage: s.coverage()}
	for class := range a.Samples {
		a.Samples[class] = make([]int64, n)
	}
	for i := range s.parts {
		part := &s.parts[i]
		b := s.plan.bucket(part.First)
		for class, samples := range part.Classes {
			a.Samples[class][b] += samples
		}
		a.Answered[b] += part.Answered()
		a.MaxSessions[b] = max(a.MaxSessions[b], part.MaxSessions)
	}
	return a
}

// by gives wait classes the form of other dimensions.
func (a *Activity) by() ActivityBy {
	answer := ActivityBy{
		Plan: a.Plan, By: ByWaitClass, Times: a.Times, Answered: a.Answered, MaxSessions: a.MaxSessions, Coverage: a.Coverage,
		Tail: make([]int64, len(a.Times)),
	}
	for class := range sample.NumClasses {
		answer.Keys = append(answer.Keys, Key{Label: class.String()})
		answer.Samples = append(answer.Samples, a.Samples[class])
	}
	return answer
}

// ActivityBy gives sessions over time by a dimension. The error wraps ErrInvalid,
// ErrGone or ErrCounting where the question is at fault.
func (r *Reader) ActivityBy(ctx context.Context, t target.Target, q ActivityQuestion) (ActivityBy, error) {
	fail := func(err error) (ActivityBy, error) {
		return ActivityBy{}, fmt.Errorf("read activity: %w", statsdb.Classify(err))
	}
	q, err := q.Complete()
	if err != nil {
		return fail(err)
	}
	kept, err := r.kept(ctx, t, q.By, q.Filter)
	if err != nil {
		return fail(err)
	}
	plan, err := q.Plan(kept)
	if err != nil {
		return fail(err)
	}
	if q.By == ByWaitClass && q.Filter.Empty() {
		a, err := r.ActivityByWaitClass(ctx, t, plan)
		return a.by(), err
	}
	if q.By == ByWaitClass {
		q.Limit = int(sample.NumClasses)
	}
	c, err := r.count(ctx, t, q.By, q.Filter, plan, kept, q.Limit)
	if err != nil {
		return fail(err)
	}
	s, err := r.ledger(ctx, t, c.plan.Range, c.plan.Step)
	if err != nil {
		return fail(err)
	}
	return c.series(s.activity()), nil
}

// series makes the answer, with the ledger of the same buckets.
func (c *counting) series(ledger Activity) ActivityBy {
	answer := ActivityBy{
		Plan: c.plan, By: c.by, Times: ledger.Times, Answered: ledger.Answered, Coverage: ledger.Coverage, Tail: c.unlisted, TailKeys: c.notShown(),
	}
	switch {
	case !c.filter.Within(c.by): // all is counted from ticks
		answer.MaxSessions = c.most
	case c.filter.Empty():
		answer.MaxSessions = c.most
		for b, most := range ledger.MaxSessions {
			answer.MaxSessions[b] = max(answer.MaxSessions[b], most)
		}
	}
	for i, g := range c.groups {
		series := answer.Tail
		if i < len(c.shown) {
			series = make([]int64, len(answer.Times))
			answer.Keys, answer.Samples = append(answer.Keys, g.key), append(answer.Samples, series)
		}
		for _, p := range g.points {
			series[p.bucket] += p.samples
		}
	}
	return answer
}
