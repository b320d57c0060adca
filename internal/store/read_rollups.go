package store

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
)

// cell is a database in one bucket.
type cell struct {
	bucket, entry, slot     int32
	counted, sized          bool // has samples of connections, a size
	seconds, backendSeconds float64
	least, most             int32
	commits                 int64
	bytes                   int64
	sizedIn                 int64 // where bytes are from: the start of a rollup
	newest                  lastSample
}

// buckets is a timeline while its cells are read. Whole buckets come from
// rollups of their step. What the range cuts off at its ends comes from those
// of hours, which are summed up here.
type buckets struct {
	*timelineQuery

	step               time.Duration
	from, to           time.Time // whole hours
	whole              history.Range
	cells              []cell
	edges              map[[2]int32]int // cells of cut buckets, by entry and bucket
	sizes              []*int64         // in force, by slot
	bySlot             []namedDatabase
	stepMicros, origin int64
}

// rollups answers from the rollups of the aggregation's step. The range is in
// whole hours.
func (q *timelineQuery) rollups(ctx context.Context) error {
	b := buckets{timelineQuery: q, step: q.line.Aggregation.Step(), edges: make(map[[2]int32]int)}
	b.from, b.to = q.line.Range.From, q.line.Range.To
	b.whole = history.Range{From: history.Floor(b.from.Add(b.step-1), b.step), To: history.Floor(b.to, b.step)}
	b.stepMicros, b.origin = b.step.Microseconds(), history.Floor(b.from, b.step).UnixMicro()

	// Samples of the last minutes are in the last hours, whatever the step.
	tail := history.Floor(b.to.Add(-sample.MaxHeld), time.Hour)
	if b.whole.To.Before(tail) {
		tail = b.whole.To
	}
	questions := []question{revision(q.id, &q.revision), inventory(q.id, q.only, &q.list), b.wholeBuckets(), planOnce()}
	if q.only != nil {
		questions[2], questions[3] = questions[3], questions[2]
	}
	if b.from.Before(b.whole.From) {
		questions = append(questions, b.hours(b.from, b.whole.From, b.cut))
	}
	questions = append(questions, b.hours(tail, b.to, func(v values) { b.cut(v); b.tell(v) }))
	if err := q.s.ask(ctx, questions...); err != nil {
		return err
	}
	if err := b.missing(ctx); err != nil {
		return err
	}
	b.fill()
	return nil
}

// planOnce keeps PostgreSQL from planning what follows anew for the values of
// each question: for a few rows that takes longer than reading them.
func planOnce() question {
	return question{
		name: "pgam_plan_once",
		sql:  "/* pgam:timeline */ select set_config('plan_cache_mode', 'force_generic_plan', true)",
		args: func(*params) {},
		row:  func(values) {},
	}
}

// begin is for when the inventory is there and no other row yet.
func (b *buckets) begin() {
	b.named()
	b.sizes, b.bySlot = make([]*int64, len(b.names.byOID)), make([]namedDatabase, len(b.names.byOID))
	for _, db := range b.names.byOID {
		b.bySlot[db.slot] = db
	}
	const most = 1 << 15 // beyond that, growing costs little
	b.cells = make([]cell, 0, min(most, int64(len(b.line.Databases))*int64(b.line.Range.Length()/b.step+2)))
}

// wholeBuckets asks for the rollups of the step.
func (b *buckets) wholeBuckets() question {
	return question{
		name: "pgam_timeline",
		sql: `/* pgam:timeline */
select database_oid, bucket, seconds, backend_seconds, backends_min, backends_max, xact_commit, size_bytes, last_sample_at, backends_last
  from history.database_rollup
 where server_id = $1
   and step_seconds = $3
   and database_oid = any (` + askedFor + `)
   and bucket >= $4
   and bucket < $5`,
		args: func(p *params) {
			p.int8(int64(b.id))
			p.textOrNull(b.only)
			p.int4(int32(b.step / time.Second))
			p.time(b.whole.From)
			p.time(b.whole.To)
		},
		row: func(v values) {
			at := v.micros(1)
			if c, ok := b.read(v, at); ok {
				b.cells = append(b.cells, c)
			}
		},
	}
}

// hours asks for the rollups of hours.
func (b *buckets) hours(from, to time.Time, row func(values)) question {
	return question{
		name: "pgam_timeline_hours",
		sql: `/* pgam:timeline */
select database_oid, bucket, seconds, backend_seconds, backends_min, backends_max, xact_commit, size_bytes, last_sample_at, backends_last
  from history.database_rollup
 where server_id = $1
   and step_seconds = 3600
   and database_oid = any (` + askedFor + `)
   and bucket >= $3
   and bucket < $4`,
		args: func(p *params) {
			p.int8(int64(b.id))
			p.textOrNull(b.only)
			p.time(from)
			p.time(to)
		},
		row: row,
	}
}

