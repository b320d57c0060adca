package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// stored reads rows by column; nulls are left out.
func storedRows(t *testing.T, w *Writer, query string) []map[string]any {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all {
		for name, v := range row {
			if v == nil {
				delete(row, name)
			}
			if at, ok := v.(time.Time); ok {
				row[name] = at.UTC()
			}
		}
	}
	return all
}

func dbNamed(oid uint32, name string) sample.Database {
	return sample.Database{OID: oid, Name: name, AllowConnect: true, Encoding: "UTF8"}
}

// listed is a list of databases, minutes after noon; since says that there was one
// before.
func listed(minute int, since bool, databases ...sample.Database) *sample.Visit {
	i := &sample.Inventory{At: noon.Add(time.Duration(minute) * time.Minute), Databases: databases}
	if since {
		i.Since = i.At.Add(-time.Minute)
	}
	return &sample.Visit{Inventory: i}
}

func TestAppendInventory(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	const server, bystander = target.ID(1), target.ID(2)
	got := func() []string {
		return strings.Split(pgtest.Value[string](t, dsn, `
select string_agg(format('%s %s: created %s, seen %s to %s, dropped %s', oid, name, coalesce(to_char(created_at at time zone 'UTC', 'MI'), '-'),
       to_char(first_seen_at at time zone 'UTC', 'MI'), to_char(last_seen_at at time zone 'UTC', 'MI'),
       coalesce(to_char(dropped_at at time zone 'UTC', 'MI'), '-')), E'\n' order by oid, first_seen_at)
  from history.database where server_id = 1`), "\n")
	}
	mustAppend(t, w, bystander, listed(0, false, dbNamed(1, "other")))
	history := []*sample.Visit{
		listed(0, false, dbNamed(1, "a"), dbNamed(2, "b")),
		listed(1, true, dbNamed(1, "a"), dbNamed(2, "b"), dbNamed(3, "new")),
		listed(2, true, dbNamed(1, "a"), dbNamed(3, "new")),
		listed(3, true, dbNamed(1, "a"), dbNamed(4, "b"), dbNamed(3, "renamed\n\"it's\"")),
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
	for i, v := range history {
		mustAppend(t, w, server, v, v)
		if diff := cmp.Diff(steps[i], got()); diff != "" {
			t.Fatalf("after inventory %d (-want +got):\n%s", i, diff)
		}
	}
	// All of it again, as after a crash, one by one and in one transaction.
	mustAppend(t, w, server, history[1])
	for _, v := range history {
		mustAppend(t, w, server, v)
	}
	mustAppend(t, w, server, history[1:]...)
	if diff := cmp.Diff(steps[3], got()); diff != "" {
		t.Errorf("after a replay (-want +got):\n%s", diff)
	}
	// Renamed back: the old name lives again.
	mustAppend(t, w, server, listed(4, true, dbNamed(1, "a"), dbNamed(4, "b"), dbNamed(3, "new")))
	want := "3 new: created 01, seen 01 to 04, dropped -"
	if all := got(); all[2] != want {
		t.Errorf("renamed back: %q, want %q", all[2], want)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database where dropped_at is null and server_id = 2"); n != 1 {
		t.Errorf("the other server has %d databases", n)
	}
}

func TestAppendIdentity(t *testing.T) {
	t.Parallel()
	w, _ := openEmpty(t)
	full := sample.Identity{
		At: noon, VersionNum: 150018, Version: "15.18 (Debian)", SystemIdentifier: -7, TimelineID: 3, PostmasterStart: noon.Add(-time.Hour), InRecovery: true,
	}
	bare := sample.Identity{At: noon.Add(time.Second), VersionNum: 90624, Version: "9.6.24", PostmasterStart: noon}
	again := bare // another collector's
	again.At = noon.Add(2 * time.Second)
	for _, i := range []sample.Identity{full, bare, full, again} {
		mustAppend(t, w, 1, &sample.Visit{Identity: &i})
	}
	want := []map[string]any{
		{
			"server_id": int64(1), "since": noon, "version_num": int32(150018), "version": "15.18 (Debian)", "system_identifier": int64(-7),
			"timeline_id": int32(3), "postmaster_start": noon.Add(-time.Hour), "in_recovery": true,
		},
		{
			"server_id": int64(1), "since": noon.Add(time.Second), "version_num": int32(90624), "version": "9.6.24",
			"postmaster_start": noon, "in_recovery": false,
		},
	}
	if diff := cmp.Diff(want, storedRows(t, w, "table history.server_identity order by since")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// distinctStat has another number in every column.
func distinctStat(at time.Time) sample.DatabaseStat {
	d := sample.DatabaseStat{
		Planned: at.Truncate(time.Second), At: at, PreviousAt: at.Add(-10 * time.Second), Instance: -99, OID: 4000000000, Backends: number(11),
		StatsReset: noon.UnixMicro() - 1, ChecksumLastFailure: noon.UnixMicro() - 2,
	}
	for i := range d.Counters {
		d.Counters[i] = number(int64(1000 + i))
	}
	for i := range d.Timers {
		d.Timers[i] = sample.Float{V: 3000.25 + float64(i), Known: true}
	}
	return d
}

// The columns of pg_stat_database by sample's constants, written out: this is what
// the list of columns is checked against.
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
	w, _ := openEmpty(t)
	d := distinctStat(noon.Add(300 * time.Microsecond))
	bare := sample.DatabaseStat{Planned: noon.Add(time.Second), At: noon.Add(time.Second)}
	v := &sample.Visit{Look: &sample.Look{Planned: d.Planned, At: d.At, Databases: 7}, Databases: []sample.DatabaseStat{d, bare}}
	mustAppend(t, w, 1, v, v)
	mustAppend(t, w, 1, v)

	want := map[string]any{
		"server_id": int64(1), "planned_at": noon, "sampled_at": d.At, "previous_at": d.PreviousAt, "instance": int64(-99), "database_oid": uint32(4000000000),
		"numbackends": int32(11), "stats_reset": noon.Add(-time.Microsecond), "checksum_last_failure": noon.Add(-2 * time.Microsecond),
	}
	for i, name := range counterNames {
		want[name] = d.Counters[i].V
	}
	for i, name := range timerNames {
		want[name] = d.Timers[i].V
	}
	if len(want) != 9+int(sample.NumCounters)+int(sample.NumTimers) {
		t.Fatalf("%d columns are compared", len(want))
	}
	got := storedRows(t, w, "table history.database_stat order by sampled_at")
	if len(got) != 2 {
		t.Fatalf("%d rows", len(got))
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("full row (-want +got):\n%s", diff)
	}
	want = map[string]any{"server_id": int64(1), "planned_at": bare.At, "sampled_at": bare.At, "database_oid": uint32(0), "instance": int64(0)}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("shared row of which nothing is known (-want +got):\n%s", diff)
	}
	look := []map[string]any{{"server_id": int64(1), "planned_at": noon, "sampled_at": d.At, "databases": int32(7)}}
	if diff := cmp.Diff(look, storedRows(t, w, "table history.database_look")); diff != "" {
		t.Errorf("the look (-want +got):\n%s", diff)
	}
	// What is stored is what is read.
	var read []sample.DatabaseStat
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		return readStats(t.Context(), tx, 1, noon, noon.Add(time.Minute), func(_ uint32, rows []sample.DatabaseStat, looks []time.Time) {
			if read = append(read, rows...); len(looks) != 1 || !looks[0].Equal(d.At) {
				t.Errorf("looks %v", looks)
			}
		})
	})
	slices.SortFunc(read, func(a, b sample.DatabaseStat) int { return a.At.Compare(b.At) })
	if diff := cmp.Diff([]sample.DatabaseStat{d, bare}, read); diff != "" || err != nil {
		t.Errorf("(-written +read): %v\n%s", err, diff)
	}
}

