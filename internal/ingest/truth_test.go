package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
	"github.com/pgam/pgam/internal/target"
)

const server target.ID = 7

const buckets = 3

// midnight is in the middle of what the tests write: an hour and a day end there.
var midnight = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

func bucketAt(i int) time.Time { return midnight.Add(time.Duration(i-1) * sample.BucketLength) }

// seenTwice counts the seconds that a reader finds more than once.
const seenTwice = `
with seen as (
select r.server_id, date_bin('10 minutes', r.slot, timestamptz 'epoch') + ms / 1000 * interval '1 second' as second
  from history.activity_recent r cross join lateral unnest(r.tick_planned_ms) as k (ms)
 where not r.late
 union all
select server_id, bucket + ms / 1000 * interval '1 second' from history.activity cross join lateral unnest(tick_planned_ms) as k (ms))
select (count(*) - count(distinct (server_id, second)))::int from seen`

// visible is what a reader finds of the server: the parts of compacted buckets,
// and the recent rows of the others.
func visible(t *testing.T, w *Writer) map[time.Time]sample.Row {
	t.Helper()
	const query = `
with closed as (select distinct server_id, bucket from history.activity)
select bucket, tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends, tick_next_xid, tick_burst,
       tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys, sample_tick, sample_session, sample_wait, sample_query,
       sample_query_start_ms, sample_xact_lead_ms, sample_state_lag_ms, sample_xmin, sample_blocker, edge_tick, edge_blocked, edge_blocker, edge_lock
  from (select date_bin('10 minutes', slot, timestamptz 'epoch') as bucket, r.* from history.activity_recent r) r
 where server_id = $1 and not exists (select from closed c where c.server_id = r.server_id and c.bucket = r.bucket)
 union all
select bucket, tick_planned_ms, tick_delay_ms, tick_cadence_ms, tick_outcome, tick_reason, tick_duration_us, tick_backends, tick_next_xid, tick_burst,
       tick_edges_cut, session_keys, wait_keys, wait_class, query_keys, lock_keys, sample_tick, sample_session, sample_wait, sample_query,
       sample_query_start_ms, sample_xact_lead_ms, sample_state_lag_ms, sample_xmin, sample_blocker, edge_tick, edge_blocked, edge_blocker, edge_lock
  from history.activity
 where server_id = $1`
	rows, err := w.pool.Query(t.Context(), query, server)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*sample.Row, error) {
		r := &sample.Row{Server: server}
		err := row.Scan(append([]any{&r.Bucket}, r.Fields()...)...)
		r.Bucket = r.Bucket.UTC()
		return r, err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[time.Time][]*sample.Row{}
	for _, r := range found {
		all[r.Bucket] = append(all[r.Bucket], r)
	}
	merged := map[time.Time]sample.Row{}
	for bucket, rows := range all {
		seen := map[int32]bool{}
		for _, r := range rows {
			for _, ms := range r.Planned {
				if seen[ms/1000] {
					t.Errorf("second %d of %s is there twice", ms/1000, bucket)
				}
				seen[ms/1000] = true
			}
		}
		merged[bucket] = sample.Merge(rows...)
	}
	return merged
}

func pointers(ticks []sample.Tick) []*sample.Tick {
	all := make([]*sample.Tick, len(ticks))
	for i := range ticks {
		all[i] = &ticks[i]
	}
	return all
}

func merged(bucket time.Time, ticks []*sample.Tick) sample.Row {
	rows := []*sample.Row{{Server: server, Bucket: bucket}}
	for _, t := range ticks {
		r := sample.NewRow(server, t)
		rows = append(rows, &r)
	}
	return sample.Merge(rows...)
}