// cut takes an hour of a bucket that the range cuts off. One of a whole bucket
// is counted there.
func (b *buckets) cut(v values) {
	at := v.micros(1)
	if at >= b.whole.From.UnixMicro() && at < b.whole.To.UnixMicro() {
		return
	}
	if c, ok := b.read(v, at); ok {
		b.grow(c)
	}
}

// tell takes what an hour tells about the newest sample.
func (b *buckets) tell(v values) {
	if !v.null(8) && !v.null(9) {
		b.saw(v.oid(0), v.micros(8), v.int4(9))
	}
}

// read makes a cell of a rollup's row; ok is false for a time in which the
// inventory does not have the database.
func (b *buckets) read(v values, at int64) (c cell, ok bool) {
	if b.names.byOID == nil {
		b.begin()
	}
	db := b.names.byOID[v.oid(0)]
	c = cell{slot: db.slot, bucket: int32((at - b.origin) / b.stepMicros), sizedIn: at}
	start := b.origin + int64(c.bucket)*b.stepMicros
	if c.entry, ok = db.in(start, start+b.stepMicros); !ok {
		return c, false
	}
	c.seconds, c.backendSeconds, c.commits = v.float8(2), v.float8(3), v.int8(6)
	if !v.null(4) && !v.null(5) {
		c.counted, c.least, c.most, c.newest = true, v.int4(4), v.int4(5), lastSample{v.micros(8), v.int4(9)}
	}
	if !v.null(7) {
		c.sized, c.bytes = true, v.int8(7)
	}
	return c, true
}

// grow adds an hour to its bucket.
func (b *buckets) grow(o cell) {
	key := [2]int32{o.entry, o.bucket}
	i, known := b.edges[key]
	if !known {
		b.edges[key] = len(b.cells)
		b.cells = append(b.cells, o)
		return
	}
	c := &b.cells[i]
	c.seconds += o.seconds
	c.backendSeconds += o.backendSeconds
	c.commits += o.commits
	switch {
	case !o.counted:
	case !c.counted:
		c.counted, c.least, c.most, c.newest = true, o.least, o.most, o.newest
	default:
		c.least, c.most = min(c.least, o.least), max(c.most, o.most)
		if o.newest.at > c.newest.at {
			c.newest = o.newest
		}
	}
	if o.sized && (!c.sized || o.sizedIn > c.sizedIn) {
		c.sized, c.bytes, c.sizedIn = true, o.bytes, o.sizedIn
	}
}

// missing asks for what the first answers did not tell: in the usual case,
// nothing.
func (b *buckets) missing(ctx context.Context) error {
	if b.names.byOID == nil {
		b.begin()
	}
	var questions []question
	if b.sizeMissing() {
		questions = append(questions, b.sizesBefore(b.from, func(oid uint32, bytes int64) {
			if db, known := b.names.byOID[oid]; known {
				b.sizes[db.slot] = &bytes
			}
		}))
	}
	last := int32(-1)
	for i := range b.cells {
		if b.cells[i].counted {
			last = max(last, b.cells[i].bucket)
		}
	}
	if len(b.last) == 0 && last >= 0 {
		start := time.UnixMicro(b.origin + int64(last)*b.stepMicros).UTC()
		questions = append(questions, b.hours(history.Floor(start.Add(-sample.MaxHeld), time.Hour), start.Add(b.step), b.tell))
	}
	if len(b.names.byOID) > 0 && (len(b.last) == 0 || time.Since(b.to) >= fresh) {
		questions = append(questions, b.lastSampleAt())
	}
	if len(questions) == 0 {
		return nil
	}
	return b.s.ask(ctx, questions...)
}

// sizeMissing reports whether a database begins the range without a size, or
// has none in all of it.
func (b *buckets) sizeMissing() bool {
	type first struct{ counted, sized int32 } // bucket
	firsts := make([]first, len(b.names.byOID))
	for i := range firsts {
		firsts[i] = first{math.MaxInt32, math.MaxInt32}
	}
	for i := range b.cells {
		c := &b.cells[i]
		f := &firsts[c.slot]
		if c.counted {
			f.counted = min(f.counted, c.bucket)
		}
		if c.sized {
			f.sized = min(f.sized, c.bucket)
		}
	}
	return slices.ContainsFunc(b.line.Databases, func(d history.Database) bool {
		f := firsts[b.names.byOID[d.OID].slot]
		return f.sized == math.MaxInt32 || f.counted < f.sized
	})
}

