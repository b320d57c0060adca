package store

import (
	"errors"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// secondsOf is a window of ticks that begin a little late, from one second of a
// minute to before another.
func secondsOf(server target.ID, minute time.Time, from, to int, slip time.Duration) sample.Batch {
	ticks := make([]sample.Tick, 0, to-from)
	t0 := minute.Add(time.Duration(from) * time.Second)
	for i := from; i < to; i++ {
		at := minute.Add(time.Duration(i) * time.Second)
		ticks = append(ticks, sample.Tick{
			Planned: at, Started: at.Add(slip), Window: t0, Span: time.Duration(to-from) * time.Second, Cadence: time.Second, Backends: sample.Unset,
		})
	}
	return sample.Batch{Windows: []sample.Window{sample.NewWindow(server, ticks)}}
}

// A second that one collector has stored is not stored by another one, whose
// journal has it too, whatever the windows of the two are cut like; and what only
// one of them saw is stored.
func TestASecondIsStoredOnce(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	id := newServer(t, s, "db1")
	other := openStoreAt(t, dsn, nil)
	partitionsAround(t, s, noon)

	takeLease(t, s, "a")
	mustAppend(t, s, secondsOf(id, noon, 0, 15, 2*time.Millisecond))
	pgtest.Exec(t, dsn, "update pgam.lease set holder = null")
	takeLease(t, other, "b")
	if err := s.Append(t.Context(), secondsOf(id, noon, 15, 30, 0)); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("the second half of who lost the lease: %v", err)
	}
	mustAppend(t, other, secondsOf(id, noon, 20, 30, 7*time.Millisecond))
	mustAppend(t, other, secondsOf(id, noon, 30, 45, 7*time.Millisecond))

	// Who lost it leads again, and its journal is handed in.
	pgtest.Exec(t, dsn, "update pgam.lease set holder = null")
	takeLease(t, s, "a")
	for range 2 {
		for _, b := range []sample.Batch{
			secondsOf(id, noon, 0, 15, 2*time.Millisecond),  // stored before
			secondsOf(id, noon, 15, 20, 0),                  // seen by nobody else
			secondsOf(id, noon, 29, 30, 0),                  // the end of another's
			secondsOf(id, noon, 30, 45, 0),                  // the same key
			secondsOf(id, noon, 40, 50, 3*time.Millisecond), // overlaps
			secondsOf(id, noon, 50, 60, 400*time.Millisecond),
		} {
			mustAppend(t, s, b)
		}
	}
	const twice = `
select count(*) from (
select date_trunc('second', w.t0 + k.ms * interval '1 millisecond') as at
  from history.activity_window w cross join lateral unnest(w.tick_offset_ms) as k (ms)
 group by 1 having count(*) > 1) d`
	if n := pgtest.Value[int64](t, dsn, twice); n != 0 {
		t.Errorf("%d seconds are stored twice", n)
	}
	if n := pgtest.Value[int64](t, dsn, "select sum(ticks_planned)::int8 from history.activity_minute"); n != 55 {
		t.Errorf("the minute has %d ticks, want 55 of 60", n)
	}
}
