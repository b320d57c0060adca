package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// The sessions of pileUp, by their ids.
const (
	holder   = 1 // idle in transaction
	prepared = 2 // a prepared transaction
	idler    = 3 // idle, with an advisory lock
	firstOne = 10
)

// pileUp stores five minutes from noon, tick by tick. From the second minute on
// a session idle in transaction is waited for by one more session every ten
// seconds, each of which waits for those before it too, until the end of the
// fourth; in the third minute two wait for a prepared transaction, one of them
// through the other, and one for an idle session. In the last ten seconds of
// the fifth two wait for each other.
func pileUp(t *testing.T, s *Store, server target.ID) {
	t.Helper()
	day := sample.Day(noon)
	session := func(id, pid int32, application, kind string) sample.SessionEntry {
		return sample.SessionEntry{ID: id, Day: day, PID: pid, Database: "shop", User: "app", Application: application, BackendType: kind, BackendStart: noon.Add(-time.Hour).UnixMicro()}
	}
	entries := sample.Entries{
		Sessions: []sample.SessionEntry{
			session(holder, 4711, "billing", "client backend"), session(prepared, 0, "gid-7", sample.PreparedType), session(idler, 4713, "cron", "client backend"),
		},
		Waits: []sample.WaitEntry{
			{ID: 1, State: "idle in transaction", Type: "Client", Event: "ClientRead"}, {ID: 2, State: "active", Type: "Lock", Event: "transactionid"},
		},
		Queries: []sample.QueryEntry{{ID: 1, Day: day, QueryID: 77, Text: "update t set v = $1"}},
		Locks: []sample.LockEntry{
			{ID: 1, Day: day, Type: "transactionid", Mode: "ShareLock"},
			{ID: 2, Day: day, Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 16384, Relation: "public.t"},
			{ID: 3, Day: day, Type: "advisory", Mode: "ExclusiveLock", DatabaseOID: 5},
		},
	}
	for i := range int32(40) {
		entries.Sessions = append(entries.Sessions, session(firstOne+i, 5000+i, "web", "client backend"))
	}
	batch := sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: entries, Horizon: []sample.Horizon{
		{At: noon.Add(-10 * time.Minute), Holder: sample.HoldsSlot, Name: "gone", Age: 999_999},
		{At: noon.Add(-2 * time.Minute), Holder: sample.HoldsSlot, Name: "sleepy", Age: 5000},
		{At: noon, Holder: sample.HoldsSlot, Name: "sleepy", Age: 6000},
		{At: noon, Holder: sample.HoldsPrepared, Name: "gid-7", Age: 40},
	}}}}
	for t0 := noon; t0.Before(noon.Add(5 * time.Minute)); t0 = t0.Add(15 * time.Second) {
		ticks := make([]sample.Tick, 15)
		for i := range ticks {
			at := t0.Add(time.Duration(i) * time.Second)
			ticks[i] = sample.Tick{
				Planned: at, Started: at.Add(200 * time.Millisecond), Window: t0, Span: 15 * time.Second, Cadence: time.Second,
				Backends: 50, NextXID: 10_000, Burst: at.Minute() == 3,
			}
			pileUpTick(&ticks[i], at)
		}
		batch.Windows = append(batch.Windows, sample.NewWindow(server, ticks))
	}
	mustAppend(t, s, batch)
}

func pileUpTick(tick *sample.Tick, at time.Time) {
	minute, second := at.Minute(), int(at.Sub(noon).Seconds())
	began := noon.Add(-30 * time.Second).UnixMicro()
	tick.Sessions = append(tick.Sessions, sample.Session{
		Session: holder, Wait: 1, Class: sample.ClassIdleInTransaction, Query: 1, QueryStart: began, XactStart: began - 1_000_000, StateChange: began + 500_000,
		Xmin: 9000, Blocker: sample.Unset,
	})
	wait := func(blocked, lock int32, blockers ...int32) {
		tick.Sessions = append(tick.Sessions, sample.Session{
			Session: blocked, Wait: 2, Class: sample.ClassLock, Query: 1, QueryStart: began, XactStart: began, StateChange: began, Blocker: blockers[0],
		})
		for _, b := range blockers {
			tick.Edges = append(tick.Edges, sample.Edge{Blocked: blocked, Blocker: b, Lock: lock})
		}
	}
	if minute >= 1 && minute < 4 {
		before := []int32{holder}
		for i := range int32((second - 60) / 10) {
			wait(firstOne+i, 1, before...)
			before = append(before, firstOne+i)
		}
	}
	if minute == 2 {
		wait(40, 2, prepared)
		wait(41, 2, 40)
		wait(42, 3, idler)
		wait(43, 0, 0)
	}
	if second >= 290 {
		wait(44, 1, 45)
		wait(45, 1, 44)
	}
}

