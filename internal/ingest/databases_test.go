package ingest

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func number(n int64) sample.Int { return sample.Int{V: n, Known: true} }

// counted is a server whose databases count at random, as PostgreSQL would say it,
// and two collectors that look at it.
type counted struct {
	*rand.Rand

	at       time.Time // microseconds
	identity sample.Identity
	stats    map[uint32]*sample.DatabaseStat
	visits   []*sample.Visit
}

func newCounted(seed uint64, from time.Time) *counted {
	c := &counted{Rand: rand.New(rand.NewPCG(seed, 11)), at: from, stats: make(map[uint32]*sample.DatabaseStat)}
	c.identity = sample.Identity{VersionNum: 150000, Version: "15.0", SystemIdentifier: 7, PostmasterStart: from.Add(-time.Hour)}
	for oid := range uint32(4) {
		c.create(oid)
	}
	return c
}

func (c *counted) create(oid uint32) {
	d := &sample.DatabaseStat{OID: oid}
	if oid > 0 {
		d.Backends = number(c.Int64N(5))
	}
	for i := range d.Counters {
		d.Counters[i] = number(c.Int64N(1000))
	}
	d.Timers[sample.SessionTime] = sample.Float{V: c.Float64(), Known: true}
	c.stats[oid] = d
}

// live lets some time pass, in which anything may happen.
func (c *counted) live() {
	c.at = c.at.Add(time.Duration(1+c.IntN(20_000)) * time.Millisecond)
	for oid, d := range c.stats {
		if c.IntN(3) == 0 || oid == 3 { // the last one is quiet
			continue
		}
		d.Counters[c.IntN(len(d.Counters))].V += c.Int64N(100)
		d.Timers[sample.SessionTime].V += c.Float64()
		if oid > 0 && c.IntN(10) == 0 {
			d.Backends = number(c.Int64N(5))
		}
	}
	oid := []uint32{0, 1, 3}[c.IntN(3)]
	switch c.IntN(120) {
	case 0: // restart
		c.identity.PostmasterStart = c.at
	case 1: // a crash that loses the counters
		c.identity.CheckpointerStart = c.at
		for oid := range c.stats {
			c.create(oid)
		}
	case 2:
		c.create(oid)
		c.stats[oid].StatsReset = c.at.UnixMicro()
	case 3: // nobody says so
		c.stats[oid].Counters[sample.XactCommit] = number(0)
	case 4:
		delete(c.stats, 2)
	case 5:
		if c.stats[2] == nil {
			c.create(2)
		}
	case 6: // nobody looks
		c.at = c.at.Add(time.Duration(c.Int64N(int64(40 * time.Minute)))).Truncate(time.Microsecond)
	}
}

// look has a collector look, which may be late.
func (c *counted) look(s *sample.Series) {
	id := c.identity
	id.At = c.at
	v := &sample.Visit{Server: 1, Identity: &id, Tick: &sample.Tick{Planned: c.at.Truncate(time.Second), Started: c.at, Outcome: sample.OK, Cadence: 10 * time.Second}}
	for _, oid := range slices.Sorted(maps.Keys(c.stats)) {
		d := *c.stats[oid]
		d.At = c.at
		v.Databases = append(v.Databases, d)
	}
	s.Advance(v)
	v.Tick = nil
	if c.IntN(20) == 0 {
		v.Sizes = append(v.Sizes, sample.DatabaseSize{At: c.at, OID: 1, Bytes: number(c.Int64N(1 << 30))})
	}
	c.visits = append(c.visits, v)
}

// history lets a server live for some time, watched by two collectors, of which
// each begins anew now and then.
func (c *counted) history(until time.Time) {
	both := [2]*sample.Series{new(sample.Resume).Series(), new(sample.Resume).Series()}
	for c.at.Before(until) {
		c.live()
		for i := range both {
			switch c.IntN(60) {
			case 0:
				both[i] = new(sample.Resume).Series()
			case 1:
				both[i].OfferAgain()
			}
			if i == 0 || c.IntN(3) == 0 {
				c.look(both[i])
				c.at = c.at.Add(time.Duration(1+c.IntN(1500)) * time.Millisecond)
			}
		}
	}
}

// recount makes the rollups of all that was seen, straight from it.
func (c *counted) recount(from, to time.Time, step time.Duration) map[string]sample.DatabaseSum {
	rows, looks := make(map[uint32]map[time.Time]sample.DatabaseStat), make(map[time.Time]time.Time)
	for _, v := range c.visits {
		if l := v.Look; l.At.After(looks[l.Planned]) {
			looks[l.Planned] = l.At
		}
		for _, d := range v.Databases {
			if rows[d.OID] == nil {
				rows[d.OID] = make(map[time.Time]sample.DatabaseStat)
			}
			if d.At.After(rows[d.OID][d.Planned].At) {
				rows[d.OID][d.Planned] = d
			}
		}
	}
	times := slices.SortedFunc(maps.Values(looks), time.Time.Compare)
	sums := make(map[string]sample.DatabaseSum)
	for oid, all := range rows {
		sorted := slices.SortedFunc(maps.Values(all), func(a, b sample.DatabaseStat) int { return a.Planned.Compare(b.Planned) })
		for i, s := range sample.SumDatabase(sorted, times, from, to, step) {
			if !s.Empty() {
				sums[fmt.Sprint(oid, " ", from.Add(time.Duration(i)*step).Format(time.RFC3339))] = s
			}
		}
	}
	return sums
}

// stored reads rollups.
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
	for seed := range uint64(4) {
		server := target.ID(seed + 1) //nolint:gosec // few
		c := newCounted(seed, from)
		c.history(from.Add(8 * time.Hour))
		// Mostly in order; some wait in a journal.
		pending, waiting := c.visits, []*sample.Visit(nil)
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
			want, got := c.recount(day, day.AddDate(0, 0, 2), length), storedSums(t, w, server, step)
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
