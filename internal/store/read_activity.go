package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
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
	if err := read(ctx, t, &a); err != nil {
		return history.Activity{}, fmt.Errorf("read activity: %w", dbError(err))
	}
	var err error
	a.Coverage, err = s.Coverage(ctx, t, plan.Range)
	return a, err
}

// A storedWindow is the part of a window that the questions here read.
type storedWindow struct {
	T0      time.Time `db:"t0"`
	Span    int32     `db:"span_ms"`
	Cadence int32     `db:"cadence_ms"`
	Offset  []int32   `db:"tick_offset_ms"`
	Outcome []int16   `db:"tick_outcome"`
	Reason  []int16   `db:"tick_reason"`
}

func (w *storedWindow) at(tick int) time.Time {
	return w.T0.Add(time.Duration(w.Offset[tick]) * time.Millisecond)
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
		bucket, sessionsAtOne = bucket[:0], sessionsAtOne[:0]
		for i := range w.Offset {
			outcome, _ := w.outcome(i)
			b, ok := a.Bucket(w.at(i))
			if !ok || !outcome.Answered() {
				b = -1
			} else {
				a.Answered[b]++
			}
			bucket, sessionsAtOne = append(bucket, b), append(sessionsAtOne, 0)
		}
		for i, tick := range ticks {
			if b := bucket[tick-1]; b >= 0 {
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
		classes[entry] = classOf(state, waitType, event)
		return nil
	})
	return classes, err
}

// classOf gives the class of an entry of the dictionary of waits. One with an
// event of no type stands for all that found no room in it.
func classOf(state, waitType, event string) sample.WaitClass {
	if waitType == "" && event != "" {
		return sample.ClassOther
	}
	return sample.ClassOf(state, waitType)
}

// Coverage says how much of a range was seen: see history.Coverage. What lies
// before the server was added was never promised; nor was, while a collector
// is at work, the time that is not written yet. Where nothing finer than hours
// is kept, the range is judged in full hours.
func (s *Store) Coverage(ctx context.Context, t target.Target, r history.Range) (history.Coverage, error) {
	fail := func(err error) (history.Coverage, error) {
		return history.Coverage{}, fmt.Errorf("read coverage: %w", dbError(err))
	}
	judged, err := s.judged(ctx, t)
	if err != nil {
		return fail(err)
	}
	since, err := s.minutesSince(ctx, t)
	if err != nil {
		return fail(err)
	}
	if r = r.Clip(judged); !r.Empty() {
		r = inHours(r, judged, since)
	}
	if r.Empty() {
		return history.NewLedger(history.Range{From: r.From, To: r.From}, 0).Coverage(), nil
	}
	cadence, err := s.cadenceBefore(ctx, t, r)
	if err != nil {
		return fail(err)
	}
	ledger := history.NewLedger(r, cadence)
	if err := s.enterHours(ctx, t, r, ledger); err != nil {
		return fail(err)
	}
	return ledger.Coverage(), nil
}

// judged gives the time that a collector has answered for: since the server
// was added, until its newest window, or until now if that is too old.
func (s *Store) judged(ctx context.Context, t target.Target) (history.Range, error) {
	const sql = `/* pgam:newest_window */
select now(),
       (select w.t0 + w.span_ms * interval '1 millisecond'
          from history.activity_window w
         where w.server_id = $1
           and w.t0 > now() - interval '10 minutes'
         order by w.t0 desc
         limit 1)`
	var (
		now    time.Time
		newest *time.Time
	)
	if err := s.pool.QueryRow(ctx, sql, t.ID).Scan(&now, &newest); err != nil {
		return history.Range{}, err
	}
	until := now
	switch {
	case newest != nil && now.Sub(*newest) < settling:
		until = *newest
	case newest == nil && now.Sub(t.CreatedAt) < settling:
		until = t.CreatedAt
	}
	return history.Range{From: t.CreatedAt.UTC(), To: until.UTC()}, nil
}

// cadenceBefore gives the cadence in force at the start of a range: that of
// the first window in or after it, else the server's own setting, else a
// second.
func (s *Store) cadenceBefore(ctx context.Context, t target.Target, r history.Range) (time.Duration, error) {
	const sql = `/* pgam:first_window */
select cadence_ms
  from history.activity_window
 where server_id = $1
   and t0 > $2
   and t0 < $3
 order by t0
 limit 1`
	var millis int32
	err := s.pool.QueryRow(ctx, sql, t.ID, r.From.Add(-maxSpan), r.To).Scan(&millis)
	switch {
	case err == nil:
		return time.Duration(millis) * time.Millisecond, nil
	case errors.Is(err, pgx.ErrNoRows) && t.Intervals.Activity > 0:
		return t.Intervals.Activity, nil
	case errors.Is(err, pgx.ErrNoRows):
		return time.Second, nil
	}
	return 0, err
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
		visit(&w)
		return nil
	})
	return err
}

// A storedMinute is the ledger of a minute.
type storedMinute struct {
	Start   time.Time `db:"minute"`
	Cadence int32     `db:"cadence_ms"`
	history.Tally
}

func (m storedMinute) end() time.Time { return m.Start.Add(time.Minute) }

// whole reports whether no tick of the minute is missing or unanswered.
func (m storedMinute) whole() bool {
	return m.Failed+m.Skipped == 0 && m.Cadence > 0 && (m.OK+m.Degraded)*int64(m.Cadence) >= time.Minute.Milliseconds()
}

// enter fills a ledger from the minutes of a range and, where a minute is not
// whole or not there, from the windows. A minute whose windows are no longer
// kept counts as it was summed up.
func (s *Store) enter(ctx context.Context, id target.ID, r history.Range, ledger ledger) error {
	e := enterer{ledger: ledger}
	var err error
	if e.minutes, err = s.minuteLedgers(ctx, id, r); err != nil {
		return err
	}
	var rest []history.Range
	next := r.From // all before it is whole or in rest
	for _, m := range e.minutes {
		if !m.whole() {
			continue
		}
		if next.Before(m.Start) {
			rest = append(rest, history.Range{From: next, To: m.Start})
		}
		next = m.end()
	}
	if next.Before(r.To) {
		rest = append(rest, history.Range{From: next, To: r.To})
	}
	err = s.eachWindow(ctx, id, rest, func(w *storedWindow) {
		cadence := time.Duration(w.Cadence) * time.Millisecond
		for i := range w.Offset {
			outcome, reason := w.outcome(i)
			e.tick(w.at(i), cadence, outcome, reason)
		}
	})
	e.before(r.To.Add(time.Minute))
	return err
}

// ledger takes ticks and minutes in the order of time.
type ledger interface {
	Tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason)
	Block(start time.Time, length, cadence time.Duration, t history.Tally)
}

// enterer brings minutes and ticks into one order of time.
type enterer struct {
	ledger  ledger
	minutes []storedMinute // those still to come
	ticked  bool           // ticks of the first of them were seen
}

func (e *enterer) tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason) {
	e.before(at)
	if len(e.minutes) > 0 && !e.minutes[0].Start.After(at) {
		if e.minutes[0].whole() {
			return
		}
		e.ticked = true
	}
	e.ledger.Tick(at, cadence, outcome, reason)
}

// before enters the minutes that end before an instant, unless their ticks
// were entered.
func (e *enterer) before(t time.Time) {
	for len(e.minutes) > 0 && !e.minutes[0].end().After(t) {
		m := e.minutes[0]
		if !e.ticked {
			e.ledger.Block(m.Start, time.Minute, time.Duration(m.Cadence)*time.Millisecond, m.Tally)
		}
		e.minutes, e.ticked = e.minutes[1:], false
	}
}
