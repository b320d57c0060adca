package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
)

// shop is a real target with a database that pgbench has filled.
type shop struct {
	*pgtest.Server
	pgbench string
}

func startTarget(t *testing.T, opts ...pgtest.Option) *shop {
	t.Helper()
	opts = append(opts, pgtest.WithSettings(map[string]string{"autovacuum": "off"})) // Its commits would be in the way of counting.
	server := pgtest.Target(t, opts...)
	s := &shop{Server: server, pgbench: filepath.Join(pgtest.Local(t).Dir, "pgbench")}
	if _, err := exec.LookPath(s.pgbench); err != nil {
		if s.pgbench, err = exec.LookPath("pgbench"); err != nil {
			t.Fatal("no pgbench: install PostgreSQL's contrib package (.ci/install-test-deps.sh does)")
		}
	}
	server.Exec(t, "create database "+pgx.Identifier{databaseName}.Sanitize())
	s.bench(t, "-i", "-q")

	return s
}

// bench runs pgbench and returns what it printed.
func (s *shop) bench(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.pgbench, append(args, "-h", s.Host(), "-p", strconv.Itoa(s.Port()), "-U", pgtest.Superuser)...)
	// In the environment, because pgbench takes a name with odd characters for a
	// connection string.
	cmd.Env = []string{"PGPASSWORD=" + pgtest.Password, "PGAPPNAME=pgbench", "PGDATABASE=" + databaseName}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %s: %v: %s", strings.Join(args, " "), err, out)
	}

	return string(out)
}

// runBench makes load for some time and returns how many transactions it made.
func (s *shop) runBench(t *testing.T, length time.Duration) int64 {
	t.Helper()
	out := s.bench(t, "-n", "-c", "4", "-R", "150", "-T", strconv.Itoa(int(length/time.Second)))
	match := regexp.MustCompile(`number of transactions actually processed: (\d+)`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("pgbench says no number of transactions: %s", out)
	}
	count, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}

	return count
}

// seen is how a session of the scene looks to anyone who asks.
type seen struct {
	pid       int32
	state     string
	wait      string // "" unless active
	blockedBy int32
}

// scene is sessions that stay as they are, by application_name.
type scene map[string]seen

// play makes a chain of three sessions, of which each waits for the one before,
// a session that idles in its transaction and one that sleeps.
func (s *shop) play(t *testing.T) scene {
	t.Helper()
	open := func(application, begin string) *pgx.Conn {
		t.Helper()
		config, err := pgx.ParseConfig(s.SuperuserDSN())
		if err != nil {
			t.Fatal(err)
		}
		config.Database = databaseName
		config.RuntimeParams["application_name"] = application
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		if _, err := conn.Exec(t.Context(), begin, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}

		return conn
	}
	// wait runs a statement that does not end before the test does.
	wait := func(conn *pgx.Conn, sql string) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = conn.Exec(ctx, sql)
		}()
		t.Cleanup(func() { cancel(); <-done }) // Before the connection is closed.
	}
	s.Exec(t, "select 1")
	setup := open("e2e-setup", "create table article (id integer primary key, pieces integer); insert into article select i, 9 from generate_series(1, 3) i")
	_ = setup.Close(t.Context())
	take := func(id string) string { return "update article set pieces = pieces - 1 where id = " + id }
	holder := open("e2e-holder", "begin; "+take("1"))
	idle := open("e2e-idle", "begin; select 1")
	first := open("e2e-waiter-1", "begin; "+take("2"))
	wait(first, take("1"))
	second := open("e2e-waiter-2", "begin; "+take("3"))
	wait(second, take("2"))
	sleeper := open("e2e-sleeper", "begin")
	wait(sleeper, "select pg_sleep(3600)")
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, s.SuperuserDSN(), "select count(*)::int from pg_stat_activity where application_name ~ '^e2e-' and wait_event in ('transactionid', 'PgSleep')") == 3
	}, "the sessions to wait")
	pid := func(conn *pgx.Conn) int32 { return int32(conn.PgConn().PID()) }

	return scene{
		"e2e-holder":   {pid: pid(holder), state: "idle in transaction"},
		"e2e-idle":     {pid: pid(idle), state: "idle in transaction"},
		"e2e-waiter-1": {pid: pid(first), state: "active", wait: "Lock transactionid", blockedBy: pid(holder)},
		"e2e-waiter-2": {pid: pid(second), state: "active", wait: "Lock transactionid", blockedBy: pid(first)},
		"e2e-sleeper":  {pid: pid(sleeper), state: "active", wait: "Timeout PgSleep"},
	}
}
