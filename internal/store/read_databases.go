package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/target"
)

// holds is how long a sample of pg_stat_database stands for what follows when
// no newer one is stored: an unchanged database is stored every five minutes.
const holds = 330 * time.Second

// sizeLookback is how old a size may be to stand for the start of a range.
const sizeLookback = 24 * time.Hour

// Inventory lists the databases that a server has and had, by name.
func (s *Store) Inventory(ctx context.Context, id target.ID) ([]history.Database, error) {
	const sql = `/* pgam:inventory */
select oid, name, is_template, allow_connect, encoding, created_at, first_seen_at, last_seen_at, dropped_at
  from history.database
 where server_id = $1
 order by name collate "C", first_seen_at`
	rows, err := s.pool.Query(ctx, sql, id)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", dbError(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[history.Database])
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", dbError(err))
	}
	for i := range list {
		d := &list[i]
		d.FirstSeenAt, d.LastSeenAt = d.FirstSeenAt.UTC(), d.LastSeenAt.UTC()
		d.CreatedAt, d.DroppedAt = utcOrNil(d.CreatedAt), utcOrNil(d.DroppedAt)
	}
	return list, nil
}

func utcOrNil(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// DatabaseNow gives the newest that is known of a database, by its name; of
// several in the course of time, of the one seen last. The error is
// history.ErrNoDatabase if none is known.
func (s *Store) DatabaseNow(ctx context.Context, id target.ID, name string) (history.DatabaseNow, error) {
	list, err := s.Inventory(ctx, id)
	if err != nil {
		return history.DatabaseNow{}, err
	}
	var now history.DatabaseNow
	for _, d := range list {
		if d.Name == name && (now.Database.Name == "" || d.LastSeenAt.After(now.Database.LastSeenAt)) {
			now.Database = d
		}
	}
	if now.Database.Name == "" {
		return now, history.ErrNoDatabase
	}
	// A database that is gone has no sample after its last inventory but one:
	// the bounds keep the search from going through all of history.
	from, to := now.Database.LastSeenAt.Add(-time.Hour), now.Database.LastSeenAt.Add(sizeLookback)
	const stat = `/* pgam:database_now */
select sampled_at, numbackends, xact_commit_total
  from history.database_stat
 where server_id = $1
   and database_oid = $2
   and sampled_at > $3
   and sampled_at < $4
 order by sampled_at desc
 limit 1`
	err = s.pool.QueryRow(ctx, stat, id, now.Database.OID, from, to).Scan(&now.SampledAt, &now.Connections, &now.CommitsTotal)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return now, fmt.Errorf("read database: %w", dbError(err))
	}
	const size = `/* pgam:database_size_now */
select sampled_at, size_bytes
  from history.database_size
 where server_id = $1
   and database_oid = $2
   and sampled_at > $3
   and sampled_at < $4
   and size_bytes is not null
 order by sampled_at desc
 limit 1`
	err = s.pool.QueryRow(ctx, size, id, now.Database.OID, from.Add(-sizeLookback), to).Scan(&now.SizeAt, &now.SizeBytes)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return now, fmt.Errorf("read database: %w", dbError(err))
	}
	now.SampledAt, now.SizeAt = utcOrNil(now.SampledAt), utcOrNil(now.SizeAt)
	return now, nil
}

// ServerTimeline gives what the databases of a server did over a range, the
// templates left out.
func (s *Store) ServerTimeline(ctx context.Context, id target.ID, r history.Range) (history.Timeline, error) {
	return s.timeline(ctx, id, r, nil)
}

// DatabaseTimeline is ServerTimeline of one database. A name that no database
// has or had gives an empty timeline.
func (s *Store) DatabaseTimeline(ctx context.Context, id target.ID, name string, r history.Range) (history.Timeline, error) {
	return s.timeline(ctx, id, r, &name)
}

