package history

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
	"github.com/pgam/pgam/internal/target"
)

const mib = 1 << 20

func number(n int64) sample.Int { return sample.Int{V: n, Known: true} }

func named(oid uint32, name string) sample.Database {
	return sample.Database{OID: oid, Name: name, AllowConnect: true, Encoding: "UTF8"}
}

// watching is a collector that looks at databases of one server.
type watching struct {
	*stats

	t      *testing.T
	id     target.ID
	series *sample.Series
	visits []*sample.Visit
}

func (s *stats) watch(t *testing.T, id target.ID) *watching {
	t.Helper()
	return &watching{stats: s, t: t, id: id, series: new(sample.Resume).Series()}
}

// database is a database as a look sees it.
func database(oid uint32, backends, commits int64) sample.DatabaseStat {
	d := sample.DatabaseStat{OID: oid, Backends: number(backends)}
	for _, c := range []sample.Counter{sample.XactCommit, sample.BlksRead} {
		d.Counters[c] = number(commits)
	}
	d.Counters[sample.BlksHit], d.Counters[sample.Deadlocks] = number(9*commits), number(0)
	return d
}

// look has the collector look at an instant.
func (w *watching) look(at time.Time, stats ...sample.DatabaseStat) *sample.Visit {
	v := &sample.Visit{Server: w.id, Databases: stats}
	for i := range v.Databases {
		v.Databases[i].At = at
	}
	w.series.Advance(v)
	w.visits = append(w.visits, v)
	return v
}

func (w *watching) list(at time.Time, databases ...sample.Database) {
	w.visits = append(w.visits, &sample.Visit{Server: w.id, Inventory: &sample.Inventory{At: at, Databases: databases}})
}

func (w *watching) size(at time.Time, oid uint32, bytes int64) {
	w.visits = append(w.visits, &sample.Visit{Server: w.id, Sizes: []sample.DatabaseSize{{At: at, OID: oid, Bytes: number(bytes)}}})
}

// store writes what was seen since the last time.
func (w *watching) store() {
	w.t.Helper()
	for len(w.visits) > 0 {
		n := min(len(w.visits), 500)
		w.append(w.t, w.id, w.visits[:n]...)
		w.visits = w.visits[n:]
	}
}

func (w *watching) compactDatabases() {
	w.t.Helper()
	if err := w.w.CompactDatabases(w.t.Context(), w.id); err != nil {
		w.t.Fatal(err)
	}
}

// everyState stores what was seen, and runs a test before any of it is in rollups,
// with half of it, and with all.
func (w *watching) everyState(test func(state string)) {
	w.t.Helper()
	all := w.visits
	w.store()
	test("from rows")
	w.compactDatabases()
	half := all[len(all)/2:]
	w.append(w.t, w.id, half...)
	test("from rollups and rows")
	w.compactDatabases()
	test("from rollups")
}

// shop is three hours of two databases: shop commits ten times a second and is
// sampled every ten seconds; quiet does nothing, with two connections. shop is
// renamed after two hours.
func shop(t *testing.T) *watching {
	t.Helper()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	template := sample.Database{OID: 1, Name: "template1", IsTemplate: true}
	w.list(at(-10), named(100, "shop"), named(101, "quiet"), template)
	for second := 0; second <= 3*3600; second += 10 {
		if second == 7200 {
			w.list(at(second), named(100, "store"), named(101, "quiet"), template)
		}
		d := database(100, 4, int64(second)*10)
		if second >= 3600+30 {
			d.Counters[sample.Deadlocks].V = 3
		}
		w.look(at(second), d, database(101, 2, 7), database(1, 9, int64(second)))
		if second%1800 == 0 {
			w.size(at(second), 100, int64(second)<<10)
		}
	}
	return w
}