func TestBlockers(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	pileUp(t, s, server.ID)
	got, err := s.Blockers(t.Context(), server.ID, history.Range{From: noon, To: noon.Add(time.Hour)}, 10)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Kind                   history.BlockerKind
		PID, Ring              int
		Behind, Depth, Victims int
		First, Last, Most      float64 // seconds
		Blocked, SessionTime   float64
		Lock                   string
	}
	var rows []row
	for _, b := range got {
		r := row{
			Kind: b.Kind, PID: -1, Ring: len(b.Ring), Behind: b.Behind, Depth: b.Depth, Victims: b.Victims, First: b.First.Sub(noon).Seconds(),
			Last: b.Last.Sub(noon).Seconds(), Most: b.MostAt.Sub(noon).Seconds(), Blocked: b.Blocked.Seconds(), SessionTime: b.SessionTime.Seconds(),
		}
		if b.Session != nil {
			r.PID = int(b.Session.PID)
		}
		if b.Lock != nil {
			r.Lock = b.Lock.Type
			if b.Lock.Relation != nil {
				r.Lock += " of " + *b.Lock.Relation
			}
		}
		rows = append(rows, r)
	}
	const phase = 0.2
	want := []row{
		{history.IdleInXact, 4711, 0, 17, 1, 17, 70 + phase, 239 + phase, 239 + phase, 170, 10 * 17 * 18 / 2, "transactionid"},
		{history.PreparedBlocker, 0, 0, 2, 2, 2, 120 + phase, 179 + phase, 179 + phase, 60, 120, "relation of public.t"},
		{history.NotSeenKind, -1, 0, 1, 1, 1, 120 + phase, 179 + phase, 179 + phase, 60, 60, ""},
		{history.IdleBlocker, 4713, 0, 1, 1, 1, 120 + phase, 179 + phase, 179 + phase, 60, 60, "advisory"},
		{history.ActiveBlocker, 5034, 2, 0, 0, 2, 290 + phase, 299 + phase, 299 + phase, 10, 20, "transactionid"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("blockers (-want +got):\n%s", diff)
	}
	if q := got[0].Session.Query; q == nil || *q != "update t set v = $1" || got[0].Session.State != "idle in transaction" {
		t.Errorf("the holder: %+v", got[0].Session)
	}
	// A part of it, and one that is asked for only.
	got, err = s.Blockers(t.Context(), server.ID, history.Range{From: noon.Add(75 * time.Second), To: noon.Add(90 * time.Second)}, 1)
	if err != nil || len(got) != 1 || got[0].Blocked != 15*time.Second || got[0].Behind != 2 || got[0].Victims != 2 {
		t.Errorf("a part: %+v, %v", got, err)
	}
}

func TestAtBlocking(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	pileUp(t, s, server.ID)
	got, err := s.At(t.Context(), server, noon.Add(170*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	b := got.Blocking
	if len(got.Sessions) != 1+10+4 || b.Waiting != 14 || len(b.Roots) != 4 || len(b.Edges) != 10*11/2+4 || got.Burst {
		t.Errorf("%d sessions, %d wait, %d roots, %d edges, burst %v", len(got.Sessions), b.Waiting, len(b.Roots), len(b.Edges), got.Burst)
	}
	root := b.Roots[0]
	if root.Kind != history.IdleInXact || root.Session.PID != 4711 || root.Behind != 10 || root.Direct != 10 || root.Depth != 1 || root.Lock.Type != "transactionid" {
		t.Errorf("root %+v", root)
	}
	if p := b.Roots[1]; p.Kind != history.PreparedBlocker || *p.Session.Application != "gid-7" || p.Behind != 2 || p.Direct != 1 || p.Depth != 2 || *p.Lock.Relation != "public.t" {
		t.Errorf("prepared %+v", p)
	}
	kinds := map[history.BlockerKind]bool{}
	for _, r := range b.Roots {
		kinds[r.Kind] = true
	}
	if !kinds[history.IdleBlocker] || !kinds[history.NotSeenKind] {
		t.Errorf("kinds %v", kinds)
	}
	want := []history.XminHolder{
		{Holder: "replication_slot", Name: "sleepy", Age: 6000, SampledAt: noon},
		{Holder: "session", Name: "billing", PID: &got.Sessions[0].PID, Age: 1000, SampledAt: got.At},
		{Holder: "prepared_transaction", Name: "gid-7", Age: 40, SampledAt: noon},
	}
	if diff := cmp.Diff(want, got.Xmin); diff != "" {
		t.Errorf("xmin (-want +got):\n%s", diff)
	}
	got, err = s.At(t.Context(), server, noon.Add(235*time.Second))
	if err != nil || !got.Burst || len(got.Blocking.Roots) != 1 || got.Blocking.Roots[0].Behind != 17 {
		t.Errorf("later: burst %v, %+v, %v", got.Burst, got.Blocking.Roots, err)
	}
	got, err = s.At(t.Context(), server, noon.Add(299500*time.Millisecond))
	if err != nil || len(got.Blocking.Roots) != 1 || len(got.Blocking.Roots[0].Ring) != 2 || got.Blocking.Waiting != 2 {
		t.Errorf("a deadlock: %+v, %v", got.Blocking, err)
	}
}

// quietHour stores four minutes of the hour before noon, with one session on the
// CPU.
func quietHour(t *testing.T, s *Store, server target.ID) {
	t.Helper()
	batch := sample.Batch{Visits: []*sample.Visit{{Server: server, Entries: sample.Entries{
		Sessions: []sample.SessionEntry{{ID: 90, Day: sample.Day(noon), PID: 90, Database: "shop", User: "app", Application: "web"}},
		Waits:    []sample.WaitEntry{{ID: 9, State: "active", Type: sample.CPU}},
	}}}}
	for t0 := noon.Add(-30 * time.Minute); t0.Before(noon.Add(-26 * time.Minute)); t0 = t0.Add(15 * time.Second) {
		ticks := make([]sample.Tick, 15)
		for i := range ticks {
			at := t0.Add(time.Duration(i) * time.Second)
			ticks[i] = sample.Tick{
				Planned: at, Started: at, Window: t0, Span: 15 * time.Second, Cadence: time.Second, Backends: 5,
				Sessions: []sample.Session{{Session: 90, Wait: 9, Class: sample.ClassCPU, Blocker: sample.Unset}},
			}
		}
		batch.Windows = append(batch.Windows, sample.NewWindow(server, ticks))
	}
	mustAppend(t, s, batch)
}
