package store

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
	"github.com/pgam/pgam/migrations"
)

// past is a random history of a server's databases: what was stored of it, and
// which names there were when, to answer questions from by brute force.
type past struct {
	r       *rand.Rand
	server  target.ID
	start   time.Time
	end     time.Time
	visits  []*sample.Visit
	stats   []sample.DatabaseStat
	sizes   []sample.DatabaseSize
	alive   []sample.Database
	nextOID uint32
}

// newPast makes a history of some weeks: databases come, go and are renamed;
// the server is restarted, counters are reset, sampling pauses.
func newPast(seed uint64, server target.ID) *past {
	p := &past{r: rand.New(rand.NewPCG(seed, 3)), server: server, start: noon.Add(-7 * 24 * time.Hour).Add(time.Duration(seed) * time.Minute), nextOID: 100}
	p.alive = []sample.Database{{OID: 1, Name: "template1", IsTemplate: true, AllowConnect: true}}
	for range 3 {
		p.create()
	}
	series := sample.NewSeries(nil, nil, time.Time{})
	counters := make(map[uint32]sample.DatabaseStat)
	started, at := p.start.Add(-time.Hour), p.start
	listed := time.Time{}
	for range 500 {
		at = at.Add(time.Duration(1+p.r.Int64N(int64(90*time.Minute/time.Microsecond))) * time.Microsecond)
		v := &sample.Visit{Server: server, Identity: &sample.Identity{At: at, VersionNum: 150000, SystemIdentifier: 7, PostmasterStart: started}}
		switch p.r.IntN(60) {
		case 0:
			started = at.Add(-time.Second)
			v.Identity.PostmasterStart = started
		case 1:
			clear(counters)
		case 2:
			at = at.Add(time.Duration(p.r.Int64N(int64(40 * time.Hour))).Truncate(time.Microsecond))
			v.Identity.At = at
		}
		if listed.IsZero() || p.r.IntN(10) == 0 {
			p.change()
			v.Inventory = &sample.Inventory{At: at, Databases: slices.Clone(p.alive)}
			listed = at
		}
		v.Databases = p.sample(at, counters)
		series.Advance(v)
		p.stats = append(p.stats, v.Databases...)
		if p.r.IntN(4) == 0 {
			v.Sizes = p.measure(at)
			p.sizes = append(p.sizes, v.Sizes...)
		}
		p.visits = append(p.visits, v)
	}
	p.end = at
	return p
}

func (p *past) create() {
	p.nextOID++
	names := []string{"shop", "blog", "größe", "a/b", "Zoo"} // dropped ones come again
	name := names[p.r.IntN(len(names))]
	if slices.ContainsFunc(p.alive, func(d sample.Database) bool { return d.Name == name }) {
		name = fmt.Sprint("db", p.nextOID)
	}
	p.alive = append(p.alive, dbNamed(p.nextOID, name))
}

// change creates, drops or renames a database, or does not.
func (p *past) change() {
	i := 1 + p.r.IntN(len(p.alive)-1)
	switch p.r.IntN(5) {
	case 0:
		p.create()
	case 1:
		if len(p.alive) > 3 {
			p.alive = slices.Delete(slices.Clone(p.alive), i, i+1)
		}
	case 2:
		p.alive = slices.Clone(p.alive)
		p.alive[i].Name = fmt.Sprint("renamed", p.r.IntN(1000000))
	}
}

func (p *past) sample(at time.Time, counters map[uint32]sample.DatabaseStat) []sample.DatabaseStat {
	var all []sample.DatabaseStat
	for _, db := range append(slices.Clone(p.alive), sample.Database{}) { // and the shared objects
		d := counters[db.OID]
		d.OID, d.At = db.OID, at
		if db.OID != 0 {
			d.Backends = sample.Int{V: p.r.Int64N(30), Known: true}
		}
		for i := range d.Counters {
			if i != int(sample.Deadlocks) { // what the server does not count stays null
				d.Counters[i] = sample.Int{V: d.Counters[i].V + p.r.Int64N(1000), Known: true}
			}
		}
		d.Timers[sample.ActiveTime] = sample.Float{V: d.Timers[sample.ActiveTime].V + p.r.Float64()*1000, Known: true}
		counters[db.OID] = d
		all = append(all, d)
	}
	return all
}