func seriesPlan(t *testing.T, from, to time.Time, step time.Duration) Plan {
	t.Helper()
	plan, err := PlanSeries(Range{from, to}, step)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestDatabaseRates(t *testing.T) {
	t.Parallel()
	s := shop(t)
	s.everyState(func(state string) { testDatabaseRates(t, s.stats, state) })
}

func testDatabaseRates(t *testing.T, s *stats, state string) {
	t.Helper()
	near := func(got, want float64) bool { return math.Abs(got-want) < 0.01*want+1e-9 }
	for _, tt := range []struct {
		step  time.Duration
		grain Grain
	}{{10 * time.Second, GrainSample}, {time.Minute, GrainSample}, {15 * time.Minute, GrainSample}, {time.Hour, GrainHour}} {
		// The second hour: it begins and ends amid what quiet was sampled for.
		got, err := s.DatabaseRates(t.Context(), s.server, seriesPlan(t, noon.Add(time.Hour), noon.Add(2*time.Hour), tt.step))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Databases) != 2 || got.Databases[0].Name != "quiet" || got.Databases[1].Name != "shop" || got.Plan.Grain != tt.grain {
			t.Fatalf("%s, %s: %d databases of %+v", state, tt.step, len(got.Databases), got.Plan)
		}
		quiet, shop := got.Databases[0], got.Databases[1]
		var commits float64
		var deadlocks int64
		for b := range got.Times {
			commits += shop.Commits[b]
			deadlocks += shop.Deadlocks[b]
			if !shop.Known[b] || !quiet.Known[b] || !near(shop.Connections[b], 4) || !near(quiet.Connections[b], 2) || quiet.Commits[b] != 0 ||
				!near(shop.Commits[b]/shop.Seconds[b], 10) || !near(shop.BlocksHit[b], 9*shop.BlocksRead[b]) || shop.MaxConnections[b] != 4 ||
				!near(shop.Seconds[b], tt.step.Seconds()) || !near(quiet.Seconds[b], tt.step.Seconds()) {
				t.Fatalf("%s, %s: bucket %d: known %v and %v, %g and %g connections, %g and %g commits in %g and %g s", state, tt.step, b, shop.Known[b], quiet.Known[b],
					shop.Connections[b], quiet.Connections[b], shop.Commits[b], quiet.Commits[b], shop.Seconds[b], quiet.Seconds[b])
			}
		}
		if !near(commits, 36_000) || deadlocks != 3 {
			t.Errorf("%s, %s: %g commits, %d deadlocks", state, tt.step, commits, deadlocks)
		}
	}
	// After its renaming it has the new name, and before there was anything nothing
	// is known.
	got, err := s.DatabaseRates(t.Context(), s.server, seriesPlan(t, noon.Add(-time.Hour), noon.Add(4*time.Hour), 30*time.Minute))
	if err != nil || len(got.Databases) != 3 {
		t.Fatalf("%s: %+v, %v", state, got, err)
	}
	shop, renamed := got.Databases[1], got.Databases[2]
	if renamed.Name != "store" || renamed.Known[0] || !renamed.Known[6] || renamed.Known[9] || shop.Known[1] || !shop.Known[2] || shop.Known[7] {
		t.Errorf("%s: known %v of %s, %v of %s", state, shop.Known, shop.Name, renamed.Known, renamed.Name)
	}
	// Time that was not sampled does not make a rate smaller.
	for _, step := range []time.Duration{30 * time.Minute, 4 * time.Hour, 24 * time.Hour} {
		got, err = s.DatabaseRates(t.Context(), s.server, seriesPlan(t, noon.Add(-4*time.Hour), noon.Add(4*time.Hour), step))
		if err != nil || len(got.Databases) < 2 {
			t.Fatalf("%s: %+v, %v", state, got, err)
		}
		store := got.Databases[len(got.Databases)-1] // renamed amid the range
		if rate, counted := store.PerSecond(store.Commits); !counted || store.Name != "store" || !near(rate, 10) {
			t.Errorf("%s, %s: %g commits a second, %v", state, step, rate, counted)
		}
	}
}

