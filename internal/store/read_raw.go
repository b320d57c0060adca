package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
)

// rawPoint is a stored sample of a database.
type rawPoint struct {
	at       int64 // microseconds since the Unix epoch
	interval int64 // microseconds that commits cover; 0: the first of an epoch
	oid      uint32
	backends int32
	commits  int64
}

// sizeAt is a size and since when it is known.
type sizeAt struct {
	at    int64
	bytes int64
}

// maxRawInstants bounds the instants of a raw timeline.
const maxRawInstants = 720

// rawStep is the finest step of the grid on which a raw timeline stands that
// does not have more instants.
func rawStep(r history.Range) time.Duration {
	for _, step := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute} {
		if r.Widen(step).Length() <= maxRawInstants*step {
			return step
		}
	}
	return 5 * time.Minute
}

// raw answers from every stored sample, all databases on one grid.
func (q *timelineQuery) raw(ctx context.Context) error {
	var points []rawPoint
	sizes := make(map[uint32][]sizeAt) // by oid, in the order of time
	hour := history.Floor(q.line.Range.From, time.Hour)
	err := q.s.ask(
		ctx, inventory(q.id, q.only, &q.list), q.rawPoints(&points),
		q.sizesBefore(hour, func(oid uint32, bytes int64) { sizes[oid] = append(sizes[oid], sizeAt{bytes: bytes}) }),
		q.rawSizes(hour, sizes),
	)
	if err != nil {
		return err
	}
	q.named()
	// Rows mostly come by time already, however PostgreSQL finds them; it is not
	// asked to sort, which it would do on disk.
	byTime := func(a, b rawPoint) int { return cmp.Compare(a.at, b.at) }
	if !slices.IsSortedFunc(points, byTime) {
		slices.SortFunc(points, byTime)
	}
	for _, known := range sizes {
		slices.SortFunc(known, func(a, b sizeAt) int { return cmp.Compare(a.at, b.at) })
	}
	q.addRaw(points, sizes)
	newest, known := q.newest()
	if known && time.Since(q.line.Range.To) < fresh {
		q.line.LastSampleAt = &newest
		return nil
	}
	if len(q.names.byOID) == 0 {
		return nil
	}
	return q.s.ask(ctx, q.lastSampleAt())
}

// grid is a raw timeline while its samples are read. An instant is the start of
// a bucket, in which something is known of the server; it has a value of every
// database that was there: the newest in the bucket, or the one that still stands.
type grid struct {
	*timelineQuery

	from, to, origin, step int64     // microseconds
	until                  []int64   // of each bucket, the last moment of which something is known; 0: none
	databases              []gridded // by slot
}

// gridded is a database on the grid.
type gridded struct {
	oid     uint32
	samples []rawPoint
	commits []int64 // by bucket; nil: none
}

// addRaw adds the points.
func (q *timelineQuery) addRaw(points []rawPoint, sizes map[uint32][]sizeAt) {
	step := rawStep(q.line.Range)
	g := grid{
		timelineQuery: q, from: q.line.Range.From.UnixMicro(), to: q.line.Range.To.UnixMicro(), step: step.Microseconds(),
		origin: history.Floor(q.line.Range.From, step).UnixMicro(), until: make([]int64, q.line.Range.Widen(step).Length()/step),
		databases: make([]gridded, len(q.names.byOID)),
	}
	for _, p := range points {
		if db, known := q.names.byOID[p.oid]; known {
			g.take(&g.databases[db.slot], p)
		}
	}
	g.fill(sizes)
	q.sized(func(oid uint32) *int64 {
		if n := len(sizes[oid]); n > 0 {
			return &sizes[oid][n-1].bytes
		}
		return nil
	})
}

// take adds a sample. Between two of a database that do not lie too far apart
// the earlier one stands.
func (g *grid) take(d *gridded, p rawPoint) {
	if p.interval > 0 && p.commits > 0 {
		since := p.at - p.interval
		g.overlaps(since, p.at, func(b int, from, to int64) {
			if d.commits == nil {
				d.commits = make([]int64, len(g.until))
			}
			d.commits[b] += shareOf(p.commits, to-since, p.interval) - shareOf(p.commits, from-since, p.interval)
		})
	}
	if p.at >= g.to {
		return
	}
	if n := len(d.samples); n > 0 && p.interval > 0 && p.at-d.samples[n-1].at <= sample.MaxHeld.Microseconds() {
		g.overlaps(d.samples[n-1].at, p.at, func(b int, _, end int64) { g.until[b] = max(g.until[b], end-1) })
	}
	d.oid, d.samples = p.oid, append(d.samples, p)
	if p.at >= g.from {
		g.saw(p.oid, p.at, p.backends)
		b := (p.at - g.origin) / g.step
		g.until[b] = max(g.until[b], p.at)
	}
}

// overlaps cuts what lies in the range of a time into its buckets.
func (g *grid) overlaps(from, to int64, part func(b int, from, to int64)) {
	for from, to = max(from, g.from), min(to, g.to); from < to; {
		b := (from - g.origin) / g.step
		end := min(to, g.origin+(b+1)*g.step)
		part(int(b), from, end)
		from = end
	}
}

// gridPoint is a database at an instant.
type gridPoint struct {
	entry int32
	point history.DatabasePoint
}