func (s *Store) timeline(ctx context.Context, id target.ID, r history.Range, only *string) (history.Timeline, error) {
	line := history.Timeline{Range: r, Aggregation: history.AggregationFor(r)}
	list, err := s.Inventory(ctx, id)
	if err != nil {
		return line, err
	}
	var all []history.Database
	for _, d := range list {
		if d.IsTemplate || (only != nil && d.Name != *only) {
			continue
		}
		all = append(all, d)
		if d.FirstSeenAt.Before(r.To) && (d.DroppedAt == nil || d.DroppedAt.After(r.From)) {
			line.Databases = append(line.Databases, d)
		}
	}
	q := timelineQuery{s: s, id: id, only: only, databases: all, line: &line}
	for _, step := range []func(context.Context) error{q.lastSample, q.points, q.sizes, q.newest} {
		if err := step(ctx); err != nil {
			return line, fmt.Errorf("read timeline: %w", dbError(err))
		}
	}
	return line, nil
}

// timelineQuery fills one timeline, step by step.
type timelineQuery struct {
	s         *Store
	id        target.ID
	only      *string            // the name of the one database asked for
	databases []history.Database // all of the question, in the range or not
	line      *history.Timeline
	oids      []uint32 // of each point
}

// lastSample finds the newest sample of the server, or of the database asked
// for, whose inventory says where to look.
func (q *timelineQuery) lastSample(ctx context.Context) error {
	var newest time.Time
	oids := make([]uint32, 0, len(q.databases))
	for _, d := range q.databases {
		oids = append(oids, d.OID)
		if d.LastSeenAt.After(newest) {
			newest = d.LastSeenAt
		}
	}
	if len(oids) == 0 {
		return nil
	}
	const sql = `/* pgam:last_sample */
select sampled_at
  from history.database_stat
 where server_id = $1
   and database_oid = any ($2)
   and sampled_at > $3
   and sampled_at < $4
 order by sampled_at desc
 limit 1`
	err := q.s.pool.QueryRow(ctx, sql, q.id, oids, newest.Add(-sizeLookback), newest.Add(sizeLookback)).Scan(&q.line.LastSampleAt)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	q.line.LastSampleAt = utcOrNil(q.line.LastSampleAt)
	return nil
}

// A database has its name from when it was first seen, the first one of its
// oid from ever, until it was dropped or renamed.
const named = `
with named as (
    select x.oid, x.name, x.valid_from, coalesce(x.dropped_at, timestamptz 'infinity') as valid_to
      from (select oid, name, is_template, dropped_at,
                   case when first_seen_at = min(first_seen_at) over (partition by oid)
                        then timestamptz '-infinity' else first_seen_at end as valid_from
              from history.database
             where server_id = $1) x
     where not x.is_template
       and ($2::text is null or x.name = $2)
)`

const rawPointsSQL = `/* pgam:timeline_raw */` + named + `
select d.sampled_at, n.name, n.oid, d.numbackends::float8, d.numbackends, d.numbackends, coalesce(d.xact_commit, 0)
  from history.database_stat d
  join named n on n.oid = d.database_oid and d.sampled_at >= n.valid_from and d.sampled_at < n.valid_to
 where d.server_id = $1
   and d.sampled_at >= $3
   and d.sampled_at < $4
   and d.numbackends is not null
 order by d.sampled_at, n.name collate "C"`

// Connections are an average over time: a sample stands until the next one,
// because samples in which nothing changed are not stored.
const bucketPointsSQL = `/* pgam:timeline */` + named + `,
sampled as (
    select date_bin($5, d.sampled_at, timestamptz 'epoch') as bucket, n.name, n.oid, d.numbackends, d.xact_commit,
           extract(epoch from least(lead(d.sampled_at) over by_database, d.sampled_at + $6::interval, $4) - d.sampled_at)::float8 as seconds
      from history.database_stat d
      join named n on n.oid = d.database_oid and d.sampled_at >= n.valid_from and d.sampled_at < n.valid_to
     where d.server_id = $1
       and d.sampled_at >= $3
       and d.sampled_at < $4
       and d.numbackends is not null
    window by_database as (partition by d.database_oid order by d.sampled_at)
)
select bucket, name, oid, sum(numbackends * seconds) / sum(seconds), min(numbackends), max(numbackends), coalesce(sum(xact_commit), 0)::int8
  from sampled
 group by bucket, name, oid
 order by bucket, name collate "C"`

