package store

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// ratesServer stores three hours of two databases: shop commits ten times a
// second and is sampled every ten seconds; quiet does nothing and is sampled
// every five minutes, with two connections. shop is renamed after two hours.
func ratesServer(t *testing.T, s *Store, dsn string) target.Target {
	t.Helper()
	server := historyServer(t, s, dsn)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	list := func(seconds int, name string) *sample.Visit {
		return &sample.Visit{Server: server.ID, Inventory: &sample.Inventory{At: at(seconds), Databases: []sample.Database{
			{OID: 100, Name: name, AllowConnect: true}, {OID: 101, Name: "quiet", AllowConnect: true}, {OID: 1, Name: "template1", IsTemplate: true},
		}}}
	}
	visits := []*sample.Visit{list(-10, "shop"), list(7200, "store")}
	stat := func(seconds int, oid uint32, every int, backends, commits, deadlocks int64) sample.DatabaseStat {
		d := sample.DatabaseStat{At: at(seconds), OID: oid, Backends: known(backends), Epoch: noon}
		d.Counters[sample.XactCommit] = known(int64(seconds) * 10)
		if seconds > 0 {
			d.Interval, d.Held = time.Duration(every)*time.Second, time.Duration(every)*time.Second
			d.BackendSeconds = float64(every) * float64(backends)
			d.CounterDeltas[sample.XactCommit], d.CounterDeltas[sample.Deadlocks] = known(commits), known(deadlocks)
			d.CounterDeltas[sample.BlksRead], d.CounterDeltas[sample.BlksHit] = known(commits), known(9*commits)
		}
		return d
	}
	for second := 0; second <= 3*3600; second += 10 {
		v := &sample.Visit{Server: server.ID, Databases: []sample.DatabaseStat{stat(second, 100, 10, 4, 100, 0)}}
		if second%300 == 0 {
			v.Databases = append(v.Databases, stat(second, 101, 300, 2, 0, 0))
		}
		if second == 3600+30 {
			v.Databases[0].CounterDeltas[sample.Deadlocks] = known(3)
		}
		if second%1800 == 0 {
			v.Sizes = []sample.DatabaseSize{{At: at(second), OID: 100, Bytes: known(int64(second) << 10)}}
		}
		visits = append(visits, v)
	}
	for len(visits) > 0 {
		n := min(len(visits), 500)
		mustAppend(t, s, sample.Batch{Visits: visits[:n]})
		visits = visits[n:]
	}
	return server
}

func seriesPlan(t *testing.T, from, to time.Time, step time.Duration) history.SeriesPlan {
	t.Helper()
	plan, err := history.PlanSeries(history.Range{From: from, To: to}, step)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestDatabaseRates(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := ratesServer(t, s, dsn)
	near := func(got, want float64) bool { return math.Abs(got-want) < 0.05*want+1e-9 }
	for _, tt := range []struct {
		step  time.Duration
		grain history.SeriesGrain
	}{{10 * time.Second, history.SeriesSample}, {time.Minute, history.SeriesSample}, {15 * time.Minute, history.SeriesSample}, {time.Hour, history.SeriesHour}} {
		// The second hour: it begins and ends amid what quiet was sampled for.
		got, err := s.DatabaseRates(t.Context(), server, seriesPlan(t, noon.Add(time.Hour), noon.Add(2*time.Hour), tt.step))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Databases) != 2 || got.Databases[0].Name != "quiet" || got.Databases[1].Name != "shop" || got.Plan.Grain != tt.grain {
			t.Fatalf("%s: %d databases of %+v", tt.step, len(got.Databases), got.Plan)
		}
		quiet, shop := got.Databases[0], got.Databases[1]
		var commits float64
		var deadlocks int64
		for b := range got.Times {
			commits += shop.Commits[b]
			deadlocks += shop.Deadlocks[b]
			if !shop.Known[b] || !quiet.Known[b] || !near(shop.Connections[b], 4) || !near(quiet.Connections[b], 2) || quiet.Commits[b] != 0 ||
				!near(shop.Commits[b]/shop.Seconds[b], 10) || !near(shop.BlocksHit[b], 9*shop.BlocksRead[b]) || shop.MaxConnections[b] != 4 {
				t.Fatalf("%s: bucket %d: known %v and %v, %g and %g connections, %g and %g commits in %g s", tt.step, b, shop.Known[b], quiet.Known[b],
					shop.Connections[b], quiet.Connections[b], shop.Commits[b], quiet.Commits[b], shop.Seconds[b])
			}
		}
		if !near(commits, 36_000) || deadlocks != 3 {
			t.Errorf("%s: %g commits, %d deadlocks", tt.step, commits, deadlocks)
		}
	}
	// After its renaming it has the new name, and before there was anything
	// nothing is known.
	got, err := s.DatabaseRates(t.Context(), server, seriesPlan(t, noon.Add(-time.Hour), noon.Add(4*time.Hour), 30*time.Minute))
	if err != nil || len(got.Databases) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	shop, renamed := got.Databases[1], got.Databases[2]
	if renamed.Name != "store" || renamed.Known[0] || !renamed.Known[6] || renamed.Known[9] || shop.Known[1] || !shop.Known[2] || shop.Known[7] {
		t.Errorf("known %v of %s, %v of %s", shop.Known, shop.Name, renamed.Known, renamed.Name)
	}
	// Time that was not sampled does not make a rate smaller.
	for _, step := range []time.Duration{30 * time.Minute, 4 * time.Hour} {
		got, err = s.DatabaseRates(t.Context(), server, seriesPlan(t, noon.Add(-4*time.Hour), noon.Add(4*time.Hour), step))
		if err != nil || len(got.Databases) < 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		store := got.Databases[len(got.Databases)-1] // renamed amid the range
		if rate, counted := store.PerSecond(store.Commits); !counted || store.Name != "store" || !near(rate, 10) {
			t.Errorf("%s: %g commits a second, %v", step, rate, counted)
		}
	}
}