func TestDatabaseSizes(t *testing.T) {
	t.Parallel()
	s := shop(t)
	s.everyState(func(state string) {
		for _, step := range []time.Duration{15 * time.Minute, time.Hour} {
			got, err := s.DatabaseSizes(t.Context(), s.server, seriesPlan(t, noon.Add(-time.Hour), noon.Add(3*time.Hour), step))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Databases) != 2 || got.Databases[0].Name != "shop" || got.Databases[1].Name != "store" {
				t.Fatalf("%s, %s: %+v", state, step, got.Databases)
			}
			shop, renamed := got.Databases[0].Bytes, got.Databases[1].Bytes
			first, last := int(time.Hour/step), len(got.Times)-1
			if shop[first-1] != nil || shop[first] == nil || shop[last] != nil || renamed[first] != nil || renamed[last] == nil || *renamed[last] != 9000<<10 {
				t.Errorf("%s, %s: %v, %v", state, step, shop, renamed)
			}
		}
	})
}

// perSecond is how much is counted in each second in all of steady.
const perSecond = 1000

// steady is a server on which perSecond transactions are committed in every second
// of some hours, whatever happens: looks come at any phase, some are missed, the
// collector is away and comes back, the server is restarted. In bursts as many are
// committed once a minute, and nothing in between.
type steady struct {
	*watching
	*rand.Rand

	started time.Time
}

func (d *steady) look(at time.Time) {
	seconds := at.Sub(d.started).Seconds()
	v := &sample.Visit{
		Server: d.id, Databases: []sample.DatabaseStat{database(100, 7, int64(perSecond*seconds)), database(101, 3, 60*perSecond*int64(seconds/60))},
		Identity: &sample.Identity{At: at, VersionNum: 150000, SystemIdentifier: 7, PostmasterStart: d.started},
	}
	for i := range v.Databases {
		v.Databases[i].At = at
	}
	d.series.Advance(v)
	d.visits = append(d.visits, v)
}

// history stores some hours and gives their end, and what was committed in them
// that can be known.
func (d *steady) history(from time.Time) (end time.Time, commits float64) {
	d.list(from.Add(-time.Minute), named(100, "steady"), named(101, "bursts"))
	at := from.Add(time.Duration(d.Int64N(int64(10*time.Second/time.Microsecond))) * time.Microsecond)
	before, started := time.Time{}, d.started
	for at.Before(from.Add(9 * time.Hour)) {
		d.look(at)
		seconds := func(at time.Time) float64 { return math.Trunc(perSecond * at.Sub(d.started).Seconds()) }
		if !before.IsZero() && started.Equal(d.started) {
			commits += seconds(at) - seconds(before)
		}
		before, started = at, d.started
		at = at.Add(10*time.Second + time.Duration(d.IntN(50))*time.Millisecond)
		switch d.IntN(250) {
		case 0:
			at = at.Add(time.Duration(d.Int64N(int64(5 * time.Minute)))).Truncate(time.Microsecond)
		case 1: // the collector is away
			at = at.Add(time.Duration(d.Int64N(int64(time.Hour)))).Truncate(time.Microsecond)
			d.series = new(sample.Resume).Series()
		case 2:
			d.started = at.Add(-3 * time.Second)
		}
	}
	return at, commits
}

// A rate is the count over the time it was counted in: in every bucket, the newest
// and those at the edges of what was seen too, whoever asks, and whatever of it is
// in rollups.
func TestARateIsTheCountOverItsTime(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	for seed := range uint64(2) {
		w := s.watch(t, s.add(t, fmt.Sprint("steady", seed)).ID)
		d := &steady{watching: w, Rand: rand.New(rand.NewPCG(seed, 7)), started: noon.Add(-time.Hour)}
		end, commits := d.history(noon)
		whole := Range{noon, end.Add(time.Minute)}
		w.everyState(func(state string) {
			for _, step := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour} {
				from := noon.Add(time.Duration(d.IntN(7200)) * time.Second)
				judgeRates(t, s, w.id, Range{from, from.Add(20*time.Minute + time.Duration(d.IntN(7200))*time.Second)}, step, -1)
				if step >= 10*time.Second {
					judgeRates(t, s, w.id, whole, step, commits)
				}
			}
			for _, from := range []time.Time{noon, noon.AddDate(0, 0, -5), noon.AddDate(0, 0, -100)} { // raw, by hour, by day
				line, err := s.DatabaseTimeline(t.Context(), w.id, "steady", Range{from, whole.To})
				if err != nil || float64(line.Commits) != commits {
					t.Errorf("seed %d, from %s: %d commits of %g, %v", seed, from, line.Commits, commits, err)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d, %s", seed, state)
			}
		})
	}
}

