package live

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/target"
)

// sleeper is a session that sleeps until it is signalled.
type sleeper struct {
	*pgx.Conn
	pid   int32
	began time.Time
	ended chan string // SQLSTATE with which the statement ended
}

const longSleep = "select pg_sleep(600)"

func sleeps(t *testing.T, dsn, settings string) *sleeper {
	t.Helper()
	s := &sleeper{Conn: session(t, dsn), ended: make(chan string, 1)}
	s.pid = int32(s.PgConn().PID())
	exec(t, s.Conn, "set application_name = 'sleeper'; "+settings)
	if err := s.QueryRow(t.Context(), "select backend_start from pg_stat_get_activity(pg_backend_pid())").Scan(&s.began); err != nil {
		t.Fatal(err)
	}
	s.sleep(t)
	return s
}

// sleep begins a statement, whose end is told on ended; it is over before the
// session is closed.
func (s *sleeper) sleep(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-over
	})
	go func() {
		defer close(over)
		_, err := s.Exec(ctx, longSleep, pgx.QueryExecModeSimpleProtocol)
		code := ""
		if said, ok := errors.AsType[*pgconn.PgError](err); ok {
			code = said.Code
		}
		s.ended <- code
	}()
}

// asleep waits until sessions run the statement, and gives them.
func asleep(t *testing.T, l *Live, db target.Target, pids ...int32) (sessions []Session) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		sessions = nil
		now, err := l.Activity(t.Context(), db, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if s := find(now.Sessions, uint32(pid)); s != nil && is(s.State, "active") && is(s.Query, longSleep) {
				sessions = append(sessions, *s)
			}
		}
		return len(sessions) == len(pids)
	}, "the sessions to sleep")
	return sessions
}

// A session is signalled that has the pid and began at the instant, is a client's
// and none of pgam's, where the monitoring role may: and no other.
func TestConformance_signal(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			server.Exec(t, `create role app login password '`+pgtest.Password+`'`)
			l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 10*time.Second)
			db1, err := l.Server("db1")
			if err != nil {
				t.Fatal(err)
			}
			// asked signals and wants a refusal and what is told of it; empty: none.
			asked := func(pid int32, began time.Time, act target.SessionControl, want Refusal, says string) Signalled {
				t.Helper()
				got, err := l.Signal(t.Context(), db1, pid, began, act)
				if err != nil || got.Refusal != want || !strings.Contains(got.Explain(pid), says) || (got.Explain(pid) == "") != got.Done {
					t.Errorf("%s %d: %+v %q, %v; want %q %q", act, pid, got, got.Explain(pid), err, want, says)
				}
				return got
			}
			app, super := sleeps(t, server.DSN("app"), ""), sleeps(t, server.SuperuserDSN(), "")
			if seen := asleep(t, l, db1, app.pid, super.pid); seen[0].BackendStart == nil || !seen[0].BackendStart.Equal(app.began) {
				t.Errorf("backend_start %v, want %v", seen[0].BackendStart, app.began)
			}
			asked(app.pid, app.began, target.ControlCancel, RefusedGrant, "GRANT pg_signal_backend TO "+pgtest.User+";")
			server.Exec(t, "grant pg_signal_backend to "+pgtest.User)
			asked(super.pid, super.began, target.ControlTerminate, RefusedSuperuser, "only a superuser")
			for _, other := range []time.Time{app.began.Add(time.Microsecond), app.began.Add(-time.Microsecond), {}} {
				asked(app.pid, other, target.ControlTerminate, RefusedAnother, "another one has its pid")
			}
			asleep(t, l, db1, app.pid, super.pid) // none of it was signalled
			got := asked(app.pid, app.began, target.ControlCancel, "", "")
			if code := <-app.ended; code != "57014" || !is(got.User, "app") || !is(got.Application, "sleeper") || got.Database == nil || got.ClientAddr == nil {
				t.Errorf("cancelled with %q: %+v", code, got)
			}
			app.sleep(t)
			asleep(t, l, db1, app.pid)
			asked(app.pid, app.began, target.ControlTerminate, "", "")
			if code := <-app.ended; code != "57P01" {
				t.Errorf("terminated with %q", code)
			}
			pgtest.WaitFor(t, func() bool {
				got, err := l.Signal(t.Context(), db1, app.pid, app.began, target.ControlCancel)
				return err == nil && got.Refusal == RefusedGone && got.Gone()
			}, "the session to be gone")

			own := session(t, server.SuperuserDSN()) // whoever's it is
			exec(t, own, "set application_name = 'pgam-api'")
			for what, sql := range map[Refusal]string{
				RefusedOwn:        "select pid, backend_start from pg_stat_activity where application_name = 'pgam-api'",
				RefusedBackground: "select pid, coalesce(backend_start, now()) from pg_stat_activity where backend_type = 'checkpointer'",
			} {
				if what == RefusedBackground && version == "9.6" {
					continue // not listed there
				}
				var (
					pid   int32
					began time.Time
				)
				if err := super.scan(t, server, sql, &pid, &began); err != nil {
					t.Fatal(err)
				}
				asked(pid, began, target.ControlTerminate, what, "")
			}
		})
	}
}

// scan asks one row on a connection of its own: the sleeper's is busy.
func (*sleeper) scan(t *testing.T, server *pgtest.Server, sql string, into ...any) error {
	t.Helper()
	return session(t, server.SuperuserDSN()).QueryRow(t.Context(), sql).Scan(into...)
}

// A parallel worker is not signalled: who asks is told its leader. Nor is anything
// of which the role may see nothing.
func TestSignalWorkersAndHidden(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version))
			setting := "debug_parallel_query"
			if version == "9.6" || version < "16" {
				setting = "force_parallel_mode"
			}
			server.Exec(t, `create role app login password '`+pgtest.Password+`'`, "grant pg_signal_backend to "+pgtest.User)
			l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 10*time.Second)
			db1, err := l.Server("db1")
			if err != nil {
				t.Fatal(err)
			}
			leader := sleeps(t, server.DSN("app"), "set "+setting+" = on")
			var worker Session
			pgtest.WaitFor(t, func() bool {
				now, err := l.Activity(t.Context(), db1, false)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range now.Sessions {
					if s.PID != leader.pid && is(s.User, "app") {
						worker = s
						return true
					}
				}
				return false
			}, "the worker")
			got, err := l.Signal(t.Context(), db1, worker.PID, *worker.BackendStart, target.ControlTerminate)
			switch {
			case version == "9.6", version == "10": // tells no such kind
				if err != nil || got.Refusal != RefusedBackground || !strings.Contains(got.Explain(worker.PID), "leader") {
					t.Errorf("worker: %+v, %v", got, err)
				}
			case err != nil || got.Refusal != RefusedWorker || !strings.Contains(got.Explain(worker.PID), "leader"):
				t.Errorf("worker: %+v, %v", got, err)
			case worker.LeaderPID != nil && (got.LeaderPID == nil || *got.LeaderPID != leader.pid):
				t.Errorf("leader: %+v", got)
			}
			if version == "9.6" {
				return
			}
			server.Exec(t, "revoke pg_monitor from "+pgtest.User)
			got, err = l.Signal(t.Context(), db1, leader.pid, leader.began, target.ControlCancel)
			if err != nil || got.Refusal != RefusedHidden || !strings.Contains(got.Explain(leader.pid), "GRANT pg_monitor, pg_signal_backend TO pgam;") {
				t.Errorf("hidden: %+v, %v", got, err)
			}
		})
	}
}