func TestDatabaseSizes(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := ratesServer(t, s, dsn)
	for _, step := range []time.Duration{15 * time.Minute, time.Hour} {
		got, err := s.DatabaseSizes(t.Context(), server, seriesPlan(t, noon.Add(-time.Hour), noon.Add(3*time.Hour), step))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Databases) != 2 || got.Databases[0].Name != "shop" || got.Databases[1].Name != "store" {
			t.Fatalf("%s: %+v", step, got.Databases)
		}
		shop, renamed := got.Databases[0].Bytes, got.Databases[1].Bytes
		first, last := int(time.Hour/step), len(got.Times)-1
		if shop[first-1] != nil || shop[first] == nil || shop[last] != nil || renamed[first] != nil || renamed[last] == nil || *renamed[last] != 9000<<10 {
			t.Errorf("%s: %v, %v", step, shop, renamed)
		}
	}
}

func TestCoverageSeries(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	for i := range 120 { // 12:00 to 14:00
		minute := noon.Add(time.Duration(i) * time.Minute)
		switch i {
		case 70:
			seedMinute(t, dsn, server.ID, minute, 60, 40, 0, 20, 0, 40, 0)
		case 80, 81, 82: // no collector
		default:
			seedMinute(t, dsn, server.ID, minute, 60, 59, 1, 0, 0, 60, 30)
		}
	}
	r := history.Range{From: noon.Add(-2 * time.Hour), To: noon.Add(2 * time.Hour)}
	got, err := s.CoverageSeries(t.Context(), server, r, 30*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.Coverage(t.Context(), server, r)
	if err != nil {
		t.Fatal(err)
	}
	var sum history.Coverage
	type row struct{ Planned, OK, Degraded, Failed, Skipped int64 }
	var rows []row
	for _, c := range got.Buckets {
		rows = append(rows, row{c.Planned, c.OK, c.Degraded, c.Failed, c.Skipped})
		sum.Planned += c.Planned
		sum.OK += c.OK
		sum.Failed += c.Failed
		sum.Skipped += c.Skipped
	}
	full, missed := row{1800, 29 * 60, 30, 0, 0}, row{1800, 0, 0, 0, 1800}
	full.OK = 30 * 59
	want := []row{{}, {}, missed, missed, full, full, {1800, 26*59 + 40, 26, 20, 180}, full}
	for i := range want {
		if rows[i] != want[i] {
			t.Errorf("bucket %d: %+v, want %+v", i, rows[i], want[i])
		}
	}
	if sum.Planned != whole.Planned || sum.OK != whole.OK || sum.Failed != whole.Failed || sum.Skipped != whole.Skipped || got.Coverage.Planned != whole.Planned {
		t.Errorf("sum %+v, whole %+v", sum, whole)
	}
	// Nothing of it was promised.
	got, err = s.CoverageSeries(t.Context(), server, history.Range{From: noon.AddDate(0, 0, -2), To: noon.AddDate(0, 0, -1)}, time.Hour)
	if err != nil || len(got.Buckets) != 24 || got.Coverage.Planned != 0 {
		t.Errorf("before it was added: %+v, %v", got, err)
	}
}

// A range that begins before what is kept is refused, with what is kept, unless
// the server was added later.
func TestGoneIsRefused(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := ratesServer(t, s, dsn)
	ancient := history.Range{From: noon.AddDate(-9, 0, 0), To: noon.AddDate(-9, 0, 1)}
	hours := history.SeriesPlan{Range: ancient, Step: time.Hour, Grain: history.SeriesHour}
	ask := map[string]func(target.Target) error{
		"events": func(of target.Target) error {
			_, err := s.Events(t.Context(), of, history.EventQuestion{Range: ancient, Limit: 1})
			return err
		},
		"rates": func(of target.Target) error { _, err := s.DatabaseRates(t.Context(), of, hours); return err },
		"sizes": func(of target.Target) error { _, err := s.DatabaseSizes(t.Context(), of, hours); return err },
		"coverage": func(of target.Target) error {
			_, err := s.CoverageSeries(t.Context(), of, ancient, time.Hour)
			return err
		},
		"coverage without a step": func(of target.Target) error { _, err := s.CoverageSeries(t.Context(), of, ancient, 0); return err },
		"disks":                   func(of target.Target) error { _, err := s.DiskTimeline(t.Context(), of, ancient); return err },
	}
	for name, of := range ask {
		old, young := server, server
		old.CreatedAt, young.CreatedAt = noon.AddDate(-10, 0, 0), noon
		if err := of(old); !errors.Is(err, history.ErrGone) || !strings.Contains(err.Error(), "kept since") {
			t.Errorf("%s: %v", name, err)
		}
		if err := of(young); err != nil {
			t.Errorf("%s of a server added later: %v", name, err)
		}
	}
}
