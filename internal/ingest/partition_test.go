package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

var noon = time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC)

// openEmpty gives a writer on a stats_db of its own that has no partitions, and
// the DSN.
func openEmpty(t *testing.T) (*Writer, string) {
	t.Helper()
	dsn := pgtest.StatsDB(t)
	return openAt(t, dsn), dsn
}

func openAt(t *testing.T, dsn string) *Writer {
	t.Helper()
	return New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)}), testHash)
}

// openOn gives a writer on a server of the test's own, so that it can be stopped,
// of a major version.
func openOn(t *testing.T, version string) (*pgtest.Server, *Writer) {
	t.Helper()
	server := pgtest.Target(t, pgtest.WithTrust(), pgtest.WithVersion(version))
	conn, err := pgx.Connect(t.Context(), server.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := schema.Up(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return server, openAt(t, server.SuperuserDSN())
}

// eachVersion runs a test on a stats_db of every version that was asked for
// and that stats_db may be on.
func eachVersion(t *testing.T, test func(t *testing.T, w *Writer, dsn string)) {
	t.Helper()
	for _, version := range pgtest.StatsVersions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			if version == pgtest.Local(t).Major {
				w, dsn := openEmpty(t)
				test(t, w, dsn)
				return
			}
			server, w := openOn(t, version)
			test(t, w, server.SuperuserDSN())
		})
	}
}

func newServer(t *testing.T, dsn, name string) target.ID {
	t.Helper()
	return pgtest.Value[target.ID](t, dsn, "insert into pgam.server (name, host, port, user_name) values ($1, 'db.example.org', 5432, 'mon') returning id", name)
}

// slotOf makes the visits of a slot, with two sessions and what they name.
func slotOf(at time.Time) []*sample.Visit {
	day := sample.Day(at)
	visits := make([]*sample.Visit, 15)
	for i := range visits {
		planned := at.Add(time.Duration(i) * time.Second)
		visits[i] = &sample.Visit{Tick: &sample.Tick{
			Planned: planned, Started: planned, Cadence: time.Second, Duration: time.Millisecond, Backends: 7,
			Sessions: []sample.Session{
				{Session: 1, Wait: 1, Class: sample.ClassCPU, Query: 1, QueryStart: at.UnixMicro()},
				{Session: 2, Wait: 2, Class: sample.ClassLock, Query: 1, QueryStart: at.UnixMicro(), Blocked: true, Blocker: 1},
			},
		}}
	}
	visits[0].Entries = sample.Entries{
		Sessions: []sample.SessionEntry{{Key: 1, Day: day, PID: 101, BackendType: "client backend"}, {Key: 2, Day: day, PID: 102, BackendType: "client backend"}},
		Waits:    []sample.WaitEntry{{Key: 1, Day: day, Class: sample.ClassCPU, State: "active", Type: sample.CPU}, {Key: 2, Day: day, Class: sample.ClassLock, State: "active", Type: "Lock", Event: "transactionid"}},
		Queries:  []sample.QueryEntry{{Key: 1, Day: day, QueryID: 42, Text: "select ?"}},
	}
	return visits
}

func mustAppend(t *testing.T, w *Writer, id target.ID, visits ...*sample.Visit) {
	t.Helper()
	if err := w.Append(t.Context(), id, visits); err != nil {
		t.Fatal(err)
	}
}

// compacted stores a slot, and compacts its bucket.
func compacted(t *testing.T, w *Writer, id target.ID, slots ...time.Time) {
	t.Helper()
	for _, at := range slots {
		mustAppend(t, w, id, slotOf(at)...)
		if err := w.compactDue(t.Context(), due{id, at.Truncate(sample.BucketLength)}); err != nil {
			t.Fatal(err)
		}
	}
}