// rates is databaseRates by one plan.
func (s *stats) rates(t *testing.T, server target.ID, plan Plan) DatabaseRates {
	t.Helper()
	answers, err := s.databaseRates(t.Context(), server, plan)
	if err != nil {
		t.Fatal(err)
	}
	return answers[0]
}

// judgeRates checks every bucket, and the sum unless it is negative.
func judgeRates(t *testing.T, s *stats, server target.ID, r Range, step time.Duration, sum float64) {
	t.Helper()
	rates := s.rates(t, server, seriesPlan(t, r.From, r.To, step))
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

// TestDatabasesAtAnyInstant writes what two collectors saw of a random life, late
// and twice, with compactions at any instant, and asks in between: the answer is that
// of a recount of what is written, whatever of it is in rollups.
func TestDatabasesAtAnyInstant(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	for seed := range uint64(2) {
		w := s.watch(t, s.add(t, fmt.Sprint("random", seed)).ID)
		c := sampletest.NewDatabases(seed, noon)
		c.Live(noon.Add(6 * time.Hour))
		w.list(noon.Add(-time.Minute), named(1, "1"), named(2, "2"), named(3, "3"))
		w.store()
		var written, waiting []*sample.Visit
		for rest := c.Visits; len(rest)+len(waiting) > 0; {
			n := min(len(rest), 1+c.IntN(120))
			batch := slices.Clone(rest[:n])
			rest = rest[n:]
			if c.IntN(8) == 0 || len(rest) == 0 {
				batch, waiting = append(batch, waiting...), nil
			}
			c.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			if len(rest) > 0 {
				late := c.IntN(1 + len(batch)/4)
				waiting, batch = append(waiting, batch[:late]...), batch[late:]
			}
			s.append(t, w.id, batch...)
			written = append(written, batch...)
			if c.IntN(2) == 0 {
				w.compactDatabases()
			}
			from := noon.Add(time.Duration(c.IntN(6*3600)-3600) * time.Second)
			span := Range{from, from.Add(time.Duration(1+c.IntN(5*3600)) * time.Second)}
			if len(written)%3 == 0 || len(rest) == 0 {
				judgeAnswers(t, w, written, span)
			}
			if t.Failed() {
				t.Fatalf("seed %d, %d visits written", seed, len(written))
			}
		}
	}
}

// judgeAnswers compares answers about a range with what was written.
func judgeAnswers(t *testing.T, w *watching, written []*sample.Visit, span Range) {
	t.Helper()
	rows, looks := sampletest.DatabaseRows(written)
	for _, step := range []time.Duration{10 * time.Minute, time.Hour} {
		plan := seriesPlan(t, span.From, span.To, step)
		got := w.rates(t, w.id, plan)
		from := Floor(plan.Range.From, step)
		of := make(map[string]*DatabaseRate)
		for i := range got.Databases {
			of[got.Databases[i].Name] = &got.Databases[i]
		}
		for oid := range uint32(4) {
			sums := sample.SumDatabase(rows[oid], looks, from, plan.Range.Widen(step).To, step)
			d := of[fmt.Sprint(oid)]
			for b := range sums {
				want := &sums[b]
				if step < time.Hour && (b == 0 || b == len(sums)-1) || oid == 0 || d == nil {
					if oid > 0 && step == time.Hour && !want.Empty() || oid == 0 && d != nil {
						t.Errorf("%s by %s: %d is there: %v, want %+v", span, step, oid, d != nil, want)
					}
					continue // what the range cuts off is not in it
				}
				commits := float64(want.Counters[sample.XactCommit].V)
				near := math.Abs(d.Commits[b]-commits) < 1e-6 || step < time.Hour && math.Abs(d.Commits[b]-commits) <= 1
				if !near || math.Abs(d.Seconds[b]-want.CountedSeconds) > 1e-3 || d.Deadlocks[b] != want.Counters[sample.Deadlocks].V || d.Commits[b] < 0 {
					t.Errorf("%s by %s: %d has in bucket %d %g commits and %d deadlocks in %g s, want %g, %d, %g", span, step, oid, b,
						d.Commits[b], d.Deadlocks[b], d.Seconds[b], commits, want.Counters[sample.Deadlocks].V, want.CountedSeconds)
				}
				if want.Seconds > 0 && math.Abs(d.Connections[b]-want.BackendSeconds/want.Seconds) > 1e-3 {
					t.Errorf("%s by %s: %d has in bucket %d %g connections, want %g", span, step, oid, b, d.Connections[b], want.BackendSeconds/want.Seconds)
				}
			}
		}
	}
	for _, from := range []time.Time{noon.AddDate(0, 0, -5), noon.AddDate(0, 0, -100)} { // by hour, by day
		line, err := w.ServerTimeline(t.Context(), w.id, Range{from, span.To})
		if err != nil {
			t.Fatal(err)
		}
		var commits int64
		for oid := range uint32(4) {
			for _, s := range sample.SumDatabase(rows[oid], looks, noon.Truncate(24*time.Hour), line.Range.To, time.Hour) {
				if oid > 0 {
					commits += s.Counters[sample.XactCommit].V
				}
			}
		}
		if line.Commits != commits {
			t.Errorf("until %s: %d commits, want %d", span.To, line.Commits, commits)
		}
	}
}

func TestServerTimelineRaw(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	template := sample.Database{OID: 1, Name: "template1", IsTemplate: true}
	w.list(at(-3600), named(100, "shop"), named(102, "old"), template)
	w.size(at(-60), 100, 5*mib)
	w.size(at(1), 102, 3*mib)
	w.look(at(2), database(100, 9, 990), database(102, 9, 45), database(1, 9, 0))
	w.look(at(12), database(100, 4, 1000), database(102, 1, 50), database(1, 9, 99))
	w.size(at(600), 100, 8*mib)
	w.list(at(600), named(100, "shop"), named(101, "blog"), named(102, "old"), template)
	w.look(at(1192), database(100, 6, 1000), database(101, 2, 0))
	w.list(at(1200), named(100, "shop"), named(101, "blog"), template)
	w.look(at(1202), database(100, 6, 1020), database(101, 2, 0))
	w.look(at(1213), database(100, 6, 1020), database(101, 2, 7))
	w.size(at(1220), 101, 1*mib)
	point := func(seconds int, name string, backends, least, most int32, commits int64, size int64) DatabasePoint {
		return DatabasePoint{
			At: at(seconds), Database: name, Connections: float64(backends), MinConnections: least, MaxConnections: most, Commits: commits, SizeBytes: &size,
		}
	}
	w.everyState(func(state string) {
		got, err := s.ServerTimeline(t.Context(), w.id, Range{noon, noon.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		want := []DatabasePoint{
			point(0, "old", 9, 9, 9, 4, 3*mib),
			point(0, "shop", 9, 9, 9, 8, 5*mib),
			point(10, "old", 1, 1, 1, 1, 3*mib),
			point(10, "shop", 4, 4, 4, 2, 5*mib),
			point(1190, "blog", 2, 2, 2, 0, 0),
			point(1190, "shop", 6, 6, 6, 16, 8*mib),
			point(1200, "blog", 2, 2, 2, 5, 0),
			point(1200, "shop", 6, 6, 6, 4, 8*mib),
			point(1210, "blog", 2, 2, 2, 2, 1*mib),
			point(1210, "shop", 6, 6, 6, 0, 8*mib),
		}
		want[4].SizeBytes, want[6].SizeBytes = nil, nil // it was not measured yet
		if diff := cmp.Diff(want, got.Points); diff != "" {
			t.Errorf("%s: points (-want +got):\n%s", state, diff)
		}
		var names []string
		for _, d := range got.Databases {
			names = append(names, d.Name)
		}
		if diff := cmp.Diff([]string{"blog", "old", "shop"}, names); diff != "" {
			t.Errorf("%s: databases (-want +got):\n%s", state, diff)
		}
		if got.Aggregation != Raw || got.Connections != 8 || got.SizeBytes != 9*mib || got.Commits != 42 ||
			got.MinConnections != 1 || got.MaxConnections != 9 || got.LastSampleAt == nil || !got.LastSampleAt.Equal(at(1213)) {
			t.Errorf("%s: sums: %+v", state, got)
		}
		// After old was dropped, before blog had a sample.
		got, err = s.ServerTimeline(t.Context(), w.id, Range{at(900), at(960)})
		if err != nil || len(got.Points) != 0 || len(got.Databases) != 3 {
			t.Errorf("%s: an empty range: %+v, %v", state, got, err)
		}
	})
}

// A database in which nothing changes has a row every five minutes only: the
// average is over time, not over rows.
func TestTimelineAveragesOverTime(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	w.list(noon.Add(-time.Hour), named(100, "shop"))
	// 12:00 to 12:30: ten connections and a commit each ten seconds; then none, and
	// a row each five minutes; at 13:00:10 two connections and three commits.
	commits := int64(1000)
	for second := 0; second <= 3610; second += 10 {
		backends := int64(0)
		switch {
		case second < 1800:
			backends, commits = 10, commits+1
		case second == 3610:
			backends, commits = 2, commits+3
		}
		w.look(noon.Add(time.Duration(second)*time.Second), database(100, backends, commits))
	}
	w.everyState(func(state string) {
		if n := pgtest.Value[int](t, s.dsn, "select count(*) from history.database_stat where sampled_at >= $1", noon.Add(1810*time.Second)); n != 7 {
			t.Fatalf("%d rows for 40 minutes", n)
		}
		got, err := s.DatabaseTimeline(t.Context(), w.id, "shop", Range{noon.Add(-71 * time.Hour), noon.Add(61 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		want := []DatabasePoint{
			// Ten connections stood for 1800 of the 3600 seconds.
			{At: noon, Database: "shop", Connections: 5, MinConnections: 0, MaxConnections: 10, Commits: 179},
			{At: noon.Add(time.Hour), Database: "shop", Connections: 0, MinConnections: 0, MaxConnections: 2, Commits: 3},
		}
		if diff := cmp.Diff(want, got.Points, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%s: points (-want +got):\n%s", state, diff)
		}
		if got.Aggregation != Hourly || got.Connections != 2 || got.Commits != 182 || got.MaxConnections != 10 || got.MinConnections != 0 {
			t.Errorf("%s: sums: %+v", state, got)
		}
	})
}

// A renamed database has both names, each in its time.
func TestTimelineOfRenamed(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	w.list(at(-60), named(100, "before"))
	w.look(at(0), database(100, 1, 0))
	w.look(at(10), database(100, 1, 1))
	w.look(at(300), database(100, 1, 1))
	w.list(at(300), named(100, "after"))
	w.look(at(400), database(100, 2, 3))
	w.store()
	for name, commits := range map[string]int64{"before": 1, "after": 2, "never": 0} {
		got, err := s.DatabaseTimeline(t.Context(), w.id, name, Range{noon, noon.Add(time.Hour)})
		if err != nil || got.Commits != commits {
			t.Errorf("%s: %d commits, %v", name, got.Commits, err)
		}
	}
	got, err := s.ServerTimeline(t.Context(), w.id, Range{noon, noon.Add(time.Hour)})
	if err != nil || got.Points[0].Database != "before" || got.Points[len(got.Points)-1].Database != "after" || got.Connections != 2 {
		t.Errorf("of the server: %+v, %v", got, err)
	}
}

func TestDatabaseNow(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	w.list(noon, named(100, "shop"), named(101, "blog"))
	w.store()
	if _, err := s.DatabaseNow(t.Context(), w.id, "nosuchdb"); !errors.Is(err, ErrNoDatabase) {
		t.Errorf("unknown database: %v", err)
	}
	got, err := s.DatabaseNow(t.Context(), w.id, "blog")
	if err != nil || got.SampledAt != nil || got.Connections != nil || got.SizeBytes != nil {
		t.Errorf("without a sample: %+v, %v", got, err)
	}
	w.look(noon.Add(3500*time.Second), database(100, 4, 1000))
	w.look(noon.Add(3590*time.Second), database(100, 6, 1020))
	w.size(noon.Add(30*time.Minute), 100, 8*mib)
	w.store()
	got, err = s.DatabaseNow(t.Context(), w.id, "shop")
	if err != nil || got.SampledAt == nil || !got.SampledAt.Equal(noon.Add(3590*time.Second)) || *got.Connections != 6 ||
		*got.CommitsTotal != 1020 || *got.SizeBytes != 8*mib || !got.SizeAt.Equal(noon.Add(30*time.Minute)) || got.Database.DroppedAt != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	list, err := s.Inventory(t.Context(), w.id)
	if err != nil || len(list) != 2 || list[0].Name != "blog" || *list[1].Encoding != "UTF8" || !list[1].FirstSeenAt.Equal(noon) {
		t.Errorf("inventory: %+v, %v", list, err)
	}
}

// Whoever adds up the databases of an instant gets what the server had then, and at
// the last one what it has now: idle ones, which have a row every five minutes only,
// have a value at each, in ranges of any length.
func TestEveryInstantHasEveryDatabase(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	w := s.watch(t, s.server.ID)
	busy, idle, old := named(100, "busy"), named(101, "idle"), named(102, "old")
	w.list(noon, busy, idle, old)
	// Two hours and three minutes; old is dropped after one; nothing was seen from
	// 13:20 to 13:30.
	dropped, end := noon.Add(time.Hour), noon.Add(2*time.Hour+3*time.Minute)
	n := int64(0)
	for at := noon.Add(3 * time.Second); at.Before(end); at = at.Add(10 * time.Second) {
		if n++; at.Equal(dropped.Add(3 * time.Second)) {
			w.list(dropped, busy, idle)
		}
		if at.After(noon.Add(80*time.Minute)) && at.Before(noon.Add(90*time.Minute)) {
			continue
		}
		all := []sample.DatabaseStat{database(100, 5+n%3, n), database(101, 2, 7)}
		if at.Before(dropped) {
			all = append(all, database(102, 4, 7))
		}
		w.look(at, all...)
		if n == 1 {
			for _, oid := range []uint32{100, 101, 102} {
				w.size(at, oid, int64(oid)<<20)
			}
		}
	}
	w.everyState(func(state string) {
		for _, from := range []time.Time{noon, end.Add(-time.Hour), end.Add(-24 * time.Hour), end.Add(-48 * time.Hour), end.AddDate(0, 0, -7), end.AddDate(0, 0, -60), end.AddDate(0, 0, -200)} {
			testEveryInstant(t, w, state, Range{from, end}, dropped)
		}
		testEveryInstant(t, w, state, Range{noon.Add(50 * time.Minute), dropped}, dropped)
	})
}

func testEveryInstant(t *testing.T, w *watching, state string, r Range, dropped time.Time) {
	t.Helper()
	got, err := w.ServerTimeline(t.Context(), w.id, r)
	if err != nil {
		t.Fatal(err)
	}
	instants := make(map[time.Time][]DatabasePoint)
	for _, p := range got.Points {
		instants[p.At] = append(instants[p.At], p)
	}
	if len(instants) == 0 || len(instants) > 720 {
		t.Fatalf("%s, %s: %d instants", state, r, len(instants))
	}
	last := got.Points[len(got.Points)-1].At
	for at, points := range instants {
		want := 3
		if !at.Before(dropped) || at.Equal(last) && r.To.After(dropped) {
			want = 2
		}
		if len(points) != want {
			t.Errorf("%s, %s: %d databases at %s", state, r, len(points), at)
		}
		if got.Aggregation == Raw && at.After(noon.Add(86*time.Minute)) && at.Before(noon.Add(89*time.Minute)) {
			t.Errorf("%s, %s: %s is known", state, r, at)
		}
	}
	var connections, bytes int64
	for _, p := range instants[last] {
		if p.SizeBytes == nil {
			t.Fatalf("%s, %s: %s has no size", state, r, p.Database)
		}
		connections, bytes = connections+int64(p.Connections), bytes+*p.SizeBytes
	}
	if got.Aggregation == Raw && connections != got.Connections || bytes != got.SizeBytes {
		t.Errorf("%s, %s: at the last instant %d connections and %d bytes, in all %d and %d", state, r, connections, bytes, got.Connections, got.SizeBytes)
	}
	one, err := w.DatabaseTimeline(t.Context(), w.id, "idle", r)
	if err != nil || len(one.Points) == 0 || len(one.Points) > 720 || one.MinConnections != 2 || one.MaxConnections != 2 {
		t.Errorf("%s, %s: idle has %d points, from %d to %d connections, %v", state, r, len(one.Points), one.MinConnections, one.MaxConnections, err)
	}
}

func TestRawStep(t *testing.T) {
	t.Parallel()
	for length, want := range map[time.Duration]time.Duration{
		time.Minute: 10 * time.Second, time.Hour: 10 * time.Second, 3 * time.Hour: 30 * time.Second, 24 * time.Hour: 3 * time.Minute, 48 * time.Hour: 5 * time.Minute,
	} {
		r := Range{noon.Add(7 * time.Second), noon.Add(length + 7*time.Second)}
		if got := rawStep(r); got != want || r.Widen(got).Length()/got > 720 {
			t.Errorf("%s: %s", length, got)
		}
	}
}

// A range that begins before what is kept is refused, with what is kept, unless the
// server was added later.
func TestGoneIsRefused(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	for _, table := range []string{"database_stat", "database_size", "disk_usage", "disk_rollup", "event"} {
		pgtest.Exec(t, s.dsn, "drop table history."+table+"_all")
	}
	if err := s.w.EnsurePartitions(t.Context(), noon, noon); err != nil {
		t.Log(err) // of tables that have a partition for all times
	}
	ancient := Range{noon.AddDate(-9, 0, 0), noon.AddDate(-9, 0, 1)}
	hours, rows := Plan{Range: ancient, Step: time.Hour, Grain: GrainHour}, Plan{Range: ancient, Step: time.Minute, Grain: GrainSample}
	ask := map[string]func(target.Target) error{
		"events": func(of target.Target) error {
			_, err := s.Events(t.Context(), of, EventQuestion{Range: ancient, Limit: 1})
			return err
		},
		"rates":          func(of target.Target) error { _, err := s.DatabaseRates(t.Context(), of, hours); return err },
		"rates of rows":  func(of target.Target) error { _, err := s.DatabaseRates(t.Context(), of, rows); return err },
		"sizes":          func(of target.Target) error { _, err := s.DatabaseSizes(t.Context(), of, hours); return err },
		"measured sizes": func(of target.Target) error { _, err := s.DatabaseSizes(t.Context(), of, rows); return err },
		"disks":          func(of target.Target) error { _, err := s.DiskTimeline(t.Context(), of, ancient); return err },
	}
	for name, of := range ask {
		old, young := s.server, s.server
		old.CreatedAt, young.CreatedAt = noon.AddDate(-10, 0, 0), noon
		if err := of(old); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "kept since") {
			t.Errorf("%s: %v", name, err)
		}
		if err := of(young); err != nil {
			t.Errorf("%s of a server added later: %v", name, err)
		}
	}
}