// Of two looks at one second the later one counts, whoever writes first.
func TestTheLaterLookOfASecond(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	early, late := distinctStat(noon.Add(time.Millisecond)), distinctStat(noon.Add(700*time.Millisecond))
	late.Counters[sample.XactCommit].V++
	for server, order := range map[target.ID][]sample.DatabaseStat{1: {early, late}, 2: {late, early}} {
		for _, d := range order {
			mustAppend(t, w, server, &sample.Visit{Look: &sample.Look{Planned: noon, At: d.At, Databases: 1}, Databases: []sample.DatabaseStat{d}})
		}
		got := pgtest.Value[bool](t, dsn, fmt.Sprintf(`
select (s.sampled_at, s.xact_commit, l.sampled_at)::text = (timestamptz '%[2]s', 1001, timestamptz '%[2]s')::text
  from history.database_stat s join history.database_look l using (server_id, planned_at) where server_id = %[1]d`, server, late.At.Format(time.RFC3339Nano)))
		if !got {
			t.Errorf("server %d has the earlier one", server)
		}
	}
}

func TestAppendSizes(t *testing.T) {
	t.Parallel()
	w, _ := openEmpty(t)
	v := &sample.Visit{Sizes: []sample.DatabaseSize{
		{At: noon, OID: 4000000000, Bytes: number(1 << 50), Duration: 1234567 * time.Microsecond},
		{At: noon, OID: 5, Duration: 1000 * time.Hour, Reason: sample.LockTimeout},
	}}
	mustAppend(t, w, 1, v, v)
	want := []map[string]any{
		{"server_id": int64(1), "sampled_at": noon, "database_oid": uint32(5), "duration_ms": int32(2147483647), "reason": int16(2)},
		{"server_id": int64(1), "sampled_at": noon, "database_oid": uint32(4000000000), "size_bytes": int64(1 << 50), "duration_ms": int32(1234), "reason": int16(0)},
	}
	if diff := cmp.Diff(want, storedRows(t, w, "table history.database_size order by database_oid")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func mounted(mount string, free int64) sample.FileSystem {
	return sample.FileSystem{
		MountPoint: mount, Device: "/dev/sda1", Uses: []string{"data", "tablespace:größe"}, Total: number(100 << 30), Free: number(free),
		Inodes: number(1000), InodesFree: number(900),
	}
}

// Processors are a row where there are others than before.
func TestAppendCPUs(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	for _, look := range []struct {
		seconds int
		cpus    int32
	}{{0, 8}, {60, 8}, {180, 16}, {120, 8}, {240, 0}, {240, 0}, {300, 8}, {180, 16}} {
		mustAppend(t, w, 1, &sample.Visit{Disks: &sample.Disks{At: noon.Add(time.Duration(look.seconds) * time.Second), Source: target.DiskSSH, CPUs: look.cpus}})
	}
	const sql = `select string_agg(format('%s since %s', cpu_count, to_char(since at time zone 'UTC', 'MI')), ', ' order by since) from history.cpu_count where server_id = 1`
	if got := pgtest.Value[string](t, dsn, sql); got != "8 since 00, 16 since 03, 8 since 05" {
		t.Error(got)
	}
}

func TestAppendDisks(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	look := func(seconds int, systems ...sample.FileSystem) {
		t.Helper()
		mustAppend(t, w, 1, &sample.Visit{Disks: &sample.Disks{At: noon.Add(time.Duration(seconds) * time.Second), Source: target.DiskSSH, FileSystems: systems}})
	}
	check := func(want string) {
		t.Helper()
		got := pgtest.Value[string](t, dsn, `
select string_agg(format('%s on %s for %s by %s, %s to %s', device, mount_point, uses, source, to_char(first_seen_at at time zone 'UTC', 'MI:SS'),
       to_char(last_seen_at at time zone 'UTC', 'MI:SS')), E'\n' order by mount_point)
  from history.file_system`)
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	bare := sample.FileSystem{MountPoint: "/x"}
	look(0, mounted("/", 10), bare)
	look(60, mounted("/", 9), bare) // a minute later: not worth a new row version
	check("/dev/sda1 on / for {data,tablespace:größe} by ssh, 00:00 to 00:00\n on /x for {} by ssh, 00:00 to 00:00")
	moved := mounted("/", 8)
	moved.Device = "/dev/sdb1"
	look(120, moved, bare)
	look(300, bare)
	look(90, mounted("/", 7)) // late
	look(90, mounted("/", 6)) // the same again
	check("/dev/sdb1 on / for {data,tablespace:größe} by ssh, 00:00 to 02:00\n on /x for {} by ssh, 00:00 to 05:00")
	got := pgtest.Value[[]string](t, dsn, `
select array_agg(format('%s %s: %s of %s, %s of %s', to_char(sampled_at at time zone 'UTC', 'MI:SS'), mount_point, coalesce(free_bytes::text, '-'),
       coalesce(total_bytes::text, '-'), coalesce(inodes_free::text, '-'), coalesce(inodes_total::text, '-')) order by sampled_at, mount_point)
  from history.disk_usage`)
	total := int64(100 << 30)
	want := []string{
		fmt.Sprintf("00:00 /: 10 of %d, 900 of 1000", total), "00:00 /x: - of -, - of -", fmt.Sprintf("01:00 /: 9 of %d, 900 of 1000", total),
		"01:00 /x: - of -, - of -", fmt.Sprintf("01:30 /: 7 of %d, 900 of 1000", total), fmt.Sprintf("02:00 /: 8 of %d, 900 of 1000", total),
		"02:00 /x: - of -, - of -", "05:00 /x: - of -, - of -",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	hour := pgtest.Value[string](t, dsn, "select (free_bytes, free_bytes_min, to_char(last_sample_at at time zone 'UTC', 'MI:SS'))::text from history.disk_rollup where mount_point = '/'")
	if hour != "(8,7,02:00)" {
		t.Errorf("the hour is %s", hour)
	}
}
