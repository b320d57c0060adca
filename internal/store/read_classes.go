package store

import (
	"context"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// classColumns are those of wait classes in activity_minute, where they are
// integer, and in activity_total, where they are bigint.
const classColumns = `ticks_ok + ticks_degraded, max_sessions, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other,
       idle_in_transaction`

// activityFromSums reads wait classes by minute, hour and day. Minutes are
// always up to date; they stand in for hours and days that are not.
func (s *Store) activityFromSums(ctx context.Context, t target.Target, a *history.Activity) error {
	kept, err := s.Kept(ctx, t, history.ByWaitClass, nil)
	if err != nil {
		return err
	}
	var open []history.Open
	if len(a.Plan.Grains) > 1 {
		if err := s.ask(ctx, openBuckets(t.ID, a.Plan.Range, &open)); err != nil {
			return err
		}
		sortOpen(open)
	}
	questions := []question{planOnce()}
	parts := a.Plan.Stretches(kept, open)
	a.Plan.Grain = a.Plan.Coarsest(parts)
	for _, part := range parts {
		questions = append(questions, classSums(t.ID, part, a))
	}
	return s.ask(ctx, questions...)
}

// classSums asks for the sums of a stretch.
func classSums(id target.ID, part history.Stretch, a *history.Activity) question {
	q := question{
		name: "pgam_class_minutes",
		sql: `/* pgam:activity_by_minute */
select minute, ` + classColumns + `
  from history.activity_minute
 where server_id = $1
   and minute >= $2
   and minute < $3`,
	}
	step := part.Grain.Step()
	coarse := part.Grain != history.GrainMinute
	if coarse {
		q = question{
			name: "pgam_class_totals",
			sql: `/* pgam:activity_by_total */
select bucket, ` + classColumns + `
  from history.activity_total
 where server_id = $1
   and bucket >= $2
   and bucket < $3
   and step_seconds = $4`,
		}
	}
	q.args = func(p *params) {
		p.int8(int64(id))
		p.time(part.Range.From)
		p.time(part.Range.To)
		if coarse {
			p.int4(seconds(step))
		}
	}
	origin, width := a.Times[0].UnixMicro(), a.Plan.Step.Microseconds()
	q.row = func(v values) {
		i := (v.micros(0) - origin) / width
		a.Answered[i] += int64(v.int4(1))
		a.MaxSessions[i] = max(a.MaxSessions[i], v.int4(2))
		for c := range sample.NumClasses {
			a.Samples[c][i] += v.integer(3 + int(c))
		}
	}
	return q
}