func ensure(t *testing.T, w *Writer, instants ...time.Time) {
	t.Helper()
	for _, at := range instants {
		if err := w.EnsurePartitions(t.Context(), at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// bounds lists the partitions of the schema history with their bounds in UTC.
func bounds(t *testing.T, dsn string) []string {
	t.Helper()
	return pgtest.Value[[]string](t, dsn+"&timezone=UTC", `
select coalesce(array_agg(format('%s %s', c.relname, pg_get_expr(c.relpartbound, c.oid)) order by c.relname), '{}')
  from pg_class c
  join pg_inherits i on i.inhrelid = c.oid
 where c.relnamespace = 'history'::regnamespace and c.relkind = 'r'`)
}

func tables(t *testing.T, dsn, pattern string) []string {
	t.Helper()
	return pgtest.Value[[]string](t, dsn, `
select coalesce(array_agg(c.relname::text order by c.relname), '{}')
  from pg_class c
 where c.relnamespace = 'history'::regnamespace and c.relkind = 'r' and c.relname like $1`, pattern)
}

// oddSession gives a writer with one connection whose time zone is 12:45 hours
// or more ahead of UTC, where the last hours of a month are the next one.
func oddSession(t *testing.T, dsn string) *Writer {
	t.Helper()
	pgtest.Exec(t, dsn, "do $$ begin execute format('alter database %I set timezone = ''Pacific/Chatham''', current_database()); end $$")
	w := New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn), MaxConns: 1}), testHash)
	if _, err := w.pool.Exec(t.Context(), "set timezone = 'Pacific/Chatham'"); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestLayoutIsWhole: every table that is partitioned is laid out, and no other.
func TestLayoutIsWhole(t *testing.T) {
	t.Parallel()
	var want []string
	for _, p := range statsdb.Layout() {
		want = append(want, p.Table)
	}
	slices.Sort(want)
	got := pgtest.Value[[]string](t, pgtest.StatsDB(t), `
select array_agg(relname::text order by relname) from pg_class where relnamespace = 'history'::regnamespace and relkind = 'p' and not relispartition`)
	if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
		t.Errorf("(-layout +tables):\n%s", diff)
	}
}

