package store

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// perSecond is how much is counted in each second in all of steady.
const perSecond = 1000

// steady is a server on which perSecond transactions are committed in every
// second of some hours, whatever happens: looks come at any phase, some are
// missed, the collector is away and comes back, the server is restarted. In
// bursts as many are committed once a minute, and nothing in between.
type steady struct {
	*rand.Rand

	server  target.ID
	started time.Time
	series  *sample.Series
	stored  map[uint32]sample.DatabaseStat
}

func (d *steady) look(at time.Time) *sample.Visit {
	seconds := at.Sub(d.started).Seconds()
	v := &sample.Visit{
		Server: d.server, Databases: []sample.DatabaseStat{{At: at, OID: 100, Backends: known(7)}, {At: at, OID: 101, Backends: known(3)}},
		Identity: &sample.Identity{At: at, VersionNum: 150000, SystemIdentifier: 7, PostmasterStart: d.started},
	}
	v.Databases[0].Counters[sample.XactCommit] = known(int64(perSecond * seconds))
	v.Databases[1].Counters[sample.XactCommit] = known(60 * perSecond * int64(seconds/60))
	d.series.Advance(v)
	for _, s := range v.Databases {
		d.stored[s.OID] = s
	}
	return v
}

// history stores some hours and gives their end.
func (d *steady) history(t *testing.T, s *Store, from time.Time) time.Time {
	t.Helper()
	list := []sample.Database{dbNamed(100, "steady"), dbNamed(101, "bursts")}
	batch := sample.Batch{Visits: []*sample.Visit{{Server: d.server, Inventory: &sample.Inventory{At: from.Add(-time.Minute), Databases: list}}}}
	at := from.Add(time.Duration(d.Int64N(int64(10*time.Second/time.Microsecond))) * time.Microsecond)
	for at.Before(from.Add(9 * time.Hour)) {
		batch.Visits = append(batch.Visits, d.look(at))
		at = at.Add(10*time.Second + time.Duration(d.IntN(50))*time.Millisecond)
		switch d.IntN(250) {
		case 0:
			at = at.Add(time.Duration(d.Int64N(int64(5 * time.Minute)))).Truncate(time.Microsecond)
		case 1: // the collector is away
			at = at.Add(time.Duration(d.Int64N(int64(time.Hour)))).Truncate(time.Microsecond)
			last := []sample.DatabaseStat{d.stored[100], d.stored[101]}
			d.series = sample.NewSeries(&sample.Identity{At: at, VersionNum: 150000, SystemIdentifier: 7, PostmasterStart: d.started}, last, time.Time{})
		case 2:
			d.started = at.Add(-3 * time.Second)
		}
	}
	for len(batch.Visits) > 0 {
		n := min(len(batch.Visits), 500)
		mustAppend(t, s, sample.Batch{Visits: batch.Visits[:n]})
		batch.Visits = batch.Visits[n:]
	}
	return at
}

// A rate is the count over the time it was counted in: in every bucket, the
// newest and those at the edges of what was seen too, whoever asks.
func TestARateIsTheCountOverItsTime(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	for seed := range uint64(3) {
		server := newServer(t, s, fmt.Sprint("db", seed))
		d := &steady{
			Rand: rand.New(rand.NewPCG(seed, 7)), server: server, started: noon.Add(-time.Hour),
			series: sample.NewSeries(nil, nil, time.Time{}), stored: make(map[uint32]sample.DatabaseStat),
		}
		end := d.history(t, s, noon)
		stored := func(oid uint32) float64 {
			return pgtest.Value[float64](t, dsn, fmt.Sprintf("select sum(xact_commit)::float8 from history.database_stat where server_id = %d and database_oid = %d", server, oid))
		}
		whole := history.Range{From: noon, To: end.Add(time.Minute)}
		for _, step := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour} {
			for range 4 {
				from := noon.Add(time.Duration(d.IntN(7200)) * time.Second)
				judgeRates(t, s, server, history.Range{From: from, To: from.Add(20*time.Minute + time.Duration(d.IntN(7200))*time.Second)}, step, -1)
			}
			if step >= 10*time.Second {
				judgeRates(t, s, server, whole, step, stored(100))
			}
		}
		for _, from := range []time.Time{noon, noon.AddDate(0, 0, -5)} { // samples, and rollups
			line, err := s.DatabaseTimeline(t.Context(), server, "steady", history.Range{From: from, To: whole.To})
			if err != nil || float64(line.Commits) != stored(100) {
				t.Errorf("seed %d, from %s: %d commits of %g, %v", seed, from, line.Commits, stored(100), err)
			}
		}
		judgeGrain(t, dsn, server, history.Range{From: end.Add(-6 * time.Hour), To: end.Add(time.Second)})
		judgeGrain(t, dsn, server, history.Range{From: noon.Add(-12 * time.Hour), To: end.Add(time.Second)})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// judgeRates checks every bucket, and the sum unless it is negative.
func judgeRates(t *testing.T, s *Store, server target.ID, r history.Range, step time.Duration, sum float64) {
	t.Helper()
	plan, err := history.PlanSeries(r, step)
	if err != nil {
		t.Fatal(err)
	}
	rates, err := s.databaseRates(context.Background(), server, plan)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rates.Databases {
		d := &rates.Databases[i]
		if d.Name != "steady" {
			continue
		}
		total := 0.0
		for b, n := range d.Commits {
			total += n
			if want := perSecond * d.Seconds[b]; math.Abs(n-want) > 2+want/1000 || d.Seconds[b] > step.Seconds()+1e-6 {
				t.Errorf("%s, by %s: bucket %d has %g commits in %g s", r, step, b, n, d.Seconds[b])
			}
		}
		if sum >= 0 && math.Abs(total-sum) > 0.01 {
			t.Errorf("%s, by %s: %g commits, want %g", r, step, total, sum)
		}
	}
}

// judgeGrain checks what dashboards are made of: that it is true of every row,
// and of bursts on the whole.
func judgeGrain(t *testing.T, dsn string, server target.ID, r history.Range) {
	t.Helper()
	rows := fmt.Sprintf("from report.database_grain('%s', '%s') g join pgam.server s on s.name = g.server and s.id = %d where g.seconds is not null and g.database_name = ",
		r.From.Format(time.RFC3339Nano), r.To.Format(time.RFC3339Nano), server)
	n := pgtest.Value[int](t, dsn, "select count(*) "+rows+"'steady'")
	if wrong := pgtest.Value[int](t, dsn, fmt.Sprintf("select count(*) %s 'steady' and abs(xact_commit - seconds * %d) > 2 + seconds", rows, perSecond)); n == 0 || wrong > 0 {
		t.Errorf("%s: %d of %d rows are wrong", r, wrong, n)
	}
	rate := pgtest.Value[float64](t, dsn, "select sum(xact_commit) / sum(seconds) "+rows+"'bursts'")
	if math.Abs(rate-perSecond) > perSecond/20 {
		t.Errorf("%s: %g commits a second in bursts", r, rate)
	}
}
