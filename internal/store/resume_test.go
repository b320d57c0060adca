package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestResumeOfNothing(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	got, err := s.Resume(t.Context(), 77)
	if err != nil {
		t.Fatal(err)
	}
	want := sample.Resume{Next: sample.NextIDs{Session: 1, Query: 1, Wait: 1, Lock: 1}}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(sample.Memory{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// resumable is a history of four days whose highest ids are not the newest.
func resumable(server target.ID, today time.Time) []sample.Batch {
	day := sample.Day(today)
	session := func(day, id int32) sample.SessionEntry {
		return sample.SessionEntry{ID: id, Day: day, PID: 1000 + id}
	}
	query := func(day, id int32, text string) sample.QueryEntry {
		return sample.QueryEntry{ID: id, Day: day, QueryID: int64(id) * 111, Own: id%2 == 0, Text: text}
	}
	wait := func(id int16, event string) sample.WaitEntry {
		return sample.WaitEntry{ID: id, State: "active", Type: "Lock", Event: event}
	}
	var batches []sample.Batch
	for _, e := range []sample.Entries{
		{Sessions: []sample.SessionEntry{session(day-3, 1), session(day-3, 2)}, Queries: []sample.QueryEntry{query(day-3, 1, "one")}, Waits: []sample.WaitEntry{wait(1, "tuple")}},
		{Sessions: []sample.SessionEntry{session(day-2, 2), session(day-2, 41)}, Queries: []sample.QueryEntry{query(day-2, 30, ""), query(day-2, 2, "")}, Waits: []sample.WaitEntry{wait(9, "advisory")}},
		{Sessions: []sample.SessionEntry{session(day-1, 3)}, Queries: []sample.QueryEntry{query(day-1, 2, "two")}, Waits: []sample.WaitEntry{wait(2, "relation")}},
		{
			Sessions: []sample.SessionEntry{session(day, 2), session(day, 1)}, Queries: []sample.QueryEntry{query(day, 1, "one")},
			Locks: []sample.LockEntry{{ID: 4, Day: day, Type: "relation", Mode: "AccessShareLock", DatabaseOID: 5, RelationOID: 77, Relation: "public.t"}, {ID: 3, Day: day, Type: "advisory", Mode: "ExclusiveLock"}},
		},
	} {
		batches = append(batches, sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: e}}})
	}
	return batches
}

func TestResume(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server, other := newServer(t, s, "db1"), newServer(t, s, "db2")
	today := time.Now().UTC().Truncate(24 * time.Hour)
	mustAppend(t, s, resumable(server, today)...)
	// Another server's ids, identities and databases are its own.
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{
		Server: other, Entries: sample.Entries{Sessions: []sample.SessionEntry{{ID: 5000, Day: sample.Day(today)}}},
		Identity: &sample.Identity{At: today.Add(time.Hour), PostmasterStart: today}, Databases: []sample.DatabaseStat{{At: today.Add(time.Hour), OID: 3, Epoch: today}},
	}}}, inventoryAt(other, 600000, false, dbNamed(1, "x")))

	micro := today.Add(-time.Hour).Add(1001 * time.Microsecond)
	old := sample.Identity{At: micro.Add(-time.Hour), VersionNum: 140001, Version: "14.1", SystemIdentifier: 5, TimelineID: 1, PostmasterStart: micro.Add(-48 * time.Hour)}
	identity := sample.Identity{At: micro, VersionNum: 150018, Version: "15.18", SystemIdentifier: -5, TimelineID: 2, PostmasterStart: micro.Add(-24 * time.Hour), InRecovery: true}
	full, earlier := distinctStat(micro), distinctStat(micro.Add(-10*time.Second))
	full.StatsReset = micro.UnixMicro() - 77
	quiet := sample.DatabaseStat{At: micro.Add(-5 * time.Minute), OID: 5, Epoch: micro.Add(-time.Hour)}
	quiet.Counters[sample.TupFetched] = sample.Int{V: 9, Known: true}
	shared := sample.DatabaseStat{At: micro, Epoch: micro.Add(-time.Hour)}
	dropped := sample.DatabaseStat{At: micro.Add(-7 * time.Minute), OID: 6, Epoch: micro.Add(-time.Hour)}
	for _, v := range []sample.Visit{
		{Identity: &old, Databases: []sample.DatabaseStat{dropped, quiet, earlier}},
		{Identity: &identity, Databases: []sample.DatabaseStat{full, shared}, Inventory: &sample.Inventory{At: micro.Add(3 * time.Second), Databases: []sample.Database{dbNamed(5, "a")}}},
		{Sizes: []sample.DatabaseSize{{At: micro, OID: 5}, {At: micro.Add(time.Second), OID: 6, Reason: sample.Timeout}}},
	} {
		v.Server = server
		mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{&v}})
	}

	got, err := s.Resume(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	// What the columns without _total hold is of no use later.
	for _, d := range []*sample.DatabaseStat{&full, &quiet, &shared} {
		d.Interval, d.CounterDeltas, d.TimerDeltas = 0, [sample.NumCounters]sample.Int{}, [sample.NumTimers]sample.Float{}
	}
	day := sample.Day(today)
	want := sample.Resume{
		Next: sample.NextIDs{Session: 42, Query: 31, Wait: 10, Lock: 5},
		Waits: []sample.WaitEntry{
			{ID: 1, State: "active", Type: "Lock", Event: "tuple"},
			{ID: 2, State: "active", Type: "Lock", Event: "relation"},
			{ID: 9, State: "active", Type: "Lock", Event: "advisory"},
		},
		Queries: []sample.QueryEntry{
			{ID: 1, Day: day, QueryID: 111, Text: "one"},
			{ID: 2, Day: day - 1, QueryID: 222, Own: true, Text: "two"},
			{ID: 30, Day: day - 2, QueryID: 3330, Own: true},
		},
		Locks: []sample.LockEntry{
			{ID: 4, Day: day, Type: "relation", Mode: "AccessShareLock", DatabaseOID: 5, RelationOID: 77, Relation: "public.t"},
			{ID: 3, Day: day, Type: "advisory", Mode: "ExclusiveLock"},
		},
		Identity:  &identity,
		Databases: []sample.DatabaseStat{shared, quiet, full},
		Listed:    micro.Add(3 * time.Second),
		Sized:     micro.Add(time.Second),
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b sample.WaitEntry) bool { return a.ID < b.ID }), cmpopts.IgnoreFields(sample.Resume{}, "Memory")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, at := range []time.Time{got.Identity.At, got.Identity.PostmasterStart, got.Listed, got.Sized, got.Databases[0].At, got.Databases[0].Epoch} {
		if at.Location() != time.UTC {
			t.Errorf("%s is not in UTC", at)
		}
	}

	// The counters go on in the same epoch.
	next := full
	next.At = micro.Add(10 * time.Second)
	next.Counters[sample.XactCommit].V += 5
	v := sample.Visit{Databases: []sample.DatabaseStat{next}}
	got.Series().Advance(&v)
	if d := v.Databases[0]; d.Held != 10*time.Second || d.BackendSeconds != 10*float64(full.Backends.V) || full.Backends.V == 0 {
		t.Errorf("the last sample stood for %s, %g backend seconds of %d", d.Held, d.BackendSeconds, full.Backends.V)
	}
	if d := v.Databases[0]; !d.Epoch.Equal(full.Epoch) || d.Interval != 10*time.Second || d.CounterDeltas[sample.XactCommit].V != 5 {
		t.Errorf("the next sample has epoch %s, interval %s, %d commits", d.Epoch, d.Interval, d.CounterDeltas[sample.XactCommit].V)
	}
}

