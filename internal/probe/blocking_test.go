package probe_test

import (
	gocmp "cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/sample"
)

// edges says who waits for whom, as "waiter < blocker: type mode relation".
func (b *bench) edges(v sample.Visit) []string {
	out := make([]string, 0, len(v.Tick.Edges))
	for _, e := range v.Tick.Edges {
		blocker := b.seen[e.Blocker].Application
		if e.Blocker == 0 {
			blocker = "?"
		}
		l := b.locks[e.Lock]
		out = append(out, strings.TrimRight(fmt.Sprintf("%s < %s: %s %s %s", b.seen[e.Blocked].Application, blocker, l.Type, l.Mode, l.Relation), " "))
	}
	slices.Sort(out)
	return out
}

// wantEdges waits until a tick sees these edges and nothing new, and gives it.
func (b *bench) wantEdges(t *testing.T, ask sample.Ask, want ...string) sample.Visit {
	t.Helper()
	want = append([]string{}, want...)
	slices.Sort(want)
	var v sample.Visit
	var got []string
	deadline := time.Now().Add(15 * time.Second)
	for ctx := t.Context(); ; {
		v = b.must(t, ask)
		if got = b.edges(v); cmp.Equal(want, got) && v.Entries.Empty() {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("edges (-want +got):\n%s", cmp.Diff(want, got))
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func TestConformance_blocking(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{"max_prepared_transactions": "10", "max_connections": "120"}))
			server.Exec(t, "create table account (id int primary key, balance int)", "insert into account select i, 0 from generate_series(1, 9) i",
				`create schema "Odd"`, `create table "Odd"."Name" (id int)`)
			// One after the other: each looks at all sessions of the server.
			t.Run("chain", func(t *testing.T) { testChain(t, server) })
			t.Run("prepared", func(t *testing.T) { testPrepared(t, server) })
			t.Run("idle blocker", func(t *testing.T) { testIdleBlocker(t, server) })
			t.Run("relations", func(t *testing.T) { testRelations(t, server) })
			t.Run("locked catalog", func(t *testing.T) { testLockedNames(t, server) })
			t.Run("no cost", func(t *testing.T) { testNoCost(t, server) })
			t.Run("pile-up", func(t *testing.T) { testPileUp(t, server) })
			t.Run("crowd", func(t *testing.T) { testCrowd(t, server) })
		})
	}
}

// testChain: a session that is idle in a transaction, three behind each other,
// and one more in the queue for the first row.
func testChain(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	root := session(t, server, "postgres", "root")
	exec(t, root, "begin; update account set balance = 1 where id = 1")
	const rowLock = ": transactionid ShareLock"
	var want []string
	for i, name := range []string{"first", "second", "third"} {
		c := session(t, server, "postgres", name)
		exec(t, c, fmt.Sprintf("begin; update account set balance = 1 where id = %d", i+2))
		background(t, c, fmt.Sprintf("update account set balance = 2 where id = %d", i+1))
		want = append(want, name+" < "+[]string{"root", "first", "second"}[i]+rowLock)
		b.wantEdges(t, sample.Ask{}, want...)
	}
	background(t, session(t, server, "postgres", "queued"), "update account set balance = 3 where id = 1")
	want = append(want, "queued < first: tuple ExclusiveLock public.account")
	v := b.wantEdges(t, sample.Ask{}, want...)
	for _, s := range v.Tick.Sessions {
		name := b.seen[s.Session].Application
		blocker := map[string]string{"first": "root", "second": "first", "third": "second", "queued": "first"}[name]
		switch {
		case blocker == "" && s.Blocked:
			t.Errorf("%s waits for session %d", name, s.Blocker)
		case blocker != "" && b.seen[s.Blocker].Application != blocker:
			t.Errorf("%s waits for %q, want %s", name, b.seen[s.Blocker].Application, blocker)
		}
	}
	if v.Load.LockWaits != 4 || v.Load.Active != 4 || v.Load.Connections < 5 || v.Load.MaxConnections != 120 || v.Load.Crowd != nil {
		t.Errorf("load %+v", v.Load)
	}
	again := b.must(t, sample.Ask{})
	again.Tick.Planned = v.Tick.Planned.Add(time.Second)
	one, other := sample.NewRow(1, v.Tick), sample.NewRow(1, again.Tick)
	w := sample.Merge(&one, &other)
	key := func(index int32) sample.Key {
		if index == 0 {
			return 0
		}
		return w.SessionKeys[index-1]
	}
	var packed []sample.Edge
	for i := range w.EdgeTick {
		if w.EdgeTick[i] == 1 {
			packed = append(packed, sample.Edge{Blocked: key(w.EdgeBlocked[i]), Blocker: key(w.EdgeBlocker[i]), Lock: w.LockKeys[w.EdgeLock[i]-1]})
		}
	}
	if diff := cmp.Diff(sorted(v.Tick.Edges), sorted(packed)); diff != "" || len(w.EdgeTick) != 8 {
		t.Errorf("a row of two ticks has %d edges, of the first (-want +got):\n%s", len(w.EdgeTick), diff)
	}
	exec(t, root, "rollback")
	b.wantEdges(t, sample.Ask{}, "queued < first"+rowLock, "second < first"+rowLock, "third < second"+rowLock)
}

