package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func inventoryAt(server target.ID, minute int, known bool, databases ...sample.Database) sample.Batch {
	i := &sample.Inventory{At: noon.Add(time.Duration(minute) * time.Minute), Databases: databases}
	if known {
		i.Since = i.At.Add(-time.Minute)
	}
	return sample.Batch{Visits: []*sample.Visit{{Server: server, Inventory: i}}}
}

func dbNamed(oid uint32, name string) sample.Database {
	return sample.Database{OID: oid, Name: name, AllowConnect: true, Encoding: "UTF8"}
}

func TestAppendInventory(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server, bystander := newServer(t, s, "db1"), newServer(t, s, "db2")
	got := func() []string {
		return strings.Split(pgtest.Value[string](t, dsn, `
select string_agg(format('%s %s: created %s, seen %s to %s, dropped %s', oid, name, coalesce(to_char(created_at at time zone 'UTC', 'MI'), '-'),
       to_char(first_seen_at at time zone 'UTC', 'MI'), to_char(last_seen_at at time zone 'UTC', 'MI'),
       coalesce(to_char(dropped_at at time zone 'UTC', 'MI'), '-')), E'\n' order by oid, first_seen_at)
  from history.database where server_id = `+fmt.Sprint(server)), "\n")
	}
	mustAppend(t, s, inventoryAt(bystander, 0, false, dbNamed(1, "other")))
	history := []sample.Batch{
		inventoryAt(server, 0, false, dbNamed(1, "a"), dbNamed(2, "b")),
		inventoryAt(server, 1, true, dbNamed(1, "a"), dbNamed(2, "b"), dbNamed(3, "new")),
		inventoryAt(server, 2, true, dbNamed(1, "a"), dbNamed(3, "new")),
		inventoryAt(server, 3, true, dbNamed(1, "a"), dbNamed(4, "b"), dbNamed(3, "renamed\n\"it's\"")),
	}
	steps := [][]string{
		{"1 a: created -, seen 00 to 00, dropped -", "2 b: created -, seen 00 to 00, dropped -"},
		{"1 a: created -, seen 00 to 01, dropped -", "2 b: created -, seen 00 to 01, dropped -", "3 new: created 01, seen 01 to 01, dropped -"},
		{"1 a: created -, seen 00 to 02, dropped -", "2 b: created -, seen 00 to 01, dropped 02", "3 new: created 01, seen 01 to 02, dropped -"},
		{
			"1 a: created -, seen 00 to 03, dropped -", "2 b: created -, seen 00 to 01, dropped 02", "3 new: created 01, seen 01 to 02, dropped 03",
			"3 renamed", "\"it's\": created -, seen 03 to 03, dropped -", "4 b: created 03, seen 03 to 03, dropped -",
		},
	}
	for i, b := range history {
		mustAppend(t, s, b, b)
		if diff := cmp.Diff(steps[i], got()); diff != "" {
			t.Fatalf("after inventory %d (-want +got):\n%s", i, diff)
		}
	}
	// All of it again, as after a crash, one by one and in one transaction.
	mustAppend(t, s, history[1])
	if diff := cmp.Diff(steps[3], got()); diff != "" {
		t.Errorf("after a replay of an older one (-want +got):\n%s", diff)
	}
	mustAppend(t, s, history...)
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{history[1].Visits[0], history[2].Visits[0], history[3].Visits[0]}})
	if diff := cmp.Diff(steps[3], got()); diff != "" {
		t.Errorf("after a replay (-want +got):\n%s", diff)
	}
	// Renamed back: the old name lives again.
	mustAppend(t, s, inventoryAt(server, 4, true, dbNamed(1, "a"), dbNamed(4, "b"), dbNamed(3, "new")))
	want := "3 new: created 01, seen 01 to 04, dropped -"
	if all := got(); all[2] != want {
		t.Errorf("renamed back: %q, want %q", all[2], want)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database where dropped_at is null and server_id = "+fmt.Sprint(bystander)); n != 1 {
		t.Errorf("the other server has %d databases", n)
	}
}

