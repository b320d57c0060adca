package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// keptFresh is how long the list of partitions is taken as it was.
const keptFresh = 20 * time.Second

// keptLimit bounds one reading of it. Whoever asks meanwhile waits for the same
// reading, as long as their own context allows.
const keptLimit = 5 * time.Second

// partitionsSince remembers since when each table is kept.
type partitionsSince struct {
	last    atomic.Pointer[keptList]
	reading singleflight.Group
}

// keptList is since when each table is kept, by table and part.
type keptList struct {
	since map[string]time.Time
	read  time.Time
}

// Kept says since when the sums by a dimension are kept for a server. What a
// server can have lost nothing of, because it was added later, is not in it.
func (s *Store) Kept(ctx context.Context, t target.Target, by history.Dimension, f history.Filter) (history.Kept, error) {
	since, err := s.keptSince(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what is kept: %w", statsdb.Classify(err))
	}
	sources := map[history.Grain]string{
		history.GrainWindow: "activity_window", history.GrainMinute: "activity_rollup_minute", history.GrainTenMinutes: "activity_rollup_10minute",
		history.GrainHour: "activity_rollup_hour", history.GrainDay: "activity_rollup_day",
	}
	if by == history.ByWaitClass && f.Empty() {
		sources[history.GrainMinute], sources[history.GrainHour], sources[history.GrainDay] = "activity_minute", "activity_total", "activity_total"
		delete(sources, history.GrainTenMinutes)
	}
	kept := make(history.Kept)
	for grain, table := range sources {
		if at, there := since[table]; there && t.CreatedAt.Before(at) {
			kept[grain] = at
		}
	}
	return kept, nil
}

// stillKept refuses a range that begins before the oldest partition of a table
// (see keptSince), unless the server was added later: then there never was
// anything. what names in the error what is kept. The error wraps
// history.ErrGone, or is stats_db's.
func (s *Store) stillKept(ctx context.Context, t target.Target, table, what string, r history.Range) error {
	since, err := s.keptSince(ctx)
	if err != nil {
		return fmt.Errorf("read what is kept: %w", statsdb.Classify(err))
	}
	if oldest, there := since[table]; there && r.From.Before(oldest) && t.CreatedAt.Before(oldest) {
		return fmt.Errorf("%w: %s are kept since %s: begin there", history.ErrGone, what, oldest.UTC().Format(time.RFC3339))
	}
	return nil
}

// seriesTable gives the table, with its part, that a plan reads: raw is that of
// samples.
func seriesTable(plan history.SeriesPlan, raw string) string {
	switch plan.Grain {
	case history.SeriesHour:
		return "database_rollup_hour"
	case history.SeriesHour4:
		return "database_rollup_4hour"
	case history.SeriesDay:
		return "database_rollup_day"
	case history.SeriesSample:
	}
	return raw
}

// keptSince gives the start of the oldest partition of each table and part.
func (s *Store) keptSince(ctx context.Context) (map[string]time.Time, error) {
	if last := s.since.last.Load(); last != nil && time.Since(last.read) < keptFresh {
		return last.since, nil
	}
	read := s.since.reading.DoChan("", func() (any, error) {
		return guard.Call(func() (map[string]time.Time, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keptLimit) // nobody's leaving ends it for others
			defer cancel()
			return s.readKept(ctx)
		})
	})
	select {
	case answer := <-read:
		since, _ := answer.Val.(map[string]time.Time)
		return since, answer.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Store) readKept(ctx context.Context) (map[string]time.Time, error) {
	const sql = `/* pgam:kept */
select c.relname
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class c on c.oid = i.inhrelid
 where c.relnamespace = 'history'::regnamespace`
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	since := make(map[string]time.Time)
	for _, t := range partitionedTables() {
		for _, name := range names {
			end, ok := t.end(name)
			if !ok {
				continue
			}
			from, _ := t.span.bounds(end.Add(-time.Nanosecond))
			if oldest, there := since[t.table+t.part]; !there || from.Before(oldest) {
				since[t.table+t.part] = from
			}
		}
	}
	s.since.last.Store(&keptList{since, time.Now()})
	return since, nil
}
