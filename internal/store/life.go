package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// lifeDays is how far back a sign of life is looked for.
const lifeDays = 400

// LastLife gives the newest sign of life of a collector before an instant: an
// event of its own, or the end of a window. stopped says that it is a clean stop.
// It is zero where there is none.
func (s *Store) LastLife(ctx context.Context, before time.Time) (at time.Time, stopped bool, err error) {
	// One look into each server's newest window; a planned tick is one, whatever
	// came of it.
	const sql = `/* pgam:last_life */
select greatest(e.at, w.at), coalesce(e.kind = $3 and (w.at is null or w.at <= e.at), false)
  from (select 1) one
  left join lateral (select at, kind
                       from history.event
                      where server_id = $2 and at < $1 and at > $1 - make_interval(days => $4)
                        and kind in ($3, $5)
                      order by at desc, kind desc
                      limit 1) e on true
  left join lateral (select max(n.at) as at
                       from pgam.server s
                      cross join lateral (select x.t0 + make_interval(secs => x.tick_offset_ms[cardinality(x.tick_offset_ms)] / 1000.0) as at
                                            from history.activity_window x
                                           where x.server_id = s.id and x.t0 < $1 and x.t0 > $1 - make_interval(days => $4)
                                           order by x.t0 desc
                                           limit 1) n) w on true`
	var found *time.Time
	err = s.pool.QueryRow(ctx, sql, before, int64(sample.TheMonitor), string(sample.EventCollectorStopped), lifeDays,
		string(sample.EventCollectorStarted)).Scan(&found, &stopped)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the last sign of life: %w", statsdb.Classify(err))
	}
	if found == nil {
		return time.Time{}, false, nil
	}
	return found.UTC(), stopped, nil
}

// Written tells how far the windows of each server go that has any.
func (s *Store) Written(ctx context.Context) (map[target.ID]time.Time, error) {
	const sql = `/* pgam:written */
select s.id, n.t0 + n.span_ms * interval '1 millisecond'
  from pgam.server s
 cross join lateral (select x.t0, x.span_ms
                       from history.activity_window x
                      where x.server_id = s.id
                      order by x.t0 desc
                      limit 1) n`
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("look how far the history goes: %w", statsdb.Classify(err))
	}
	upTo := make(map[target.ID]time.Time)
	var (
		id target.ID
		at time.Time
	)
	if _, err := pgx.ForEachRow(rows, []any{&id, &at}, func() error { upTo[id] = at.UTC(); return nil }); err != nil {
		return nil, fmt.Errorf("look how far the history goes: %w", statsdb.Classify(err))
	}
	return upTo, nil
}

// ServerRemoved tells when a server was deleted; the error is
// target.ErrNotFound where it was not, or goes with its history.
func (s *Store) ServerRemoved(ctx context.Context, id target.ID) (time.Time, error) {
	var at time.Time
	const sql = `/* pgam:server_removed */
select deleted_at
  from pgam.server
 where id = $1
   and deleted_at is not null
   and not purge`
	err := s.pool.QueryRow(ctx, sql, id).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, target.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read removed server: %w", statsdb.Classify(err))
	}
	return at.UTC(), nil
}