func (q *timelineQuery) points(ctx context.Context) error {
	if len(q.databases) == 0 {
		return nil
	}
	r, step := q.line.Range, q.line.Aggregation.Step()
	sql, args := rawPointsSQL, []any{q.id, q.only, r.From, r.To}
	if step > 0 {
		sql, args = bucketPointsSQL, append(args, step, holds)
	}
	rows, err := q.s.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var (
		p   history.DatabasePoint
		oid uint32
	)
	_, err = pgx.ForEachRow(rows, []any{&p.At, &p.Database, &oid, &p.Connections, &p.MinConnections, &p.MaxConnections, &p.Commits}, func() error {
		p.At = p.At.UTC()
		if len(q.line.Points) == 0 {
			q.line.MinConnections, q.line.MaxConnections = p.MinConnections, p.MaxConnections
		}
		q.line.MinConnections = min(q.line.MinConnections, p.MinConnections)
		q.line.MaxConnections = max(q.line.MaxConnections, p.MaxConnections)
		q.line.Commits += p.Commits
		q.line.Points, q.oids = append(q.line.Points, p), append(q.oids, oid)
		return nil
	})
	return err
}

// sizes gives each point the newest size known at its end, and sums up those
// of the databases that were there at the end of the range.
func (q *timelineQuery) sizes(ctx context.Context) error {
	r, step := q.line.Range, max(q.line.Aggregation.Step(), time.Minute)
	const sql = `/* pgam:timeline_sizes */
select distinct on (database_oid, date_bin($4, sampled_at, timestamptz 'epoch')) database_oid, sampled_at, size_bytes
  from history.database_size
 where server_id = $1
   and sampled_at >= $2
   and sampled_at < $3
   and size_bytes is not null
 order by database_oid, date_bin($4, sampled_at, timestamptz 'epoch'), sampled_at desc`
	rows, err := q.s.pool.Query(ctx, sql, q.id, r.From.Add(-sizeLookback), r.To, step)
	if err != nil {
		return err
	}
	type size struct {
		at    time.Time
		bytes int64
	}
	known := make(map[uint32][]size) // by oid, in the order of time
	var (
		oid  uint32
		next size
	)
	_, err = pgx.ForEachRow(rows, []any{&oid, &next.at, &next.bytes}, func() error {
		known[oid] = append(known[oid], next)
		return nil
	})
	if err != nil {
		return err
	}
	last := make(map[uint32]int64)
	for _, d := range q.line.Databases {
		if n := len(known[d.OID]); n > 0 && (d.DroppedAt == nil || !d.DroppedAt.Before(r.To)) {
			last[d.OID] = known[d.OID][n-1].bytes
		}
	}
	for _, bytes := range last {
		q.line.SizeBytes += bytes
	}
	current := make(map[uint32]int64)
	for i := range q.line.Points {
		p, oid := &q.line.Points[i], q.oids[i]
		end := p.At.Add(max(q.line.Aggregation.Step(), time.Microsecond))
		for len(known[oid]) > 0 && known[oid][0].at.Before(end) {
			current[oid], known[oid] = known[oid][0].bytes, known[oid][1:]
		}
		if bytes, ok := current[oid]; ok {
			p.SizeBytes = &bytes
		}
	}
	return nil
}

// newest sums the connections at the newest sample of the range, over the
// databases that were there.
func (q *timelineQuery) newest(ctx context.Context) error {
	if len(q.line.Points) == 0 {
		return nil
	}
	const sql = `/* pgam:newest_connections */` + named + `,
newest as (
    select max(d.sampled_at) as at
      from history.database_stat d
      join named n on n.oid = d.database_oid
     where d.server_id = $1
       and d.sampled_at >= $3
       and d.sampled_at < $4
)
select coalesce(sum(numbackends), 0)
  from (select distinct on (d.database_oid) d.numbackends
          from history.database_stat d
         cross join newest
          join named n on n.oid = d.database_oid and newest.at >= n.valid_from and newest.at < n.valid_to
         where d.server_id = $1
           and d.sampled_at > newest.at - $5::interval
           and d.sampled_at <= newest.at
           and d.sampled_at >= $3
           and d.sampled_at < $4
         order by d.database_oid, d.sampled_at desc) x`
	// Only the end of the range is looked at: a point lies in the last bucket.
	lastBucket := q.line.Points[len(q.line.Points)-1].At
	return q.s.pool.QueryRow(ctx, sql, q.id, q.only, lastBucket.Add(-holds), q.line.Range.To, holds).Scan(&q.line.Connections)
}