// stand lets the newest sample of a database stand in the next bucket, if there
// is one of another database and none of its own yet: those in which nothing
// changes are stored every five minutes only.
func (b *buckets) stand() {
	slots, last := len(b.bySlot), int32(-1)
	for i := range b.cells {
		last = max(last, b.cells[i].bucket)
	}
	any, own := make([]bool, last+2), make([]bool, slots*int(last+2))
	for i := range b.cells {
		if c := &b.cells[i]; c.counted {
			any[c.bucket], own[int(c.bucket)*slots+int(c.slot)] = true, true
		}
	}
	for i := range b.cells {
		c, next := b.cells[i], b.cells[i].bucket+1
		start := b.origin + int64(next)*b.stepMicros
		if !c.counted || !any[next] || own[int(next)*slots+int(c.slot)] || c.newest.at+sample.MaxHeld.Microseconds() <= start {
			continue
		}
		if entry, ok := b.bySlot[c.slot].in(start, start+b.stepMicros); ok {
			n := c.newest.backends
			b.cells = append(b.cells, cell{bucket: next, entry: entry, slot: c.slot, counted: true, least: n, most: n, newest: c.newest})
		}
	}
}

// fill makes points of the cells: by bucket, then name. A size stands until
// the next is known. The last bucket, which is taken for now, has no database
// that is gone.
func (b *buckets) fill() {
	b.stand()
	order := sortedCells(b.cells, len(b.list))
	points, last := 0, int32(0)
	for i := range b.cells {
		if b.cells[i].counted {
			points++
			last = max(last, b.cells[i].bucket)
		}
	}
	newest, known := b.newest()
	if points > 0 {
		b.line.Points = make([]history.DatabasePoint, 0, points)
	}
	sizes := make([]int64, 0, len(b.cells)) // points share them and nothing else of the cells
	for _, i := range order {
		c := &b.cells[i]
		if c.sized {
			sizes = append(sizes, c.bytes)
			b.sizes[c.slot] = &sizes[len(sizes)-1]
		}
		if !b.names.shown[c.entry] {
			continue
		}
		dropped := b.list[c.entry].DroppedAt
		if !c.counted || c.bucket == last && b.only == nil && known && dropped != nil && !dropped.After(newest) {
			b.line.Commits += c.commits
			continue
		}
		b.add(history.DatabasePoint{
			At: time.UnixMicro(b.origin + int64(c.bucket)*b.stepMicros).UTC(), Database: b.list[c.entry].Name, Connections: c.average(),
			MinConnections: c.least, MaxConnections: c.most, Commits: c.commits, SizeBytes: b.sizes[c.slot],
		})
	}
	b.sized(func(oid uint32) *int64 { return b.sizes[b.names.byOID[oid].slot] })
	if b.line.LastSampleAt == nil && known {
		b.line.LastSampleAt = &newest
	}
}

// average is the mean of connections over time. Where no sample followed
// another of its epoch there is no time to speak of, and the extremes say what
// is known.
func (c *cell) average() float64 {
	if c.seconds <= 0 {
		return (float64(c.least) + float64(c.most)) / 2
	}
	return c.backendSeconds / c.seconds
}

// sortedCells gives the indexes of the cells by bucket, then entry. Both are
// small numbers: two counting sorts are much cheaper than comparing.
func sortedCells(cells []cell, entries int) []int32 {
	order := make([]int32, len(cells))
	for i := range order {
		order[i] = int32(i)
	}
	if len(cells) == 0 {
		return order
	}
	buckets := int32(0)
	for i := range cells {
		buckets = max(buckets, cells[i].bucket+1)
	}
	order = countingSort(order, entries, func(i int32) int32 { return cells[i].entry })
	return countingSort(order, int(buckets), func(i int32) int32 { return cells[i].bucket })
}

// countingSort orders indexes by a key below keys; equal ones stay in order.
func countingSort(indexes []int32, keys int, key func(int32) int32) []int32 {
	next := make([]int32, keys+1)
	for _, i := range indexes {
		next[key(i)+1]++
	}
	for k := 1; k < len(next); k++ {
		next[k] += next[k-1]
	}
	sorted := make([]int32, len(indexes))
	for _, i := range indexes {
		k := key(i)
		sorted[next[k]] = i
		next[k]++
	}
	return sorted
}
