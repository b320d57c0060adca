package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
)

// rawPoint is a stored sample of a database.
type rawPoint struct {
	at       int64 // microseconds since the Unix epoch
	oid      uint32
	entry    int32
	backends int32
	commits  int64
}

// sizeAt is a size and since when it is known.
type sizeAt struct {
	at    int64
	bytes int64
}

// raw answers from every stored sample.
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
	kept := points[:0]
	for _, p := range points {
		entry, ok := q.names.at(p.oid, p.at)
		if q.saw(p.oid, p.at, p.backends); ok && q.names.shown[entry] {
			p.entry = entry
			kept = append(kept, p)
		}
	}
	q.addRaw(kept, sizes)
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

// addRaw adds the points, each with the newest size known by then.
func (q *timelineQuery) addRaw(points []rawPoint, sizes map[uint32][]sizeAt) {
	inOrder(points)
	for _, known := range sizes {
		slices.SortFunc(known, func(a, b sizeAt) int { return cmp.Compare(a.at, b.at) })
	}
	if len(points) > 0 {
		q.line.Points = make([]history.DatabasePoint, 0, len(points))
	}
	next := make(map[uint32]int, len(sizes)) // how many of a database's sizes are known by now
	for _, p := range points {
		known, n := sizes[p.oid], next[p.oid]
		for n < len(known) && known[n].at <= p.at {
			n++
		}
		next[p.oid] = n
		point := history.DatabasePoint{
			At: time.UnixMicro(p.at).UTC(), Database: q.list[p.entry].Name, Connections: float64(p.backends),
			MinConnections: p.backends, MaxConnections: p.backends, Commits: p.commits,
		}
		if n > 0 {
			point.SizeBytes = &known[n-1].bytes
		}
		q.add(point)
	}
	q.sized(func(oid uint32) *int64 {
		if n := len(sizes[oid]); n > 0 {
			return &sizes[oid][n-1].bytes
		}
		return nil
	})
}

// inOrder sorts by time, then name. Rows mostly come by time already, however
// PostgreSQL finds them; it is not asked to sort, which it would do on disk.
func inOrder(points []rawPoint) {
	if !slices.IsSortedFunc(points, func(a, b rawPoint) int { return cmp.Compare(a.at, b.at) }) {
		slices.SortFunc(points, func(a, b rawPoint) int { return cmp.Compare(a.at, b.at) })
	}
	for start := 0; start < len(points); {
		end := start + 1
		for end < len(points) && points[end].at == points[start].at {
			end++
		}
		slices.SortFunc(points[start:end], func(a, b rawPoint) int { return cmp.Compare(a.entry, b.entry) })
		start = end
	}
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

func (q *timelineQuery) rawPoints(to *[]rawPoint) question {
	const sql = `/* pgam:timeline_raw */
select sampled_at, database_oid, numbackends, xact_commit
  from history.database_stat
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3
   and numbackends is not null`
	return q.byTime("pgam_timeline_raw", sql, q.line.Range.From, q.line.Range.To, func(v values) {
		*to = append(*to, rawPoint{at: v.micros(0), oid: v.oid(1), backends: v.int4(2), commits: v.int8(3)})
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