func (p *past) measure(at time.Time) []sample.DatabaseSize {
	var all []sample.DatabaseSize
	for i, db := range p.alive {
		z := sample.DatabaseSize{At: at.Add(time.Duration(i) * time.Millisecond), OID: db.OID, Bytes: sample.Int{V: p.r.Int64N(1 << 40), Known: true}}
		if p.r.IntN(5) == 0 {
			z.Bytes, z.Reason = sample.Int{}, sample.LockTimeout
		}
		all = append(all, z)
	}
	return all
}

// store appends all of it: in batches, some of them twice, what is neither an
// inventory nor an identity sometimes much later.
func (p *past) store(t *testing.T, s *Store) {
	t.Helper()
	var batch, late sample.Batch
	for i, v := range p.visits {
		if v.Inventory == nil && v.Identity == nil && p.r.IntN(8) == 0 {
			late.Visits = append(late.Visits, v)
		} else {
			batch.Visits = append(batch.Visits, v)
		}
		if p.r.IntN(12) == 0 || i == len(p.visits)-1 {
			mustAppend(t, s, batch)
			if p.r.IntN(3) == 0 {
				mustAppend(t, s, batch)
			}
			batch.Visits = nil
		}
	}
	p.r.Shuffle(len(late.Visits), func(i, k int) { late.Visits[i], late.Visits[k] = late.Visits[k], late.Visits[i] })
	mustAppend(t, s, late, late)
}

// answer is what a timeline must be, computed from what was stored.
func (p *past) answer(list []history.Database, r history.Range, only string) history.Timeline {
	line := history.Timeline{Range: r, Aggregation: history.AggregationFor(r)}
	step := line.Aggregation.Step()
	if step > 0 {
		line.Range = r.Widen(time.Hour)
	} else {
		step = rawStep(r)
	}
	r = line.Range
	told := p.end.Add(time.Second) // what comes later is not asked for
	if line.Aggregation == history.Raw {
		told = r.To.Add(sample.MaxHeld)
	}
	newest, known := make(map[uint32]sample.DatabaseStat), p.knownUntil(list, r, step, only)
	for _, d := range p.stats {
		if n, seen := newest[d.OID]; p.counts(list, d, r, only) && (!seen || n.At.Before(d.At)) {
			newest[d.OID] = d
		}
	}
	last := time.Time{}
	for start := range known {
		if start.After(last) {
			last = start
		}
	}
	byOID := p.byOID()
	for start := history.Floor(r.From, step); start.Before(r.To); start = start.Add(step) {
		part := history.Range{From: start, To: start.Add(step)}.Clip(r)
		for oid := range byOID {
			c, ok := p.point(byOID[oid], r, part, known[start], line.Aggregation == history.Raw, start.Equal(last))
			c.At, c.Commits = start, commits(byOID[oid], part, told)
			named := history.Range{From: start, To: start.Add(step)}
			if line.Aggregation == history.Raw && ok {
				named = history.Range{From: known[start], To: known[start].Add(time.Microsecond)}
			} else if line.Aggregation == history.Raw {
				named = history.Range{From: part.To.Add(-time.Microsecond), To: part.To}
			}
			if c.Database = nameIn(list, oid, named.From, named.To); c.Database == "" || (only != "" && c.Database != only) {
				continue
			}
			line.Commits += c.Commits
			if ok && (line.Aggregation == history.Raw || only != "" || !start.Equal(last) || !p.goneBy(list, oid, c.Database, newest)) {
				line.Points = append(line.Points, c)
			}
		}
	}
	slices.SortFunc(line.Points, byTimeAndName)
	for i, c := range line.Points {
		if i == 0 {
			line.MinConnections = c.MinConnections
		}
		line.MinConnections, line.MaxConnections = min(line.MinConnections, c.MinConnections), max(line.MaxConnections, c.MaxConnections)
	}
	p.sums(&line, list, only, newest)
	return line
}

