package live

import (
	"slices"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// waiting runs a statement that waits for a lock until the test ends, and returns
// when it does: who comes after it is behind it in the queue.
func waiting(t *testing.T, server *pgtest.Server, sql string) int32 {
	t.Helper()
	conn := session(t, server.SuperuserDSN())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = conn.Exec(t.Context(), sql) // ended with the test
	}()
	t.Cleanup(func() { <-done })
	pid := int32(conn.PgConn().PID())
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, server.SuperuserDSN(), "select exists (select from pg_locks where pid = $1 and not granted)", pid)
	}, "a statement to wait for its lock")
	return pid
}

func TestConformance_locks(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(map[string]string{"max_prepared_transactions": "5"}))
			server.Exec(t, `create table "größe" (id int)`, `insert into "größe" values (1)`, "create table kept (id int)")
			l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 10*time.Second)
			db1, err := l.Server("db1")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := l.Locks(t.Context(), db1); err != nil || len(got.Waits)+len(got.Sessions) != 0 {
				t.Errorf("nobody waits: %+v, %v", got, err)
			}
			holder, idle, preparing := session(t, server.SuperuserDSN()), session(t, server.SuperuserDSN()), session(t, server.SuperuserDSN())
			exec(t, holder, `begin; update "größe" set id = 2`)
			exec(t, idle, "select pg_advisory_lock(7)")
			exec(t, preparing, "begin; lock table kept; prepare transaction 'gid 7'")
			first := waiting(t, server, `update "größe" set id = 3`)
			second := waiting(t, server, `drop table "größe"`)
			third := waiting(t, server, "select pg_advisory_lock(7)")
			fourth := waiting(t, server, "select from kept")

			var got Locks
			pgtest.WaitFor(t, func() bool {
				got, err = l.Locks(t.Context(), db1)
				if err != nil {
					t.Fatal(err)
				}
				blocked := map[int32]bool{}
				for _, w := range got.Waits {
					blocked[w.PID] = true
				}
				return blocked[first] && blocked[second] && blocked[third] && blocked[fourth]
			}, "all to wait")
			wait := func(pid, blocker int32) Wait {
				t.Helper()
				i := slices.IndexFunc(got.Waits, func(w Wait) bool { return w.PID == pid && w.Blocker == blocker })
				if i < 0 || got.Waits[i].Lock == nil {
					t.Fatalf("%d does not wait for %d: %+v", pid, blocker, got.Waits)
				}
				return got.Waits[i]
			}
			holds := int32(holder.PgConn().PID())
			if w := wait(first, holds); w.Lock.Type != "transactionid" || w.Lock.Mode != "ShareLock" || w.Lock.Relation != nil || w.Transaction != "" {
				t.Errorf("first: %+v, %+v", w, w.Lock)
			}
			if w := wait(second, holds); w.Lock.Type != "relation" || w.Lock.Mode != "AccessExclusiveLock" || !is(w.Lock.Relation, `public."größe"`) || w.Lock.DatabaseOID == nil {
				t.Errorf("second: %+v, %+v", w, w.Lock)
			}
			if w := wait(third, int32(idle.PgConn().PID())); w.Lock.Type != "advisory" {
				t.Errorf("third: %+v, %+v", w, w.Lock)
			}
			if w := wait(fourth, 0); w.Transaction != "gid 7" || w.Lock.Mode != "AccessShareLock" {
				t.Errorf("fourth: %+v, %+v", w, w.Lock)
			}
			if s := find(got.Sessions, idle.PgConn().PID()); s == nil || !is(s.State, "idle") {
				t.Errorf("the idle one: %+v", s)
			}
			if s := find(got.Sessions, preparing.PgConn().PID()); s != nil {
				t.Errorf("one that nobody waits for: %+v", s)
			}
			if len(got.Prepared) != 1 || got.Prepared[0].ID != "gid 7" || !is(got.Prepared[0].Database, "postgres") || got.Prepared[0].Age == nil || len(got.Sessions) != 6 {
				t.Errorf("prepared: %+v; %d sessions", got.Prepared, len(got.Sessions))
			}
			stream := listen(t, l, "db1", time.Second)
			if tick := take(t, stream); tick.Err != nil || tick.Classes[sample.ClassLock] != 4 || len(tick.Locks.Waits) != len(got.Waits) {
				t.Errorf("the stream tells of %+v, want %d who wait: %v", tick, len(got.Waits), tick.Err)
			}
			stream.Close()
			// The sessions are ended, so that no goroutine waits for ever.
			server.Exec(t, "rollback prepared 'gid 7'", "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")
		})
	}
}
