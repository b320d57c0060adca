package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// filling says what history of databases fillDatabases makes, in a few seconds
// for a million rows:
//
//	fillDatabases(tb, dsn, filling{Server: id, Databases: 20, Days: 90, RawDays: 2, End: time.Now()})
//
// The databases are db_00, db_01 and so on, with the oids 20000, 20001 and so on.
type filling struct {
	Server    target.ID // of a row in pgam.server
	Databases int
	// Days of rollups by ten minutes, hour and day; of the last RawDays also
	// samples each ten seconds and sizes each five minutes.
	Days, RawDays int
	// End is just after the newest sample.
	End time.Time
}

// Rows lie as they come in life: by time, then database.
const (
	fillInventory = `
insert into history.database (server_id, oid, name, is_template, allow_connect, encoding, first_seen_at, last_seen_at)
select $1, 20000 + d, 'db_' || to_char(d, 'fm00'), false, true, 'UTF8', $3, $4
  from generate_series(0, $2::integer - 1) d`
	fillRollups = `
insert into history.database_rollup (server_id, bucket, step_seconds, database_oid, seconds, counted_seconds, backend_seconds, samples, backends_min,
       backends_max, backends_last, last_sample_at, xact_commit, size_bytes, size_at, xact_rollback, blks_read, blks_hit, tup_returned,
       tup_fetched, tup_inserted, tup_updated, tup_deleted, conflicts, temp_files, temp_bytes, deadlocks, sessions, blk_read_time_ms,
       blk_write_time_ms, session_time_ms, active_time_ms, idle_in_transaction_time_ms)
select $1, b.at, s.step, 20000 + d, x.seconds, x.seconds, x.seconds * (5 + d % 10 + 3 * sin(x.day)), x.seconds / 10, d % 3, 12 + d % 7, 5 + d % 10,
       x.last_at, x.seconds * (10 + d), 1073741824 + d * 16777216 + x.day * 1048576, x.last_at, x.seconds / 100, x.seconds * 3,
       x.seconds * 1000, x.seconds * 5000, x.seconds * 400, x.seconds * 7, x.seconds * 5, x.seconds, 0, x.seconds / 600, x.seconds * 4096,
       0, x.seconds / 20, x.seconds * 1.5, x.seconds * 0.5, x.seconds * 9000.0, x.seconds * 800.0, x.seconds * 20.0
  from generate_series($3::timestamptz, $4::timestamptz - interval '1 second', interval '10 minutes') as b (at)
 cross join (values (600), (3600), (86400)) as s (step)
 cross join generate_series(0, $2::integer - 1) d
 cross join lateral (select least($4, b.at + s.step * interval '1 second') as ends) e
 cross join lateral (select extract(epoch from e.ends - b.at)::bigint as seconds, e.ends - interval '1 second' as last_at,
                            (extract(epoch from b.at) / 86400)::bigint as day) x
 where extract(epoch from b.at)::bigint % s.step = 0
 order by b.at, d, s.step`
	fillLooks = `
insert into history.database_look (server_id, planned_at, sampled_at, databases)
select $1, b.at, b.at, $2
  from generate_series($3::timestamptz + interval '7 seconds', $4::timestamptz - interval '1 second', interval '10 seconds') as b (at)`
	fillStats = `
insert into history.database_stat (server_id, planned_at, sampled_at, previous_at, instance, database_oid, numbackends, xact_commit, xact_rollback,
       blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted)
select $1, b.at, b.at, b.at - interval '10 seconds', 1, 20000 + d, 5 + (d + x.n) % 10, x.n * (10 + d), x.n / 100, x.n * 3, x.n * 1000,
       x.n * 5000, x.n * 400, x.n * 7, x.n * 5, x.n
  from generate_series($3::timestamptz + interval '7 seconds', $4::timestamptz - interval '1 second', interval '10 seconds') as b (at)
 cross join generate_series(0, $2::integer - 1) d
 cross join lateral (select extract(epoch from b.at)::bigint as n) x
 order by b.at, d`
	fillSizes = `
insert into history.database_size (server_id, sampled_at, database_oid, size_bytes, duration_ms, reason)
select $1, b.at + d * interval '100 milliseconds', 20000 + d, 1073741824 + d * 16777216 + extract(epoch from b.at)::bigint, 3, 0
  from generate_series($3::timestamptz, $4::timestamptz - interval '10 seconds', interval '5 minutes') as b (at)
 cross join generate_series(0, $2::integer - 1) d`
)

// fillDatabases fills the inventory, statistics, sizes and rollups of a server.
func fillDatabases(tb testing.TB, dsn string, f filling) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(tb.Context()) }()
	end := f.End.UTC()
	from := end.AddDate(0, 0, -f.Days).Truncate(24 * time.Hour)
	raw := end.AddDate(0, 0, -f.RawDays)
	steps := []struct {
		sql  string
		args []any
	}{
		{"set timezone = 'UTC'", nil},
		{fillPartitions(from, raw, end), nil},
		{fillInventory, []any{f.Server, f.Databases, from, end}},
		{fillRollups, []any{f.Server, f.Databases, from, end}},
		{fillLooks, []any{f.Server, f.Databases, raw, end}},
		{fillStats, []any{f.Server, f.Databases, raw, end}},
		{fillSizes, []any{f.Server, f.Databases, raw, end}},
		{"insert into history.progress (server_id, flushes) values ($1, 1)", []any{f.Server}},
		{"vacuum (analyze) history.database_rollup", nil},
		{"vacuum (analyze) history.database_stat", nil},
		{"vacuum (analyze) history.database_size", nil},
	}
	for _, step := range steps {
		if _, err := conn.Exec(tb.Context(), step.sql, step.args...); err != nil {
			tb.Fatalf("%s: %v", strings.TrimSpace(step.sql), err)
		}
	}
}

// fillPartitions makes the partitions that the collector would have made, of the
// tables that are filled: of rollups from from on, of what is not summed up from
// raw on.
func fillPartitions(from, raw, end time.Time) string {
	var b strings.Builder
	for _, t := range statsdb.Layout() {
		first := raw
		switch t.Table {
		case "database_rollup":
			first = from
		case "database_look", "database_stat", "database_size":
		default:
			continue
		}
		for at := first; at.Before(end); {
			lower, upper := t.Span.Bounds(at)
			fmt.Fprintf(&b, "create table if not exists history.%s partition of history.%s for values from (%s) to (%s);\n",
				t.Partition(lower), t.Table, t.Bound(lower), t.Bound(upper))
			at = upper
		}
	}
	return b.String()
}

func TestFillDatabases(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	fillDatabases(t, dsn, filling{Server: 1, Databases: 2, Days: 40, RawDays: 1, End: time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)})
	got := pgtest.Value[string](t, dsn, `
select format('%s hours, %s days, %s samples, %s sizes',
       (select count(*) from history.database_rollup where step_seconds = 3600), (select count(*) from history.database_rollup where step_seconds = 86400),
       (select count(*) from history.database_stat), (select count(*) from history.database_size))`)
	if want := "1946 hours, 82 days, 17280 samples, 576 sizes"; got != want {
		t.Errorf("filled with %s, want %s", got, want)
	}
}
