package live

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// catalog is a list of servers in memory.
type catalog struct {
	mu       sync.Mutex
	revision int64
	servers  []target.Target
	broken   map[target.ID]error
	err      error
}

func (c *catalog) ListServers(context.Context) ([]target.Target, map[target.ID]error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers), c.broken, c.err
}

func (c *catalog) ServersRevision(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revision, c.err
}

// set stores a server as a change of it.
func (c *catalog) set(t target.Target) target.Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	t.Revision = c.revision
	c.servers = slices.DeleteFunc(c.servers, func(o target.Target) bool { return o.ID == t.ID })
	c.servers = append(c.servers, t)
	return t
}

func (c *catalog) remove(id target.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	c.servers = slices.DeleteFunc(c.servers, func(o target.Target) bool { return o.ID == id })
}

func serverOf(id target.ID, name string, s *pgtest.Server) target.Target {
	t := target.Target{
		ID: id, Name: name, Enabled: true,
		Endpoint: target.Endpoint{Host: s.Host(), Port: s.Port(), User: pgtest.User, Password: secret.New(pgtest.Password)},
	}
	t.Defaults()
	return t
}

func startLive(t *testing.T, c *catalog, deadline time.Duration, change ...func(*Config)) *Live {
	t.Helper()
	cfg := Config{
		Catalog: c, Log: slog.New(slog.DiscardHandler), Application: "pgam-test", Deadline: deadline, StatusTTL: time.Minute,
		Pools:  map[target.PoolProfile]Size{target.PoolDefault: {1, 5}, target.PoolHighLoad: {2, 20}},
		Shells: shellsFor(t), Disks: &reader{read: refused}, DiskTTL: time.Minute,
	}
	for _, f := range change {
		f(&cfg)
	}
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// session opens a session that lives as long as the test.
func session(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
}

func find(sessions []Session, pid uint32) *Session {
	i := slices.IndexFunc(sessions, func(s Session) bool { return s.PID == int32(pid) })
	if i < 0 {
		return nil
	}
	return &sessions[i]
}

func is(text *string, want string) bool { return text != nil && *text == want }

func TestConformance_activity(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			server.Exec(t, "create table held (id int)", "insert into held values (1)", `create role "größe ""x""" superuser login password '`+pgtest.Password+`'`)
			l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 10*time.Second)
			db1, err := l.Server("db1")
			if err != nil {
				t.Fatal(err)
			}

			untracked := session(t, server.SuperuserDSN())
			exec(t, untracked, "set track_activities = off")
			holder, waiter, idle := session(t, server.SuperuserDSN()), session(t, server.DSN(`größe "x"`)), session(t, server.SuperuserDSN())
			exec(t, holder, "set application_name = E'line\\nbreak'")
			exec(t, holder, "begin; update held set id = 2")
			waiting := make(chan error, 1)
			go func() {
				_, err := waiter.Exec(t.Context(), "update held set id = 3 /* waits */")
				waiting <- err
			}()
			var got Activity
			pgtest.WaitFor(t, func() bool {
				if got, err = l.Activity(t.Context(), db1, false); err != nil {
					t.Fatal(err)
				}
				w := find(got.Sessions, waiter.PgConn().PID())
				return w != nil && is(w.WaitEventType, "Lock")
			}, "the waiter to wait for a lock")

			w, h := find(got.Sessions, waiter.PgConn().PID()), find(got.Sessions, holder.PgConn().PID())
			if !slices.Equal(w.BlockedBy, []int32{int32(holder.PgConn().PID())}) || !is(w.State, "active") || !is(w.User, `größe "x"`) ||
				!is(w.Database, "postgres") || !is(w.Query, "update held set id = 3 /* waits */") || w.QueryAge == nil || w.XactAge == nil {
				t.Errorf("waiter: %+v", w)
			}
			if h == nil || !is(h.State, "idle in transaction") || h.Application == nil || !strings.HasPrefix(*h.Application, "line") ||
				h.BlockedBy != nil || h.XactAge == nil || *h.XactAge < *h.QueryAge {
				t.Errorf("holder: %+v", h)
			}
			if version != "9.6" && !is(w.BackendType, "client backend") {
				t.Errorf("waiter's backend type: %v", w.BackendType)
			}
			if find(got.Sessions, idle.PgConn().PID()) != nil || find(got.Sessions, untracked.PgConn().PID()) != nil || got.Hidden != 0 {
				t.Errorf("an idle session is among those that are not, or %d are hidden", got.Hidden)
			}
			if note := got.Note(); got.Untracked != 1 || note == nil || !strings.Contains(*note, "track_activities") {
				t.Errorf("%d sessions are not tracked, note %v", got.Untracked, note)
			}
			all, err := l.Activity(t.Context(), db1, true)
			if err != nil || all.Untracked != 1 || find(all.Sessions, idle.PgConn().PID()) == nil || find(all.Sessions, untracked.PgConn().PID()) == nil || len(all.Sessions) <= len(got.Sessions) {
				t.Errorf("all: %d sessions after %d, %v", len(all.Sessions), len(got.Sessions), err)
			}
			for _, s := range all.Sessions {
				if is(s.Application, "pgam-test") {
					t.Error("the monitor shows itself")
				}
			}
			exec(t, holder, "rollback")
			if err := <-waiting; err != nil {
				t.Error(err)
			}

			status := l.Status(t.Context(), db1)
			if status.Reason != sample.None || status.Explanation != "ok" || status.Version == nil || !strings.HasPrefix(*status.Version, version) ||
				status.Connections["idle"] < 3 || status.Connections["null"] != 0 || status.DataDir == nil || status.Uptime == nil || *status.Uptime > time.Hour {
				t.Errorf("status %+v", status)
			}
			if report := l.Test(t.Context(), db1); !report.OK || len(report.Findings) != 6 {
				t.Errorf("test: %+v", report)
			}
			if n, ok, err := l.DatabaseSize(t.Context(), db1, "postgres"); err != nil || !ok || n < 1<<20 {
				t.Errorf("size %d, %v, %v", n, ok, err)
			}
			if _, ok, err := l.DatabaseSize(t.Context(), db1, `no"such'db`); err != nil || ok {
				t.Errorf("size of a database that is not: %v, %v", ok, err)
			}
		})
	}
}

