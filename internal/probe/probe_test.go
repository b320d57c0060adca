package probe_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is one server to be sampled, and a connection that samples it.
type bench struct {
	server *pgtest.Server
	conn   *probe.Conn
	ahead  time.Duration // by how much the collector's clock is
	dict   *sample.Dictionary
	seen   map[sample.Key]sample.SessionEntry
	waits  map[sample.Key]sample.WaitEntry
	texts  map[sample.Key]sample.QueryEntry
	locks  map[sample.Key]sample.LockEntry
}

func limits() remote.Limits {
	return remote.Limits{Application: "pgam-collector", Connect: 5 * time.Second, Statement: 2 * time.Second, Lock: 100 * time.Millisecond}
}

func newBench(t *testing.T, server *pgtest.Server, user string) *bench {
	t.Helper()
	tg := target.Target{ID: 1, Name: "bench", Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: user, Password: secret.New(pgtest.Password),
	}}
	tg.Defaults()
	conn, err := probe.Open(t.Context(), tg, limits())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return &bench{
		server: server, conn: conn, dict: sample.NewDictionary(sample.Hash{}),
		seen: make(map[sample.Key]sample.SessionEntry), waits: make(map[sample.Key]sample.WaitEntry), texts: make(map[sample.Key]sample.QueryEntry),
		locks: make(map[sample.Key]sample.LockEntry),
	}
}

// visit samples once and learns the dictionary entries.
func (b *bench) visit(t *testing.T, ask sample.Ask) (sample.Visit, error) {
	t.Helper()
	now := time.Now().UTC().Round(0).Add(b.ahead)
	v := sample.Visit{Server: 1, Tick: &sample.Tick{Planned: now, Started: now, Cadence: time.Second}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := b.conn.Visit(ctx, ask, b.dict, &v)
	for _, e := range v.Entries.Sessions {
		b.seen[e.Key] = e
	}
	for _, e := range v.Entries.Waits {
		b.waits[e.Key] = e
	}
	for _, e := range v.Entries.Locks {
		b.locks[e.Key] = e
	}
	for _, e := range v.Entries.Queries {
		if e.Text != "" || b.texts[e.Key].Text == "" {
			b.texts[e.Key] = e
		}
	}
	return v, err
}

// must fails the test unless the tick is ok.
func (b *bench) must(t *testing.T, ask sample.Ask) sample.Visit {
	t.Helper()
	v, err := b.visit(t, ask)
	if err != nil || v.Tick.Outcome != sample.OK {
		t.Fatalf("visit: outcome %s, reason %s: %v", v.Tick.Outcome, v.Tick.Reason, err)
	}
	return v
}

// byApplication gives the sessions whose application_name has this prefix, as
// "application state waittype/wait class blocker".
func (b *bench) byApplication(v sample.Visit, prefix string) []string {
	var out []string
	for _, s := range v.Tick.Sessions {
		e, w := b.seen[s.Session], b.waits[s.Wait]
		if !strings.HasPrefix(e.Application, prefix) {
			continue
		}
		blocked := ""
		if s.Blocked {
			blocked = " blocked by " + b.seen[s.Blocker].Application
		}
		out = append(out, fmt.Sprintf("%s|%s|%s|%s|%s%s", e.Application, e.User, e.Database, w.State, s.Class, blocked))
	}
	slices.Sort(out)
	return out
}

// session opens a session of the load; it ends with the test.
func session(t *testing.T, server *pgtest.Server, database, application string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(server.DatabaseDSN(pgtest.Superuser, database))
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// background runs a statement that does not end before the test.
func background(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = conn.Exec(ctx, sql) // ends by being cancelled
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestConformance holds for every version that is supported.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			// One after the other: each looks at all sessions of the server.
			t.Run("sessions", func(t *testing.T) { testSessions(t, server) })
			t.Run("both forms see the same", func(t *testing.T) { testForms(t, server) })
			t.Run("databases", func(t *testing.T) { testDatabases(t, server) })
			t.Run("odd names", func(t *testing.T) { testOddNames(t, server) })
			t.Run("no privilege", func(t *testing.T) { testNoPrivilege(t, server) })
			t.Run("locked catalogs", func(t *testing.T) { testLockedCatalogs(t, server) })
			t.Run("locations", func(t *testing.T) { testLocations(t, server) })
			t.Run("every question", func(t *testing.T) { testQuestions(t, server) })
		})
	}
}