func TestConformancePartitionBounds(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, _ *Writer, dsn string) {
		t.Helper()
		w := oddSession(t, dsn)
		from := time.Date(2024, 12, 31, 12, 0, 0, 0, time.FixedZone("", -12*3600)) // New Year, 0:00 in UTC
		want := []string{
			"activity_minute_p202412 FOR VALUES FROM ('2024-12-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"activity_minute_p202501 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')",
			"activity_p20241231 FOR VALUES FROM ('2024-12-31 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"activity_p20250101 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-01-02 00:00:00+00')",
			"activity_rollup_10minute_p202412 FOR VALUES FROM (600, '2024-12-01 00:00:00+00') TO (600, '2025-01-01 00:00:00+00')",
			"activity_rollup_10minute_p202501 FOR VALUES FROM (600, '2025-01-01 00:00:00+00') TO (600, '2025-02-01 00:00:00+00')",
			"activity_rollup_day_p2024 FOR VALUES FROM (86400, '2024-01-01 00:00:00+00') TO (86400, '2025-01-01 00:00:00+00')",
			"activity_rollup_day_p2025 FOR VALUES FROM (86400, '2025-01-01 00:00:00+00') TO (86400, '2026-01-01 00:00:00+00')",
			"activity_rollup_hour_p2024 FOR VALUES FROM (3600, '2024-01-01 00:00:00+00') TO (3600, '2025-01-01 00:00:00+00')",
			"activity_rollup_hour_p2025 FOR VALUES FROM (3600, '2025-01-01 00:00:00+00') TO (3600, '2026-01-01 00:00:00+00')",
			"activity_total_p2024 FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"activity_total_p2025 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00')",
			"database_look_p20241231 FOR VALUES FROM ('2024-12-31 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"database_look_p20250101 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-01-02 00:00:00+00')",
			"database_rollup_10minute_p202412 FOR VALUES FROM (600, '2024-12-01 00:00:00+00') TO (600, '2025-01-01 00:00:00+00')",
			"database_rollup_10minute_p202501 FOR VALUES FROM (600, '2025-01-01 00:00:00+00') TO (600, '2025-02-01 00:00:00+00')",
			"database_rollup_day_p2024 FOR VALUES FROM (86400, '2024-01-01 00:00:00+00') TO (86400, '2025-01-01 00:00:00+00')",
			"database_rollup_day_p2025 FOR VALUES FROM (86400, '2025-01-01 00:00:00+00') TO (86400, '2026-01-01 00:00:00+00')",
			"database_rollup_hour_p202412 FOR VALUES FROM (3600, '2024-12-01 00:00:00+00') TO (3600, '2025-01-01 00:00:00+00')",
			"database_rollup_hour_p202501 FOR VALUES FROM (3600, '2025-01-01 00:00:00+00') TO (3600, '2025-02-01 00:00:00+00')",
			"database_size_p202412 FOR VALUES FROM ('2024-12-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"database_size_p202501 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')",
			"database_stat_p20241231 FOR VALUES FROM ('2024-12-31 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"database_stat_p20250101 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-01-02 00:00:00+00')",
			"disk_rollup_p2024 FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"disk_rollup_p2025 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00')",
			"disk_usage_p202412 FOR VALUES FROM ('2024-12-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"disk_usage_p202501 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')",
			"event_p2024 FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"event_p2025 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2026-01-01 00:00:00+00')",
			"horizon_p202412 FOR VALUES FROM ('2024-12-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
			"horizon_p202501 FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')",
			"session_p20241231 FOR VALUES FROM ('2024-12-31') TO ('2025-01-01')",
			"session_p20250101 FOR VALUES FROM ('2025-01-01') TO ('2025-01-02')",
		}
		for _, span := range [][2]time.Time{{from.Add(-time.Microsecond), from}, {from, from}, {from.Add(-24 * time.Hour), from.Add(24*time.Hour - 1)}} {
			if err := w.EnsurePartitions(t.Context(), span[0], span[1]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, bounds(t, dsn)); diff != "" {
				t.Fatalf("from %s to %s (-want +got):\n%s", span[0], span[1], diff)
			}
		}
		// Month ends of a leap year, and slots on both sides of midnight.
		id := newServer(t, dsn, "db1")
		compacted(t, w, id, time.Date(2024, 2, 29, 23, 59, 45, 0, time.UTC), time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 12, 31, 23, 59, 45, 0, time.UTC))
		got := pgtest.Value[[]string](t, dsn, `
select array_agg(format('%s %s %s', a.tableoid::regclass, m.tableoid::regclass, d.tableoid::regclass) order by a.bucket)
  from history.activity a
  join history.activity_minute m on m.minute >= a.bucket and m.minute < a.bucket + interval '10 minutes'
  join history.session d on d.day = (a.bucket at time zone 'UTC')::date and d.key = 1`)
		want = []string{
			"history.activity_p20240229 history.activity_minute_p202402 history.session_p20240229",
			"history.activity_p20240301 history.activity_minute_p202403 history.session_p20240301",
			"history.activity_p20241231 history.activity_minute_p202412 history.session_p20241231",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		// A partition has what its table has.
		if n := pgtest.Value[int](t, dsn, "select count(*) from pg_index where indrelid = 'history.activity_p20240229'::regclass and indisprimary and indisvalid"); n != 1 {
			t.Error("a partition has no primary key")
		}
	})
}

func TestEnsurePartitionsConcurrently(t *testing.T) {
	t.Parallel()
	_, dsn := openEmpty(t)
	errs := make(chan error, 6)
	for range cap(errs) {
		w := openAt(t, dsn)
		go func() { errs <- w.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 4)) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	// Five days of four tables, and one month or year of thirteen others.
	if got := bounds(t, dsn); len(got) != 4*5+13 {
		t.Errorf("%d partitions: %v", len(got), got)
	}
}

func TestEnsurePartitionsAttachesOrphan(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "db1")
	compacted(t, w, id, noon)
	pgtest.Exec(t, dsn, "alter table history.activity detach partition history.activity_p20241122",
		"create table history.session_p20241123 (like history.session including all)")
	if err := w.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity"); n != 1 {
		t.Errorf("%d rows: the orphan's did not come back", n)
	}
	compacted(t, w, id, noon, noon.AddDate(0, 0, 1))
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

const oneDay = 24 * time.Hour

// keepDays is a retention by days.
func keepDays(activity, minutes, databases int, concurrently bool) Retention {
	return Retention{Kept: map[statsdb.Kept]time.Duration{
		statsdb.KeptActivity: time.Duration(activity) * oneDay, statsdb.KeptMinutes: time.Duration(minutes) * oneDay,
		statsdb.KeptDatabases: time.Duration(databases) * oneDay,
	}, DetachConcurrently: concurrently, Confirmed: true}
}

