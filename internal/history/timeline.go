package history

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// fresh is how near to now the end of a range must be for its newest sample to
	// be the newest of all.
	fresh = time.Minute
	// maxRawInstants bounds the instants of a raw timeline.
	maxRawInstants = 720
)

// ServerTimeline gives what the databases of a server did over a range, the
// templates left out. Where the aggregation is not Raw, the range is widened to
// whole hours; its first and last bucket hold what lies in the range.
func (r *Reader) ServerTimeline(ctx context.Context, server target.ID, span Range) (Timeline, error) {
	return r.timeline(ctx, server, span, nil)
}

// DatabaseTimeline is ServerTimeline of one database. A name that no database has
// or had gives an empty timeline.
func (r *Reader) DatabaseTimeline(ctx context.Context, server target.ID, name string, span Range) (Timeline, error) {
	return r.timeline(ctx, server, span, &name)
}

func (r *Reader) timeline(ctx context.Context, server target.ID, span Range, only *string) (Timeline, error) {
	t := timeline{answer: Timeline{Range: span, Aggregation: AggregationFor(span)}, last: make(map[uint32]lastSample)}
	if t.answer.Aggregation != Raw {
		t.answer.Range = span.Widen(time.Hour)
	}
	err := r.databases(ctx, server, only, func(q *databaseQuery) (err error) {
		t.databaseQuery = q
		for i, d := range q.list {
			if q.naming.shown[i] && d.FirstSeenAt.Before(t.answer.Range.To) && (d.DroppedAt == nil || d.DroppedAt.After(t.answer.Range.From)) {
				t.answer.Databases = append(t.answer.Databases, d)
			}
		}
		lookback := Range{t.answer.Range.From.Add(-sizeLookback), t.answer.Range.From}
		if t.answer.Aggregation == Raw {
			lookback.To = t.answer.Range.To
		}
		if t.sizes, err = q.sizes(ctx, lookback); err != nil {
			return err
		}
		if t.answer.Aggregation == Raw {
			err = t.raw(ctx)
		} else {
			err = t.rolled(ctx)
		}
		if err != nil {
			return err
		}
		return t.lastSampleAt(ctx)
	})
	if err != nil {
		return t.answer, fmt.Errorf("read timeline: %w", statsdb.Classify(err))
	}
	return t.answer, nil
}

// timeline is a question while it is answered.
type timeline struct {
	*databaseQuery

	answer Timeline
	last   map[uint32]lastSample // by oid, in the range
	sizes  map[uint32][]sizeAt   // by oid, in the order of time
}

// lastSample is a sample of a database.
type lastSample struct {
	at       time.Time
	backends int64
}

// sampled notes a sample that may be the newest of its database.
func (t *timeline) sampled(oid uint32, at time.Time, backends int64) {
	if t.last[oid].at.Before(at) {
		t.last[oid] = lastSample{at, backends}
	}
}

// newest is when the newest sample was taken; zero: there is none.
func (t *timeline) newest() (at time.Time) {
	for _, l := range t.last {
		at = later(at, l.at)
	}
	return at
}

// total sums the connections at the newest sample of the range over the databases
// that were there, each as long as it stands, and the sizes at its end.
func (t *timeline) total() {
	newest := t.newest()
	for oid, l := range t.last {
		if entry, ok := t.naming.at(oid, newest); ok && t.naming.shown[entry] && l.at.After(newest.Add(-sample.MaxHeld)) {
			t.answer.Connections += l.backends
		}
	}
	counted := make(map[uint32]bool, len(t.answer.Databases))
	for _, d := range t.answer.Databases {
		if n := len(t.sizes[d.OID]); n > 0 && !counted[d.OID] && (d.DroppedAt == nil || !d.DroppedAt.Before(t.answer.Range.To)) {
			t.answer.SizeBytes += t.sizes[d.OID][n-1].bytes
			counted[d.OID] = true
		}
	}
}

// lastSampleAt tells the newest sample of all; where the range does not end now,
// the inventory says about when it was.
func (t *timeline) lastSampleAt(ctx context.Context) error {
	if newest := t.newest(); !newest.IsZero() && time.Since(t.answer.Range.To) < fresh {
		t.answer.LastSampleAt = &newest
		return nil
	}
	var seen time.Time
	for _, d := range t.list {
		if !d.IsTemplate {
			seen = later(seen, d.LastSeenAt)
		}
	}
	args := pgx.NamedArgs{"server_id": t.server, "oids": t.oids(), "seen_at": seen}
	err := t.tx.QueryRow(ctx, sql("last_sample"), args).Scan(&t.answer.LastSampleAt)
	t.answer.LastSampleAt = inUTC(t.answer.LastSampleAt)
	return err
}

