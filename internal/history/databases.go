package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// sizeLookback is how old a size may be to stand for the start of a range.
const sizeLookback = 24 * time.Hour

// Inventory lists the databases that a server has and had, by name.
func (r *Reader) Inventory(ctx context.Context, server target.ID) ([]Database, error) {
	rows, err := r.pool.Query(ctx, sql("inventory"), pgx.NamedArgs{"server_id": server, "name": nil})
	if err == nil {
		var list []Database
		if list, err = collectInventory(rows); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("read inventory: %w", statsdb.Classify(err))
}

func collectInventory(rows pgx.Rows) ([]Database, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Database, err error) {
		err = row.Scan(&d.OID, &d.Name, &d.IsTemplate, &d.AllowConnect, &d.Encoding, &d.CreatedAt, &d.FirstSeenAt, &d.LastSeenAt, &d.DroppedAt)
		d.FirstSeenAt, d.LastSeenAt = d.FirstSeenAt.UTC(), d.LastSeenAt.UTC()
		d.CreatedAt, d.DroppedAt = inUTC(d.CreatedAt), inUTC(d.DroppedAt)
		return d, err
	})
}

func inUTC(t *time.Time) *time.Time {
	if t != nil {
		*t = t.UTC()
	}
	return t
}

// DatabaseNow gives the newest that is known of a database, by its name; of
// several in the course of time, of the one seen last. The error wraps
// ErrNoDatabase if none is known.
func (r *Reader) DatabaseNow(ctx context.Context, server target.ID, name string) (DatabaseNow, error) {
	var now DatabaseNow
	list, err := r.Inventory(ctx, server)
	if err != nil {
		return now, err
	}
	for _, d := range list {
		if d.Name == name && (now.Database.Name == "" || d.LastSeenAt.After(now.Database.LastSeenAt)) {
			now.Database = d
		}
	}
	if now.Database.Name == "" {
		return now, ErrNoDatabase
	}
	args := pgx.NamedArgs{"server_id": server, "oid": now.Database.OID, "last_seen_at": now.Database.LastSeenAt}
	err = r.pool.QueryRow(ctx, sql("database_now"), args).Scan(&now.SampledAt, &now.Connections, &now.CommitsTotal, &now.SizeBytes, &now.SizeAt)
	if err != nil {
		return now, fmt.Errorf("read database: %w", statsdb.Classify(err))
	}
	now.SampledAt, now.SizeAt = inUTC(now.SampledAt), inUTC(now.SizeAt)
	return now, nil
}

// databaseQuery is a question about databases of a server while it is answered, all
// of one state of stats_db.
type databaseQuery struct {
	tx     pgx.Tx
	server target.ID
	only   *string // the name of the one database asked for
	list   []Database
	naming naming
	// closed is the end of what rollups answer for.
	closed time.Time
}

// databases answers a question about all databases of a server, or about one name.
func (r *Reader) databases(ctx context.Context, server target.ID, only *string, answer func(*databaseQuery) error) error {
	mode := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, r.pool, mode, func(tx pgx.Tx) error {
		q := databaseQuery{tx: tx, server: server, only: only, closed: forever}
		b := &pgx.Batch{}
		b.Queue(sql("inventory"), pgx.NamedArgs{"server_id": server, "name": only}).Query(func(rows pgx.Rows) (err error) {
			q.list, err = collectInventory(rows)
			return err
		})
		const from = "/* pgam:databases */ select databases_from from history.progress where server_id = $1 and databases_from is not null"
		b.Queue(from, server).Query(func(rows pgx.Rows) error {
			return each([]any{&q.closed}, func() error { return nil })(rows)
		})
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		q.closed = Floor(q.closed, sample.BucketLength)
		q.naming = newNaming(q.list, only)
		return answer(&q)
	})
}

// oids are those of the databases that can be in the answer.
func (q *databaseQuery) oids() []uint32 {
	oids := []uint32{}
	for oid := range q.naming.byOID {
		oids = append(oids, oid)
	}
	slices.Sort(oids)
	return oids
}