// goneBy reports whether a name was gone at the newest sample of all.
func (p *past) goneBy(list []history.Database, oid uint32, name string, newest map[uint32]sample.DatabaseStat) bool {
	var at time.Time
	for _, d := range newest {
		if d.At.After(at) {
			at = d.At
		}
	}
	i := slices.IndexFunc(list, func(d history.Database) bool {
		return d.OID == oid && d.Name == name && (d.DroppedAt == nil || d.DroppedAt.After(at))
	})
	return i < 0
}

func (p *past) byOID() map[uint32][]sample.DatabaseStat {
	all := make(map[uint32][]sample.DatabaseStat)
	for _, d := range p.stats {
		all[d.OID] = append(all[d.OID], d)
	}
	return all
}

// counts reports whether a sample is of the connections that a question is about.
func (p *past) counts(list []history.Database, d sample.DatabaseStat, r history.Range, only string) bool {
	return !d.At.Before(r.From) && d.At.Before(r.To) && d.Backends.Known && asked(list, d.OID, only)
}

// knownUntil is the last moment of each bucket of which something is known: a
// sample, or one that stood because the next of its database follows soon.
func (p *past) knownUntil(list []history.Database, r history.Range, step time.Duration, only string) map[time.Time]time.Time {
	until := make(map[time.Time]time.Time)
	know := func(at time.Time) {
		if start := history.Floor(at, step); !at.Before(r.From) && at.Before(r.To) && until[start].Before(at) {
			until[start] = at
		}
	}
	before := make(map[uint32]time.Time)
	for _, d := range p.stats {
		if !d.Backends.Known || !asked(list, d.OID, only) || !d.At.Before(r.To) {
			continue
		}
		know(d.At)
		if from := before[d.OID]; !from.IsZero() && d.Interval > 0 && d.At.Sub(from) <= sample.MaxHeld {
			for start := history.Floor(from, step).Add(step); !start.After(d.At); start = start.Add(step) {
				know(start.Add(-time.Microsecond))
			}
		}
		before[d.OID] = d.At
	}
	return until
}

// commits counts what was committed in a part of the range, in whole numbers:
// what is counted between two samples is shared out by time.
func commits(stats []sample.DatabaseStat, part history.Range, told time.Time) (n int64) {
	for i := range stats {
		d := &stats[i]
		if delta := d.CounterDeltas[sample.XactCommit]; delta.Known && d.At.Before(told) && d.At.After(part.From) {
			by := func(t time.Time) int64 {
				share := float64(t.Sub(d.At.Add(-d.Interval))) / float64(d.Interval)
				return int64(math.Round(float64(delta.V) * min(1, max(0, share))))
			}
			n += by(part.To) - by(part.From)
		}
	}
	return n
}

// point is what is known of the connections and the size of a database in a
// part of the range; until is the last moment of which something is known.
func (p *past) point(stats []sample.DatabaseStat, r, part history.Range, until time.Time, raw, last bool) (c history.DatabasePoint, ok bool) {
	var held, integral float64
	var before *sample.DatabaseStat
	extremes := func(n int32) {
		if !ok {
			c.MinConnections, c.MaxConnections = n, n
		}
		c.MinConnections, c.MaxConnections, ok = min(c.MinConnections, n), max(c.MaxConnections, n), true
	}
	for i := range stats {
		d := &stats[i]
		if !d.Backends.Known {
			continue
		}
		if before != nil && d.Interval > 0 {
			stood := history.Range{From: before.At, To: before.At.Add(min(d.At.Sub(before.At), sample.MaxHeld))}.Clip(part)
			seconds := max(0, stood.To.Sub(stood.From).Seconds())
			held, integral = held+seconds, integral+seconds*float64(before.Backends.V)
		}
		if !d.At.Before(part.To) {
			break
		}
		if !d.At.Before(part.From) {
			extremes(int32(d.Backends.V))
		}
		before = d
	}
	end := part.To
	if stands := before != nil && !until.IsZero() && before.At.After(until.Add(-sample.MaxHeld)); raw && stands {
		extremes(int32(before.Backends.V))
		c.Connections = float64(before.Backends.V)
		if last {
			end = r.To
		}
	} else if raw {
		return c, false
	} else if before != nil && !ok && !until.IsZero() && part.From.After(r.From) && before.At.Add(sample.MaxHeld).After(part.From) {
		extremes(int32(before.Backends.V))
	}
	if !raw && held > 0 && ok {
		c.Connections = integral / held
	} else if !raw {
		c.Connections = float64(c.MinConnections+c.MaxConnections) / 2
	}
	if ok {
		c.SizeBytes = p.size(stats[0].OID, r.From, end)
	}
	return c, ok
}

