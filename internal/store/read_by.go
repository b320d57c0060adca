package store

import (
	"context"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// ActivityBy gives sessions over time by a dimension. The error wraps
// history.ErrInvalid, history.ErrGone or history.ErrCounting where the question
// is at fault.
func (s *Store) ActivityBy(ctx context.Context, t target.Target, q history.ActivityQuestion) (history.ActivityBy, error) {
	fail := func(err error) (history.ActivityBy, error) {
		return history.ActivityBy{}, fmt.Errorf("read activity: %w", statsdb.Classify(err))
	}
	q, err := q.Complete()
	if err != nil {
		return fail(err)
	}
	kept, err := s.Kept(ctx, t, q.By, q.Filter)
	if err != nil {
		return fail(err)
	}
	plan, err := q.Plan(kept)
	if err != nil {
		return fail(err)
	}
	if q.By == history.ByWaitClass && q.Filter.Empty() {
		a, err := s.ActivityByWaitClass(ctx, t, plan)
		return byClasses(a), err
	}
	c := counting{s: s, by: q.By, filter: q.Filter, plan: plan, peaked: true}
	var groups, shown []*group
	covered, err := s.covered(ctx, t, plan.Range, func(ctx context.Context) (err error) {
		limit := q.Limit
		if q.By == history.ByWaitClass {
			limit = int(sample.NumClasses)
		}
		groups, shown, err = c.ranked(ctx, t, kept, limit)
		return err
	})
	if err != nil {
		return fail(err)
	}
	answer := c.series(groups, shown)
	answer.Coverage = covered
	return answer, nil
}

// series makes the answer.
func (c *counting) series(groups, shown []*group) history.ActivityBy {
	n := len(c.answered)
	answer := history.ActivityBy{
		Plan: c.plan, By: c.by, Times: make([]time.Time, n), Answered: c.answered, Tail: c.unlisted, TailKeys: c.notShown(len(groups), len(shown)),
	}
	for i := range answer.Times {
		answer.Times[i] = time.UnixMicro(c.origin + int64(i)*c.width).UTC()
	}
	// Sums do not tell the peak of a part of the sessions.
	if c.filter.Empty() || !c.filter.Within(c.by) {
		answer.MaxSessions = c.most
	}
	for i, g := range groups {
		series := answer.Tail
		if i < len(shown) {
			series = make([]int64, n)
			answer.Keys, answer.Samples = append(answer.Keys, g.key), append(answer.Samples, series)
		}
		for _, p := range g.points {
			series[p.bucket] += p.samples
		}
	}
	return answer
}

// byClasses gives wait classes the form of other dimensions.
func byClasses(a history.Activity) history.ActivityBy {
	answer := history.ActivityBy{
		Plan: a.Plan, By: history.ByWaitClass, Times: a.Times, Answered: a.Answered, MaxSessions: a.MaxSessions, Coverage: a.Coverage,
		Tail: make([]int64, len(a.Times)),
	}
	for class := range sample.NumClasses {
		answer.Keys = append(answer.Keys, history.Key{Label: class.String()})
		answer.Samples = append(answer.Samples, a.Samples[class])
	}
	return answer
}