func sorted(edges []sample.Edge) []sample.Edge {
	return slices.SortedFunc(slices.Values(edges), func(a, b sample.Edge) int {
		return gocmp.Or(gocmp.Compare(a.Blocked, b.Blocked), gocmp.Compare(a.Blocker, b.Blocker))
	})
}

// testPrepared: the one of three prepared transactions that is in the way is a
// session of its own.
func testPrepared(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	c := session(t, server, "postgres", "preparer")
	exec(t, c, "begin; update account set balance = 1 where id = 7; savepoint s; lock table account in share row exclusive mode; prepare transaction 'gid: one'")
	exec(t, c, "begin; select count(*) from account; create table harmless (); prepare transaction 'gid two'")
	exec(t, c, "begin; create table other (); prepare transaction 'gid three'")
	t.Cleanup(func() {
		server.Exec(t, "rollback prepared 'gid: one'", "rollback prepared 'gid two'", "rollback prepared 'gid three'")
	})
	background(t, session(t, server, "postgres", "writer"), "update account set balance = 2 where id = 8")
	background(t, session(t, server, "postgres", "reader"), "select id from account for update")
	v := b.wantEdges(t, sample.Ask{},
		"reader < gid: one: transactionid ShareLock",
		"writer < gid: one: relation RowExclusiveLock public.account")
	var found []sample.SessionEntry
	for _, e := range b.seen {
		if e.BackendType == sample.PreparedType {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("sessions that stand for prepared transactions: %+v", found)
	}
	e := found[0]
	if e.Application != "gid: one" || e.PID != 0 || e.User != pgtest.Superuser || e.Database != "postgres" ||
		time.Since(time.UnixMicro(e.BackendStart)).Abs() > time.Minute {
		t.Errorf("entry %+v", e)
	}
	for _, s := range v.Tick.Sessions {
		if name := b.seen[s.Session].Application; (name == "writer" || name == "reader") && s.Blocker != e.Key {
			t.Errorf("%s waits for %d, want %d", name, s.Blocker, e.Key)
		}
	}
}

// testIdleBlocker: an idle session holds an advisory lock.
func testIdleBlocker(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	server.Exec(t, "create database side")
	holder := session(t, server, "side", "holder")
	exec(t, holder, "select pg_advisory_lock(42)")
	background(t, session(t, server, "side", "waiter"), "select pg_advisory_lock(42)")
	v := b.wantEdges(t, sample.Ask{}, "waiter < holder: advisory ExclusiveLock")
	for _, e := range b.seen {
		if e.Application == "holder" && (e.User != pgtest.Superuser || e.Database != "side" || e.PID == 0 || e.BackendStart == 0 || e.BackendType != "client backend") {
			t.Errorf("entry of the idle session: %+v", e)
		}
	}
	for _, s := range v.Tick.Sessions {
		if b.seen[s.Session].Application == "holder" {
			t.Error("an idle session is a sample")
		}
	}
	// What changes makes another entry, seen at the next look.
	exec(t, holder, "set application_name = 'renamed'")
	b.wantEdges(t, sample.Ask{}, "waiter < renamed: advisory ExclusiveLock")
}

// testRelations: a table's lock with a queue, odd names, and a table of another
// database, whose name cannot be read.
func testRelations(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	exec(t, session(t, server, "postgres", "sharer"), `begin; select from "Odd"."Name"`)
	background(t, session(t, server, "postgres", "alterer"), `alter table "Odd"."Name" add column x int`)
	want := []string{`alterer < sharer: relation AccessExclusiveLock "Odd"."Name"`}
	b.wantEdges(t, sample.Ask{}, want...)
	background(t, session(t, server, "postgres", "selecter"), `select from "Odd"."Name"`)
	want = append(want, `selecter < alterer: relation AccessShareLock "Odd"."Name"`)
	b.wantEdges(t, sample.Ask{}, want...)
	far := session(t, server, "side", "far setup")
	exec(t, far, "create table far ()")
	exec(t, far, "begin; lock table far")
	background(t, session(t, server, "side", "far waiter"), "select from far")
	want = append(want, "far waiter < far setup: relation AccessShareLock")
	b.wantEdges(t, sample.Ask{}, want...)
	for _, l := range b.locks {
		if l.Type == "relation" && (l.RelationOID == 0 || l.DatabaseOID == 0) {
			t.Errorf("lock %+v", l)
		}
	}
}

// testLockedNames: while pg_class is locked, ticks are answered with edges and
// without names, over the same connection.
func testLockedNames(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	holder := session(t, server, "postgres", "holder")
	exec(t, holder, "begin; select pg_advisory_xact_lock(7)")
	background(t, session(t, server, "postgres", "stranger"), "select pg_advisory_lock(7)")
	b.wantEdges(t, sample.Ask{}, "stranger < holder: advisory ExclusiveLock")
	pid := b.conn.PID()
	exec(t, holder, "lock table account")
	background(t, session(t, server, "postgres", "waiter"), "create index on account (balance)")
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int64](t, server.SuperuserDSN(), "select count(*) from pg_locks where not granted") == 2
	}, "the session that waits")
	exec(t, holder, "lock table pg_class in access exclusive mode")
	slow := 0
	for range 20 {
		v, err := b.visit(t, sample.Ask{})
		if !v.Tick.Outcome.Answered() {
			t.Fatalf("outcome %s, reason %s: %v", v.Tick.Outcome, v.Tick.Reason, err)
		}
		if v.Tick.Outcome == sample.Degraded {
			slow++
		}
		if v.Tick.Duration > time.Second {
			t.Errorf("a tick took %s", v.Tick.Duration)
		}
	}
	if slow > 2 {
		t.Errorf("%d ticks waited for the catalog", slow)
	}
	v, _ := b.visit(t, sample.Ask{})
	if diff := cmp.Diff([]string{"stranger < holder: advisory ExclusiveLock", "waiter < holder: relation ShareLock"}, b.edges(v)); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if b.conn.PID() != pid || !b.conn.Alive() {
		t.Error("the connection was lost")
	}
}

