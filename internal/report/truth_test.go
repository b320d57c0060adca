package report

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
)

const buckets = 3

// world is a stats_db and what was written to it.
type world struct {
	w       *ingest.Writer
	conn    *pgx.Conn
	written map[time.Time][]*sample.Row
	closed  map[time.Time]sample.Row // as they were compacted
}

// Whatever is written in whatever order, twice or late, and whenever buckets are
// compacted: at every instant all views say of each tick the same as a count of the
// ticks, to somebody who may read only them.
func TestViewsAreWhatWasSampled(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 31))
			w, dsn := open(t)
			it := &world{w, asReader(t, dsn), map[time.Time][]*sample.Row{}, map[time.Time]sample.Row{}}
			it.append(t, []*sample.Visit{{Server: server, Entries: *names(midnight)}, {Server: server, Entries: *names(midnight.Add(-time.Second))}})
			ticks := map[time.Time][]sample.Tick{}
			for i := range buckets {
				ticks[bucketAt(i)] = sampletest.Ticks(rnd, bucketAt(i), rnd.IntN(6))
			}
			// Another server's samples have nothing to do with it.
			other := sampletest.Ticks(rnd, bucketAt(1), 3)
			for i := range other {
				if err := w.Append(t.Context(), server+1, []*sample.Visit{{Server: server + 1, Tick: &other[i]}}); err != nil {
					t.Fatal(err)
				}
				if i > 20 {
					break
				}
			}
			bucket, late := bucketAt(0), 0
			for step := range 12 {
				if compacted := step%3 == 2; !compacted { // something comes to what was just compacted, most often
					if rnd.IntN(3) > 0 {
						bucket = bucketAt(rnd.IntN(buckets))
					}
					var visits []*sample.Visit
					all := ticks[bucket]
					from := rnd.IntN(len(all))
					for i := from; i < min(from+200, len(all)); i++ {
						if rnd.IntN(5) > 0 {
							visits = append(visits, &sample.Visit{Server: server, Tick: &all[i]})
						}
					}
					it.append(t, visits)
					if _, closed := it.closed[bucket]; closed {
						late++
					}
				} else {
					it.compact(t, bucket)
				}
				it.check(t)
				if t.Failed() {
					t.Fatalf("seed %d, step %d", seed, step)
				}
			}
			if late == 0 {
				t.Error("nothing came late")
			}
			for i := range buckets {
				it.compact(t, bucketAt(i))
			}
			it.check(t)
		})
	}
}

func (it *world) append(t *testing.T, visits []*sample.Visit) {
	t.Helper()
	if err := it.w.Append(t.Context(), server, visits); err != nil {
		t.Fatal(err)
	}
	for _, v := range visits {
		if v.Tick != nil {
			row := sample.NewRow(server, v.Tick)
			it.written[row.Bucket] = append(it.written[row.Bucket], &row)
		}
	}
}

func (it *world) compact(t *testing.T, bucket time.Time) {
	t.Helper()
	err := it.w.Compact(t.Context(), server, bucket)
	if errors.Is(err, ingest.ErrNothing) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	it.closed[bucket] = sample.Merge(it.written[bucket]...)
}

// visible is what is to be seen, by time.
func (it *world) visible() (all []*sample.Row) {
	for _, bucket := range slices.SortedFunc(maps.Keys(it.written), time.Time.Compare) {
		r, ok := it.closed[bucket]
		if !ok {
			r = sample.Merge(it.written[bucket]...)
		}
		all = append(all, &r)
	}
	return all
}