// add appends a point and keeps the sums.
func (t *timeline) add(p DatabasePoint) {
	a := &t.answer
	if len(a.Points) == 0 {
		a.MinConnections, a.MaxConnections = p.MinConnections, p.MaxConnections
	}
	a.MinConnections, a.MaxConnections = min(a.MinConnections, p.MinConnections), max(a.MaxConnections, p.MaxConnections)
	a.Commits += p.Commits
	a.Points = append(a.Points, p)
}

// sizeBefore gives the newest size of a database before an instant.
func (t *timeline) sizeBefore(oid uint32, end time.Time) *int64 {
	all := t.sizes[oid]
	n, _ := slices.BinarySearchFunc(all, end, func(s sizeAt, end time.Time) int { return s.at.Compare(end) })
	if n == 0 {
		return nil
	}
	return &all[n-1].bytes
}

// rawStep is the finest step of the grid on which a raw timeline stands that does
// not have more instants.
func rawStep(r Range) time.Duration {
	for _, step := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute} {
		if r.Widen(step).Length() <= maxRawInstants*step {
			return step
		}
	}
	return 5 * time.Minute
}

// grid is a raw timeline while its rows are read. An instant is the start of a
// bucket, in which something is known of the server; it has a value of every
// database that was there: the newest in the bucket, or the one that still stands.
type grid struct {
	*timeline

	span   Range
	origin time.Time
	step   time.Duration
	until  []time.Time // of each bucket, the last moment of which something is known; zero: none

	databases []gridded
}

// gridded is a database on the grid.
type gridded struct {
	oid     uint32
	rows    []lastSample // in the order of time
	commits []int64      // by bucket
	passed  int          // rows in the past
}

// raw answers from every row, all databases on one grid.
func (t *timeline) raw(ctx context.Context) error {
	span, step := t.answer.Range, rawStep(t.answer.Range)
	g := grid{timeline: t, span: span, origin: Floor(span.From, step), step: step, until: make([]time.Time, span.Widen(step).Length()/step)}
	if err := t.rows(ctx, span.From, span.To, g.take); err != nil {
		return err
	}
	g.fill()
	t.total()
	return nil
}

// overlaps cuts what lies in the range of a time into its buckets.
func (g *grid) overlaps(from, to time.Time, part func(b int, from, to time.Time)) {
	sample.Overlaps(later(from, g.span.From), earlier(to, g.span.To), g.origin, g.span.To, g.step, part)
}

// take adds the rows of a database.
func (g *grid) take(oid uint32, rows []sample.DatabaseStat, looks []time.Time) {
	d := gridded{oid: oid, commits: make([]int64, len(g.until))}
	for s := range sample.Stretches(rows, looks) {
		g.overlaps(s.Delta.From, s.Delta.Until, func(b int, from, to time.Time) {
			within := s.Delta.Within(from, to)
			d.commits[b] += within.Counters[sample.XactCommit].V
		})
		at := s.Row.At
		if !at.Before(g.span.To) || !s.Row.Backends.Known {
			continue
		}
		d.rows = append(d.rows, lastSample{at, s.Row.Backends.V})
		if s.Stands.Before(at.Add(sample.MaxHeld)) { // somebody looked again
			g.overlaps(at, s.Stands, func(b int, _, to time.Time) { g.until[b] = later(g.until[b], to.Add(-time.Microsecond)) })
		}
		if !at.Before(g.span.From) {
			g.sampled(oid, at, s.Row.Backends.V)
			b := at.Sub(g.origin) / g.step
			g.until[b] = later(g.until[b], at)
		}
	}
	g.databases = append(g.databases, d)
}

// gridPoint is a database at an instant.
type gridPoint struct {
	entry int
	point DatabasePoint
}

// fill makes points of the rows. Sizes stand until the next is known; at the last
// instant, which says how it is now, all are known.
func (g *grid) fill() {
	last := len(g.until) - 1
	for last >= 0 && g.until[last].IsZero() {
		last--
	}
	for b, until := range g.until {
		start := g.origin.Add(time.Duration(b) * g.step)
		end := start.Add(g.step)
		if b == last {
			end = g.span.To
		}
		var points []gridPoint
		for i := range g.databases {
			d := &g.databases[i]
			p, known := d.at(start, until)
			when := until
			if !known {
				when = later(until, end.Add(-time.Microsecond))
			}
			entry, named := g.naming.at(d.oid, when)
			switch {
			case !named || !g.naming.shown[entry]:
			case !known:
				g.answer.Commits += d.commits[b]
			default:
				p.At, p.Database, p.Commits, p.SizeBytes = start, g.list[entry].Name, d.commits[b], g.sizeBefore(d.oid, end)
				points = append(points, gridPoint{entry, p})
			}
		}
		slices.SortFunc(points, func(a, b gridPoint) int { return cmp.Compare(a.entry, b.entry) })
		for i := range points {
			g.add(points[i].point)
		}
	}
}