// testNoCost: without a session that waits nothing is asked about locks, and
// with one only what is needed.
func testNoCost(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	exec(t, session(t, server, "postgres", "busy"), "begin")
	for _, full := range []bool{false, true} {
		for range 5 {
			if v := b.must(t, sample.Ask{Full: full}); v.Tick.Edges != nil {
				t.Errorf("edges %v", v.Tick.Edges)
			}
		}
	}
	extra := []string{"blocker_sessions", "blockers", "crowd", "lock_waits", "prepared", "relations"}
	asked := func() (found []string) {
		for _, q := range probe.Prepared(b.conn) {
			if slices.Contains(extra, q) {
				found = append(found, q)
			}
		}
		return found
	}
	if got := asked(); got != nil {
		t.Errorf("without a session that waits %v were asked", got)
	}
	holder := session(t, server, "postgres", "holder")
	exec(t, holder, "begin; lock table account")
	background(t, session(t, server, "postgres", "waiter"), "create index on account (balance)")
	b.wantEdges(t, sample.Ask{}, "waiter < holder: relation ShareLock public.account")
	if diff := cmp.Diff([]string{"blockers", "lock_waits", "relations"}, asked()); diff != "" {
		t.Errorf("asked with a session that waits (-want +got):\n%s", diff)
	}
	// After a question that took long, who waits is told, and not for whom.
	probe.Rest(b.conn, time.Hour)
	b.wantEdges(t, sample.Ask{Full: true}, "waiter < ?:")
	probe.Rest(b.conn, 0)
	if b.conn.Version() < 140000 {
		return // does not count executions
	}
	executions := func(visits int) map[string]int64 {
		before, err := probe.Executions(t.Context(), b.conn)
		if err != nil {
			t.Fatal(err)
		}
		for range visits {
			b.must(t, sample.Ask{})
		}
		after, err := probe.Executions(t.Context(), b.conn)
		if err != nil {
			t.Fatal(err)
		}
		for q, n := range before {
			after[q] -= n
		}
		maps.DeleteFunc(after, func(_ string, n int64) bool { return n == 0 })
		return after
	}
	if diff := cmp.Diff(map[string]int64{"pulse": 3, "activity": 3, "blockers": 3, "lock_waits": 3}, executions(3)); diff != "" {
		t.Errorf("three ticks with a session that waits (-want +got):\n%s", diff)
	}
	exec(t, holder, "rollback")
	pgtest.WaitFor(t, func() bool { return b.must(t, sample.Ask{}).Load.LockWaits == 0 }, "the end of the wait")
	if diff := cmp.Diff(map[string]int64{"pulse": 3, "activity": 3}, executions(3)); diff != "" {
		t.Errorf("three ticks after (-want +got):\n%s", diff)
	}
}

