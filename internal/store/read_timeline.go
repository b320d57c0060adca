package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// fresh is how near to now the end of a range must be for its newest sample to
// be the newest of all.
const fresh = time.Minute

// ServerTimeline gives what the databases of a server did over a range, the
// templates left out. Where the aggregation is not Raw, the range is widened
// to whole hours; its first and last bucket hold what lies in the range. Others
// may get the same answer: it must not be changed.
func (s *Store) ServerTimeline(ctx context.Context, id target.ID, r history.Range) (history.Timeline, error) {
	return s.timeline(ctx, id, r, nil)
}

// DatabaseTimeline is ServerTimeline of one database. A name that no database
// has or had gives an empty timeline.
func (s *Store) DatabaseTimeline(ctx context.Context, id target.ID, name string, r history.Range) (history.Timeline, error) {
	return s.timeline(ctx, id, r, &name)
}

func (s *Store) timeline(ctx context.Context, id target.ID, r history.Range, only *string) (history.Timeline, error) {
	q := timelineQuery{
		s: s, id: id, only: only, last: make(map[uint32]lastSample), line: history.Timeline{Range: r, Aggregation: history.AggregationFor(r)},
	}
	answer := q.raw
	if q.line.Aggregation != history.Raw {
		answer = q.kept
	}
	if err := answer(ctx); err != nil {
		return q.line, fmt.Errorf("read timeline: %w", statsdb.Classify(err))
	}
	return q.line, nil
}

// kept answers from rollups, or gives the same answer as before if nothing was
// written since.
func (q *timelineQuery) kept(ctx context.Context) error {
	q.line.Range = q.line.Range.Widen(time.Hour)
	key := keyOf(q.id, q.only, q.line.Range)
	if found, err := q.asBefore(ctx, key); found || err != nil {
		return err
	}
	end, waited := q.s.timelines.begin(ctx, key)
	defer end()
	if waited {
		if found, err := q.asBefore(ctx, key); found || err != nil {
			return err
		}
	}
	q.revision = 0
	began := time.Now()
	if err := q.rollups(ctx); err != nil {
		return err
	}
	q.s.timelines.put(key, q.revision, q.line, began)
	return nil
}

// asBefore gives the answer that is kept, if it still holds.
func (q *timelineQuery) asBefore(ctx context.Context, key timelineKey) (found bool, err error) {
	if !q.s.timelines.has(key, time.Now()) {
		return false, nil
	}
	q.revision = 0
	if err := q.s.ask(ctx, revision(q.id, &q.revision)); err != nil {
		return false, err
	}
	line, found := q.s.timelines.get(key, q.revision, time.Now())
	if found {
		q.line = line
	}
	return found, nil
}

// timelineQuery is a question while it is answered.
type timelineQuery struct {
	s     *Store
	id    target.ID
	only  *string // the name of the one database asked for
	line  history.Timeline
	list  []history.Database // the inventory, by name
	names naming
	last  map[uint32]lastSample // by oid
	// revision was read before all the rest.
	revision int64
}

// lastSample is the newest sample of a database in the range.
type lastSample struct {
	at       int64 // microseconds since the Unix epoch
	backends int32
}

// named sorts out the inventory, which is the first answer to come.
func (q *timelineQuery) named() {
	q.names = newNaming(q.list, q.only)
	for i, d := range q.list {
		if q.names.shown[i] && d.FirstSeenAt.Before(q.line.Range.To) && (d.DroppedAt == nil || d.DroppedAt.After(q.line.Range.From)) {
			q.line.Databases = append(q.line.Databases, d)
		}
	}
}

// saw notes a sample that may be the newest of its database.
func (q *timelineQuery) saw(oid uint32, at int64, backends int32) {
	if l, known := q.last[oid]; !known || l.at < at {
		q.last[oid] = lastSample{at, backends}
	}
}

// newest sums the connections at the newest sample of the range, over the
// databases that were there. Each one's own stands for at most MaxHeld.
func (q *timelineQuery) newest() (at time.Time, known bool) {
	newest := int64(math.MinInt64)
	for _, l := range q.last {
		newest = max(newest, l.at)
	}
	for oid, l := range q.last {
		if entry, ok := q.names.at(oid, newest); ok && q.names.shown[entry] && l.at > newest-sample.MaxHeld.Microseconds() {
			q.line.Connections += int64(l.backends)
		}
	}
	return time.UnixMicro(newest).UTC(), len(q.last) > 0
}

