package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// maxSpan is the longest window that is ever stored: ticks of a range may
	// lie in one that begins that much earlier.
	maxSpan = 5 * time.Minute
	// settling is how far the newest stored window may lie behind the clock
	// while a collector is at work: a window's span and the time to write it.
	settling = 2 * time.Minute
)

// ActivityByWaitClass gives the sessions of a server by wait class as planned.
func (s *Store) ActivityByWaitClass(ctx context.Context, t target.Target, plan history.ActivityPlan) (history.Activity, error) {
	a := history.NewActivity(plan)
	read := s.activityFromSums
	if plan.Grain == history.GrainWindow {
		read = s.activityFromWindows
	}
	covered, err := s.covered(ctx, t, plan.Range, func(ctx context.Context) error { return read(ctx, t, &a) })
	if err != nil {
		return history.Activity{}, fmt.Errorf("read activity: %w", statsdb.Classify(err))
	}
	a.Coverage = covered
	return a, nil
}

// A storedWindow is the part of a window that the questions here read.
type storedWindow struct {
	T0      time.Time `db:"t0"`
	Span    int32     `db:"span_ms"`
	Cadence int32     `db:"cadence_ms"`
	Offset  []int32   `db:"tick_offset_ms"`
	Outcome []int16   `db:"tick_outcome"`
	Reason  []int16   `db:"tick_reason"`

	planned []int32 // see plannedAt
}

// fits says whether the arrays are as long as each other, and samples of ticks
// that there are.
func (w *storedWindow) fits(samples []int16, lengths ...int) bool {
	n := len(w.Offset)
	if slices.ContainsFunc(w.Offset, func(ms int32) bool { return ms < 0 }) {
		return false // a null is no instant
	}
	whole := len(w.Outcome) == len(w.Reason) && (w.Outcome == nil || len(w.Outcome) == n)
	return whole && ticksFit(n, samples, lengths...)
}

// ticksFit says whether arrays of samples are as long as each other, and all of
// them of the first ticks.
func ticksFit(ticks int, samples []int16, lengths ...int) bool {
	return !slices.ContainsFunc(samples, func(t int16) bool { return t < 1 || int(t) > ticks }) &&
		!slices.ContainsFunc(lengths, func(l int) bool { return l != len(samples) })
}

func (w *storedWindow) at(tick int) time.Time {
	return w.T0.Add(time.Duration(w.Offset[tick]) * time.Millisecond)
}

// within is when a tick counts: when it was begun, but within its window, as in
// all that is summed up.
func (w *storedWindow) within(tick int) time.Time {
	return w.T0.Add(time.Duration(min(w.Offset[tick], w.Span-1)) * time.Millisecond)
}

// plannedAt gives about when ticks were planned, in milliseconds from T0. One
// that failed began when it was given up, which may be in the next minute: of
// that the tick before tells, for a window that was packed tells no other end.
func (w *storedWindow) plannedAt() []int32 {
	w.planned = w.planned[:0]
	for i, offset := range w.Offset {
		at := min(offset, w.Span-1)
		if outcome, _ := w.outcome(i); outcome == sample.Failed && i > 0 && w.Cadence > 0 {
			before := w.planned[i-1]
			at = min(at, before+max((at-before+w.Cadence/10)/w.Cadence, 1)*w.Cadence)
		}
		w.planned = append(w.planned, at)
	}
	return w.planned
}

func (w *storedWindow) outcome(tick int) (sample.Outcome, sample.Reason) {
	if w.Outcome == nil {
		return sample.OK, sample.None
	}
	return sample.Outcome(w.Outcome[tick]), sample.Reason(w.Reason[tick])
}