// rows gives what is known of each database in a stretch of time, one after the
// other: see sample.Stretches. They are good for the call only.
func (q *databaseQuery) rows(ctx context.Context, from, to time.Time, database func(oid uint32, rows []sample.DatabaseStat, looks []time.Time)) error {
	var (
		looks []time.Time
		rows  []sample.DatabaseStat // of one database after the other
	)
	from, to = from.Add(-sample.MaxHeld), to.Add(sample.MaxHeld) // looks may be late against their plan
	b := &pgx.Batch{}
	b.Queue(sql("database_looks"), pgx.NamedArgs{"server_id": q.server, "from": from, "to": to.Add(sample.MaxHeld)}).Query(func(r pgx.Rows) (err error) {
		looks, err = pgx.CollectRows(r, pgx.RowTo[time.Time])
		return err
	})
	for _, oid := range q.oids() {
		b.Queue(sql("database_stats"), pgx.NamedArgs{"server_id": q.server, "oid": oid, "from": from, "to": to}).Query(func(r pgx.Rows) (err error) {
			rows, err = pgx.AppendRows(rows[:0], r, scanStat)
			if err == nil && len(rows) > 0 {
				database(oid, rows, looks)
			}
			return err
		})
	}
	return q.tx.SendBatch(ctx, b).Close()
}

// scanStat reads a row of the statement database_stats: timers tell nothing about
// whether counters go on.
func scanStat(row pgx.CollectableRow) (d sample.DatabaseStat, err error) {
	var (
		previous, reset pgtype.Timestamptz
		backends        pgtype.Int8
		counters        [sample.NumCounters]pgtype.Int8
	)
	fields := []any{&d.OID, &d.Planned, &d.At, &previous, &d.Instance, &backends, &reset}
	for i := range counters {
		fields = append(fields, &counters[i])
	}
	if err := row.Scan(fields...); err != nil {
		return d, err
	}
	d.Planned, d.At, d.PreviousAt = d.Planned.UTC(), d.At.UTC(), previous.Time.UTC()
	if reset.Valid {
		d.StatsReset = reset.Time.UnixMicro()
	}
	d.Backends = sample.Int{V: backends.Int64, Known: backends.Valid}
	for i, c := range counters {
		d.Counters[i] = sample.Int{V: c.Int64, Known: c.Valid}
	}
	return d, nil
}

// databaseSum is what a database did in ten minutes, an hour or a day.
type databaseSum struct {
	sample.DatabaseSum

	oid    uint32
	bucket Range
	size   *sizeAt // the newest of the bucket
}

// sizeAt is a size and since when it is known.
type sizeAt struct {
	at    time.Time
	bytes int64
}

// sums gives what databases did over a range, by ten minutes, by hour or, where days
// will do, by day: from rollups as far as they are right, and from rows since then.
// The range is of whole ones of the finest that is taken.
func (q *databaseQuery) sums(ctx context.Context, span Range, grain time.Duration, sum func(*databaseSum)) error {
	const day = 24 * time.Hour
	step := min(grain, time.Hour)
	closed := Range{span.From, later(span.From, earlier(span.To, Floor(q.closed, step)))}
	whole := Range{closed.To, closed.To} // days
	if grain == day {
		if inner := (Range{Floor(span.From.Add(day-1), day), Floor(closed.To, day)}); !inner.Empty() {
			whole = inner
		}
	}
	for _, part := range []struct {
		Range

		step time.Duration
	}{{Range{closed.From, whole.From}, step}, {whole, day}, {Range{whole.To, closed.To}, step}} {
		if err := q.rolled(ctx, part.Range, part.step, sum); err != nil {
			return err
		}
	}
	open := Range{closed.To, span.To}
	if open.Empty() {
		return nil
	}
	sizes, err := q.sizes(ctx, open)
	if err != nil {
		return err
	}
	for oid, list := range sizes {
		for i := range list {
			start := Floor(list[i].at, step)
			sum(&databaseSum{oid: oid, bucket: Range{start, start.Add(step)}, size: &list[i]})
		}
	}
	return q.rows(ctx, open.From, open.To, func(oid uint32, rows []sample.DatabaseStat, looks []time.Time) {
		for i, s := range sample.SumDatabase(rows, looks, open.From, open.To, step) {
			if !s.Empty() {
				start := open.From.Add(time.Duration(i) * step)
				sum(&databaseSum{DatabaseSum: s, oid: oid, bucket: Range{start, start.Add(step)}})
			}
		}
	})
}