// Bytes that are no UTF-8 come from a SQL_ASCII database as they are, and leave
// as text.
func TestActivityOfBadEncoding(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create database ascii encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
	l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}}, 10*time.Second)
	conn := session(t, server.DatabaseDSN(pgtest.Superuser, "ascii"))
	exec(t, conn, "set client_encoding = 'SQL_ASCII'")
	exec(t, conn, "begin; select 'caf\xe9'")
	db1, _ := l.Server("db1")
	got, err := l.Activity(t.Context(), db1, false)
	if err != nil {
		t.Fatal(err)
	}
	if s := find(got.Sessions, conn.PgConn().PID()); s == nil || !strings.Contains(*s.Query, "caf\uFFFD") {
		t.Errorf("session %+v", s)
	}
}

func TestWithoutPrivileges(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create role blind login password '"+pgtest.Password+"'")
	db1 := serverOf(1, "db1", server)
	db1.Endpoint.User = "blind"
	l := startLive(t, &catalog{servers: []target.Target{db1}}, 10*time.Second)
	exec(t, session(t, server.SuperuserDSN()), "begin; select 1")
	got, err := l.Activity(t.Context(), db1, false)
	if err != nil || got.Hidden < 1 || len(got.Sessions) != 0 {
		t.Errorf("activity: %+v, %v", got, err)
	}
	status := l.Status(t.Context(), db1)
	if status.Reason != sample.NoPrivilege || !strings.Contains(status.Explanation, "pg_monitor") || status.Version == nil ||
		status.Uptime == nil || status.DataDir != nil || status.Connections["null"] != 1 {
		t.Errorf("status %+v", status)
	}
	report := l.Test(t.Context(), db1)
	var missing []string
	for _, f := range report.Findings {
		if !f.OK {
			missing = append(missing, f.Name)
		}
	}
	if report.OK || !slices.Equal(missing, []string{"privileges", "data_directory"}) {
		t.Errorf("test %+v", report)
	}
}

