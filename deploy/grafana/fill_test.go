package grafana

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

// filled is a stats_db with made-up history of whole days.
type filled struct {
	dsn      string // of a member of pgam_read
	from, to time.Time
	incident time.Time // when sessions of db1 waited for each other
}

// size says how much there is.
type size struct {
	servers, days int
	cadence       time.Duration
	sessions      float64
}

// lastMidnight is the end of the history, so that it is the same every day.
var lastMidnight = time.Date(2024, 11, 22, 0, 0, 0, 0, time.UTC)

// fill makes a stats_db with everything that dashboards show.
func fill(tb testing.TB, s size) filled {
	tb.Helper()
	dsn := pgtest.StatsDB(tb)
	f := filled{from: lastMidnight.AddDate(0, 0, -s.days), to: lastMidnight}
	db := pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)})
	hash := sample.NewHash([16]byte{11})
	stored, stats := catalog.New(db, nil), ingest.New(db, hash)
	if err := stats.EnsurePartitions(tb.Context(), f.from, f.to); err != nil {
		tb.Fatal(err)
	}
	generator, err := synth.New(synth.Config{Seed: 11, Hash: hash, Cadence: s.cadence, Sessions: s.sessions, Queries: 300})
	if err != nil {
		tb.Fatal(err)
	}
	for n := range s.servers {
		f.server(tb, stored, stats, generator, fmt.Sprintf("db%d", n+1))
	}
	if f.incident.IsZero() {
		tb.Fatal("nobody waited for a lock in the whole of the history")
	}
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	at := strings.NewReplacer("$1", "'"+f.from.Format(time.RFC3339)+"'", "$2", "'"+f.to.Format(time.RFC3339)+"'")
	for _, sql := range others {
		if _, err := conn.Exec(tb.Context(), at.Replace(sql)); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
	tb.Cleanup(func() { pgtest.Exec(tb, dsn, "drop role grafana") })
	f.dsn = pgtest.WithUser(tb, dsn, "grafana", "dashboards")
	return f
}

// tail is how much of the end of the history is not compacted.
const tail = 5 * time.Minute