// checkDerived compares what is derived from compacted buckets with a count of
// what they hold.
func checkDerived(t *testing.T, w *Writer, closed map[time.Time]sample.Row) {
	t.Helper()
	args := named{"server_id": server, "step_seconds": tenMinutes, "from": midnight.Add(-48 * time.Hour), "to": midnight.Add(48 * time.Hour)}
	read := func(name string) []sample.Summary {
		rows, err := w.pool.Query(t.Context(), sql(name), args)
		if err != nil {
			t.Fatal(err)
		}
		all, err := pgx.CollectRows(rows, scanSummary)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	var minutes, hours []sample.Summary
	byHour := map[time.Time]*sample.Summary{}
	for _, bucket := range slices.SortedFunc(mapKeys(closed), time.Time.Compare) {
		r := closed[bucket]
		for at := bucket; at.Before(bucket.Add(sample.BucketLength)); at = at.Add(time.Minute) {
			s := r.Summary(at, at.Add(time.Minute))
			if s.First.IsZero() {
				continue
			}
			minutes = append(minutes, s)
			hour := at.Truncate(time.Hour)
			if byHour[hour] == nil {
				byHour[hour] = &sample.Summary{MaxBackends: sample.Unset}
			}
			byHour[hour].Add(&s)
		}
	}
	for _, hour := range slices.SortedFunc(mapKeys(byHour), time.Time.Compare) {
		hours = append(hours, *byHour[hour])
	}
	if diff := cmp.Diff(minutes, read("read_minutes"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("minutes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hours, read("read_hours"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("hours (-want +got):\n%s", diff)
	}
	var days []sample.Summary
	for i, s := range hours {
		if i == 0 || !s.First.Truncate(24*time.Hour).Equal(days[len(days)-1].First.Truncate(24*time.Hour)) {
			days = append(days, sample.Summary{MaxBackends: sample.Unset})
		}
		days[len(days)-1].Add(&s)
	}
	got := map[int][]sample.Summary{}
	rows, err := w.pool.Query(t.Context(), "select "+"bucket, first_planned_ms, last_planned_ms, first_cadence_ms, cadence_ms, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped, ticks_missing, first_seen_ms, last_seen_ms, longest_gap_ms, fault_outcome, fault_reason, fault_ticks, samples, max_sessions, max_backends, cpu, lock, lwlock, io, ipc, client, timeout, buffer, extension, other, idle_in_transaction from history.activity_total where server_id = $1 and step_seconds = 86400 order by bucket", server)
	if err != nil {
		t.Fatal(err)
	}
	if got[day], err = pgx.CollectRows(rows, scanSummary); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(days, got[day], cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	for _, step := range []int{tenMinutes, hour, day} {
		checkRollups(t, w, step, closed)
	}
}

func checkRollups(t *testing.T, w *Writer, step int, closed map[time.Time]sample.Row) {
	t.Helper()
	length := time.Duration(step) * time.Second
	of := map[time.Time]*sample.Tally{}
	for bucket, r := range closed {
		start := bucket.Truncate(length)
		if of[start] == nil {
			of[start] = &sample.Tally{}
		}
		of[start].Add(&r, func(sample.Key) (l sample.Labels) { return l })
	}
	for start, tally := range of {
		for d := sample.ByWait; d <= sample.ByBackendType; d++ {
			want := tally.Rollup(d)
			var got sample.Rollup
			err := w.pool.QueryRow(t.Context(), `select ticks, samples, keys, key_samples, key_peaks, tail_keys, tail_samples from history.activity_rollup
 where server_id = $1 and step_seconds = $2 and dimension = $3 and bucket = $4`, server, step, int16(d), start).
				Scan(&got.Ticks, &got.Samples, &got.Keys, &got.KeySamples, &got.KeyPeaks, &got.TailKeys, &got.TailSamples)
			if errors.Is(err, pgx.ErrNoRows) && want.Ticks == 0 {
				continue
			}
			if err != nil {
				t.Fatalf("dimension %d by %d s from %s: %v", d, step, start, err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("dimension %d by %d s from %s (-want +got):\n%s", d, step, start, diff)
			}
		}
	}
}

func mapKeys[K comparable, V any](m map[K]V) func(yield func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Whatever is written in whatever order, twice or late, and whenever buckets are
// compacted: at every instant a reader finds each second once, and of it the
// better look.
func TestEverySecondIsThereOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 21))
		w, _ := open(t)
		looks, written := map[time.Time][]*sample.Tick{}, map[time.Time][]*sample.Tick{}
		for i := range buckets {
			looks[bucketAt(i)] = pointers(sampletest.Ticks(rnd, bucketAt(i), rnd.IntN(6)))
		}
		closed, recent := map[time.Time]sample.Row{}, map[time.Time]bool{}
		for step := range 60 {
			bucket := bucketAt(rnd.IntN(buckets))
			switch rnd.IntN(4) {
			case 0:
				err := w.Compact(t.Context(), server, bucket)
				if recent[bucket] != (err == nil) || err != nil && !errors.Is(err, ErrNothing) {
					t.Fatalf("seed %d, step %d: compact: %v", seed, step, err)
				}
				if err == nil {
					closed[bucket], recent[bucket] = merged(bucket, written[bucket]), false
				}
			default:
				var ticks []*sample.Tick
				from, length := rnd.IntN(len(looks[bucket])), 1+rnd.IntN(100)
				for i := from; i < min(from+length, len(looks[bucket])); i++ {
					if rnd.IntN(5) > 0 {
						ticks = append(ticks, looks[bucket][i])
					}
				}
				if rnd.IntN(3) == 0 {
					rnd.Shuffle(len(ticks), func(i, j int) { ticks[i], ticks[j] = ticks[j], ticks[i] })
				}
				if err := flush(t.Context(), w, server, ticks); err != nil {
					t.Fatalf("seed %d, step %d: flush: %v", seed, step, err)
				}
				written[bucket] = append(written[bucket], ticks...)
				recent[bucket] = recent[bucket] || len(ticks) > 0
			}
			want := map[time.Time]sample.Row{}
			for bucket, ticks := range written {
				if r, ok := closed[bucket]; ok {
					want[bucket] = r
				} else if len(ticks) > 0 {
					want[bucket] = merged(bucket, ticks)
				}
			}
			if diff := cmp.Diff(want, visible(t, w), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d, step %d: visible (-want +got):\n%s", seed, step, diff)
			}
		}
		checkDerived(t, w, closed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Two writers write the same seconds, each what it saw, and compact, while their
// connections are cut at any moment: in the end each second is there once, the
// better look of it, and at no instant is one there twice.
func TestTwoWritersAndKills(t *testing.T) {
	t.Parallel()
	w, dsn := open(t)
	rnd := rand.New(rand.NewPCG(1, 22))
	all := map[time.Time][]*sample.Tick{}
	for i := range buckets {
		all[bucketAt(i)] = pointers(sampletest.Ticks(rnd, bucketAt(i), 5))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers, others sync.WaitGroup
	kills := 0
	others.Go(func() {
		for ctx.Err() == nil {
			pgtest.Exec(t, dsn, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'writer' order by random() limit 1")
			kills++
			<-time.After(150 * time.Millisecond) // less, and nobody gets anything done
		}
	})
	others.Go(func() {
		for ctx.Err() == nil {
			twice := pgtest.Value[int](t, dsn, seenTwice)
			if twice != 0 {
				t.Errorf("%d seconds are there twice", twice)
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	})
	for id := range uint64(2) {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(id, 23))
			var mine []*sample.Tick
			for _, ticks := range all {
				mine = append(mine, ticks...)
			}
			rnd.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			for len(mine) > 0 {
				n := min(1+rnd.IntN(60), len(mine))
				for err := flush(ctx, w, server, mine[:n]); err != nil; err = flush(ctx, w, server, mine[:n]) {
					said, told := errors.AsType[*pgconn.PgError](err)
					if told && said.Code != "57P01" && said.Code != "55P03" { // neither cut nor locked by the other one
						t.Errorf("flush: %v", err)
						return
					}
				}
				mine = mine[n:]
				if rnd.IntN(3) == 0 {
					_ = w.Compact(ctx, server, bucketAt(rnd.IntN(buckets)))
				}
			}
		})
	}
	writers.Wait()
	cancel()
	others.Wait()
	w.pool.Reset() // some were cut while nobody used them
	want := map[time.Time]sample.Row{}
	for bucket, ticks := range all {
		for {
			err := w.Compact(t.Context(), server, bucket)
			if err == nil || errors.Is(err, ErrNothing) {
				break
			}
			t.Logf("compact: %v", err) // a connection that was cut
		}
		want[bucket] = merged(bucket, ticks)
	}
	if diff := cmp.Diff(want, visible(t, w), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	checkDerived(t, w, want)
	if kills < 3 {
		t.Errorf("only %d kills", kills)
	}
}
