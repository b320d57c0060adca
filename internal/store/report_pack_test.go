package store

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

// asReader gives a connection of a role that may read the views only.
func asReader(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	if _, err := conn.Exec(t.Context(), "set role pgam_read"); err != nil {
		t.Fatal(err)
	}
	return conn
}

func planAs(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	found, err := conn.Query(t.Context(), "explain (costs off) "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// The function's bounds reach the tables: only partitions of the range are in
// the plan, of windows and of sessions, also for who may not read those.
func TestConformanceActivityBetween(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		server, _ := seedDay(t, s, "db1", 3)
		seedDay(t, s, "db2", 4)
		if err := s.EnsurePartitions(t.Context(), noon.AddDate(0, 0, -5), noon.AddDate(0, 0, 5)); err != nil {
			t.Fatal(err)
		}
		conn := asReader(t, dsn)
		for between, want := range map[string][]string{
			"'2024-11-22 12:00Z', '2024-11-22 13:00Z'":                                      {"20241122"},
			"'2024-11-22 00:00Z', '2024-11-22 13:00Z'":                                      {"20241121", "20241122"}, // windows that began before midnight
			"'2024-11-22 23:00Z', '2024-11-23 02:00Z'":                                      {"20241122", "20241123"},
			"timestamptz '2024-11-23 12:45+12:45' + interval '1 hour', '2024-11-23 03:00Z'": {"20241123"},
		} {
			plan := planAs(t, conn, "select count(*) from report.activity_between('db1', "+between+")")
			if strings.Contains(plan, "Function Scan on activity_between") {
				t.Errorf("%s is not put into the query:\n%s", between, plan)
			}
			for _, table := range []string{"activity_window", "session"} {
				var days []string
				for _, m := range regexp.MustCompile(table+`_p(\d{8})\b`).FindAllStringSubmatch(plan, -1) {
					days = append(days, m[1])
				}
				slices.Sort(days)
				if table == "session" && !strings.Contains(plan, table+"_p") {
					continue // nothing of it is asked for
				}
				if diff := cmp.Diff(want, slices.Compact(days)); diff != "" {
					t.Errorf("%s reads of %s (-want +got):\n%s\n%s", between, table, diff, plan)
				}
			}
			plan = planAs(t, conn, "select pid, blocked_by_pid, query, wait_event from report.activity_between('db1', "+between+")")
			found := regexp.MustCompile(`session_p\d{8}`).FindAllString(plan, -1)
			slices.Sort(found)
			if found = slices.Compact(found); len(found) != len(want) || !strings.HasSuffix(found[0], want[0]) {
				t.Errorf("%s reads %v, want %v:\n%s", between, found, want, plan)
			}
		}
		// Parameters that are not known when the query is planned.
		if _, err := conn.Exec(t.Context(), "set plan_cache_mode = force_generic_plan"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "prepare p (text, timestamptz, timestamptz) as select pid from report.activity_between($1, $2, $3)"); err != nil {
			t.Fatal(err)
		}
		plan := planAs(t, conn, "execute p ('db1', '2024-11-22 12:00Z', '2024-11-22 13:00Z')")
		for _, m := range regexp.MustCompile(`(activity_window|session)_p(\d{8})`).FindAllStringSubmatch(plan, -1) {
			if m[2] != "20241122" {
				t.Errorf("with parameters %s is read:\n%s", m[0], plan)
			}
		}
		// The same rows as the view, before and after packing, to the instant.
		same := func(when string) {
			t.Helper()
			for _, r := range [][2]string{{"2024-11-22 11:59:21.3Z", "2024-11-22 12:03:17.9Z"}, {"2024-11-22 00:00Z", "2024-11-23 00:00Z"}} {
				const rows = "select coalesce(array_agg(v::text order by v::text), '{}') from %s"
				want := pgtest.Value[[]string](t, dsn, fmt.Sprintf(rows, "report.activity v where server_id = $1 and \"time\" >= $2 and \"time\" < $3"), server.ID, r[0], r[1])
				got := pgtest.Value[[]string](t, dsn, fmt.Sprintf(rows, "report.activity_between('db1', $1::timestamptz, $2::timestamptz) v"), r[0], r[1])
				if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
					t.Errorf("%s, %v: %d rows of the view (-view +function):\n%s", when, r, len(want), diff)
				}
			}
		}
		same("before packing")
		mustPack(t, s, packNow)
		same("after packing")
	})
}