// server adds one with its activity.
func (f *filled) server(tb testing.TB, stored *catalog.Catalog, w *ingest.Writer, generator *synth.Generator, name string) {
	tb.Helper()
	made, err := stored.CreateServer(tb.Context(), target.Target{
		Name: name, Enabled: true,
		Endpoint: target.Endpoint{Host: name + ".example.org", Port: 5432, User: "mon"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	var recent []*sample.Visit
	for day := f.from; day.Before(f.to); day = day.AddDate(0, 0, 1) {
		names, ticks := generator.Day(made.ID, day)
		n := 0
		err := w.Load(tb.Context(), made.ID, &names, func(yield func(*sample.Tick) bool) {
			for t := range ticks {
				f.spoil(t, n, name == "db1")
				n++
				if !t.Planned.Before(f.to.Add(-tail).Truncate(sample.BucketLength)) {
					recent = append(recent, &sample.Visit{Server: made.ID, Tick: t})
				} else if !yield(t) {
					return
				}
			}
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Append(tb.Context(), made.ID, recent); err != nil {
		tb.Fatal(err)
	}
}

// spoil takes a part of every third hundredth tick away, and remembers the newest
// time that sessions waited for each other.
func (f *filled) spoil(t *sample.Tick, n int, remember bool) {
	if remember && len(t.Edges) > 0 {
		f.incident = t.Planned
	}
	if n%300 == 299 {
		t.Outcome, t.Reason = sample.Degraded, sample.LockTimeout
	}
}

// others fill what is not activity, from $1 until $2.
var others = [...]string{
	"set timezone = 'UTC'",
	`
insert into history.server_identity (server_id, since, version_num, version, system_identifier, timeline_id, postmaster_start, in_recovery)
select id, $1::timestamptz, 170002, '17.2', 7, 1, $1::timestamptz - interval '1 day', false from pgam.server`,
	`
insert into history.event (server_id, at, kind, subject, old, new, detail)
select s.id, b.at, 'setting', 'work_mem', '4MB', '8MB', null
  from (select 0 as id union all select id from pgam.server) s
 cross join generate_series($1::timestamptz, $2, interval '10 minutes') as b (at)
 where s.id > 0
 union all
select 0, b.at, 'collector_started', '', null, null, 'version 1'
  from generate_series($1::timestamptz, $2, interval '10 minutes') as b (at)`,
	`
insert into history.setting (server_id, name, value, since)
select s.id, 'setting_' || n, n::text, $1::timestamptz + n * interval '1 minute' from pgam.server s cross join generate_series(1, 300) n`,
	`
insert into history.horizon (server_id, sampled_at, holder, name, xmin_age)
select s.id, b.at, 'replication_slot', 'standby1', extract(epoch from b.at - $1)::bigint
  from pgam.server s cross join generate_series($1::timestamptz, $2, interval '5 minutes') as b (at)`,
	`
insert into history.database (server_id, oid, name, is_template, allow_connect, encoding, first_seen_at, last_seen_at)
select s.id, 20000 + d, 'db_' || to_char(d, 'fm00'), false, true, 'UTF8', $1, $2 from pgam.server s cross join generate_series(0, 4) d`,
	`
insert into history.database_stat (server_id, database_oid, planned_at, sampled_at, previous_at, instance, numbackends, xact_commit, xact_rollback,
       blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, temp_bytes, deadlocks, blk_read_time_ms, blk_write_time_ms)
select s.id, 20000 + d, b.at, b.at, b.at - interval '10 seconds', 1, 5 + d, n * (100 + d), n, n * 30, n * 10000, n * 50000, n * 4000, n * 70, n * 50,
       n * 10, n * 8192, 0, n * 15, n * 5
  from pgam.server s
 cross join generate_series(greatest($1::timestamptz, $2::timestamptz - interval '7 days') + interval '7 seconds', $2, interval '10 seconds') as b (at)
 cross join generate_series(0, 4) d
 cross join lateral (select (extract(epoch from b.at - $1) / 10)::bigint) as c (n)
 where s.id = 1 or b.at > $2::timestamptz - interval '1 day'
 order by b.at, s.id, d`,
	`
insert into history.database_rollup (server_id, bucket, step_seconds, database_oid, seconds, counted_seconds, backend_seconds, samples, backends_min, backends_max,
       backends_last, last_sample_at, xact_commit, size_bytes, size_at, xact_rollback, blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted,
       tup_updated, tup_deleted, temp_bytes, deadlocks, blk_read_time_ms, blk_write_time_ms)
select s.id, b.at, w.step, 20000 + d, w.step, w.step, w.step * (5 + d), w.step / 10, 1, 12, 5, b.at + w.step * interval '1 second', w.step * 10,
       1073741824 + extract(epoch from b.at - $1)::bigint * 1024, b.at + w.step * interval '1 second', w.step / 10, w.step * 3, w.step * 1000, w.step * 5000,
       w.step * 400, w.step * 7, w.step * 5, w.step, w.step * 800, 1, w.step * 1.5, w.step * 0.5
  from pgam.server s
 cross join (values (600), (3600), (86400)) as w (step)
 cross join generate_series($1::timestamptz, $2::timestamptz - w.step * interval '1 second', w.step * interval '1 second') as b (at)
 cross join generate_series(0, 4) d
 order by b.at, s.id, d`,
	`
insert into history.file_system (server_id, mount_point, device, uses, source, first_seen_at, last_seen_at)
select s.id, m, '/dev/sd' || right(m, 1), '{data}', 'ssh', $1, $2 from pgam.server s cross join (values ('/a'), ('/b')) as v (m)`,
	`
insert into history.disk_usage (server_id, sampled_at, mount_point, total_bytes, free_bytes, inodes_total, inodes_free)
select s.id, b.at, m, 1e12::bigint, (6e11 - extract(epoch from b.at - $1) * 1e4)::bigint, 1e7::bigint, 9e6::bigint
  from pgam.server s cross join generate_series($1::timestamptz, $2, interval '1 minute') as b (at) cross join (values ('/a'), ('/b')) as v (m)`,
	`
insert into history.disk_rollup (server_id, bucket, mount_point, last_sample_at, total_bytes, free_bytes, free_bytes_min, inodes_free)
select server_id, date_trunc('hour', sampled_at), mount_point, max(sampled_at), min(total_bytes), min(free_bytes), min(free_bytes), min(inodes_free)
  from history.disk_usage group by 1, 2, 3`,
	"create role grafana login password 'dashboards' in role pgam_read",
	"analyze",
}
