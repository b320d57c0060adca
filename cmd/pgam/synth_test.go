package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
)

// TestSynth: what is made up is there in all tables, agrees with itself, and
// never comes into a stats_db that watches something.
func TestSynth(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	flags := []string{"synth", "--servers", "2", "--days", "2", "--cadence", "10s", "--sessions", "3", "--until", "2026-03-04T02:20:30Z"}
	out := d.do(t, flags...)
	if !regexp.MustCompile(`^made up 2 servers and 2 days: \d+ ticks with \d+ session samples, \d+ bytes more on disk, in [\d.]+ s\n$`).MatchString(out) {
		t.Errorf("it says %q", out)
	}
	got := map[string]int64{}
	for what, sql := range map[string]string{
		"paused":  "select count(*) from pgam.server where name ~ '^synth-00[12]$' and not enabled and created_at = '2026-03-02Z'",
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
		"database hours": 49, "nameless": 0, "tuned": 2, "disks": 4, "counted": 2 * 4 * 2, "sized": 2 * 4,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +: %s", diff)
	}

	if code, _, errOut := d.try(t, flags...); code != 2 || !strings.Contains(errOut, "synth-001") {
		t.Errorf("the second time it gives %d: %s", code, errOut)
	}
	pgtest.Exec(t, dsn, "update pgam.server set name = 'orders-' || id")
	if code, _, errOut := d.try(t, flags...); code != 2 || !strings.Contains(errOut, "orders-") || !strings.Contains(errOut, "--force") {
		t.Errorf("beside real servers it gives %d: %s", code, errOut)
	}
	for _, wrong := range [][]string{
		{"--servers", "0"}, {"--days", "0"}, {"--cadence", "7s"}, {"--sessions", "-1"}, {"--until", "yesterday"}, {"--until", "2999-01-01T00:00:00Z"},
	} {
		if code, _, errOut := d.try(t, append([]string{"synth"}, wrong...)...); code != 2 {
			t.Errorf("%q gives %d: %s", wrong, code, errOut)
		}
	}
}
