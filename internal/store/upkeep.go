package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
)

// Upkeep says how far the care for the history has come.
type Upkeep struct {
	// PartitionsUntil is when the first table runs out of partitions; zero: some
	// table has none.
	PartitionsUntil time.Time
	// RollupDue is when the oldest bucket of activity was over that waits to be
	// made; zero: none waits.
	RollupDue time.Time
	// PackDue is the oldest day that waits to be packed; zero: none does.
	PackDue time.Time
	// Bytes is the size of stats_db on disk.
	Bytes int64
}

// Upkeep looks at how far the care for the history has come at an instant.
func (s *Store) Upkeep(ctx context.Context, now time.Time) (Upkeep, error) {
	existing, err := s.partitions(ctx)
	if err != nil {
		return Upkeep{}, fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	out := Upkeep{PartitionsUntil: partitionsUntil(existing)}
	const sql = `/* pgam:upkeep */
select (select min(d.bucket + d.step_seconds * interval '1 second')
          from history.rollup_due d
         where d.bucket < $1::timestamptz - d.step_seconds * interval '1 second'
           and not exists (select from pgam.server s where s.id = d.server_id and s.purge)),
       pg_catalog.pg_database_size(pg_catalog.current_database())`
	var due *time.Time
	if err := s.pool.QueryRow(ctx, sql, now).Scan(&due, &out.Bytes); err != nil {
		return Upkeep{}, fmt.Errorf("look at rollups that are due: %w", statsdb.Classify(err))
	}
	if due != nil {
		out.RollupDue = due.UTC()
	}
	if out.PackDue, err = s.packDue(ctx, now); err != nil {
		return Upkeep{}, fmt.Errorf("look at days to pack: %w", statsdb.Classify(err))
	}
	return out, nil
}

// packDue gives the oldest day that waits to be packed and has windows; the
// error is the driver's.
func (s *Store) packDue(ctx context.Context, now time.Time) (time.Time, error) {
	days, err := s.unpacked(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	for _, day := range slices.Backward(days) { // the newest comes first
		table := pgx.Identifier{"history", windowPartitions().name(day)}.Sanitize()
		var any bool
		if err := s.pool.QueryRow(ctx, "/* pgam:upkeep */ select exists (select from "+table+")").Scan(&any); err != nil {
			return time.Time{}, err
		}
		if any {
			return day, nil
		}
	}
	return time.Time{}, nil
}

// partitionsUntil gives the earliest of the tables' newest ends.
func partitionsUntil(existing map[string]partitionState) time.Time {
	var first time.Time
	for i, t := range partitionedTables() {
		var newest time.Time
		for name, state := range existing {
			if end, ok := t.end(name); ok && state == attached && end.After(newest) {
				newest = end
			}
		}
		if i == 0 || newest.Before(first) {
			first = newest
		}
	}
	return first
}