// fill makes points of the samples. Sizes stand until the next is known; at the
// last instant, which says how it is now, all are known.
func (g *grid) fill(sizes map[uint32][]sizeAt) {
	last := len(g.until) - 1
	for last >= 0 && g.until[last] == 0 {
		last--
	}
	type at struct{ samples, sizes int } // how many are in the past
	next := make([]at, len(g.databases))
	points := make([]gridPoint, 0, len(g.databases))
	for b, until := range g.until {
		end := g.origin + int64(b+1)*g.step
		if b == last {
			end = g.to
		}
		points = points[:0]
		for slot := range g.databases {
			d, n := &g.databases[slot], &next[slot]
			p, known := d.at(g.origin+int64(b)*g.step, until, &n.samples)
			entry, named := g.names.at(d.oid, max(until, end-1))
			if known {
				entry, named = g.names.at(d.oid, until)
			}
			if !named || !g.names.shown[entry] {
				continue
			}
			if d.commits != nil {
				p.Commits = d.commits[b]
			}
			if !known {
				g.line.Commits += p.Commits
				continue
			}
			for n.sizes < len(sizes[d.oid]) && sizes[d.oid][n.sizes].at < end {
				n.sizes++
			}
			if n.sizes > 0 {
				p.SizeBytes = &sizes[d.oid][n.sizes-1].bytes
			}
			p.At, p.Database = time.UnixMicro(g.origin+int64(b)*g.step).UTC(), g.list[entry].Name
			points = append(points, gridPoint{entry, p})
		}
		slices.SortFunc(points, func(a, b gridPoint) int { return cmp.Compare(a.entry, b.entry) })
		for i := range points {
			g.add(points[i].point)
		}
	}
}

// at gives the connections of a database in a bucket, from its start to the last
// moment of which something is known: those of the newest sample, if that still
// stands, and the extremes. Passed is how many samples are in the past.
func (d *gridded) at(start, until int64, passed *int) (p history.DatabasePoint, known bool) {
	first := *passed
	for *passed < len(d.samples) && d.samples[*passed].at <= until {
		*passed++
	}
	n := *passed
	if until == 0 || n == 0 || d.samples[n-1].at <= until-sample.MaxHeld.Microseconds() {
		return p, false
	}
	p.MinConnections = d.samples[n-1].backends
	p.MaxConnections = p.MinConnections
	for _, s := range d.samples[first:n] {
		if s.at >= start {
			p.MinConnections, p.MaxConnections = min(p.MinConnections, s.backends), max(p.MaxConnections, s.backends)
		}
	}
	p.Connections = float64(d.samples[n-1].backends)
	return p, true
}

// byTime makes a question about rows of a server in a range of time, the key of
// which goes on with the database: one of them is looked for in the index, all
// of them are not.
func (q *timelineQuery) byTime(name, sql string, from, to time.Time, row func(values)) question {
	args := func(p *params) {
		p.int8(int64(q.id))
		p.time(from)
		p.time(to)
	}
	if q.only == nil {
		return question{name: name, sql: sql, args: args, row: row}
	}
	return question{
		name: name + "_of",
		sql: sql + `
   and database_oid = any (array(select oid from history.database where server_id = $1 and not is_template and name = $4))`,
		args: func(p *params) {
			args(p)
			p.text(*q.only)
		},
		row: row,
	}
}

// rawPoints asks for the samples of the range and those around it that say what
// stood, and what was counted, at its ends.
func (q *timelineQuery) rawPoints(to *[]rawPoint) question {
	const sql = `/* pgam:timeline_raw */
select sampled_at, database_oid, numbackends, xact_commit, interval_seconds
  from history.database_stat
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3
   and numbackends is not null`
	return q.byTime("pgam_timeline_raw", sql, q.line.Range.From.Add(-sample.MaxHeld), q.line.Range.To.Add(sample.MaxHeld), func(v values) {
		*to = append(*to, rawPoint{
			at: v.micros(0), oid: v.oid(1), backends: v.int4(2), commits: v.int8(3), interval: int64(math.Round(v.float8(4) * 1e6)),
		})
	})
}

func (q *timelineQuery) rawSizes(from time.Time, to map[uint32][]sizeAt) question {
	const sql = `/* pgam:timeline_sizes */
select sampled_at, database_oid, size_bytes
  from history.database_size
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3
   and size_bytes is not null`
	return q.byTime("pgam_timeline_sizes", sql, from, q.line.Range.To, func(v values) {
		oid := v.oid(1)
		to[oid] = append(to[oid], sizeAt{v.micros(0), v.int8(2)})
	})
}

// sizesBefore asks for the newest size of each database before an hour, if it
// is not too old.
func (q *timelineQuery) sizesBefore(hour time.Time, take func(oid uint32, bytes int64)) question {
	return question{
		name: "pgam_timeline_sizes_before",
		sql: `/* pgam:timeline_sizes */
select distinct on (database_oid) database_oid, size_bytes
  from history.database_rollup
 where server_id = $1
   and step_seconds = 3600
   and database_oid = any (` + askedFor + `)
   and bucket >= $3
   and bucket < $4
   and size_bytes is not null
 order by database_oid, bucket desc`,
		args: func(p *params) {
			p.int8(int64(q.id))
			p.textOrNull(q.only)
			p.time(hour.Add(-sizeLookback))
			p.time(hour)
		},
		row: func(v values) { take(v.oid(0), v.int8(1)) },
	}
}
