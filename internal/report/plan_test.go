package report

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
)

// explain runs a statement and gives what was done.
func explain(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	return strings.Join(column[string](t, conn, "explain (analyze, costs off, timing off, summary off) "+sql, args...), "\n")
}

// read gives the partitions of a table that a plan read.
func read(plan, table string) (list []string) {
	for line := range strings.Lines(plan) {
		found := regexp.MustCompile(` on (` + table + `_p\d+)\b`).FindStringSubmatch(line)
		if found != nil && !strings.Contains(line, "never executed") {
			list = append(list, strings.TrimPrefix(found[1], table+"_p"))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// fillDays makes an hour of load a day, and compacts all but the last bucket.
func fillDays(t *testing.T) (dsn string, conn *pgx.Conn) {
	t.Helper()
	w, dsn := open(t)
	for day := -1; day <= 1; day++ {
		load := sampletest.NewLoad(1, 300)
		start := midnight.AddDate(0, 0, day).Add(12 * time.Hour)
		entries := names(start)
		visits := []*sample.Visit{{Server: server, Entries: *entries}}
		for at := time.Duration(0); at < time.Hour; at += 10 * time.Second {
			tick := load.Tick(start.Add(at))
			visits = append(visits, &sample.Visit{Server: server, Tick: &tick})
		}
		if err := w.Append(t.Context(), server, visits); err != nil {
			t.Fatal(err)
		}
		for bucket := start; bucket.Before(start.Add(50 * time.Minute)); bucket = bucket.Add(sample.BucketLength) {
			if err := w.Compact(t.Context(), server, bucket); err != nil {
				t.Fatal(err)
			}
		}
	}
	pgtest.Exec(t, dsn, "analyze")
	return dsn, asReader(t, dsn)
}

// A range leaves out all other days, whoever asks and however it is given.
func TestOnlyTheRangeIsRead(t *testing.T) {
	t.Parallel()
	_, conn := fillDays(t)
	noon := midnight.Add(12 * time.Hour)
	for what, where := range map[string]string{
		"literals":    "t0 >= '2026-11-30 12:00Z' and t0 < '2026-11-30 13:00Z'",
		"with server": "server_id = 1 and t0 between '2026-11-30 00:00Z' and '2026-11-30 23:59Z'",
		"other zone":  "server = 'db1' and t0 >= '2026-11-30 00:00Z'::timestamptz and t0 < '2026-12-01 12:45+12:45'::timestamptz",
	} {
		for _, view := range []string{"activity", "tick", "blocking"} {
			plan := explain(t, conn, "select v from report."+view+" v where "+where)
			if diff := cmp.Diff([]string{"20261130"}, read(plan, "activity")); diff != "" {
				t.Errorf("%s of %s reads (-want +got):\n%s\n%s", what, view, diff, plan)
			}
			if days := read(plan, "session"); view == "activity" && !slices.Equal(days, []string{"20261130"}) {
				t.Errorf("%s of %s reads sessions of %v:\n%s", what, view, days, plan)
			}
		}
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		if _, err := conn.Exec(t.Context(), "set plan_cache_mode = "+mode); err != nil {
			t.Fatal(err)
		}
		for i, function := range []string{
			"select pid, blocked_by_pid, query, wait_event from report.activity_between($1, $2, $3)", "select * from report.blocking_between($1, $2, $3)",
			"select key, samples from report.activity_by($1, 'query', $2, $3)", "select * from report.activity_series($1, 'wait', $2, $3, 15000, 3)",
		} {
			name := fmt.Sprintf("p_%s_%d", mode, i)
			if _, err := conn.Exec(t.Context(), "prepare "+name+" (text, timestamptz, timestamptz) as "+function); err != nil {
				t.Fatal(err)
			}
			plan := explain(t, conn, "execute "+name+" ('db1', '2026-11-30 12:10Z', '2026-11-30 13:00Z')")
			if diff := cmp.Diff([]string{"20261130"}, read(plan, "activity")); diff != "" {
				t.Errorf("%s, %s reads (-want +got):\n%s\n%s", function, mode, diff, plan)
			}
			if strings.Contains(plan, "Function Scan on activity_") {
				t.Errorf("%s is not put into the query:\n%s", function, plan)
			}
		}
	}
	plan := explain(t, conn, "select server, samples from report.activity_grain($1, $2)", noon, noon.Add(time.Hour))
	if diff := cmp.Diff([]string{"202611"}, read(plan, "activity_minute")); diff != "" || read(plan, "activity_total") != nil {
		t.Errorf("minutes read (-want +got):\n%s\n%s", diff, plan)
	}
	plan = explain(t, conn, "select key, samples from report.activity_by('db1', 'user', $1, $2)", noon.Add(-12*time.Hour), noon)
	if read(plan, "activity") != nil || read(plan, "activity_rollup_hour") != nil || !slices.Equal(read(plan, "activity_rollup_10minute"), []string{"202611"}) {
		t.Errorf("sums of ten minutes read more:\n%s", plan)
	}
}

// A step and a range of time leave out all other steps and times.
func TestOnlyTheStepIsRead(t *testing.T) {
	t.Parallel()
	w, dsn := open(t)
	if err := w.EnsurePartitions(t.Context(), midnight.AddDate(-1, 0, 0), midnight.AddDate(-1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	conn := asReader(t, dsn)
	for where, want := range map[string][]string{
		"step_seconds = 3600 and \"time\" >= '2026-11-28' and \"time\" < '2026-11-29'":       {"hour_p202611"},
		"step_seconds = 3600 and \"time\" between '2026-11-28' and '2026-12-02'":             {"hour_p202611", "hour_p202612"},
		"step_seconds = 600 and \"time\" >= '2026-12-01 12:00Z' and \"time\" < '2026-12-20'": {"10minute_p202612"},
		"step_seconds = 86400 and \"time\" >= '2025-11-02'":                                  {"day_p2025", "day_p2026"},
	} {
		plan := strings.Join(column[string](t, conn, "explain (costs off) select sum(xact_commit) from report.database_rollup where "+where), "\n")
		var found []string
		for _, m := range regexp.MustCompile(`database_rollup_([0-9a-z]+_p\d+)\b`).FindAllStringSubmatch(plan, -1) {
			found = append(found, m[1])
		}
		slices.Sort(found)
		if diff := cmp.Diff(want, slices.Compact(found)); diff != "" {
			t.Errorf("%s reads (-want +got):\n%s\n%s", where, diff, plan)
		}
	}
}

// Nothing is done for every sample by itself: what it takes grows with the rows,
// their samples and their keys, not with samples times keys.
func TestNoSubscriptAndNoLoopForEachSample(t *testing.T) {
	t.Parallel()
	dsn, conn := fillDays(t)
	for _, view := range pgtest.Value[[]string](t, dsn, "select array_agg(viewname || ': ' || definition) from pg_views where schemaname in ('report', 'history')") {
		if found := regexp.MustCompile(`\b(tick|sample|edge|session|wait|query|lock)_[a-z_]+\[`).FindString(view); found != "" {
			t.Errorf("a subscript of %s in %s", found, view)
		}
	}
	const from, to = "2026-11-30 12:05Z", "2026-11-30 12:59Z"
	for _, sql := range []string{
		"select * from report.activity where t0 >= $1::timestamptz and t0 < $2::timestamptz",
		"select * from report.activity_between('db1', $1, $2)",
		"select pid, query from report.activity_between('db1', $1, $2) where pid > 0 and load",
		"select key, samples from report.activity_by('db1', 'user', $1, $2)",
		"select key, samples from report.activity_by('db1', 'query', $1, $2)",
	} {
		plan := explain(t, conn, sql, from, to)
		for _, m := range regexp.MustCompile(`loops=(\d+)`).FindAllStringSubmatch(plan, -1) {
			// An hour is five rows of ten minutes and four of slots, of 18 thousand samples.
			if n, _ := strconv.Atoi(m[1]); n > 400 {
				t.Errorf("%s: something is done %d times:\n%s", sql, n, plan)
				break
			}
		}
	}
}