func (p *past) sums(line *history.Timeline, list []history.Database, only string, newest map[uint32]sample.DatabaseStat) {
	var last time.Time
	for _, d := range newest {
		if d.At.After(last) {
			last = d.At
		}
	}
	for oid, d := range newest {
		name := nameIn(list, oid, last, last.Add(time.Microsecond))
		if name != "" && (only == "" || name == only) && last.Sub(d.At) < sample.MaxHeld {
			line.Connections += d.Backends.V
		}
	}
	for _, d := range list {
		if d.IsTemplate || (only != "" && d.Name != only) || !d.FirstSeenAt.Before(line.Range.To) || (d.DroppedAt != nil && !d.DroppedAt.After(line.Range.From)) {
			continue
		}
		line.Databases = append(line.Databases, d)
		if size := p.size(d.OID, line.Range.From, line.Range.To); size != nil && (d.DroppedAt == nil || !d.DroppedAt.Before(line.Range.To)) {
			line.SizeBytes += *size
		}
	}
	for _, d := range p.stats {
		if d.Backends.Known && asked(list, d.OID, only) && (line.LastSampleAt == nil || d.At.After(*line.LastSampleAt)) {
			line.LastSampleAt = &d.At
		}
	}
}

// asked reports whether a question is about a database: it is, or was, no
// template, and has or had the name.
func asked(list []history.Database, oid uint32, only string) bool {
	return slices.ContainsFunc(list, func(d history.Database) bool {
		return d.OID == oid && !d.IsTemplate && (only == "" || d.Name == only)
	})
}

// nameIn is the newest name that a database had in a time; empty for none.
func nameIn(list []history.Database, oid uint32, from, to time.Time) string {
	var newest, first history.Database
	for _, d := range list {
		if d.OID != oid {
			continue
		}
		if first.Name == "" || d.FirstSeenAt.Before(first.FirstSeenAt) {
			first = d
		}
		if !d.IsTemplate && d.FirstSeenAt.Before(to) && (d.DroppedAt == nil || d.DroppedAt.After(from)) && d.FirstSeenAt.After(newest.FirstSeenAt) {
			newest = d
		}
	}
	// The first name goes back to the beginning.
	if newest.Name == "" && !first.IsTemplate && !first.FirstSeenAt.Before(to) && first.Name != "" {
		return first.Name
	}
	return newest.Name
}

// size is the newest before end that is not older than a day at the start of
// the range, to whole hours.
func (p *past) size(oid uint32, from, end time.Time) *int64 {
	var newest sample.DatabaseSize
	hour := history.Floor(from, time.Hour)
	for _, z := range p.sizes {
		if z.OID == oid && z.Bytes.Known && z.At.After(newest.At) && z.At.Before(end) && !z.At.Before(hour.Add(-24*time.Hour)) {
			newest = z
		}
	}
	if !newest.Bytes.Known {
		return nil
	}
	return &newest.Bytes.V
}

// byTimeAndName is the order of points. Of two databases that had a name in one
// bucket either may be first.
func byTimeAndName(a, b history.DatabasePoint) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Database, b.Database), cmp.Compare(a.Commits, b.Commits))
}

