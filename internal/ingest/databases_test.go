package ingest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
	"github.com/pgam/pgam/internal/target"
)

func number(n int64) sample.Int { return sample.Int{V: n, Known: true} }

// recount makes the rollups of all that was seen, straight from it.
func recount(visits []*sample.Visit, from, to time.Time, step time.Duration) map[string]sample.DatabaseSum {
	rows, looks := sampletest.DatabaseRows(visits)
	sums := make(map[string]sample.DatabaseSum)
	for oid, all := range rows {
		for i, s := range sample.SumDatabase(all, looks, from, to, step) {
			if !s.Empty() {
				sums[fmt.Sprint(oid, " ", from.Add(time.Duration(i)*step).Format(time.RFC3339))] = s
			}
		}
	}
	return sums
}

// storedSums reads rollups.
func storedSums(t *testing.T, w *Writer, server target.ID, step int) map[string]sample.DatabaseSum {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `select database_oid, bucket, samples, seconds, backend_seconds, counted_seconds, backends_min, backends_max,
       backends_last, last_sample_at, xact_commit, blks_hit, session_time_ms
  from history.database_rollup where server_id = $1 and step_seconds = $2 and (samples > 0 or seconds > 0 or counted_seconds > 0)`, server, step)
	if err != nil {
		t.Fatal(err)
	}
	sums := make(map[string]sample.DatabaseSum)
	var (
		oid                             uint32
		bucket                          time.Time
		s                               sample.DatabaseSum
		least, most, last, commits, hit *int64
		lastAt                          *time.Time
		timer                           *float64
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &bucket, &s.Samples, &s.Seconds, &s.BackendSeconds, &s.CountedSeconds, &least, &most, &last, &lastAt, &commits, &hit, &timer}, func() error {
		sum := s
		for to, from := range map[*sample.Int]*int64{
			&sum.MinBackends: least, &sum.MaxBackends: most, &sum.LastBackends: last, &sum.Counters[sample.XactCommit]: commits, &sum.Counters[sample.BlksHit]: hit,
		} {
			if from != nil {
				*to = number(*from)
			}
		}
		if lastAt != nil {
			sum.LastAt = lastAt.UTC()
		}
		if timer != nil {
			sum.Timers[sample.SessionTime] = sample.Float{V: *timer, Known: true}
		}
		sums[fmt.Sprint(oid, " ", bucket.UTC().Format(time.RFC3339))] = sum
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// differ compares sums as far as storedSums reads them.
func differ(want, got map[string]sample.DatabaseSum) string {
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-3 }
	return cmp.Diff(want, got, cmp.Comparer(func(a, b sample.DatabaseSum) bool {
		return a.Samples == b.Samples && near(a.Seconds, b.Seconds) && near(a.BackendSeconds, b.BackendSeconds) && near(a.CountedSeconds, b.CountedSeconds) &&
			a.MinBackends == b.MinBackends && a.MaxBackends == b.MaxBackends && a.LastBackends == b.LastBackends && a.LastAt.Equal(b.LastAt) &&
			a.Counters[sample.XactCommit] == b.Counters[sample.XactCommit] && a.Counters[sample.BlksHit] == b.Counters[sample.BlksHit] &&
			near(a.Timers[sample.SessionTime].V, b.Timers[sample.SessionTime].V)
	}))
}

// TestDatabasesAreCountedOnce writes what two collectors saw of a random life in
// any order, several times, with compactions at any instant: rollups are what a
// recount of all rows gives, whatever came when, and no count of them is negative.
func TestDatabasesAreCountedOnce(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	from := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3).Add(5 * time.Hour)
	for seed := range uint64(2) {
		server := target.ID(seed + 1)
		c := sampletest.NewDatabases(seed, from)
		c.Live(from.Add(7 * time.Hour))
		// Mostly in order; some wait in a journal.
		pending, waiting := c.Visits, []*sample.Visit(nil)
		for len(pending)+len(waiting) > 0 {
			n := min(len(pending), 1+c.IntN(60))
			batch := slices.Clone(pending[:n])
			pending = pending[n:]
			if c.IntN(10) == 0 || len(pending) == 0 {
				batch, waiting = append(batch, waiting...), nil
			}
			c.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			if len(pending) > 0 {
				late := c.IntN(1 + len(batch)/4)
				waiting, batch = append(waiting, batch[:late]...), batch[late:]
			}
			for range 1 + c.IntN(5)/4 {
				mustAppend(t, w, server, batch...)
			}
			if c.IntN(2) == 0 {
				if err := w.CompactDatabases(t.Context(), server); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.CompactDatabases(t.Context(), server); err != nil {
			t.Fatal(err)
		}
		day := from.Truncate(24 * time.Hour)
		for step, length := range map[int]time.Duration{600: sample.BucketLength, 3600: time.Hour, 86400: 24 * time.Hour} {
			want, got := recount(c.Visits, day, day.AddDate(0, 0, 2), length), storedSums(t, w, server, step)
			if diff := differ(want, got); diff != "" || len(want) < 4 {
				t.Fatalf("seed %d, step %d (-want +got):\n%s", seed, step, diff)
			}
		}
		if n := pgtest.Value[int](t, dsn, "select count(*) from history.progress where databases_from is not null and server_id = $1", server); n != 0 {
			t.Errorf("seed %d: all is compacted, and something is still to be done", seed)
		}
		sizes := pgtest.Value[int](t, dsn, `
select count(*)
  from history.database_rollup r
 where step_seconds = 600
   and server_id = $1
   and size_bytes is distinct from (select z.size_bytes from history.database_size z
                                     where z.server_id = $1 and z.database_oid = r.database_oid and z.sampled_at >= r.bucket and z.sampled_at < r.bucket + interval '10 minutes'
                                     order by z.sampled_at desc limit 1)`, server)
		if sizes != 0 {
			t.Errorf("seed %d: %d sizes are not the newest of their bucket", seed, sizes)
		}
	}
}
