package synth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/synth"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestFill: what is made up is there in all tables and agrees with itself, and a
// further call continues it, without anything twice.
func TestFill(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn), MaxConns: 4})
	data, err := secret.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secret.ParseKeyring(data)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Date(2026, 3, 4, 2, 20, 30, 0, time.UTC)
	fill := func(until time.Time) (calls int) {
		t.Helper()
		cfg := synth.Config{Seed: 1, Hash: sample.NewHash([16]byte{7}), Cadence: 10 * time.Second, Sessions: 3, Queries: 400}
		err := synth.Fill(t.Context(), db, catalog.New(db, ring), cfg, 2, 2, until, func(done, all int) {
			if calls++; done != calls || all != 6 {
				t.Errorf("call %d: %d of %d days", calls, done, all)
			}
		})
		if err != nil || calls != 6 {
			t.Fatal(calls, err)
		}
		return calls
	}
	fill(until)
	got := map[string]int64{}
	for what, sql := range map[string]string{
		"paused":  "select count(*) from pgam.server where name ~ '^made-up-[12]$' and host = 'made-up.invalid' and not enabled and created_at = '2026-03-02Z'",
		"buckets": "select count(*) from history.activity",
		"recent":  "select count(*) from history.activity_recent where slot >= '2026-03-04 02:20Z'",
		"unlike their minute": `
select count(*)
  from (select a.server_id, a.bucket, sum(a.samples) <> sum(m.samples) as differs
          from history.activity a
          join (select server_id, date_bin('10 minutes', minute, 'epoch') as bucket, sum(samples) as samples from history.activity_minute group by 1, 2) m using (server_id, bucket)
         group by 1, 2) x
 where differs`,
		"unlike their hour": `
select count(*)
  from history.activity_total t
 where t.step_seconds = 3600
   and t.samples <> (select sum(m.samples) from history.activity_minute m where m.server_id = t.server_id and m.minute >= t.bucket and m.minute < t.bucket + interval '1 hour')`,
		"hours": "select count(*) from history.activity_total where step_seconds = 3600",
		"nameless": `
select count(*)
  from history.activity a
 cross join lateral unnest(a.session_keys) k (key)
  left join history.session s on s.server_id = a.server_id and s.day = (a.bucket at time zone 'UTC')::date and s.key = k.key
 where s.pid is null`,
		"tuned":          "select count(*) from history.event where kind = 'setting' and subject = 'work_mem'",
		"disks":          "select count(distinct (server_id, mount_point)) from history.disk_usage",
		"counted":        "select count(*) from history.database_stat where xact_commit > 0 and sampled_at > '2026-03-04 02:10Z'",
		"database hours": "select count(distinct bucket) from history.database_rollup where step_seconds = 3600 and xact_commit > 0",
		"sized":          "select count(*) from history.database_size where sampled_at >= '2026-03-04 02:00Z'",
	} {
		got[what] = pgtest.Value[int64](t, dsn, sql)
	}
	want := map[string]int64{
		"paused": 2, "buckets": 2 * (2*144 + 14), "recent": 2 * 2, "unlike their minute": 0, "unlike their hour": 0, "hours": 2 * 51,
		"database hours": 49, "nameless": 0, "tuned": 4, "disks": 4, "counted": 2 * 4 * 2, "sized": 2 * 4,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +: %s", diff)
	}

	// Again, which changes nothing but that what was recent is merged in, and on.
	rows := func() string {
		return pgtest.Value[string](t, dsn, "select concat_ws(' ', (select count(*) from pgam.server), (select count(*) from history.activity), (select count(*) from history.database_stat), (select count(*) from history.event))")
	}
	before := rows()
	fill(until)
	if after := rows(); after != before {
		t.Errorf("servers, buckets, counters, events before and after the second call: %s, %s", before, after)
	}
	fill(until.Add(90 * time.Minute))
	for what, sql := range map[string]string{
		"buckets":                    "select count(*) - 2 * (2*144 + 23) from history.activity",
		"servers":                    "select count(*) - 2 from pgam.server",
		"minutes that are not whole": "select count(*) from history.activity_minute where ticks_ok <> 6 or ticks_missing <> 0",
		"counters":                   "select count(*) filter (where previous_at is null) - count(distinct (server_id, database_oid, instance)) from history.database_stat",
		"unlike their minutes": `
select count(*)
  from history.activity_total t
 where t.step_seconds = 3600
   and t.samples <> (select sum(m.samples) from history.activity_minute m where m.server_id = t.server_id and m.minute >= t.bucket and m.minute < t.bucket + interval '1 hour')`,
	} {
		if got := pgtest.Value[int64](t, dsn, sql); got != 0 {
			t.Errorf("after it went on, %s: %d", what, got)
		}
	}
}