func testSessions(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	exec(t, session(t, server, "postgres", "setup"), "create table account (id int primary key, balance int); insert into account values (1, 0), (2, 0)")
	root := session(t, server, "postgres", "load root")
	exec(t, root, "begin")
	exec(t, root, "update account set balance = 1 where id = 1")
	background(t, session(t, server, "postgres", "load waiter"), "update account set balance = 2 where id = 1")
	background(t, session(t, server, "postgres", "load sleeper"), "select pg_sleep(600)")
	session(t, server, "postgres", "load idle")
	want := []string{
		"load root|postgres|postgres|idle in transaction|idle_in_transaction",
		"load sleeper|postgres|postgres|active|timeout",
		"load waiter|postgres|postgres|active|lock blocked by load root",
	}
	var v sample.Visit
	// Nothing new: none of them is on its way from one state to the next.
	pgtest.WaitFor(t, func() bool {
		v = b.must(t, sample.Ask{})
		return cmp.Equal(want, b.byApplication(v, "load")) && v.Entries.Empty()
	}, "the sessions of the load")
	if v.Tick.Backends < 4 || v.Tick.NextXID == 0 {
		t.Errorf("backends %d, next xid %d", v.Tick.Backends, v.Tick.NextXID)
	}
	for _, s := range v.Tick.Sessions {
		e := b.seen[s.Session]
		if !strings.HasPrefix(e.Application, "load") {
			continue
		}
		q := b.texts[s.Query]
		switch {
		case e.BackendStart == 0 || s.QueryStart == 0 || s.XactStart == 0 || s.StateChange == 0:
			t.Errorf("%s: an instant is missing: %+v", e.Application, s)
		case e.PID == 0 || e.BackendType != "client backend":
			t.Errorf("%s: entry %+v", e.Application, e)
		case e.Application == "load waiter" && q.Text != "update account set balance = ? where id = ?" && !strings.Contains(q.Text, "$"):
			t.Errorf("%s: text %q", e.Application, q.Text)
		}
		if hasIDs := b.conn.Version() >= 140000; hasIDs == q.Own {
			t.Errorf("%s: own fingerprint %v on version %d", e.Application, q.Own, b.conn.Version())
		}
	}
	again := b.must(t, sample.Ask{})
	if !again.Entries.Empty() {
		t.Errorf("a second look met new entries: %+v", again.Entries)
	}
}

// testForms compares the plain and the sparse form, with parallel workers,
// idle sessions, and every state that holds still.
func testForms(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	for i := range 60 {
		session(t, server, "postgres", fmt.Sprintf("crowd %d", i))
	}
	aborted := session(t, server, "postgres", "form aborted")
	exec(t, aborted, "begin")
	_, _ = aborted.Exec(t.Context(), "select 1/0") // leaves the transaction aborted
	exec(t, session(t, server, "postgres", "form open"), "begin; select 1")
	background(t, session(t, server, "postgres", "form sleeper"), "select pg_sleep(600)")
	advisory := session(t, server, "postgres", "form holder")
	exec(t, advisory, "select pg_advisory_lock(1)")
	background(t, session(t, server, "postgres", "form waiter"), "select pg_advisory_lock(1)")
	pgtest.WaitFor(t, func() bool {
		return len(b.byApplication(b.must(t, sample.Ask{}), "form")) == 4
	}, "the sessions of the load")
	probe.SetSparse(b.conn, false)
	plain := b.byApplication(b.must(t, sample.Ask{}), "form")
	probe.SetSparse(b.conn, true)
	sparse := b.byApplication(b.must(t, sample.Ask{}), "form")
	if diff := cmp.Diff(plain, sparse); diff != "" {
		t.Errorf("the sparse form sees other sessions (-plain +sparse):\n%s", diff)
	}
	if !probe.Sparse(b.conn) {
		t.Error("the sparse form is not chosen among sixty idle sessions")
	}
}