func TestResumeWhenWaitsAreUsedUp(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server := newServer(t, s, "db1")
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: sample.Entries{
		Waits: []sample.WaitEntry{{ID: 32766, State: "active", Type: "Lock", Event: "last"}, {ID: 32767, Event: "(other)"}},
	}}}})
	r, err := s.Resume(t.Context(), server)
	if err != nil || r.Next.Wait != 32767 {
		t.Fatalf("next %+v, %v", r.Next, err)
	}
	d := r.Dictionary(sample.NextIDs{})
	if id, _ := d.Wait([]byte("active"), []byte("Extension"), []byte("new")); id != 32767 {
		t.Errorf("a new wait has id %d", id)
	}
	if id, _ := d.Wait([]byte("active"), []byte("Lock"), []byte("last")); id != 32766 {
		t.Errorf("a known wait has id %d", id)
	}
}

// A dictionary that goes on from Resume, again and again, must never give an
// id that the history has a second meaning.
func TestResumedDictionaryKeepsMeanings(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	today := time.Now().UTC().Truncate(24 * time.Hour)
	mustAppend(t, s, resumable(server, today)...)
	for restart := range 4 {
		r, err := s.Resume(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		d := r.Dictionary(sample.NextIDs{Session: 20})
		for visit := range int32(3) {
			day := sample.Day(today) - 2 + visit
			d.Begin(today)
			for i := range int32(10) {
				// Sessions of this process, new to each dictionary; statements and waits
				// old and new.
				pid := int32(restart+1)*100 + i
				d.Session(fmt.Append(nil, pid), day, func(e *sample.SessionEntry) { e.PID = pid })
				queryID := int64(i*(visit+1)) * 111
				if _, wants := d.Query(queryID, i%2 == 0, day); wants {
					d.QueryText(queryID, i%2 == 0, fmt.Sprintf("query %d %t", queryID, i%2 == 0))
				}
				d.Wait([]byte("active"), []byte("Lock"), fmt.Appendf(nil, "event %d", int32(restart)*visit+i))
				d.Wait([]byte("active"), []byte("Lock"), []byte("advisory"))
			}
			mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: d.Take()}}})
		}
	}
	for what, sql := range map[string]string{
		"a session id with two pids":    "select count(*) from (select from history.session group by id having count(distinct pid) > 1) x",
		"a pid with two ids":            "select count(*) from (select from history.session where pid < 1000 group by pid having count(distinct id) > 1) x",
		"a query with two ids":          "select count(*) from (select from history.query group by query_id, own having count(*) > 1) x",
		"a query with another's text":   "select count(*) from history.query where text like 'query %' and text <> format('query %s %s', query_id, case when own then 'true' else 'false' end)",
		"a wait with two ids":           "select count(*) from (select from history.wait group by state, wait_event_type, wait_event having count(*) > 1) x",
		"a text of the first days lost": "select 2 - count(*) from history.query where (id, text) in ((1, 'one'), (2, 'two'))",
	} {
		if n := pgtest.Value[int](t, dsn, sql); n != 0 {
			t.Errorf("%s: %d times", what, n)
		}
	}
	// 4 restarts of 10 sessions, and those of before.
	if n := pgtest.Value[int](t, dsn, "select count(distinct id) from history.session"); n != 40+4 {
		t.Errorf("%d session ids", n)
	}
	if n := pgtest.Value[int](t, dsn, "select min(id) from history.session where pid < 1000"); n != 42 {
		t.Errorf("new session ids from %d on", n)
	}
}
