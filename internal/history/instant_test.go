package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// looks makes n ticks, a second apart and begun 0.2 s late: each has one session on
// the CPU, and those from the sixth on one that waits for a lock.
func looks(from time.Time, n int) []sample.Tick {
	ticks := make([]sample.Tick, n)
	for i := range ticks {
		at := from.Add(time.Duration(i) * time.Second)
		began := from.Add(-5 * time.Second).UnixMicro()
		session := func(key sample.Key, class sample.WaitClass) sample.Session {
			return sample.Session{Session: key, Wait: key, Class: class, Query: 1, QueryStart: began, XactStart: began - 1e6, StateChange: began}
		}
		ticks[i] = sample.Tick{
			Planned: at, Started: at.Add(200 * time.Millisecond), Cadence: time.Second, Backends: 7,
			Sessions: []sample.Session{session(1, sample.ClassCPU)},
		}
		if i >= 5 {
			ticks[i].Sessions = append(ticks[i].Sessions, session(2, sample.ClassLock))
		}
	}
	return ticks
}

func TestAt(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	day := sample.Day(noon)
	ticks := looks(noon, 30)
	for i := 5; i < 15; i++ {
		ticks[i].Sessions[1].Blocked = true
		if i < 10 {
			ticks[i].Sessions[1].Blocker = 1
		}
	}
	for i := 15; i < 30; i++ {
		ticks[i].Outcome, ticks[i].Reason, ticks[i].Sessions, ticks[i].Backends = sample.Failed, sample.Timeout, nil, sample.Unset
	}
	s.write(t, s.server.ID, ticks, sample.Entries{
		Sessions: []sample.SessionEntry{
			{Key: 1, Day: day, PID: 4711, BackendStart: noon.Add(-time.Minute).UnixMicro(), DatabaseOID: 5, Database: "shop", User: "größe", BackendType: sample.ClientBackend},
			{Key: 2, Day: day, PID: 4712, LeaderPID: 4711, Database: "shop", User: "app", Application: "psql", ClientAddr: "10.0.0.7", BackendType: "parallel worker"},
			{Key: 1, Day: day - 1, PID: 9, Database: "wrong day"},
		},
		Waits:   []sample.WaitEntry{{Key: 1, State: "active", Type: sample.CPU}, {Key: 2, Class: sample.ClassLock, State: "active", Type: "Lock", Event: "transactionid"}},
		Queries: []sample.QueryEntry{{Key: 1, Day: day, QueryID: -42, Own: true, Text: "select $1"}},
	})
	for _, compacted := range []bool{false, true} {
		if compacted {
			s.compact(t, s.server.ID, noon)
		}
		got, err := s.At(t.Context(), s.server, noon.Add(8500*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		ptr := func(d time.Duration) *time.Time { at := noon.Add(d); return &at }
		str := func(s string) *string { return &s }
		num := func(n int32) *int32 { return &n }
		key := func(k sample.Key) *sample.Key { return &k }
		queryID := int64(-42)
		want := []Session{
			{
				ID: 1, PID: 4711, BackendStart: ptr(-time.Minute), Database: str("shop"), User: str("größe"), BackendType: str("client backend"),
				State: "active", WaitEventType: "CPU", QueryID: &queryID, OwnFingerprint: true, Query: str("select $1"),
				QueryStart: ptr(-5 * time.Second), XactStart: ptr(-6 * time.Second), StateChange: ptr(-5 * time.Second),
			},
			{
				ID: 2, PID: 4712, LeaderPID: num(4711), Database: str("shop"), User: str("app"), Application: str("psql"), ClientAddr: str("10.0.0.7"),
				BackendType: str("parallel worker"), State: "active", WaitEventType: "Lock", WaitEvent: "transactionid", Class: sample.ClassLock,
				QueryID: &queryID, OwnFingerprint: true, Query: str("select $1"),
				QueryStart: ptr(-5 * time.Second), XactStart: ptr(-6 * time.Second), StateChange: ptr(-5 * time.Second),
				Blocked: true, BlockedByPID: num(4711), BlockerID: key(1),
			},
		}
		if diff := cmp.Diff(want, got.Sessions); diff != "" {
			t.Errorf("sessions (-want +got):\n%s", diff)
		}
		if !got.At.Equal(noon.Add(8200*time.Millisecond)) || got.Outcome != sample.OK || got.Backends == nil || *got.Backends != 7 {
			t.Errorf("tick at %s, %s, %v backends", got.At, got.Outcome, got.Backends)
		}

		// The later ticks failed: the newest answered one is the last before them,
		// whose blocker is no session.
		got, err = s.At(t.Context(), s.server, noon.Add(40*time.Second))
		if err != nil || !got.At.Equal(noon.Add(14200*time.Millisecond)) || len(got.Sessions) != 2 {
			t.Fatalf("after failures: %+v, %v", got, err)
		}
		if n := got.Sessions[1]; !n.Blocked || n.BlockedByPID != nil || *n.BlockerID != NotSeen {
			t.Errorf("blocked by no session: %+v", n)
		}
		// The time before is counted: 20 s before the first tick, 15 ok, 15 not, 10 s after.
		if c := got.Coverage; c.Planned != 60 || c.OK != 15 || c.Failed != 15 || c.Skipped != 30 {
			t.Errorf("coverage %+v", c)
		}
		for _, at := range []time.Duration{-time.Second, 200*time.Millisecond - 1, 106 * time.Second, time.Hour} {
			got, err := s.At(t.Context(), s.server, noon.Add(at))
			if err != nil || !got.At.IsZero() || len(got.Sessions) != 0 {
				t.Errorf("%s: %+v, %v", at, got, err)
			}
		}
	}
}

// The sessions of pileUp, by their keys.
const (
	holder   sample.Key = 1 // idle in transaction
	prepared sample.Key = 2 // a prepared transaction
	idler    sample.Key = 3 // idle, with an advisory lock
	firstOne sample.Key = 10
)

// pileUp stores five minutes from noon, tick by tick. From the second minute on
// a session idle in transaction is waited for by one more session every ten
// seconds, each of which waits for those before it too, until the end of the
// fourth; in the third minute two wait for a prepared transaction, one of them
// through the other, and one for an idle session. In the last ten seconds of
// the fifth two wait for each other.
func pileUp(t *testing.T, s *stats, server target.ID) {
	t.Helper()
	day := sample.Day(noon)
	session := func(key sample.Key, pid int32, application, kind string) sample.SessionEntry {
		return sample.SessionEntry{Key: key, Day: day, PID: pid, Database: "shop", User: "app", Application: application, BackendType: kind, BackendStart: noon.Add(-time.Hour).UnixMicro()}
	}
	names := sample.Entries{
		Sessions: []sample.SessionEntry{
			session(holder, 4711, "billing", "client backend"), session(prepared, 0, "gid-7", sample.PreparedType), session(idler, 4713, "cron", "client backend"),
		},
		Waits: []sample.WaitEntry{
			{Key: 1, Class: sample.ClassIdleInTransaction, State: "idle in transaction", Type: "Client", Event: "ClientRead"},
			{Key: 2, Class: sample.ClassLock, State: "active", Type: "Lock", Event: "transactionid"},
		},
		Queries: []sample.QueryEntry{{Key: 1, Day: day, QueryID: 77, Text: "update t set v = $1"}},
		Locks: []sample.LockEntry{
			{Key: 1, Day: day, Type: "transactionid", Mode: "ShareLock"},
			{Key: 2, Day: day, Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 16384, Relation: "public.t"},
			{Key: 3, Day: day, Type: "advisory", Mode: "ExclusiveLock", DatabaseOID: 5},
		},
	}
	for i := range sample.Key(40) {
		names.Sessions = append(names.Sessions, session(firstOne+i, int32(5000+i), "web", "client backend"))
	}
	var ticks []sample.Tick
	for second := range 300 {
		ticks = append(ticks, pileUpTick(second))
	}
	s.write(t, server, ticks, names)
	s.append(t, server, &sample.Visit{Server: server, Horizon: []sample.Horizon{
		{At: noon.Add(-10 * time.Minute), Holder: sample.HoldsSlot, Name: "gone", Age: 999_999},
		{At: noon.Add(-2 * time.Minute), Holder: sample.HoldsSlot, Name: "sleepy", Age: 5000},
		{At: noon, Holder: sample.HoldsSlot, Name: "sleepy", Age: 6000},
		{At: noon, Holder: sample.HoldsPrepared, Name: "gid-7", Age: 40},
	}})
}

func pileUpTick(second int) sample.Tick {
	at, minute := noon.Add(time.Duration(second)*time.Second), second/60
	tick := sample.Tick{
		Planned: at, Started: at.Add(200 * time.Millisecond), Cadence: time.Second, Backends: 50, NextXID: 10_000, Burst: minute == 3,
	}
	began := noon.Add(-30 * time.Second).UnixMicro()
	tick.Sessions = append(tick.Sessions, sample.Session{
		Session: holder, Wait: 1, Class: sample.ClassIdleInTransaction, Query: 1, QueryStart: began, XactStart: began - 1_000_000, StateChange: began + 500_000, Xmin: 9000,
	})
	wait := func(blocked, lock sample.Key, blockers ...sample.Key) {
		tick.Sessions = append(tick.Sessions, sample.Session{
			Session: blocked, Wait: 2, Class: sample.ClassLock, Query: 1, QueryStart: began, XactStart: began, StateChange: began, Blocked: true, Blocker: blockers[0],
		})
		for _, b := range blockers {
			tick.Edges = append(tick.Edges, sample.Edge{Blocked: blocked, Blocker: b, Lock: lock})
		}
	}
	if minute >= 1 && minute < 4 {
		before := []sample.Key{holder}
		for i := range sample.Key((second - 60) / 10) {
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
	return tick
}

func TestAtBlocking(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	pileUp(t, s, s.server.ID)
	s.compact(t, s.server.ID, noon)
	got, err := s.At(t.Context(), s.server, noon.Add(170*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	b := got.Blocking
	if len(got.Sessions) != 1+10+4 || b.Waiting != 14 || len(b.Roots) != 4 || len(b.Edges) != 10*11/2+4 || got.Burst {
		t.Errorf("%d sessions, %d wait, %d roots, %d edges, burst %v", len(got.Sessions), b.Waiting, len(b.Roots), len(b.Edges), got.Burst)
	}
	root := b.Roots[0]
	if root.Kind != IdleInXact || root.Session.PID != 4711 || root.Behind != 10 || root.Direct != 10 || root.Depth != 1 || root.Lock.Type != "transactionid" {
		t.Errorf("root %+v", root)
	}
	if p := b.Roots[1]; p.Kind != PreparedBlocker || *p.Session.Application != "gid-7" || p.Behind != 2 || p.Direct != 1 || p.Depth != 2 || *p.Lock.Relation != "public.t" {
		t.Errorf("prepared %+v", p)
	}
	kinds := map[BlockerKind]bool{}
	for _, r := range b.Roots {
		kinds[r.Kind] = true
	}
	if !kinds[IdleBlocker] || !kinds[NotSeenKind] {
		t.Errorf("kinds %v", kinds)
	}
	want := []XminHolder{
		{Holder: "replication_slot", Name: "sleepy", Age: 6000, SampledAt: noon},
		{Holder: "session", Name: "billing", PID: &got.Sessions[0].PID, Age: 1000, SampledAt: got.At},
		{Holder: "prepared_transaction", Name: "gid-7", Age: 40, SampledAt: noon},
	}
	if diff := cmp.Diff(want, got.Xmin); diff != "" {
		t.Errorf("xmin (-want +got):\n%s", diff)
	}
	got, err = s.At(t.Context(), s.server, noon.Add(235*time.Second))
	if err != nil || !got.Burst || len(got.Blocking.Roots) != 1 || got.Blocking.Roots[0].Behind != 17 {
		t.Errorf("later: burst %v, %+v, %v", got.Burst, got.Blocking.Roots, err)
	}
	got, err = s.At(t.Context(), s.server, noon.Add(299500*time.Millisecond))
	if err != nil || len(got.Blocking.Roots) != 1 || len(got.Blocking.Roots[0].Ring) != 2 || got.Blocking.Waiting != 2 {
		t.Errorf("a deadlock: %+v, %v", got.Blocking, err)
	}
}