func testDatabases(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	exec(t, session(t, server, "postgres", "setup"), "create database shop")
	v := b.must(t, sample.Ask{Databases: true, Inventory: true})
	if v.Identity == nil || v.Identity.SystemIdentifier == 0 || v.Identity.PostmasterStart.IsZero() || v.Identity.InRecovery ||
		v.Identity.VersionNum != b.conn.Version() {
		t.Errorf("identity %+v", v.Identity)
	}
	oids := make(map[string]uint32)
	for _, d := range v.Inventory.Databases {
		oids[d.Name] = d.OID
	}
	if oids["shop"] == 0 || oids["template1"] == 0 || len(v.Inventory.Databases) != 4 {
		t.Fatalf("inventory %+v", v.Inventory)
	}
	shop := session(t, server, "shop", "shopper")
	before := find(v.Databases, oids["shop"])
	for range 10 {
		exec(t, shop, "select 1")
	}
	// Older servers report statistics after half a second or when a session ends.
	_ = shop.Close(t.Context())
	var after *sample.DatabaseStat
	pgtest.WaitFor(t, func() bool {
		after = find(b.must(t, sample.Ask{Databases: true}).Databases, oids["shop"])
		return after != nil && before != nil && after.Counters[sample.XactCommit].V >= before.Counters[sample.XactCommit].V+10
	}, "ten commits")
	for c := range sample.NumCounters {
		since := int32(0)
		switch {
		case c >= sample.ParallelWorkersToLaunch:
			since = 180000
		case c >= sample.Sessions:
			since = 140000
		case c == sample.ChecksumFailures:
			continue // also depends on data checksums
		}
		if known := b.conn.Version() >= since; known != after.Counters[c].Known {
			t.Errorf("counter %d known: %v on version %d", c, after.Counters[c].Known, b.conn.Version())
		}
	}
	if hasShared := find(v.Databases, 0) != nil; hasShared != (b.conn.Version() >= 120000) {
		t.Errorf("row of shared objects: %v", hasShared)
	}
	var size sample.DatabaseSize
	if err := b.conn.Size(t.Context(), oids["shop"], &size); err != nil || size.Bytes.V < 1<<20 {
		t.Errorf("size %+v: %v", size, err)
	}
	size = sample.DatabaseSize{}
	if err := b.conn.Size(t.Context(), 4_000_000_000, &size); err != nil || size.Bytes.Known || size.Reason == sample.None {
		t.Errorf("size of no database: %+v: %v", size, err)
	}
}

func find(stats []sample.DatabaseStat, oid uint32) *sample.DatabaseStat {
	for i := range stats {
		if stats[i].OID == oid {
			return &stats[i]
		}
	}
	return nil
}