func TestConformanceDropExpired(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, w *Writer, dsn string) {
		t.Helper()
		strangers := []string{"activity_archive", "activity_p2024", "activity_p20240101_kept", "activity_pold", "wait_p20240101", "session_p20240102"}
		for _, name := range strangers {
			pgtest.Exec(t, dsn, "create table history."+name+" (a integer)")
		}
		for i, concurrently := range []bool{true, false} {
			if err := w.EnsurePartitions(t.Context(), noon.AddDate(0, 0, -40), noon); err != nil {
				t.Fatal(err)
			}
			seedDictionaries(t, dsn)
			got, err := w.dropExpired(t.Context(), noon, keepDays(30, 22, 31, concurrently))
			if err != nil {
				t.Fatal(err)
			}
			// October's minutes ended 21 and a half days before noon.
			want := 4 * 10
			if len(got) != want {
				t.Errorf("dropped %d, want %d: %v", len(got), want, got)
			}
			// Rollups are kept for ever, and with them what they may count by.
			if got, want := dictionaries(t, dsn), "328 statements, 328 waits, 328 labels, 32 locks"; got != want {
				t.Errorf("kept %s, want %s", got, want)
			}
			if all := tables(t, dsn, "activity\\_p2024____"); len(all) != 31 || all[0] != "activity_p20241023" {
				t.Errorf("days kept: %v", all)
			}
			got, err = w.dropExpired(t.Context(), noon, keepDays(31+i, 21, 90, concurrently))
			october := []string{"activity_minute_p202410", "activity_rollup_10minute_p202410", "database_rollup_10minute_p202410", "horizon_p202410"}
			if diff := cmp.Diff(october, got); err != nil || diff != "" {
				t.Errorf("minutes dropped (-want +got):\n%s%v", diff, err)
			}
		}
		for _, name := range strangers {
			if len(tables(t, dsn, strings.ReplaceAll(name, "_", "\\_"))) != 1 {
				t.Errorf("%s is gone", name)
			}
		}
	})
}

// seedDictionaries makes entries that were last seen on each of the last days.
func seedDictionaries(t *testing.T, dsn string) {
	t.Helper()
	pgtest.Exec(t, dsn, "truncate history.query, history.wait, history.label, history.lock", `
insert into history.query (server_id, key, query_id, own, first_seen_on, last_seen_on)
select 1, n, n, false, '2024-01-01', date '2024-11-22' - n from generate_series(0, 400) n`, `
insert into history.wait (server_id, key, class, state, wait_event_type, wait_event, last_seen_on)
select 1, n, 0, 'active', 'x', n, date '2024-11-22' - n from generate_series(0, 400) n`, `
insert into history.label (server_id, key, dimension, text, last_seen_on)
select 1, n, 3, n, date '2024-11-22' - n from generate_series(0, 400) n`, `
insert into history.lock (server_id, key, lock_type, mode, first_seen_on, last_seen_on)
select 1, n, 'tuple', n, '2024-01-01', date '2024-11-22' - n from generate_series(0, 400) n`)
}

func dictionaries(t *testing.T, dsn string) string {
	t.Helper()
	return pgtest.Value[string](t, dsn, `
select format('%s statements, %s waits, %s labels, %s locks', (select count(*) from history.query), (select count(*) from history.wait),
       (select count(*) from history.label), (select count(*) from history.lock))`)
}

// What the oldest partition that is left may refer to stays, however its days
// were counted: those of rollups end with the year.
func TestDropExpiredDictionaries(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	ensure(t, w, noon.AddDate(0, -4, 0), noon.AddDate(0, 0, -40), noon)
	pgtest.Exec(t, dsn, "drop table history.activity_rollup_day_p2024, history.activity_rollup_hour_p2024")
	for _, step := range []struct {
		keep Retention
		want string
	}{
		{Retention{Confirmed: true}, "146 statements, 146 waits, 146 labels, 125 locks"}, // since July, and since its 22nd
		{keepDays(30, 90, 0, false), "54 statements, 54 waits, 54 labels, 2 locks"},      // since October, and today's
	} {
		seedDictionaries(t, dsn)
		if _, err := w.dropExpired(t.Context(), noon, step.keep); err != nil {
			t.Fatal(err)
		}
		if got := dictionaries(t, dsn); got != step.want {
			t.Errorf("%+v kept %s, want %s", step.keep, got, step.want)
		}
	}
}