func TestAppendIdentity(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	full := sample.Identity{
		At: noon, VersionNum: 150018, Version: "15.18 (Debian)", SystemIdentifier: -7, TimelineID: 3, PostmasterStart: noon.Add(-time.Hour), InRecovery: true,
	}
	bare := sample.Identity{At: noon.Add(time.Second), VersionNum: 90624, Version: "9.6.24", PostmasterStart: noon}
	for _, i := range []sample.Identity{full, bare, full} {
		mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Identity: &i}}})
	}
	want := []map[string]any{
		{
			"server_id": int64(server), "since": noon, "version_num": int32(150018), "version": "15.18 (Debian)", "system_identifier": int64(-7),
			"timeline_id": int32(3), "postmaster_start": noon.Add(-time.Hour), "in_recovery": true,
		},
		{
			"server_id": int64(server), "since": noon.Add(time.Second), "version_num": int32(90624), "version": "9.6.24",
			"postmaster_start": noon, "in_recovery": false,
		},
	}
	if diff := cmp.Diff(want, rows(t, dsn, "table history.server_identity order by since")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// distinctStat has another number in every column.
func distinctStat(at time.Time) sample.DatabaseStat {
	d := sample.DatabaseStat{
		At: at, OID: 16384, Backends: sample.Int{V: 11, Known: true}, StatsReset: noon.UnixMicro() - 1, ChecksumLastFailure: noon.UnixMicro() - 2,
		Epoch: at.Add(-time.Hour), Interval: 10 * time.Second,
	}
	for i := range d.Counters {
		d.Counters[i] = sample.Int{V: int64(1000 + i), Known: true}
		d.CounterDeltas[i] = sample.Int{V: int64(2000 + i), Known: true}
	}
	for i := range d.Timers {
		d.Timers[i] = sample.Float{V: 3000.25 + float64(i), Known: true}
		d.TimerDeltas[i] = sample.Float{V: 4000.25 + float64(i), Known: true}
	}
	return d
}

// The columns of pg_stat_database by sample's constants, written out: this is
// what the store's list is checked against.
var (
	counterNames = map[sample.Counter]string{
		sample.XactCommit: "xact_commit", sample.XactRollback: "xact_rollback", sample.BlksRead: "blks_read", sample.BlksHit: "blks_hit",
		sample.TupReturned: "tup_returned", sample.TupFetched: "tup_fetched", sample.TupInserted: "tup_inserted", sample.TupUpdated: "tup_updated",
		sample.TupDeleted: "tup_deleted", sample.Conflicts: "conflicts", sample.TempFiles: "temp_files", sample.TempBytes: "temp_bytes",
		sample.Deadlocks: "deadlocks", sample.ChecksumFailures: "checksum_failures", sample.Sessions: "sessions",
		sample.SessionsAbandoned: "sessions_abandoned", sample.SessionsFatal: "sessions_fatal", sample.SessionsKilled: "sessions_killed",
		sample.ParallelWorkersToLaunch: "parallel_workers_to_launch", sample.ParallelWorkersLaunched: "parallel_workers_launched",
	}
	timerNames = map[sample.Timer]string{
		sample.BlkReadTime: "blk_read_time_ms", sample.BlkWriteTime: "blk_write_time_ms", sample.SessionTime: "session_time_ms",
		sample.ActiveTime: "active_time_ms", sample.IdleInTransactionTime: "idle_in_transaction_time_ms",
	}
)

func TestAppendDatabaseStat(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	d := distinctStat(noon)
	bare := sample.DatabaseStat{At: noon.Add(time.Second), Epoch: noon.Add(time.Second)}
	b := sample.Batch{Visits: []*sample.Visit{{Server: server, Databases: []sample.DatabaseStat{d, bare}}}}
	mustAppend(t, s, b, b)

	want := map[string]any{
		"server_id": int64(server), "sampled_at": noon, "database_oid": uint32(16384), "numbackends": int32(11), "interval_seconds": 10.0,
		"epoch": noon.Add(-time.Hour), "stats_reset": noon.Add(-time.Microsecond), "checksum_last_failure": noon.Add(-2 * time.Microsecond),
	}
	for i, name := range counterNames {
		want[name+"_total"], want[name] = d.Counters[i].V, d.CounterDeltas[i].V
	}
	for i, name := range timerNames {
		want[name+"_total"], want[name] = d.Timers[i].V, d.TimerDeltas[i].V
	}
	if len(want) != 8+2*int(sample.NumCounters)+2*int(sample.NumTimers) {
		t.Fatalf("%d columns are compared", len(want))
	}
	got := rows(t, dsn, "table history.database_stat order by sampled_at")
	if len(got) != 2 {
		t.Fatalf("%d rows", len(got))
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("full row (-want +got):\n%s", diff)
	}
	want = map[string]any{"server_id": int64(server), "sampled_at": bare.At, "database_oid": uint32(0), "epoch": bare.Epoch}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("shared row of which nothing is known (-want +got):\n%s", diff)
	}
}

func TestAppendSizes(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	b := sample.Batch{Visits: []*sample.Visit{{Server: server, Sizes: []sample.DatabaseSize{
		{At: noon, OID: 4000000000, Bytes: sample.Int{V: 1 << 50, Known: true}, Duration: 1234567 * time.Microsecond},
		{At: noon, OID: 5, Duration: 1000 * time.Hour, Reason: sample.LockTimeout},
	}}}}
	mustAppend(t, s, b, b)
	want := []map[string]any{
		{"server_id": int64(server), "sampled_at": noon, "database_oid": uint32(5), "duration_ms": int32(3600000), "reason": int16(2)},
		{"server_id": int64(server), "sampled_at": noon, "database_oid": uint32(4000000000), "size_bytes": int64(1 << 50), "duration_ms": int32(1234), "reason": int16(0)},
	}
	if diff := cmp.Diff(want, rows(t, dsn, "table history.database_size order by database_oid")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