// notHistory are views of things that are, rather than happen.
var notHistory = []string{"server", "session", "wait", "query", "activity_window", "database", "lock"}

// Every view can be read by someone who sees only names and comments, and by
// Grafana, which looks for a column time.
func TestReportIsDescribed(t *testing.T) {
	t.Parallel()
	_, dsn := openStore(t)
	if missing := pgtest.Value[[]string](t, dsn, `
select coalesce(array_agg(format('%s.%s', c.relname, a.attname) order by c.relname, a.attnum), '{}')
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
 where c.relnamespace = 'report'::regnamespace
   and col_description(c.oid, a.attnum) is null`); len(missing) > 0 {
		t.Errorf("without a comment: %s", strings.Join(missing, " "))
	}
	if missing := pgtest.Value[[]string](t, dsn, `
select coalesce(array_agg(c.relname::text order by c.relname), '{}')
  from pg_class c
 where c.relnamespace = 'report'::regnamespace
   and (obj_description(c.oid, 'pg_class') is null or not has_table_privilege('pgam_read', c.oid, 'select'))`); len(missing) > 0 {
		t.Errorf("without a comment or grant: %v", missing)
	}
	without := pgtest.Value[[]string](t, dsn, `
select array_agg(c.relname::text order by c.relname)
  from pg_class c
 where c.relnamespace = 'report'::regnamespace
   and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'time' and a.atttypid = 'timestamptz'::regtype)`)
	want := slices.Sorted(slices.Values(notHistory))
	if diff := cmp.Diff(want, without); diff != "" {
		t.Errorf("without a column time (-want +got):\n%s", diff)
	}
}

// blockedWindow is a window in which the tree 2 → 1 ← 3 ← 4 stands, 5 and 6
// wait for each other, and 7 for what is not known.
func blockedWindow(t *testing.T, s *Store) {
	t.Helper()
	server := newServer(t, s, "db1")
	var ticks []sample.Tick
	for i := range 15 {
		at := noon.Add(time.Duration(i) * time.Second)
		k := sample.Tick{Planned: at, Started: at, Window: noon, Span: 15 * time.Second, Cadence: time.Second, Backends: 9}
		if i == 4 {
			k.Edges = []sample.Edge{
				{Blocked: 2, Blocker: 1, Lock: 1},
				{Blocked: 3, Blocker: 1, Lock: 1},
				{Blocked: 4, Blocker: 3, Lock: 2},
				{Blocked: 5, Blocker: 6, Lock: 2},
				{Blocked: 6, Blocker: 5, Lock: 2},
				{Blocked: 7, Blocker: 0},
			}
		}
		if i == 5 {
			k.Edges = []sample.Edge{{Blocked: 4, Blocker: 3, Lock: 2}}
		}
		ticks = append(ticks, k)
	}
	day := sample.Day(noon)
	e := sample.Entries{Locks: []sample.LockEntry{
		{ID: 1, Day: day, Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 77, Relation: "public.t"},
		{ID: 2, Day: day, Type: "transactionid", Mode: "ShareLock"},
	}}
	for id := range int32(7) {
		e.Sessions = append(e.Sessions, sample.SessionEntry{ID: id + 1, Day: day, PID: 100 + id + 1, BackendType: "client backend", Database: "shop"})
	}
	e.Sessions[0].PID, e.Sessions[0].BackendType, e.Sessions[0].Application = 0, sample.PreparedType, "tx-77"
	mustAppend(t, s, sample.Batch{Windows: []sample.Window{sample.NewWindow(server, ticks)}, Visits: []*sample.Visit{{Server: server, Entries: e}}})
}