func (it *world) check(t *testing.T) {
	t.Helper()
	all := it.visible()
	from, to := bucketAt(0), bucketAt(buckets)
	same(t, "report.activity", activityOf(all), rows[activity](t, it.conn, activityColumns+"from report.activity where server = 'db1' and t0 >= $1 and t0 < $2", from, to))
	// Ends that cut a bucket.
	cutFrom, cutTo := from.Add(3*time.Minute+500*time.Millisecond), to.Add(-4*time.Minute)
	cut := slices.DeleteFunc(activityOf(all), func(a activity) bool { return a.Time.Before(cutFrom) || !a.Time.Before(cutTo) })
	same(t, "report.activity_between", cut, rows[activity](t, it.conn, activityColumns+"from report.activity_between('db1', $1, $2)", cutFrom, cutTo))
	same(t, "report.tick", ticksOf(all), rows[tick](t, it.conn,
		`select t0, "time", outcome, coalesce(reason, '') as reason, duration_ms::float8, backends, burst, delay_ms from report.tick where server = 'db1'`))
	blocked := blockingOf(all)
	same(t, "report.blocking", blocked, rows[blocking](t, it.conn, blockingColumns+"from report.blocking where server = 'db1'"))
	same(t, "report.blocking_between", slices.DeleteFunc(blocked, func(b blocking) bool { return b.Time.Before(cutFrom) || !b.Time.Before(cutTo) }),
		rows[blocking](t, it.conn, blockingColumns+"from report.blocking_between('db1', $1, $2)", cutFrom, cutTo))
	minutes, hours, days := sumsOf(all, time.Minute), sumsOf(all, time.Hour), sumsOf(all, 24*time.Hour)
	same(t, "report.activity_minute", minutes, rows[sums](t, it.conn, sumsColumns+"from report.activity_minute where server = 'db1'"))
	same(t, "report.activity_total by hour", hours, rows[sums](t, it.conn, sumsColumns+"from report.activity_total where server = 'db1' and step_seconds = 3600"))
	same(t, "report.activity_total by day", days, rows[sums](t, it.conn, sumsColumns+"from report.activity_total where server = 'db1' and step_seconds = 86400"))
	tomorrow := midnight.Add(24 * time.Hour)
	for length, want := range map[time.Duration][]sums{25 * time.Hour: minutes, 49 * time.Hour: hours, 200 * 24 * time.Hour: days} {
		same(t, "report.activity_grain of "+length.String(), want,
			rows[sums](t, it.conn, sumsColumns+"from report.activity_grain($1, $2) where server = 'db1'", tomorrow.Add(-length), tomorrow))
	}
	same(t, "report.coverage", coverageOf(hours), rows[coverage](t, it.conn,
		`select "time", ticks_planned, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped from report.coverage where server = 'db1'`))
	same(t, "report.fault", faultsOf(all), rows[fault](t, it.conn, `select "time", outcome, reason, ticks from report.fault where server = 'db1'`))
	for _, dimension := range []string{"wait", "query", "database", "user", "application", "client", "backend_type"} {
		const sql = `select "time", coalesce(key, '') as key, sum(samples)::bigint as samples, sum(ticks)::bigint as ticks from report.activity_by('db1', $1, $2, $3) group by 1, 2`
		same(t, "report.activity_by "+dimension+" from ticks", countsOf(all, dimension, 5*time.Second), rows[counts](t, it.conn, sql, dimension, from, to))
		closed := slices.Collect(maps.Values(it.closed))
		var compacted []*sample.Row
		for i := range closed {
			compacted = append(compacted, &closed[i])
		}
		for length, step := range map[time.Duration]time.Duration{8 * time.Hour: 10 * time.Minute, 100 * 24 * time.Hour: time.Hour, 400 * 24 * time.Hour: 24 * time.Hour} {
			end := tomorrow
			if step < time.Hour {
				end = to
			}
			same(t, fmt.Sprintf("report.activity_by %s of %s", dimension, length), countsOf(compacted, dimension, step), rows[counts](t, it.conn, sql, dimension, end.Add(-length), end))
		}
	}
}

// same compares rows whatever their order.
func same[T fmt.Stringer](t *testing.T, what string, want, got []T) {
	t.Helper()
	byText := func(a, b T) int { return cmp.Compare(a.String(), b.String()) }
	want, got = slices.SortedFunc(slices.Values(want), byText), slices.SortedFunc(slices.Values(got), byText)
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("%s, %d rows of %d (-want +got):\n%s", what, len(got), len(want), diff)
	}
}

// Sums by key show what keys stand for, what is not listed, and averages.
func TestRollupsAreNamed(t *testing.T) {
	t.Parallel()
	w, dsn := open(t)
	if err := w.Append(t.Context(), server, []*sample.Visit{{Server: server, Entries: *names(midnight)}}); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, dsn, "insert into history.label (server_id, key, dimension, text, last_seen_on) values (1, 77, 3, 'shop', '2026-11-30')", `
insert into history.activity_rollup (server_id, step_seconds, dimension, bucket, ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples)
values (1, 600, 1, '2026-11-30 00:10Z', 14, 28, '{2,12}', '{14,7}', '{3,1}', 1, 7), (1, 600, 3, '2026-11-30 00:10Z', 14, 28, '{0,77}', '{20,8}', '{2,1}', 0, 0),
       (1, 3600, 2, '2026-11-30 00:00Z', 14, 28, '{2,3,5}', '{20,6,2}', '{2,1,1}', 0, 0), (1, 86400, 6, '2026-11-30 00:00Z', 0, 0, '{}', '{}', '{}', 0, 0)`)
	conn := asReader(t, dsn)
	for sql, want := range map[string][]string{
		"select format('%s %s %s %s %s %s %s', dimension, key, query_id, is_rest, samples, average_sessions::numeric(4, 2), max_sessions) from report.activity_rollup order by step_seconds, dimension desc, samples desc, is_rest": {
			"wait active lwlock:Event2  f 14 1.00 3", "wait active CPU  f 7 0.50 1", "wait   t 7 0.50 ",
			"database   f 20 1.43 2", "database shop  f 8 0.57 1", "query select 2 1002 f 20 1.43 2", "query 1003 1003 f 6 0.43 1", "query select 5 1005 f 2 0.14 1",
		},
		"select format('%s %s %s %s', step_seconds, dimension, ticks, samples) from report.activity_bucket order by step_seconds, dimension": {
			"600 database 14 28", "600 wait 14 28", "3600 query 14 28", "86400 client 0 0",
		},
		"select distinct key from report.activity_by('db1', 'wait', '2026-11-30 00:00Z', '2026-11-30 12:00Z') where key is not null order by 1": {"(rest)", "active CPU", "active lwlock:Event2"},
	} {
		if diff := gocmp.Diff(want, column[string](t, conn, sql)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sql, diff)
		}
	}
}
