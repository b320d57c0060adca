package probe_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/sample"
)

// busy is a server on which everything goes on that is neither load nor a
// connection nor a client's transaction.
func busy(t *testing.T, version string) *pgtest.Server {
	t.Helper()
	settings := map[string]string{
		"max_connections": "20", "max_worker_processes": "24", "max_parallel_workers": "16", "max_parallel_workers_per_gather": "8",
		"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0", "autovacuum": "off",
		"wal_level": "logical", "max_replication_slots": "4", "max_wal_senders": "4",
		"max_wal_size": "32MB", "min_wal_size": "32MB", "checkpoint_timeout": "1h", "checkpoint_completion_target": "0.9",
	}
	return pgtest.Target(t, pgtest.WithVersion(version), pgtest.WithSettings(settings))
}

// subscriber streams a logical replication slot, and confirms nothing.
func subscriber(t *testing.T, server *pgtest.Server) {
	t.Helper()
	server.Exec(t, "create publication p", "select pg_create_logical_replication_slot('cdc', 'pgoutput')")
	cfg, err := pgconn.ParseConfig(server.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["replication"], cfg.RuntimeParams["application_name"] = "database", "subscriber"
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // it is in the middle of a stream
		_ = conn.Close(ctx)
	})
	conn.Frontend().SendQuery(&pgproto3.Query{String: "START_REPLICATION SLOT cdc LOGICAL 0/0 (proto_version '1', publication_names 'p')"})
	if err := conn.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
}

// seenAs gives the sessions of a tick whose type is one of PostgreSQL's backend
// types, with their waits.
func (b *bench) seenAs(v sample.Visit, backendType string) (found []sample.Session, waits []sample.WaitEntry) {
	for _, s := range v.Tick.Sessions {
		if b.seen[s.Session].BackendType == backendType {
			found, waits = append(found, s), append(waits, b.waits[s.Wait])
		}
	}
	return found, waits
}

// TestConformance_load: a throttle's sleep and a walsender that waits for WAL are
// listed and are not load; parallel workers and walsenders are not connections;
// VACUUM is no client's transaction and holds nothing back.
func TestConformance_load(t *testing.T) {
	t.Parallel()
	for _, version := range pgtest.Versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := busy(t, version)
			major, err := strconv.Atoi(version)
			if err != nil {
				t.Fatal(err)
			}
			b := newBench(t, server, pgtest.User)
			// One after the other: each looks at all sessions of the server.
			t.Run("connections", func(t *testing.T) { testConnections(t, b, major) })
			t.Run("vacuum", func(t *testing.T) { testVacuum(t, b, major) })
			t.Run("not tracked", func(t *testing.T) { testNotTracked(t, b, major) })
			t.Run("checkpoint", func(t *testing.T) { testCheckpoint(t, b) })
		})
	}
}

// isIdle reports whether sessions are no load, by all that is counted.
func isIdle(found []sample.Session) bool {
	for _, s := range found {
		if s.Class != sample.ClassIdle {
			return false
		}
	}
	return len(found) > 0
}

func testConnections(t *testing.T, b *bench, major int) {
	t.Helper()
	setup := session(t, b.server, "postgres", "setup")
	exec(t, setup, "create table big as select g from generate_series(1, 20000) g")
	exec(t, setup, "alter table big set (parallel_workers = 8)")
	exec(t, setup, "create function slow(i int) returns int language plpgsql parallel safe as $$ begin perform pg_sleep(0.2); return i; end $$")
	subscriber(t, b.server)
	query := session(t, b.server, "postgres", "parallel")
	if major > 10 {
		exec(t, query, "set parallel_leader_participation = off")
	}
	background(t, query, "select sum(slow(g)) from big")
	var v sample.Visit
	for _, sparse := range []bool{false, true} {
		pgtest.WaitFor(t, func() bool {
			probe.SetSparse(b.conn, sparse)
			v = b.must(t, sample.Ask{CrowdFrom: 1})
			workers, _ := b.seenAs(v, "parallel worker")
			if major == 10 {
				workers, _ = b.seenAs(v, "background worker")
			}
			senders, _ := b.seenAs(v, "walsender")
			return len(workers) == 8 && v.Load.Active == 9 && isIdle(senders)
		}, "a query and its eight workers, active, and a walsender that waits for WAL")
		// setup, the parallel query, and the one that samples.
		want := int32(3)
		if major < 12 {
			want++ // walsenders take their places
		}
		if v.Tick.Backends != want || v.Load.Connections != want {
			t.Errorf("%d connections, %d for bursts, want %d", v.Tick.Backends, v.Load.Connections, want)
		}
		var of int32
		for _, c := range v.Load.Crowd {
			of += c.Connections
		}
		if of != min(want, 3) { // the first three of them
			t.Errorf("%d connections by user and application, want %d: %+v", of, min(want, 3), v.Load.Crowd)
		}
	}
	w := sample.NewRow(1, v.Tick)
	if s := w.Summary(w.PlannedAt(0), w.PlannedAt(0).Add(time.Second)); s.MaxSessions != 9 {
		t.Errorf("%d sessions are load, want 9: %+v", s.MaxSessions, s)
	}
	senders, waits := b.seenAs(v, "walsender")
	if s := senders[0]; s.XactStart != 0 || waits[0].Event == "" {
		t.Errorf("the walsender is listed as %+v, %+v", s, waits[0])
	}
}