func TestReportBlocking(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	blockedWindow(t, s)
	read := func() []string {
		return pgtest.Value[[]string](t, dsn, `
select array_agg(format('%s: %s waits for %s %s, %s %s of %s, root %s%s%s', to_char("time" at time zone 'UTC', 'SS'), blocked_pid, coalesce(blocker_pid::text, '?'),
       coalesce(blocker_type, '?'), coalesce(lock_type, '?'), coalesce(mode, '?'), coalesce(relation_name, '-'), coalesce(root_pid::text, '?'),
       case when blocker_is_root then ' itself' else '' end, coalesce(' ' || nullif(root_application, ''), '')) order by "time", blocked_pid)
  from report.blocking`)
	}
	want := []string{
		"04: 102 waits for 0 prepared transaction, relation AccessExclusiveLock of public.t, root 0 itself tx-77",
		"04: 103 waits for 0 prepared transaction, relation AccessExclusiveLock of public.t, root 0 itself tx-77",
		"04: 104 waits for 103 client backend, transactionid ShareLock of -, root 0 tx-77",
		"04: 105 waits for 106 client backend, transactionid ShareLock of -, root ?",
		"04: 106 waits for 105 client backend, transactionid ShareLock of -, root ?",
		"04: 107 waits for ? ?, ? ? of -, root ? itself",
		"05: 104 waits for 103 client backend, transactionid ShareLock of -, root 103 itself",
	}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("report.blocking (-want +got):\n%s", diff)
	}
	mustPack(t, s, packNow)
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("report.blocking of a packed day (-want +got):\n%s", diff)
	}
}

// Rollups show labels, what is not listed, and averages.
func TestReportRollups(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	partitionsAround(t, s, noon)
	mustAppend(t, s, plainWindow(server, noon), plainWindow(server, noon.Add(2*time.Hour)))
	pgtest.Exec(t, dsn, "truncate history.rollup_due", fmt.Sprintf(`
insert into history.rollup_due (server_id, step_seconds, bucket, revision) values (%d, 600, '2024-11-22 14:00Z', 1)`, server), fmt.Sprintf(`
insert into history.label (server_id, id, dimension, text, last_seen_on) values (%d, 1, 3, 'shop', '2024-11-22')`, server), fmt.Sprintf(`
insert into history.activity_rollup (server_id, step_seconds, dimension, bucket, ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples)
values (%[1]d, 60, 1, '2024-11-22 12:00Z', 14, 28, '{2,1}', '{14,7}', '{3,1}', 1, 7), (%[1]d, 600, 3, '2024-11-22 12:00Z', 14, 28, '{0,1}', '{20,8}', '{2,1}', 0, 0),
       (%[1]d, 3600, 2, '2024-11-22 12:00Z', 14, 28, '{1}', '{28}', '{2}', 0, 0)`, server), fmt.Sprintf(`
insert into history.activity_total (server_id, step_seconds, bucket, cadence_ms, ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped, samples,
       cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction, max_sessions, max_backends)
select %d, 3600, '2024-11-22 12:00Z', 1000, 15, 13, 1, 1, 0, 19, 14, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 7`, server))
	read := func(sql string) []string { return pgtest.Value[[]string](t, dsn, sql) }
	for sql, want := range map[string][]string{
		`select array_agg(format('%s %s %s %s %s %s %s', state, wait_event_type, wait_event, is_rest, samples, average_sessions, max_sessions) order by samples desc, is_rest)
		   from report.wait_minute where "time" = '2024-11-22 12:00Z'`: {
			"active Lock transactionid f 14 1 3", "active CPU  f 7 0.5 1", "   t 7 0.5 ",
		},
		`select array_agg(format('%s %s %s %s %s', step_seconds, dimension, key, is_rest, samples) order by step_seconds, samples desc, is_rest) from report.activity_rollup`: {
			"60 wait active Lock:transactionid f 14", "60 wait active CPU f 7", "60 wait  t 7", "600 database  f 20", "600 database shop f 8", "3600 query select ? f 28",
		},
		`select array_agg(format('%s %s %s/%s/%s/%s', to_char("time" at time zone 'UTC', 'HH24'), ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped) order by "time")
		   from report.coverage`: {"12 15 13/1/1/0", "14 15 13/1/1/0"},
		`select array_agg(format('%s %s', average_active_sessions::numeric(4, 2), lock)) from report.activity_total`: {"1.36 5"},
	} {
		if diff := cmp.Diff(want, read(sql)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sql, diff)
		}
	}
}