// at gives the connections of a database in a bucket, from its start to the last
// moment of which something is known: those of the newest row, if that still
// stands, and the extremes.
func (d *gridded) at(start, until time.Time) (p DatabasePoint, known bool) {
	first := d.passed
	for d.passed < len(d.rows) && !d.rows[d.passed].at.After(until) {
		d.passed++
	}
	n := d.passed
	if until.IsZero() || n == 0 || !d.rows[n-1].at.After(until.Add(-sample.MaxHeld)) {
		return p, false
	}
	newest := int32(d.rows[n-1].backends)
	p.Connections, p.MinConnections, p.MaxConnections = float64(newest), newest, newest
	for _, r := range d.rows[first:n] {
		if !r.at.Before(start) {
			backends := int32(r.backends)
			p.MinConnections, p.MaxConnections = min(p.MinConnections, backends), max(p.MaxConnections, backends)
		}
	}
	return p, true
}

// cellKey is a database, by its entry in the inventory, in a bucket.
type cellKey struct{ bucket, entry int }

// cell is what is known of it.
type cell struct {
	sample.DatabaseSum

	oid uint32
}

// rolled answers by hours, or by days where those will do.
func (t *timeline) rolled(ctx context.Context) error {
	step, span := t.answer.Aggregation.Step(), t.answer.Range
	origin := Floor(span.From, step)
	cells, looked := make(map[cellKey]*cell), make(map[int]bool) // buckets in which somebody looked
	err := t.sums(ctx, span, step, func(s *databaseSum) {
		if s.size != nil {
			t.sizes[s.oid] = append(t.sizes[s.oid], *s.size)
		}
		if s.LastBackends.Known {
			t.sampled(s.oid, s.LastAt, s.LastBackends.V)
		}
		b := int(s.bucket.From.Sub(origin) / step)
		start := origin.Add(time.Duration(b) * step)
		entry, ok := t.naming.in(s.oid, Range{start, start.Add(step)})
		if !ok {
			return
		}
		looked[b] = looked[b] || s.Samples > 0
		c := cells[cellKey{b, entry}]
		if c == nil {
			c = &cell{oid: s.oid}
			cells[cellKey{b, entry}] = c
		}
		c.merge(&s.DatabaseSum)
	})
	if err != nil {
		return err
	}
	for _, all := range t.sizes {
		slices.SortFunc(all, func(a, b sizeAt) int { return a.at.Compare(b.at) })
	}
	t.fill(cells, looked, func(b int) Range {
		start := origin.Add(time.Duration(b) * step)
		return Range{start, start.Add(step)}
	})
	t.total()
	return nil
}

// merge adds what is known of another stretch of the bucket.
func (c *cell) merge(o *sample.DatabaseSum) {
	c.Samples += o.Samples
	c.Seconds += o.Seconds
	c.BackendSeconds += o.BackendSeconds
	c.Counters[sample.XactCommit].V += o.Counters[sample.XactCommit].V
	if n := o.MinBackends; n.Known && (!c.MinBackends.Known || n.V < c.MinBackends.V) {
		c.MinBackends = n
	}
	if n := o.MaxBackends; n.Known && (!c.MaxBackends.Known || n.V > c.MaxBackends.V) {
		c.MaxBackends = n
	}
}

// fill makes points of the cells: by bucket, then name. A database in which nothing
// changed, so that it has no row in a bucket in which others have, is as it was.
// The last bucket, which is taken for now, has no database that is gone.
func (t *timeline) fill(cells map[cellKey]*cell, looked map[int]bool, bucket func(int) Range) {
	keys := make([]cellKey, 0, len(cells))
	last := 0
	for key := range cells {
		keys = append(keys, key)
		if looked[key.bucket] {
			last = max(last, key.bucket)
		}
	}
	slices.SortFunc(keys, func(a, b cellKey) int { return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.entry, b.entry)) })
	newest := t.newest()
	for _, key := range keys {
		c, d := cells[key], &t.list[key.entry]
		if !t.naming.shown[key.entry] {
			continue
		}
		known := c.MinBackends.Known || c.Seconds > 0 && looked[key.bucket]
		gone := key.bucket == last && t.only == nil && d.DroppedAt != nil && !newest.IsZero() && !d.DroppedAt.After(newest)
		if !known || gone {
			t.answer.Commits += c.Counters[sample.XactCommit].V
			continue
		}
		span := bucket(key.bucket)
		p := DatabasePoint{At: span.From, Database: d.Name, Commits: c.Counters[sample.XactCommit].V, SizeBytes: t.sizeBefore(c.oid, span.To)}
		if c.Seconds > 0 {
			p.Connections = c.BackendSeconds / c.Seconds
		} else {
			p.Connections = (float64(c.MinBackends.V) + float64(c.MaxBackends.V)) / 2
		}
		p.MinConnections, p.MaxConnections = int32(c.MinBackends.V), int32(c.MaxBackends.V)
		if !c.MinBackends.Known {
			p.MinConnections = int32(math.Round(p.Connections))
			p.MaxConnections = p.MinConnections
		}
		t.add(p)
	}
}