// A pooled connection that died never fails a question.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	db1 := serverOf(1, "db1", server)
	l := startLive(t, &catalog{servers: []target.Target{db1}}, 10*time.Second)
	var asking sync.WaitGroup
	for range 5 { // fill the pool
		asking.Go(func() {
			if _, err := l.Activity(t.Context(), db1, true); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	for name, harm := range map[string]func(){
		"restart": func() { server.Restart(t) },
		"crash":   func() { server.Kill(t); server.Start(t) },
		"cut": func() {
			server.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgam-test'")
		},
	} {
		harm()
		for range 6 {
			if _, err := l.Activity(t.Context(), db1, true); err != nil {
				t.Errorf("after %s: %v", name, err)
			}
		}
	}
}

// A server that hangs costs its own question the deadline, and no other
// question anything.
func TestHungServer(t *testing.T) {
	t.Parallel()
	const deadline = 2 * time.Second
	hung, well := pgtest.Target(t), pgtest.Target(t)
	c := &catalog{servers: []target.Target{serverOf(1, "hung", hung), serverOf(2, "well", well)}}
	l := startLive(t, c, deadline)
	if s := l.Views(t.Context(), c.servers, nil); s[0].Reason != sample.None || s[1].Reason != sample.None {
		t.Fatalf("before: %+v", s)
	}
	hung.Pause(t)
	defer hung.Resume(t)
	l.statuses.InvalidateAll()

	stuck := make(chan error, 3)
	for range cap(stuck) {
		go func() { _, err := l.Activity(t.Context(), c.servers[0], true); stuck <- err }()
	}
	overtaken := false
	for range 50 {
		if _, err := l.Activity(t.Context(), c.servers[1], true); err != nil {
			t.Fatal(err)
		}
		overtaken = overtaken || len(stuck) == 0
	}
	if !overtaken {
		t.Error("the other server was asked only when the hung one had been given up")
	}
	statuses := l.Views(t.Context(), c.servers, nil)
	if statuses[0].Reason != sample.Timeout || statuses[0].Explanation != "timeout" || statuses[1].Reason != sample.None {
		t.Errorf("statuses %+v", statuses)
	}
	for range cap(stuck) {
		err := <-stuck
		var failed *Error
		if !errors.As(err, &failed) || failed.Reason != sample.Timeout || !strings.Contains(err.Error(), "activity of hung: deadline 2s") {
			t.Errorf("the hung server's error: %v", err)
		}
	}
}

func TestChangesReachPools(t *testing.T) {
	t.Parallel()
	server, other := pgtest.Target(t), pgtest.Target(t)
	other.Exec(t, "create database marker")
	c := &catalog{}
	c.set(serverOf(1, "db1", server))
	l := startLive(t, c, 30*time.Second)
	marked := func() bool {
		db1, err := l.Server("db1")
		if err != nil {
			t.Fatal(err)
		}
		_, ok, err := l.DatabaseSize(t.Context(), db1, "marker")
		return err == nil && ok
	}
	if marked() {
		t.Fatal("the marker is in the wrong server")
	}
	stale, _ := l.Server("db1")

	// Changed behind our back: followed within two seconds.
	c.set(serverOf(1, "db1", other))
	pgtest.WaitFor(t, func() bool {
		now, err := l.Server("db1")
		return err == nil && now.Endpoint.Port == other.Port()
	}, "the change to be known")
	if !marked() {
		t.Error("the old address is asked after the change is known")
	}
	if _, ok, err := l.DatabaseSize(t.Context(), stale, "marker"); err != nil || !ok {
		t.Errorf("a question that began before the change: %v, %v", ok, err)
	}

	// A new password takes effect though the pool is open; so does a new status.
	wrong := serverOf(1, "db1", other)
	wrong.Endpoint.Password = secret.New("wrong")
	wrong = c.set(wrong)
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := l.Status(t.Context(), wrong); s.Reason != sample.AuthFailed || !strings.Contains(s.Explanation, "authentication failed") {
		t.Errorf("with a wrong password: %+v", s)
	}
	var failed *Error
	if _, err := l.Activity(t.Context(), wrong, true); !errors.As(err, &failed) || failed.Reason != sample.AuthFailed {
		t.Errorf("with a wrong password: %v", err)
	}
	right := c.set(serverOf(1, "db1", other))
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := l.Status(t.Context(), right); s.Reason != sample.None {
		t.Errorf("with the right password again: %+v", s)
	}

	// Another pool profile makes another pool; a rename does not.
	high := right
	high.Pool, high.Name = target.PoolHighLoad, "renamed"
	c.set(high)
	if err := l.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	high, err := l.Server("renamed")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Activity(t.Context(), high, true); err != nil {
		t.Error(err)
	}
	if p := l.Pools(); len(p) != 1 || p[0].Size != (Size{2, 20}) || p[0].Total < 1 || !strings.HasSuffix(p[0].Key, ":pgam:postgres") {
		t.Errorf("pools %+v", p)
	}

	c.remove(1)
	pgtest.WaitFor(t, func() bool { return len(l.Pools()) == 0 && len(l.Servers()) == 0 }, "the pool to go with its server")
	if _, err := l.Server("renamed"); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("a removed server: %v", err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	gone := serverOf(1, "gone", server)
	gone.Endpoint.Port = 1
	nodb := serverOf(2, "nodb", server)
	nodb.Endpoint.Database = "nosuchdb"
	unknown := serverOf(3, "unknown", server)
	unknown.Endpoint.Host = "no.such.host.invalid"
	sealed := serverOf(4, "sealed", server)
	var log bytes.Buffer
	c := &catalog{servers: []target.Target{gone, nodb, unknown, sealed}, broken: map[target.ID]error{4: secret.ErrSealBroken}}
	l := startLive(t, c, 5*time.Second)
	l.log = slog.New(slog.NewTextHandler(&log, nil))
	want := []sample.Reason{sample.Refused, sample.NoDatabase, sample.Unreachable, sample.AuthFailed}
	for i, s := range l.Views(t.Context(), c.servers, nil) {
		if s.Reason != want[i] || s.Version != nil || s.Connections != nil {
			t.Errorf("%s: %+v", c.servers[i].Name, s)
		}
		for _, leak := range []string{"nosuchdb", "invalid", "FATAL", "dial", "lookup", pgtest.Password} {
			if strings.Contains(s.Explanation, leak) {
				t.Errorf("%s: the explanation %q holds %q", c.servers[i].Name, s.Explanation, leak)
			}
		}
		if r := l.Test(t.Context(), c.servers[i]); r.OK || len(r.Findings) != 1 || r.Status.Reason != want[i] {
			t.Errorf("%s: test %+v", c.servers[i].Name, r)
		}
	}
	// The catalog goes away: the last list stays.
	c.mu.Lock()
	c.err = errors.New("stats_db is away")
	c.mu.Unlock()
	if err := l.Refresh(t.Context()); err == nil || len(l.Servers()) != 4 {
		t.Errorf("without a catalog: %d servers, %v", len(l.Servers()), err)
	}
}

// Many who ask at once cost one question.
func TestStatusIsAskedOnce(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create extension if not exists pg_stat_statements")
	db1 := serverOf(1, "db1", server)
	l := startLive(t, &catalog{servers: []target.Target{db1}}, 10*time.Second)
	leaving, leave := context.WithCancel(t.Context())
	leave() // whose caller has gone already
	_ = l.Status(leaving, db1)
	var asking sync.WaitGroup
	for range 100 {
		asking.Go(func() {
			if s := l.Status(t.Context(), db1); s.Reason != sample.None {
				t.Errorf("status %+v", s)
			}
		})
	}
	asking.Wait()
	calls := pgtest.Value[int64](t, server.SuperuserDSN(),
		"select coalesce(sum(calls), 0)::int8 from pg_stat_statements where query like '/* pgam:live_status */%'")
	if calls < 1 || calls > 2 {
		t.Errorf("the server was asked %d times", calls)
	}
}

func TestStatementFor(t *testing.T) {
	t.Parallel()
	for _, q := range []string{"activity", "status", "connections", "locations", "size"} {
		for _, v := range []int32{90600, 90624, 100000, 120005, 130000, 150020, 180001, 990000} {
			if sql, ok := statementFor(q, v); !ok || !strings.HasPrefix(sql, "/* pgam:live_") {
				t.Errorf("%s of %d: %q, %v", q, v, sql, ok)
			}
		}
		if _, ok := statementFor(q, 90500); ok {
			t.Errorf("%s is asked of 9.5", q)
		}
	}
}

// The forms for older servers are understood by newer ones too, and give the
// same columns: so 9.6's, which few can run, is tried here.
func TestEveryStatementRuns(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	conn := session(t, server.SuperuserDSN())
	local := pgtest.Value[int32](t, server.SuperuserDSN(), "select current_setting('server_version_num')::int4")
	columns := map[string][]string{}
	for _, q := range []string{"activity", "status", "connections", "locations", "size"} {
		for _, v := range []int32{90600, 100000, 130000, 140000} {
			sql, ok := statementFor(q, v)
			if !ok || v > local {
				continue
			}
			desc, err := conn.Prepare(t.Context(), "", sql)
			if err != nil {
				t.Errorf("%s of %d: %v", q, v, err)
				continue
			}
			var names []string
			for _, f := range desc.Fields {
				names = append(names, f.Name)
			}
			if columns[q] == nil {
				columns[q] = names
			}
			if !slices.Equal(names, columns[q]) {
				t.Errorf("%s of %d has the columns %v, another form %v", q, v, names, columns[q])
			}
		}
	}
}