// testPileUp: more sessions wait than are asked about outside of a burst, and
// each waits for more than are kept.
func testPileUp(t *testing.T, server *pgtest.Server) {
	t.Helper()
	const waiters = probe.MaxWaiters + 10
	b := newBench(t, server, pgtest.User)
	root := session(t, server, "postgres", "root")
	exec(t, root, "begin; update account set balance = 1 where id = 1")
	for i := range waiters {
		background(t, session(t, server, "postgres", fmt.Sprintf("pile %d", i)), "update account set balance = 2 where id = 1")
	}
	count := func(v sample.Visit) (known, unknown map[sample.Key]int) {
		known, unknown = make(map[sample.Key]int), make(map[sample.Key]int)
		for _, e := range v.Tick.Edges {
			if e.Blocker == 0 {
				unknown[e.Blocked]++
			} else {
				known[e.Blocked]++
			}
		}
		return known, unknown
	}
	pgtest.WaitFor(t, func() bool {
		v := b.must(t, sample.Ask{Full: true})
		known, unknown := count(v)
		return len(known) == waiters && len(unknown) == 0 && v.Load.LockWaits == waiters
	}, "all sessions of the pile-up")
	// On a busy machine the question may have taken so long that it rests.
	var (
		v              sample.Visit
		known, unknown map[sample.Key]int
	)
	pgtest.WaitFor(t, func() bool {
		v = b.must(t, sample.Ask{})
		known, unknown = count(v)
		return len(known) > 0
	}, "locks to be asked about")
	for _, e := range v.Tick.Edges {
		if l := b.locks[e.Lock]; l.Type != "tuple" && l.Type != "transactionid" {
			t.Errorf("waits for %+v", l)
		}
	}
	if len(known) != probe.MaxWaiters || len(unknown) != waiters-probe.MaxWaiters {
		t.Errorf("outside of a burst the blockers of %d are known, of %d not", len(known), len(unknown))
	}
	for _, s := range v.Tick.Sessions {
		if unknown[s.Session] > 0 && s.Blocker != 0 {
			t.Errorf("blocker %d of a session whose blocker is not known", s.Blocker)
		}
	}
	most := 0
	for _, n := range known {
		most = max(most, n)
	}
	if most != sample.MaxBlockers {
		t.Errorf("most blockers of one session: %d, want %d", most, sample.MaxBlockers)
	}
	if !strings.Contains(strings.Join(b.edges(v), "\n"), " < root: transactionid ShareLock") {
		t.Error("nobody waits for the root")
	}
}

// testCrowd: whose connections they are is told when there are many.
func testCrowd(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	for range 12 {
		session(t, server, "postgres", "shop")
	}
	v := b.must(t, sample.Ask{CrowdFrom: 1000})
	if v.Load.Crowd != nil {
		t.Errorf("told of few connections: %+v", v.Load.Crowd)
	}
	v = b.must(t, sample.Ask{CrowdFrom: 12})
	if c := v.Load.Crowd; len(c) == 0 || c[0] != (sample.Crowd{User: pgtest.Superuser, Application: "shop", Connections: 12}) {
		t.Errorf("told %+v", c)
	}
}

// TestConflict compares the table of modes with a server that takes them.
func TestConflict(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create table modes ()")
	modes := []string{"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}
	name := func(mode string) string {
		return strings.ReplaceAll(title(mode), " ", "") + "Lock"
	}
	holder, other := session(t, server, "postgres", "holder"), session(t, server, "postgres", "other")
	for _, held := range modes {
		exec(t, holder, "begin; lock table modes in "+held+" mode")
		for _, wanted := range modes {
			_, err := other.Exec(context.Background(), "begin; lock table modes in "+wanted+" mode nowait", pgx.QueryExecModeSimpleProtocol)
			exec(t, other, "rollback")
			if got := probe.Conflict(name(wanted), name(held)); got != (err != nil) {
				t.Errorf("%s while %s is held: conflict %v, server: %v", name(wanted), name(held), got, err)
			}
		}
		exec(t, holder, "rollback")
	}
}

// title writes words with capitals.
func title(s string) string {
	words := strings.Fields(strings.ToLower(s))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}