// rolled reads rollups of one step.
func (q *databaseQuery) rolled(ctx context.Context, span Range, step time.Duration, sum func(*databaseSum)) error {
	if span.Empty() {
		return nil
	}
	rows, err := q.tx.Query(ctx, sql("database_rollups"), pgx.NamedArgs{
		"server_id": q.server, "oids": q.oids(), "step_seconds": int(step / time.Second), "from": span.From, "to": span.To,
	})
	if err != nil {
		return err
	}
	var (
		s               databaseSum
		numbers         [9]pgtype.Int8
		bytes           pgtype.Int8
		lastAt, bytesAt pgtype.Timestamptz
	)
	fields := []any{
		&s.oid, &s.bucket.From, &s.Samples, &s.Seconds, &s.BackendSeconds, &s.CountedSeconds, &numbers[0], &numbers[1], &numbers[2], &lastAt,
		&bytes, &bytesAt, &numbers[3], &numbers[4], &numbers[5], &numbers[6], &numbers[7], &numbers[8],
	}
	into := [...]*sample.Int{
		&s.MinBackends, &s.MaxBackends, &s.LastBackends, &s.Counters[sample.XactCommit], &s.Counters[sample.XactRollback],
		&s.Counters[sample.BlksRead], &s.Counters[sample.BlksHit], &s.Counters[sample.TempBytes], &s.Counters[sample.Deadlocks],
	}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		for i, n := range numbers {
			*into[i] = sample.Int{V: n.Int64, Known: n.Valid}
		}
		s.LastAt, s.size = lastAt.Time.UTC(), nil
		if bytes.Valid {
			s.size = &sizeAt{bytesAt.Time.UTC(), bytes.Int64}
		}
		s.bucket.From = s.bucket.From.UTC()
		s.bucket.To = s.bucket.From.Add(step)
		sum(&s)
		return nil
	})
	return err
}

// sizes gives measured sizes, in the order of time.
func (q *databaseQuery) sizes(ctx context.Context, span Range) (map[uint32][]sizeAt, error) {
	sizes := make(map[uint32][]sizeAt)
	return sizes, q.addSizes(ctx, sizes, "database_sizes", pgx.NamedArgs{"from": span.From, "to": span.To})
}

func (q *databaseQuery) addSizes(ctx context.Context, to map[uint32][]sizeAt, name string, args pgx.NamedArgs) error {
	args["server_id"], args["oids"] = q.server, q.oids()
	rows, err := q.tx.Query(ctx, sql(name), args)
	if err != nil {
		return err
	}
	var (
		oid uint32
		one sizeAt
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &one.at, &one.bytes}, func() error {
		one.at = one.at.UTC()
		to[oid] = append(to[oid], one)
		return nil
	})
	return err
}

// naming tells which name a database had when. An oid keeps its database over a
// rename; entries are indexes of the inventory.
type naming struct {
	shown []bool // by entry: asked for
	byOID map[uint32][]validity
}

// validity is the time in which a database had a name, the newest first.
type validity struct {
	entry int
	Range
}

// forever is after everything that can be counted in nanoseconds.
var forever = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)

// newNaming takes the inventory. A database has its name from when it was first
// seen, the first one of its oid from ever, until it was dropped or renamed.
// Templates have none.
func newNaming(list []Database, only *string) naming {
	n := naming{shown: make([]bool, len(list)), byOID: make(map[uint32][]validity, len(list))}
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
		v := validity{i, Range{d.FirstSeenAt, forever}}
		if d.FirstSeenAt.Equal(first[d.OID]) {
			v.From = time.Time{}
		}
		if d.DroppedAt != nil {
			v.To = *d.DroppedAt
		}
		n.byOID[d.OID] = append(n.byOID[d.OID], v)
	}
	for _, all := range n.byOID {
		slices.SortFunc(all, func(a, b validity) int { return b.From.Compare(a.From) })
	}
	return n
}

// at gives the entry of a database at an instant.
func (n naming) at(oid uint32, at time.Time) (entry int, ok bool) {
	return n.in(oid, Range{at, at.Add(1)})
}

// in gives the newest entry that a database had in a stretch of time.
func (n naming) in(oid uint32, span Range) (entry int, ok bool) {
	for _, v := range n.byOID[oid] {
		if v.From.Before(span.To) && v.To.After(span.From) {
			return v.entry, true
		}
	}
	return 0, false
}
