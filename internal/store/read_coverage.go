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

// enterHours fills a ledger as enter does, but takes hours at once of which no
// tick is missing.
func (s *Store) enterHours(ctx context.Context, id target.ID, r history.Range, ledger ledger) error {
	if r.Length() < byHours {
		return s.enter(ctx, id, r, ledger)
	}
	hours, err := s.wholeHours(ctx, id, r)
	if err != nil {
		return err
	}
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
		ledger.Block(h.Start, time.Hour, time.Duration(h.Cadence)*time.Millisecond, h.Tally)
		next = h.end()
	}
	return between(r.To)
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

// wholeHours gives the hours in a range of which no tick is missing or
// unanswered, and of which nothing came since they were summed up.
func (s *Store) wholeHours(ctx context.Context, id target.ID, r history.Range) ([]storedHour, error) {
	var (
		hours []storedHour
		open  []history.Open
	)
	err := s.ask(ctx, planOnce(), openBuckets(id, r, &open), question{
		name: "pgam_coverage_hours",
		sql: `/* pgam:coverage_hours */
select bucket, cadence_ms, ticks_ok, ticks_degraded
  from history.activity_total
 where server_id = $1
   and step_seconds = 3600
   and bucket >= $2
   and bucket <= $3
   and ticks_failed + ticks_skipped = 0
   and (ticks_ok + ticks_degraded)::int8 * cadence_ms >= 3600000
 order by bucket`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(r.From)
			p.time(r.To.Add(-time.Hour))
		},
		row: func(v values) {
			h := storedHour{Start: v.time(0), Cadence: v.int4(1), Tally: history.Tally{OK: int64(v.int4(2)), Degraded: int64(v.int4(3))}}
			for _, o := range open {
				if o.Start.Before(h.end()) && o.Start.Add(o.Step).After(h.Start) && o.Step <= time.Hour {
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