func testOddNames(t *testing.T, server *pgtest.Server) {
	t.Helper()
	setup := session(t, server, "postgres", "setup")
	names := []string{`it's "odd"; drop`, "база данных", strings.Repeat("n", 63), "sp ace\t|"}
	if major, err := strconv.Atoi(server.Version()); err == nil && major < 19 { // refuses line breaks in names
		names = append(names, "two\nlines")
	}
	for _, n := range names {
		exec(t, setup, "create database "+pgx.Identifier{n}.Sanitize())
		exec(t, setup, "create role "+pgx.Identifier{n}.Sanitize()+" login superuser")
	}
	exec(t, setup, "create database raw encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
	b := newBench(t, server, pgtest.User)
	for _, n := range names {
		c := session(t, server, n, "odd\n"+n)
		exec(t, c, "set session authorization "+pgx.Identifier{n}.Sanitize())
		exec(t, c, "begin")
	}
	raw := session(t, server, "raw", "odd raw")
	if _, err := raw.PgConn().Exec(t.Context(), "begin; select 'caf\xe9 \xff\xfe'::text").ReadAll(); err != nil {
		t.Fatal(err)
	}
	background(t, session(t, server, "raw", "odd latin"), "select 'x\xe9', pg_sleep(600)")
	var v sample.Visit
	pgtest.WaitFor(t, func() bool {
		v = b.must(t, sample.Ask{Databases: true, Inventory: true})
		return len(b.byApplication(v, "odd")) == len(names)+2
	}, "all odd sessions")
	var got []string
	for _, s := range v.Tick.Sessions {
		if e := b.seen[s.Session]; strings.HasPrefix(e.Application, "odd") && e.Database != "raw" {
			got = append(got, e.Database)
		}
	}
	slices.Sort(got)
	slices.Sort(names)
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
}

func testNoPrivilege(t *testing.T, server *pgtest.Server) {
	t.Helper()
	setup := session(t, server, "postgres", "secretive")
	exec(t, setup, "create role poor login password '"+pgtest.Password+"'")
	exec(t, setup, "begin")
	b := newBench(t, server, "poor")
	v, err := b.visit(t, sample.Ask{Databases: true, Inventory: true})
	if err != nil || v.Tick.Outcome != sample.Degraded || v.Tick.Reason != sample.NoPrivilege {
		t.Errorf("outcome %s, reason %s: %v", v.Tick.Outcome, v.Tick.Reason, err)
	}
	for _, s := range v.Tick.Sessions {
		if e := b.seen[s.Session]; e.User != "poor" {
			t.Errorf("a session that cannot be seen was stored: %+v", e)
		}
	}
	if len(v.Databases) == 0 || v.Identity == nil || v.Tick.Backends == 0 {
		t.Error("what needs no privilege was not read")
	}
}

// testLockedCatalogs: while somebody holds the catalogs, every tick is
// answered, over the same connection.
func testLockedCatalogs(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	b.must(t, sample.Ask{Databases: true, Inventory: true})
	pid := b.conn.PID()
	stranger := session(t, server, "postgres", "stranger")
	locker := session(t, server, "postgres", "locker")
	exec(t, locker, "begin; lock table pg_database, pg_authid in access exclusive mode")
	exec(t, stranger, "begin")
	for i := range 10 {
		v, err := b.visit(t, sample.Ask{Databases: i == 5})
		if !v.Tick.Outcome.Answered() {
			t.Fatalf("tick %d: outcome %s, reason %s: %v", i, v.Tick.Outcome, v.Tick.Reason, err)
		}
		if i == 5 && (v.Tick.Outcome != sample.Degraded || v.Tick.Reason != sample.LockTimeout || v.Databases != nil || v.Identity == nil) {
			t.Errorf("locked question: outcome %s, reason %s, %d databases", v.Tick.Outcome, v.Tick.Reason, len(v.Databases))
		}
		if len(b.byApplication(v, "stranger")) != 1 || len(b.byApplication(v, "locker")) != 1 {
			t.Errorf("tick %d misses sessions", i)
		}
	}
	exec(t, locker, "rollback")
	b.must(t, sample.Ask{Databases: true, Inventory: true})
	if b.conn.PID() != pid {
		t.Error("the connection was made anew")
	}
}

// testQuestions prepares every file of every question that this version is
// given.
func testQuestions(t *testing.T, server *pgtest.Server) {
	t.Helper()
	b := newBench(t, server, pgtest.User)
	if err := probe.PrepareAll(t.Context(), b.conn); err != nil {
		t.Error(err)
	}
}

// TestVisit_deadline: a server that stands still costs a visit its deadline,
// and the outcome says so.
func TestVisit_deadline(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	b := newBench(t, server, pgtest.User)
	b.must(t, sample.Ask{})
	server.Pause(t)
	defer server.Resume(t)
	now := time.Now()
	v := sample.Visit{Tick: &sample.Tick{Planned: now}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.conn.Visit(ctx, sample.Ask{}, b.dict, &v)
	if err == nil || v.Tick.Outcome != sample.Failed || v.Tick.Reason != sample.Timeout || b.conn.Alive() {
		t.Errorf("outcome %s, reason %s, alive %v: %v", v.Tick.Outcome, v.Tick.Reason, b.conn.Alive(), err)
	}
}

func TestOpen_faults(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	good := target.Endpoint{Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password)}
	for name, tc := range map[string]struct {
		change func(*target.Endpoint)
		want   sample.Reason
	}{
		"wrong password": {func(e *target.Endpoint) { e.Password = secret.New("wrong") }, sample.AuthFailed},
		"no such user":   {func(e *target.Endpoint) { e.User = "nobody" }, sample.AuthFailed},
		"no database":    {func(e *target.Endpoint) { e.Database = "missing" }, sample.NoDatabase},
		"nobody listens": {func(e *target.Endpoint) { e.Port = 1 }, sample.Refused},
		"no such socket": {func(e *target.Endpoint) { e.Host = "/nonexistent" }, sample.Refused},
		"no TLS":         {func(e *target.Endpoint) { e.TLS = target.TLSRequire }, sample.TLSFailed},
		"unknown name":   {func(e *target.Endpoint) { e.Host = "no-such-host.invalid" }, sample.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tg := target.Target{Name: "faulty", Endpoint: good}
			tc.change(&tg.Endpoint)
			tg.Defaults()
			conn, err := probe.Open(t.Context(), tg, limits())
			if err == nil {
				conn.Close()
				t.Fatal("connected")
			}
			if got := remote.Classify(err); got != tc.want {
				t.Errorf("reason %s, want %s: %v", got, tc.want, err)
			}
			if strings.Contains(err.Error(), pgtest.Password) {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}