// sized sums up the sizes of the databases that were there at the end.
func (q *timelineQuery) sized(size func(oid uint32) *int64) {
	seen := make(map[uint32]bool, len(q.line.Databases))
	for _, d := range q.line.Databases {
		if bytes := size(d.OID); bytes != nil && !seen[d.OID] && (d.DroppedAt == nil || !d.DroppedAt.Before(q.line.Range.To)) {
			q.line.SizeBytes += *bytes
			seen[d.OID] = true
		}
	}
}

// add appends a point and keeps the sums.
func (q *timelineQuery) add(p history.DatabasePoint) {
	if len(q.line.Points) == 0 {
		q.line.MinConnections, q.line.MaxConnections = p.MinConnections, p.MaxConnections
	}
	q.line.MinConnections = min(q.line.MinConnections, p.MinConnections)
	q.line.MaxConnections = max(q.line.MaxConnections, p.MaxConnections)
	q.line.Commits += p.Commits
	q.line.Points = append(q.line.Points, p)
}

// askedFor are the databases of a question: $1 is the server, $2 the name.
const askedFor = `array(select oid from history.database where server_id = $1 and not is_template and ($2::text is null or name = $2))`

// lastSampleAt asks for the newest sample of all, where the range does not end
// now: the inventory says about when it was.
func (q *timelineQuery) lastSampleAt() question {
	var seen time.Time
	for _, d := range q.list {
		if !d.IsTemplate && d.LastSeenAt.After(seen) {
			seen = d.LastSeenAt
		}
	}
	return question{
		name: "pgam_last_sample",
		sql: `/* pgam:last_sample */
select max(last_sample_at)
  from history.database_rollup
 where server_id = $1
   and step_seconds = 86400
   and database_oid = any (` + askedFor + `)
   and bucket >= $3
   and bucket < $4`,
		args: func(p *params) {
			p.int8(int64(q.id))
			p.textOrNull(q.only)
			p.time(history.Floor(seen.Add(-sizeLookback), 24*time.Hour))
			p.time(seen.Add(sizeLookback))
		},
		row: func(v values) { q.line.LastSampleAt = v.timeOrNil(0) },
	}
}

// naming tells which name a database had when. An oid keeps its database over
// a rename; entries are indexes of the inventory.
type naming struct {
	shown []bool // by entry: asked for
	byOID map[uint32]namedDatabase
}

// namedDatabase is a database with its names, the newest first. Slots number
// the databases.
type namedDatabase struct {
	slot  int32
	names []validity
}

// validity is the time in which a database had a name, in microseconds since
// the Unix epoch.
type validity struct {
	entry    int32
	from, to int64
}

// newNaming takes the inventory. A database has its name from when it was
// first seen, the first one of its oid from ever, until it was dropped or
// renamed.
func newNaming(list []history.Database, only *string) naming {
	n := naming{shown: make([]bool, len(list)), byOID: make(map[uint32]namedDatabase, len(list))}
	first := make(map[uint32]time.Time, len(list))
	for _, d := range list {
		if f, known := first[d.OID]; !known || d.FirstSeenAt.Before(f) {
			first[d.OID] = d.FirstSeenAt
		}
	}
	for i, d := range list {
		if d.IsTemplate {
			continue
		}
		n.shown[i] = only == nil || d.Name == *only
		v := validity{int32(i), d.FirstSeenAt.UnixMicro(), math.MaxInt64}
		if d.FirstSeenAt.Equal(first[d.OID]) {
			v.from = math.MinInt64
		}
		if d.DroppedAt != nil {
			v.to = d.DroppedAt.UnixMicro()
		}
		db, known := n.byOID[d.OID]
		if !known {
			db.slot = int32(len(n.byOID))
		}
		db.names = append(db.names, v)
		n.byOID[d.OID] = db
	}
	for _, db := range n.byOID {
		slices.SortFunc(db.names, func(a, b validity) int { return cmp.Compare(b.from, a.from) })
	}
	return n
}

// at gives the entry of a database at an instant.
func (n naming) at(oid uint32, at int64) (entry int32, ok bool) { return n.byOID[oid].in(at, at+1) }

// in gives the newest entry that a database had in the time from, included, to
// to, left out.
func (d namedDatabase) in(from, to int64) (entry int32, ok bool) {
	for _, v := range d.names {
		if v.from < to && v.to > from {
			return v.entry, true
		}
	}
	return 0, false
}
