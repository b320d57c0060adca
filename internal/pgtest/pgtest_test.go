package pgtest_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestEmptyDB(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		t.Run(fmt.Sprint("Ünïcode name / ", strings.Repeat("long ", 30), i), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.EmptyDB(t)
			pgtest.Exec(t, dsn, "create table here (a int)", "insert into here values (1)")
			if got := pgtest.Value[int](t, dsn, "select count(*)::int from pg_class where relname = 'here'"); got != 1 {
				t.Errorf("tables = %d, want 1", got)
			}
		})
	}
}

func TestEmptyDB_dropped(t *testing.T) {
	mine := pgtest.EmptyDB(t)
	var name string
	var conn *pgx.Conn
	t.Run("a test that leaves a session", func(t *testing.T) {
		dsn := pgtest.EmptyDB(t)
		name = pgtest.Value[string](t, dsn, "select current_database()::text")
		var err error
		if conn, err = pgx.Connect(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	})
	defer func() { _ = conn.Close(context.Background()) }()
	if got := pgtest.Value[int](t, mine, "select count(*)::int from pg_database where datname = $1", name); got != 0 {
		t.Errorf("database %s is left", name)
	}
}

func TestStatsDB(t *testing.T) {
	t.Parallel()
	for i := range 2 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.StatsDB(t)
			if got := pgtest.Value[int](t, dsn, "select max(version)::int from public.pgam_schema_version"); got < 1 {
				t.Errorf("schema version = %d, want a migrated database", got)
			}
		})
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{"track_activity_query_size": "2048"}))
			if got := pgtest.Value[string](t, s.DSN(pgtest.User), "select setting || current_user::text from pg_settings where name = 'track_activity_query_size'"); got != "2048pgam" {
				t.Errorf("setting and user = %q", got)
			}
			got := pgtest.Value[int](t, s.DSN(pgtest.User), "select current_setting('server_version_num')::int / 10000")
			if strconv.Itoa(got) != version || s.Version() != version {
				t.Errorf("server is %d and says %s, want %s", got, s.Version(), version)
			}
			if !pgtest.Value[bool](t, s.DSN(pgtest.User), "select pg_has_role('pg_monitor', 'member')") {
				t.Error("the sampling role has no pg_monitor")
			}
			wrong := pgtest.WithUser(t, s.DSN(pgtest.User), pgtest.User, "wrong")
			if conn, err := pgx.Connect(t.Context(), wrong); err == nil {
				_ = conn.Close(t.Context())
				t.Error("a wrong password is let in")
			}
			libraries := pgtest.Value[string](t, s.SuperuserDSN(), "select current_setting('shared_preload_libraries')")
			if libraries != "pg_stat_statements" {
				t.Errorf("shared_preload_libraries = %q", libraries)
			}
			s.Exec(t, "create extension pg_stat_statements")
		})
	}
}

func TestTarget_ups_and_downs(t *testing.T) {
	t.Parallel()
	s := pgtest.Target(t, pgtest.WithTrust())
	started := "select pg_postmaster_start_time()::text"
	first, port := pgtest.Value[string](t, s.DSN("postgres"), started), s.Port()

	s.Restart(t)
	second := pgtest.Value[string](t, s.DSN("postgres"), started)
	s.Kill(t)
	if _, err := pgx.Connect(t.Context(), s.DSN("postgres")); err == nil {
		t.Error("a killed server answers")
	}
	s.Start(t)
	third := pgtest.Value[string](t, s.DSN("postgres"), started)
	if first == second || second == third || s.Port() != port {
		t.Errorf("start times %s, %s, %s, ports %d, %d: want three times, one port", first, second, third, port, s.Port())
	}

	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	s.Pause(t)
	dialer := net.Dialer{Timeout: 5 * time.Second}
	raw, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
	if err != nil {
		t.Errorf("the kernel of a paused server refuses: %v", err)
	} else {
		_ = raw.Close()
	}
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select 1")
		answer <- err
	}()
	select {
	case err := <-answer:
		t.Errorf("a session of a paused server answers: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	s.Resume(t)
	if err := <-answer; err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

// A test that ends with its server paused must not hang.
func TestTarget_left_paused(t *testing.T) {
	t.Parallel()
	s := pgtest.Target(t)
	s.Pause(t)
}

func TestWaitFor(t *testing.T) {
	t.Parallel()
	calls := 0
	pgtest.WaitFor(t, func() bool { calls++; return calls == 3 }, "the third call")
	if calls != 3 {
		t.Errorf("calls = %d, want 3", calls)
	}
}
