package store

import (
	"context"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

const (
	// byHours is how long a range is of which hours are taken that no tick of is
	// missing.
	byHours = 3 * time.Hour
	// maxGaps is how many stretches between such hours are looked at one by one.
	maxGaps = 20
)

// enterHours fills a ledger as enter does, but takes hours at once: those of
// which no tick is missing and, where minutes are no longer kept, all there are.
func (s *Store) enterHours(ctx context.Context, t target.Target, r history.Range, ledger ledger) error {
	since, err := s.minutesSince(ctx, t)
	if err != nil {
		return err
	}
	if r.From.Before(since) {
		old := r.Clip(history.Range{From: r.From, To: since})
		hours, err := s.storedHours(ctx, t.ID, old, false)
		if err != nil {
			return err
		}
		for _, h := range hours {
			h.enter(ledger)
		}
		r.From = old.To
	}
	switch {
	case r.Empty():
		return nil
	case r.Length() < byHours:
		return s.enter(ctx, t.ID, r, ledger)
	}
	hours, err := s.storedHours(ctx, t.ID, r, true)
	if err != nil {
		return err
	}
	return s.enterAround(ctx, t.ID, r, hours, ledger)
}

// enterAround enters hours, and what lies between them one by one.
func (s *Store) enterAround(ctx context.Context, id target.ID, r history.Range, hours []storedHour, ledger ledger) error {
	gaps, next := 0, r.From
	for _, h := range hours {
		if next.Before(h.Start) {
			gaps++
		}
		next = h.end()
	}
	if gaps > maxGaps {
		return s.enter(ctx, id, r, ledger)
	}
	next = r.From
	between := func(to time.Time) error {
		gap := history.Range{From: next, To: to}
		if gap.Empty() {
			return nil
		}
		return s.enter(ctx, id, gap, within{ledger, gap})
	}
	for _, h := range hours {
		if err := between(h.Start); err != nil {
			return err
		}
		h.enter(ledger)
		next = h.end()
	}
	return between(r.To)
}

// minutesSince says from when on minutes are kept; zero: none of the server's
// were thrown away.
func (s *Store) minutesSince(ctx context.Context, t target.Target) (time.Time, error) {
	since, err := s.keptSince(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if oldest, there := since["activity_minute"]; there && t.CreatedAt.Before(oldest) {
		return oldest, nil
	}
	return time.Time{}, nil
}

// inHours moves the ends of a range to full hours where nothing finer is kept,
// but not before the time that is judged at all.
func inHours(r, judged history.Range, since time.Time) history.Range {
	if r.From.Before(since) {
		r.From = history.Floor(r.From, time.Hour)
		if r.From.Before(judged.From) {
			r.From = history.Floor(judged.From.Add(time.Hour-1), time.Hour)
		}
	}
	if r.To.Before(since) {
		r.To = history.Floor(r.To.Add(time.Hour-1), time.Hour)
	}
	return r
}

// within enters nothing but what lies in a range.
type within struct {
	ledger
	r history.Range
}

// Tick implements ledger.
func (w within) Tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason) {
	if !at.Before(w.r.From) && at.Before(w.r.To) {
		w.ledger.Tick(at, cadence, outcome, reason)
	}
}

// A storedHour is the ledger of an hour, with the shortest cadence in it.
type storedHour struct {
	Start   time.Time
	Cadence int32
	history.Tally
}

func (h storedHour) end() time.Time { return h.Start.Add(time.Hour) }

func (h storedHour) enter(to ledger) {
	to.Block(h.Start, time.Hour, time.Duration(h.Cadence)*time.Millisecond, h.Tally)
}

// storedHours gives the hours in a range, in the order of time: all there are, or
// the whole ones, of which no tick is missing or unanswered and nothing came
// since they were summed up.
func (s *Store) storedHours(ctx context.Context, id target.ID, r history.Range, whole bool) ([]storedHour, error) {
	var (
		hours []storedHour
		open  []history.Open
	)
	err := s.ask(ctx, planOnce(), openBuckets(id, r, &open), question{
		name: "pgam_coverage_hours",
		sql: `/* pgam:coverage_hours */
select bucket, cadence_ms, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped
  from history.activity_total
 where server_id = $1
   and step_seconds = 3600
   and bucket >= $2
   and bucket <= $3
   and (not $4::boolean
        or ticks_failed + ticks_skipped = 0 and (ticks_ok + ticks_degraded)::int8 * cadence_ms >= 3600000)
 order by bucket`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(r.From)
			p.time(r.To.Add(-time.Hour))
			p.bool(whole)
		},
		row: func(v values) {
			h := storedHour{Start: v.time(0), Cadence: v.int4(1), Tally: history.Tally{
				OK: int64(v.int4(2)), Degraded: int64(v.int4(3)), Failed: int64(v.int4(4)), Skipped: int64(v.int4(5)),
			}}
			for _, o := range open {
				if whole && o.Start.Before(h.end()) && o.Start.Add(o.Step).After(h.Start) && o.Step <= time.Hour {
					return
				}
			}
			hours = append(hours, h)
		},
	})
	return hours, err
}

// minuteLedgers reads the ledgers of the minutes in a range.
func (s *Store) minuteLedgers(ctx context.Context, id target.ID, r history.Range) (minutes []storedMinute, err error) {
	err = s.ask(ctx, planOnce(), question{
		name: "pgam_minutes",
		sql: `/* pgam:minutes */
select minute, cadence_ms, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped
  from history.activity_minute
 where server_id = $1
   and minute >= $2
   and minute <= $3
 order by minute`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(r.From)
			p.time(r.To.Add(-time.Minute))
		},
		row: func(v values) {
			minutes = append(minutes, storedMinute{
				Start: v.time(0), Cadence: v.int4(1),
				Tally: history.Tally{OK: int64(v.int4(2)), Degraded: int64(v.int4(3)), Failed: int64(v.int4(4)), Skipped: int64(v.int4(5))},
			})
		},
	})
	return minutes, err
}
