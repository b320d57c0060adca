package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
	other := openStoreAt(t, dsn)
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
	if n := pgtest.Value[int64](t, dsn, "select sum(ticks_planned)::int8 from history.activity_minute"); n != 60 {
		t.Errorf("the minute has %d ticks of 60", n)
	}
}

// What one that stands by had seen is stored where nobody else has it, in whatever
// order the two write, and long after the other began to lead; what a database has
// counted meanwhile is counted once.
func TestHandInStoresWhatNobodyHas(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	id := newServer(t, s, "db1")
	other := openStoreAt(t, dsn)
	now := time.Now().UTC().Truncate(time.Minute)
	minute := now.Add(10 * time.Minute) // long after who leads began to, as it finds
	partitionsAround(t, s, minute)
	if err := s.EnsurePartitions(t.Context(), now, minute.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	takeLease(t, other, "b")

	// Both counted from the same sample on, at their own seconds.
	first := sample.DatabaseStat{OID: 5, At: minute, Epoch: minute, Backends: sample.Int{V: 2, Known: true}}
	first.Counters[sample.XactCommit] = sample.Int{V: 1000, Known: true}
	counted := func(before sample.DatabaseStat, seconds ...int) (all []sample.DatabaseStat) {
		for _, sec := range seconds {
			next := sample.DatabaseStat{OID: 5, At: minute.Add(time.Duration(sec) * time.Second), Backends: first.Backends}
			next.Counters[sample.XactCommit] = sample.Int{V: 1000 + 10*int64(sec), Known: true}
			next.Follow(&before)
			all, before = append(all, next), next
		}
		return all
	}
	with := func(b sample.Batch, databases []sample.DatabaseStat) sample.Batch {
		for i := range databases {
			b.Visits = append(b.Visits, &sample.Visit{Server: id, Databases: databases[i : i+1]})
		}
		return b
	}
	handIn := func(b sample.Batch) {
		t.Helper()
		if err := s.HandIn(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	leads, stands := counted(first, 14, 24, 34, 44), counted(first, 3, 10, 20, 30, 33)
	mustAppend(t, other, with(secondsOf(id, minute, 0, 5, 0), []sample.DatabaseStat{first}))
	handIn(with(secondsOf(id, minute, 5, 15, 3*time.Millisecond), stands[:2])) // before the other's of that time
	mustAppend(t, other, with(secondsOf(id, minute, 12, 20, 0), leads[:1]))
	mustAppend(t, other, with(secondsOf(id, minute, 22, 25, 0), leads[1:2]))
	for range 2 {
		handIn(with(secondsOf(id, minute, 15, 30, 900*time.Millisecond), stands[2:])) // around the other's
	}
	mustAppend(t, other, with(secondsOf(id, minute, 25, 45, 0), leads[2:]))
	mustAppend(t, other, secondsOf(id, minute, 45, 60, 2*time.Second)) // held up, and noted in their seconds

	const seconds = `
select count(*) - count(distinct floor(extract(epoch from w.t0 + k.ms * interval '1 millisecond') + 0.03)), count(*)
  from history.activity_window w cross join lateral unnest(w.tick_offset_ms) as k (ms)`
	if n := pgtest.Value[int64](t, dsn, "select doubled from ("+seconds+") s (doubled, all_of_them)"); n != 0 {
		t.Errorf("%d seconds are stored twice", n)
	}
	if n := pgtest.Value[int64](t, dsn, "select all_of_them from ("+seconds+") s (doubled, all_of_them)"); n != 60 {
		t.Errorf("%d ticks are stored of 60 seconds", n)
	}
	if n := pgtest.Value[int64](t, dsn, "select sum(ticks_planned)::int8 from history.activity_minute"); n != 60 {
		t.Errorf("the minute has %d ticks", n)
	}
	const commits = "select coalesce(sum(xact_commit), 0)::int8 from history."
	if stat, hours := pgtest.Value[int64](t, dsn, commits+"database_stat"), pgtest.Value[int64](t, dsn, commits+"database_rollup where step_seconds = 3600"); stat != 440 || hours != 440 {
		t.Errorf("%d commits, in the hours %d, of 440", stat, hours)
	}
}

// Two collectors look at a server within a part of a millisecond, and something is
// committed in between: in whatever order their samples come, each stored one
// counts what the server did since the one that is stored before it.
func TestCommitsBetweenTheLooksOfTwoAreCountedOnce(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	other := openStoreAt(t, dsn)
	minute := time.Now().UTC().Truncate(time.Minute)
	if err := s.EnsurePartitions(t.Context(), minute, minute.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	takeLease(t, other, "b")
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 31))
		id := newServer(t, s, fmt.Sprint("db", seed))
		first := sample.DatabaseStat{OID: 5, At: minute, Epoch: minute, Backends: sample.Int{V: 2, Known: true}}
		first.Counters[sample.XactCommit] = sample.Int{V: 1000, Known: true}
		mustAppend(t, other, sample.Batch{Visits: []*sample.Visit{{Server: id, Databases: []sample.DatabaseStat{first}}}})
		// What each saw, the earlier one first; the last look is the one's that leads.
		looks := [2][]sample.DatabaseStat{}
		for who, behind := range []time.Duration{300 * time.Microsecond, 0} {
			before := first
			for second := range 8 {
				at := minute.Add(time.Duration(second+1)*time.Second + behind)
				next := sample.DatabaseStat{OID: 5, At: at, Backends: first.Backends}
				next.Counters[sample.XactCommit] = sample.Int{V: 1000 + 10*int64(second+1) + behind.Microseconds()/100, Known: true}
				next.Follow(&before)
				looks[who], before = append(looks[who], next), next
			}
		}
		for len(looks[0])+len(looks[1]) > 0 {
			who := rnd.IntN(2)
			n := min(1+rnd.IntN(3), len(looks[who]))
			if n == 0 {
				continue
			}
			b := sample.Batch{Visits: []*sample.Visit{}}
			for i := range n {
				b.Visits = append(b.Visits, &sample.Visit{Server: id, Databases: looks[who][i : i+1]})
			}
			looks[who] = looks[who][n:]
			if who == 0 {
				mustAppend(t, other, b)
			} else if err := s.HandIn(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		const wrong = `
select coalesce(string_agg(format('%s: %s, the server says %s', sampled_at, xact_commit, said), '; '), '')
  from (select sampled_at, xact_commit, xact_commit_total - lag(xact_commit_total) over (order by sampled_at) as said
          from history.database_stat
         where server_id = $1) d
 where xact_commit is distinct from said`
		if got := pgtest.Value[string](t, dsn, wrong, id); got != "" {
			t.Errorf("seed %d: %s", seed, got)
		}
		const commits = "select coalesce(sum(xact_commit), 0)::int8 from history.database_rollup where step_seconds = 3600 and server_id = $1"
		if got := pgtest.Value[int64](t, dsn, commits, id); got != 83 {
			t.Errorf("seed %d: %d commits of 83 in the hour", seed, got)
		}
	}
}