func (s *Store) activityFromWindows(ctx context.Context, t target.Target, a *history.Activity) error {
	classes, err := s.waitClasses(ctx, t.ID)
	if err != nil {
		return err
	}
	const sql = `/* pgam:activity_by_window */
select t0, span_ms, cadence_ms, tick_offset_ms, tick_outcome, tick_reason, sample_tick, sample_wait
  from history.activity_window
 where server_id = $1
   and t0 > $2
   and t0 < $3`
	rows, err := s.pool.Query(ctx, sql, t.ID, a.Plan.Range.From.Add(-maxSpan), a.Plan.Range.To)
	if err != nil {
		return err
	}
	var (
		w             storedWindow
		ticks, waits  []int16
		bucket        []int   // of each tick; negative outside the range
		sessionsAtOne []int32 // of each tick
	)
	_, err = pgx.ForEachRow(rows, []any{&w.T0, &w.Span, &w.Cadence, &w.Offset, &w.Outcome, &w.Reason, &ticks, &waits}, func() error {
		if !w.fits(ticks, len(waits)) {
			return errMalformedArray
		}
		bucket, sessionsAtOne = bucket[:0], sessionsAtOne[:0]
		for i := range w.Offset {
			outcome, _ := w.outcome(i)
			b, ok := a.Bucket(w.within(i))
			if !ok || !outcome.Answered() {
				b = -1
			} else {
				a.Answered[b]++
			}
			bucket, sessionsAtOne = append(bucket, b), append(sessionsAtOne, 0)
		}
		for i, tick := range ticks {
			if b := bucket[tick-1]; b >= 0 {
				if waits[i] < 0 {
					continue // no load
				}
				class, known := classes[waits[i]]
				if !known { // it came after the dictionary was read
					class = sample.ClassOther
				}
				a.Samples[class][b]++
				sessionsAtOne[tick-1]++
			}
		}
		for i, b := range bucket {
			if b >= 0 {
				a.MaxSessions[b] = max(a.MaxSessions[b], sessionsAtOne[i])
			}
		}
		return nil
	})
	return err
}

// waitClasses gives the class of each entry of a server's dictionary of waits.
func (s *Store) waitClasses(ctx context.Context, id target.ID) (map[int16]sample.WaitClass, error) {
	rows, err := s.pool.Query(ctx, "/* pgam:wait_classes */ select id, state, wait_event_type, wait_event from history.wait where server_id = $1", id)
	if err != nil {
		return nil, err
	}
	classes := make(map[int16]sample.WaitClass)
	var (
		entry                  int16
		state, waitType, event string
	)
	_, err = pgx.ForEachRow(rows, []any{&entry, &state, &waitType, &event}, func() error {
		classes[entry] = classOf(entry, state, waitType, event)
		return nil
	})
	return classes, err
}

// classOf gives the class of an entry of the dictionary of waits. What was
// counted as load once stays so: it is in the sums.
func classOf(id int16, state, waitType, event string) sample.WaitClass {
	class := sample.ClassOf(state, waitType, event)
	switch {
	case id < 0:
		return sample.ClassIdle
	case class.Load():
		return class
	}
	return sample.ClassOf("active", waitType, "")
}

// eachWindow gives the windows of some ranges, which are disjoint and in the
// order of time, in that order. What visit is given is valid until it returns.
func (s *Store) eachWindow(ctx context.Context, id target.ID, ranges []history.Range, visit func(*storedWindow)) error {
	if len(ranges) == 0 {
		return nil
	}
	from, to := make([]time.Time, len(ranges)), make([]time.Time, len(ranges))
	for i, r := range ranges {
		from[i], to[i] = r.From.Add(-maxSpan), r.To
		if i > 0 && from[i].Before(to[i-1]) {
			from[i] = to[i-1].Add(-time.Microsecond) // t0 > from: every window once
		}
	}
	const sql = `/* pgam:windows */
select w.t0, w.span_ms, w.cadence_ms, w.tick_offset_ms, w.tick_outcome, w.tick_reason
  from unnest($2::timestamptz[], $3::timestamptz[]) as r (lo, hi)
  join history.activity_window w on w.server_id = $1 and w.t0 > r.lo and w.t0 < r.hi
 where w.t0 > $4
   and w.t0 < $5
 order by w.t0`
	rows, err := s.pool.Query(ctx, sql, id, from, to, from[0], to[len(to)-1])
	if err != nil {
		return err
	}
	var w storedWindow
	_, err = pgx.ForEachRow(rows, []any{&w.T0, &w.Span, &w.Cadence, &w.Offset, &w.Outcome, &w.Reason}, func() error {
		if !w.fits(nil) {
			return errMalformedArray
		}
		visit(&w)
		return nil
	})
	return err
}