func testVacuum(t *testing.T, b *bench, major int) {
	t.Helper()
	setup := session(t, b.server, "postgres", "setup")
	exec(t, setup, "create table dead as select g, repeat('x', 300) r from generate_series(1, 20000) g")
	exec(t, setup, "delete from dead where g % 3 = 0")
	vacuum := session(t, b.server, "postgres", "vacuum")
	exec(t, vacuum, "set vacuum_cost_delay = 100")
	exec(t, vacuum, "set vacuum_cost_limit = 1")
	background(t, vacuum, "vacuum dead")
	client := session(t, b.server, "postgres", "client")
	exec(t, client, "begin isolation level repeatable read")
	exec(t, client, "select 1")
	for _, sparse := range []bool{false, true} {
		var v sample.Visit
		var of *sample.Session
		pgtest.WaitFor(t, func() bool {
			probe.SetSparse(b.conn, sparse)
			v, of = b.must(t, sample.Ask{}), nil
			for i, s := range v.Tick.Sessions {
				if b.seen[s.Session].Application == "vacuum" {
					of = &v.Tick.Sessions[i]
				}
			}
			// Until 12 its sleep has no wait event. It is known when it has begun with
			// its table.
			return of != nil && of.XactStart == 0 && (of.Class == sample.ClassIdle || major < 13 && of.Class == sample.ClassCPU)
		}, "VACUUM asleep, in no transaction that others wait for")
		if of.Xmin != 0 || of.QueryStart == 0 {
			t.Errorf("VACUUM is listed with an xmin: %+v", *of)
		}
		for _, s := range v.Tick.Sessions {
			if b.seen[s.Session].Application == "client" && (s.XactStart == 0 || s.Xmin == 0) {
				t.Errorf("a client's transaction is listed without one: %+v", s)
			}
		}
	}
}

func testCheckpoint(t *testing.T, b *bench) {
	t.Helper()
	setup := session(t, b.server, "postgres", "setup")
	exec(t, setup, "create table dirty as select g, repeat('x', 500) r from generate_series(1, 20000) g")
	pgtest.WaitFor(t, func() bool {
		// Enough WAL asks for a checkpoint, which takes its time.
		exec(t, setup, fmt.Sprintf("update dirty set r = r || '' where g %% 100 = %d; select pg_switch_wal()", b.conn.PID()%100))
		for range 5 {
			found, _ := b.seenAs(b.must(t, sample.Ask{}), "checkpointer")
			for _, s := range found {
				if s.Class == sample.ClassCPU && b.conn.Version() < 150000 {
					t.Error("the checkpointer's sleep is a CPU in use")
				}
			}
			if isIdle(found) {
				return true
			}
		}
		return false
	}, "a checkpointer that sleeps")
}

// testNotTracked: of sessions with track_activities off, who holds others up is
// listed as that, and from 14 on those at work are load.
func testNotTracked(t *testing.T, b *bench, major int) {
	t.Helper()
	holder := session(t, b.server, "postgres", "hidden holder")
	exec(t, holder, "set track_activities = off")
	exec(t, holder, "select pg_advisory_lock(7)")
	background(t, session(t, b.server, "postgres", "hidden waiter"), "select pg_advisory_lock(7)")
	sleeper := session(t, b.server, "postgres", "hidden sleeper")
	exec(t, sleeper, "set track_activities = off")
	background(t, sleeper, "select pg_sleep(600)")
	want := []string{
		"hidden holder|postgres|postgres|disabled|idle",
		"hidden waiter|postgres|postgres|active|lock blocked by hidden holder",
	}
	if major >= 14 {
		want = []string{want[0], "hidden sleeper|postgres|postgres|disabled|timeout", want[1]}
	}
	var got []string
	pgtest.WaitFor(t, func() bool {
		got = b.byApplication(b.must(t, sample.Ask{}), "hidden")
		return cmp.Equal(want, got)
	}, "the sessions that are not tracked")
}