// checkTimeline compares an answer: averages to rounding, and no points are as
// good as none.
func checkTimeline(t *testing.T, want, got history.Timeline) {
	t.Helper()
	if !slices.IsSortedFunc(got.Points, func(a, b history.DatabasePoint) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Database, b.Database))
	}) {
		t.Error("points are not by time and name")
	}
	slices.SortFunc(got.Points, byTimeAndName)
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-9, 1e-9)); diff != "" {
		t.Errorf("(-brute force +answer):\n%s", diff)
	}
}

// TestTimelinesAreTrue compares answers with what brute force makes of the
// samples: over restarts, resets, drops and renames, with batches that were
// written twice and data that came late.
func TestTimelinesAreTrue(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	for seed := range uint64(2) {
		server := newServer(t, s, fmt.Sprint("db", seed))
		p := newPast(seed, server)
		p.store(t, s)
		list, err := s.Inventory(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		points := 0
		for range 12 {
			// Lengths for all four aggregations, ends on both sides of the data.
			length := []time.Duration{time.Hour, 47 * time.Hour, 3 * 24 * time.Hour, 13 * 24 * time.Hour, 20 * 24 * time.Hour, 100 * 24 * time.Hour}[p.r.IntN(6)]
			from := p.start.Add(time.Duration(p.r.Int64N(int64(p.end.Sub(p.start)+48*time.Hour))) - 24*time.Hour)
			if p.r.IntN(2) == 0 {
				from = from.Add(-length).Add(time.Duration(p.r.Int64N(int64(length))))
			}
			r := history.Range{From: from.Truncate(time.Microsecond), To: from.Add(length).Truncate(time.Microsecond)}
			got, err := s.ServerTimeline(t.Context(), server, r)
			if err != nil {
				t.Fatal(err)
			}
			checkTimeline(t, p.answer(list, r, ""), got)
			points += len(got.Points)
			name := list[p.r.IntN(len(list))].Name
			one, err := s.DatabaseTimeline(t.Context(), server, name, r)
			if err != nil {
				t.Fatal(err)
			}
			checkTimeline(t, p.answer(list, r, name), one)
			if t.Failed() {
				t.Fatalf("seed %d, %s to %s, %s", seed, r.From, r.To, name)
			}
		}
		if points < 500 {
			t.Errorf("seed %d: only %d points were compared", seed, points)
		}
	}
	compareWithBackfill(t, dsn)
}

// compareWithBackfill makes the rollups anew with what the migration does for
// a history without them: the same must come out, but for what is shared out by
// time.
func compareWithBackfill(t *testing.T, dsn string) {
	t.Helper()
	text, err := fs.ReadFile(migrations.FS(), "004_database_rollup.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, down, found := strings.Cut(string(text), "---- create above / drop below ----")
	if !found {
		t.Fatal("the migration has no end")
	}
	pgtest.Exec(t, dsn, "create table was as table history.database_rollup", down, up)
	columns := strings.Join([]string{
		"server_id", "bucket", "step_seconds", "database_oid", "samples", "backends_min", "backends_max",
		"backends_last", "last_sample_at", "size_bytes", "size_at",
	}, ", ")
	for from, to := range map[string]string{"public.was": "history.database_rollup", "history.database_rollup": "public.was"} {
		n := pgtest.Value[int](t, dsn, "select count(*) from (select "+columns+" from "+from+" where samples > 0 or size_at is not null"+
			" except select "+columns+" from "+to+") x")
		if n != 0 {
			t.Errorf("%d rows of %s are not in %s", n, from, to)
		}
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database_rollup"); n < 1000 {
		t.Errorf("only %d rows were compared", n)
	}
}

// The parts of a bucket come in any order, and none of them twice.
func TestRollupGrows(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	stat := func(seconds, backends int, held time.Duration, commits sample.Int) sample.Batch {
		d := sample.DatabaseStat{
			At: noon.Add(time.Duration(seconds) * time.Second), OID: 5, Epoch: noon, Interval: 10 * time.Second, Held: held,
			BackendSeconds: held.Seconds() * 2, Backends: sample.Int{V: int64(backends), Known: backends >= 0},
		}
		d.CounterDeltas[sample.XactCommit] = commits
		return sample.Batch{Visits: []*sample.Visit{{Server: server, Databases: []sample.DatabaseStat{d}}}}
	}
	size := func(seconds int, bytes int64) sample.Batch {
		z := sample.DatabaseSize{At: noon.Add(time.Duration(seconds) * time.Second), OID: 5, Bytes: sample.Int{V: bytes, Known: bytes > 0}}
		return sample.Batch{Visits: []*sample.Visit{{Server: server, Sizes: []sample.DatabaseSize{z, z}}}}
	}
	one := sample.Int{V: 1, Known: true}
	parts := []sample.Batch{
		stat(10, 7, 0, sample.Int{}), stat(20, 3, 10*time.Second, one), stat(3599, 9, 90*time.Second, one), stat(3600, -1, 0, one), size(30, 100), size(40, 200), size(50, 0),
	}
	want := []string{
		"12:00 3600: 100 s, 200, 3 samples, 3 to 9, 9 at 59:59, 3 commits, 200 bytes at 00:40",
		"12:00 14400: 100 s, 200, 4 samples, 3 to 9, - at 00:00, 3 commits, 200 bytes at 00:40",
		"13:00 3600: 0 s, 0, 1 samples, - to -, - at 00:00, 0 commits, - bytes at -",
		"00:00 86400: 100 s, 200, 4 samples, 3 to 9, - at 00:00, 3 commits, 200 bytes at 00:40",
	}
	slices.Sort(want)
	for seed := range uint64(6) {
		pgtest.Exec(t, dsn, "truncate history.database_stat, history.database_size, history.database_rollup")
		order := rand.New(rand.NewPCG(seed, 1)).Perm(len(parts))
		for _, i := range append(order, order...) {
			mustAppend(t, s, parts[i])
		}
		got := pgtest.Value[[]string](t, dsn, `
select array_agg(x.line order by x.line collate "C")
  from (select format('%s %s: %s s, %s, %s samples, %s to %s, %s at %s, %s commits, %s bytes at %s', to_char(bucket at time zone 'UTC', 'HH24:MI'), step_seconds,
                      seconds, backend_seconds, samples, coalesce(backends_min::text, '-'), coalesce(backends_max::text, '-'), coalesce(backends_last::text, '-'),
                      to_char(last_sample_at at time zone 'UTC', 'MI:SS'), xact_commit, coalesce(size_bytes::text, '-'),
                      coalesce(to_char(size_at at time zone 'UTC', 'MI:SS'), '-')) as line
          from history.database_rollup) x`)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("in the order %v (-want +got):\n%s", order, diff)
		}
	}
}

// Samples of a visit are of one instant and of different databases. If they
// are not, all of them are stored and counted even so.
func TestAppendOddVisit(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := newServer(t, s, "db1")
	v := &sample.Visit{Server: server}
	for i := range 2500 {
		at := noon.Add(time.Duration(i%3) * time.Second)
		d := sample.DatabaseStat{At: at, OID: uint32(i % 2099), Epoch: noon, Backends: sample.Int{V: 1, Known: true}}
		d.CounterDeltas[sample.XactCommit] = sample.Int{V: math.MaxInt32, Known: true}
		v.Databases = append(v.Databases, d, d)
	}
	slices.SortStableFunc(v.Databases, func(a, b sample.DatabaseStat) int { return a.At.Compare(b.At) })
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{v}})
	got := pgtest.Value[string](t, dsn, `
select format('%s rows, %s buckets, %s samples, %s commits', (select count(*) from history.database_stat), count(*), sum(samples), sum(xact_commit))
  from history.database_rollup
 where step_seconds = 3600`)
	if want := fmt.Sprintf("2500 rows, 2099 buckets, 2500 samples, %d commits", 2500*math.MaxInt32); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