// Rollups and disks have retentions of their own; zero keeps for ever.
func TestDropExpiredRollupsAndDisks(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	for _, at := range []time.Time{noon.AddDate(-2, 0, 0), noon.AddDate(0, -3, 0), noon} {
		ensure(t, w, at)
		pgtest.Exec(t, dsn, fmt.Sprintf("insert into pgam.audit (at, account, action) values ('%s', 'ann', '%s')", at.Format(time.RFC3339), at.Format("200601")),
			fmt.Sprintf("insert into history.file_system (server_id, mount_point, device, uses, source, first_seen_at, last_seen_at) values (1, '/%s', 'd', '{data}', 'ssh', '%s', '%s')",
				at.Format("200601"), at.Format(time.RFC3339), at.Format(time.RFC3339)))
	}
	for _, step := range []struct {
		kept statsdb.Kept
		days int
		want []string
	}{
		{statsdb.KeptRollups, 0, nil},
		{statsdb.KeptRollups, 730, []string{"database_rollup_hour_p202211"}},
		{statsdb.KeptRollups, 60, []string{
			"activity_rollup_day_p2022", "activity_rollup_hour_p2022", "activity_total_p2022", "database_rollup_day_p2022", "database_rollup_hour_p202408", "disk_rollup_p2022", "event_p2022",
		}},
		{statsdb.KeptDisks, 60, []string{"disk_usage_p202211", "disk_usage_p202408"}},
		{statsdb.KeptAudit, 400, nil},
	} {
		keep := Retention{Kept: map[statsdb.Kept]time.Duration{step.kept: time.Duration(step.days) * oneDay}, DetachConcurrently: step.kept == statsdb.KeptDisks, Confirmed: true}
		got, err := w.dropExpired(t.Context(), noon.AddDate(0, 0, 20), keep)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v dropped (-want +got):\n%s", step, diff)
		}
	}
	if got := pgtest.Value[string](t, dsn, "select string_agg(mount_point, ' ') from history.file_system"); got != "/202411" {
		t.Errorf("file systems left: %s", got)
	}
	if got := pgtest.Value[string](t, dsn, "select string_agg(action, ' ' order by at) from pgam.audit"); got != "202408 202411" {
		t.Errorf("audit left: %s", got)
	}
}

// reader opens a transaction that has read a partition; the function ends it.
func reader(t *testing.T, dsn, sql string) func() {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() { _ = conn.Close(context.Background()) })
	t.Cleanup(end)
	for _, q := range []string{"begin", sql} {
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return end
}

// A report that takes three seconds is in the way of the partition's end, and
// neither may be in the way of those who write.
func TestConformanceDropBesideReaders(t *testing.T) {
	t.Parallel()
	for _, concurrently := range []bool{true, false} {
		t.Run(fmt.Sprintf("concurrently %t", concurrently), func(t *testing.T) {
			t.Parallel()
			eachVersion(t, func(t *testing.T, w *Writer, dsn string) {
				t.Helper()
				id := newServer(t, dsn, "db1")
				old := noon.AddDate(0, 0, -40)
				ensure(t, w, old, noon)
				compacted(t, w, id, old, noon)
				end := reader(t, dsn, "select count(*) from history.activity")
				const beside = 20 // inserts while the reader is in the way of dropping

				type result struct {
					dropped []string
					err     error
				}
				done := make(chan result, 1)
				go func() {
					dropped, err := w.dropExpired(t.Context(), noon, keepDays(30, 90, 90, concurrently))
					done <- result{dropped, err}
				}()
				var (
					r     result
					count int
				)
				for running := true; running; count++ {
					compacted(t, w, id, noon.Add(time.Duration(count+1)*15*time.Second))
					if count == beside {
						end()
					}
					select {
					case r = <-done:
						running = false
					case <-time.After(5 * time.Millisecond):
					}
				}
				if diff := cmp.Diff([]string{"activity_p20241013", "database_look_p20241013", "database_stat_p20241013", "session_p20241013"}, r.dropped); diff != "" || r.err != nil {
					t.Errorf("dropped (-want +got):\n%s%v", diff, r.err)
				}
				if count <= beside {
					t.Errorf("dropped after %d inserts, while the reader was still in the way", count)
				}
			})
		})
	}
}

// pendingDetach leaves the partition of old detached by half.
func pendingDetach(t *testing.T, w *Writer, dsn, name string, now time.Time) {
	t.Helper()
	end := reader(t, dsn, "select count(*) from history.activity")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := w.dropExpired(ctx, now, keepDays(30, 90, 90, true))
		done <- err
	}()
	pending := func() bool {
		return pgtest.Value[bool](t, dsn, "select exists(select from pg_inherits where inhrelid = ('history.' || $1)::regclass and inhdetachpending)", name)
	}
	pgtest.WaitFor(t, pending, "a detach that waits for a reader")
	cancel()
	if err := <-done; err == nil {
		t.Error("a cancelled DropExpired says nothing")
	}
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, dsn, "select count(*) from pg_stat_activity where datname = current_database() and query like 'alter table % concurrently' and state = 'active'") == 0
	}, "the end of the detach in the server")
	if !pending() {
		t.Fatal("nothing is pending")
	}
	end()
}

func TestConformanceInterruptedDetach(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, w *Writer, dsn string) {
		t.Helper()
		id := newServer(t, dsn, "db1")
		old := noon.AddDate(0, 0, -40)
		ensure(t, w, old, old.AddDate(0, 0, 1), noon)
		compacted(t, w, id, old, old.AddDate(0, 0, 1))
		pendingDetach(t, w, dsn, "activity_p20241013", noon)

		if err := w.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 2)); err != nil {
			t.Errorf("partitions ahead, beside an interrupted detach: %v", err)
		}
		// An earlier day that has expired too sorts before it.
		ensure(t, w, old.AddDate(0, 0, -1))
		got, err := w.dropExpired(t.Context(), noon, keepDays(30, 90, 90, true))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"activity_p20241013", "activity_p20241012", "activity_p20241014",
			"database_look_p20241012", "database_look_p20241013", "database_look_p20241014",
			"database_stat_p20241012", "database_stat_p20241013", "database_stat_p20241014",
			"session_p20241012", "session_p20241013", "session_p20241014",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dropped (-want +got):\n%s", diff)
		}
		if left := tables(t, dsn, "%\\_p202410__"); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// What waited in the journal may belong to a day that is on its way out.
func TestConformanceAppendToDetaching(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, w *Writer, dsn string) {
		t.Helper()
		id := newServer(t, dsn, "db1")
		old := noon.AddDate(0, 0, -40)
		compacted(t, w, id, old)
		pendingDetach(t, w, dsn, "activity_p20241013", noon)
		compacted(t, w, id, old.Add(sample.BucketLength))
		if n := pgtest.Value[int](t, dsn, "select count(*) from history.activity"); n != 2 {
			t.Errorf("%d rows", n)
		}
		if n := pgtest.Value[int](t, dsn, "select count(*) from pg_description where description = $1", expiredComment); n != 0 {
			t.Error("a partition in use is marked as expired")
		}
		if got, err := w.dropExpired(t.Context(), noon, keepDays(30, 90, 90, true)); err != nil || len(got) != 4 {
			t.Errorf("dropped %v, %v", got, err)
		}
	})
}

// A process may end between detaching and dropping; what an operator detached
// to keep it stays.
func TestDropExpiredDetached(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	old := noon.AddDate(0, 0, -40)
	ensure(t, w, old, old.AddDate(0, 0, 1), noon)
	pgtest.Exec(t, dsn, "alter table history.activity detach partition history.activity_p20241014")
	pgtest.Exec(t, dsn, "alter table history.session detach partition history.session_p20241013",
		"comment on table history.session_p20241013 is '"+expiredComment+"'")
	got, err := w.dropExpired(t.Context(), noon, keepDays(30, 90, 90, true))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"session_p20241013", "activity_p20241013", "database_look_p20241013", "database_look_p20241014", "database_stat_p20241013", "database_stat_p20241014",
		"session_p20241014",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if left := tables(t, dsn, "%\\_p202410__"); len(left) != 1 || left[0] != "activity_p20241014" {
		t.Errorf("left: %v", left)
	}
}
