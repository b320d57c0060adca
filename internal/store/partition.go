package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/sample"
)

// span is the length of a table's partitions.
type span int

const (
	daily span = iota
	monthly
)

// partitioned is a table of the schema history that is partitioned by time.
type partitioned struct {
	table string
	span  span
	kept  func(Retention) time.Duration
}

func partitionedTables() []partitioned {
	windows := func(r Retention) time.Duration { return r.Windows }
	minutes := func(r Retention) time.Duration { return r.Minutes }
	databases := func(r Retention) time.Duration { return r.Databases }
	return []partitioned{
		{"activity_window", daily, windows},
		{"session", daily, windows},
		{"activity_minute", monthly, minutes},
		{"database_stat", monthly, databases},
		{"database_size", monthly, databases},
	}
}

// Retention says how long each kind of history is kept.
type Retention struct {
	Windows, Minutes, Databases time.Duration
	// DetachConcurrently detaches before dropping, so that no reader is ever
	// in the way of a writer; off where the database cannot (Citus).
	DetachConcurrently bool
}

// bounds gives the partition of an instant: its name's suffix and its range.
func (s span) bounds(t time.Time) (suffix string, from, to time.Time) {
	t = t.UTC()
	if s == monthly {
		from = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		return from.Format("200601"), from, from.AddDate(0, 1, 0)
	}
	from = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return from.Format("20060102"), from, from.AddDate(0, 0, 1)
}

// end gives the upper bound of the partition with this suffix.
func (s span) end(suffix string) (time.Time, error) {
	layout := map[span]string{daily: "20060102", monthly: "200601"}[s]
	from, err := time.Parse(layout, suffix)
	if err != nil {
		return time.Time{}, err
	}
	_, _, to := s.bounds(from)
	return to, nil
}

// ddlTries and ddlLock bound how long changing partitions waits for others,
// and so how long others wait behind it.
const (
	ddlTries = 10
	ddlLock  = "200ms"
)

// EnsurePartitions makes the partitions of all tables for every instant from
// from to to. It never waits long for a lock, nor makes anyone wait: a new
// partition is made beside its table and attached.
func (s *Store) EnsurePartitions(ctx context.Context, from, to time.Time) error {
	existing, err := s.partitions(ctx)
	if err != nil {
		return fmt.Errorf("list partitions: %w", dbError(err))
	}
	for _, t := range partitionedTables() {
		for at := from; ; {
			suffix, lower, upper := t.span.bounds(at)
			if lower.After(to) {
				break
			}
			if !existing[t.table+"_p"+suffix] {
				if err := s.createPartition(ctx, t.table, suffix, lower, upper); err != nil {
					return fmt.Errorf("create partition %s_p%s: %w", t.table, suffix, dbError(err))
				}
			}
			at = upper
		}
	}
	return nil
}

// partitionsFor makes what a batch needs, however old it is.
func (s *Store) partitionsFor(ctx context.Context, b sample.Batch) error {
	seen := make(map[time.Time]bool)
	add := func(t time.Time) { seen[t.UTC().Truncate(24*time.Hour)] = true }
	for i := range b.Windows {
		add(b.Windows[i].T0)
	}
	for _, v := range b.Visits {
		for i := range v.Entries.Sessions {
			add(time.Unix(int64(v.Entries.Sessions[i].Day)*86400, 0))
		}
		for i := range v.Databases {
			add(v.Databases[i].At)
		}
		for i := range v.Sizes {
			add(v.Sizes[i].At)
		}
	}
	for day := range seen {
		if err := s.EnsurePartitions(ctx, day, day); err != nil {
			return err
		}
	}
	return nil
}

// partitions names the attached partitions of the schema history.
func (s *Store) partitions(ctx context.Context) (map[string]bool, error) {
	const sql = `/* pgam:partitions */
select c.relname
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class c on c.oid = i.inhrelid
 where c.relnamespace = 'history'::regnamespace and c.relkind in ('r', 'p')`
	rows, err := s.pool.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool, len(names))
	for _, n := range names {
		found[n] = true
	}
	return found, nil
}

func (s *Store) createPartition(ctx context.Context, table, suffix string, from, to time.Time) error {
	parent := pgx.Identifier{"history", table}.Sanitize()
	child := pgx.Identifier{"history", table + "_p" + suffix}.Sanitize()
	return s.ddl(ctx, func(tx pgx.Tx) error {
		// An earlier try may have left it, made but not attached.
		if _, err := tx.Exec(ctx, "create table if not exists "+child+" (like "+parent+" including all)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf("alter table %s attach partition %s for values from ('%s') to ('%s')",
			parent, child, from.Format(time.RFC3339), to.Format(time.RFC3339)))
		return err
	})
}

// ddl runs f in a transaction that gives up soon when a lock is in the way,
// and tries again.
func (s *Store) ddl(ctx context.Context, f func(pgx.Tx) error) error {
	var err error
	for try := range ddlTries {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "set local lock_timeout = '"+ddlLock+"'"); err != nil {
				return err
			}
			return f(tx)
		})
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "55P03" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try+1) * 100 * time.Millisecond):
		}
	}
	return err
}

// DropExpired drops the partitions that hold nothing younger than what r
// keeps, and forgets statements that no kept window can hold. It returns the
// names of the partitions dropped; one that somebody reads is left for the
// next time and named in the error.
func (s *Store) DropExpired(ctx context.Context, now time.Time, r Retention) (dropped []string, err error) {
	existing, err := s.partitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", dbError(err))
	}
	var faults []error
	for _, t := range partitionedTables() {
		for name := range existing {
			suffix, ok := strings.CutPrefix(name, t.table+"_p")
			if !ok {
				continue
			}
			end, err := t.span.end(suffix)
			if err != nil || now.Sub(end) < t.kept(r) {
				continue // not ours, or not due
			}
			if err := s.dropPartition(ctx, t.table, name, r.DetachConcurrently); err != nil {
				faults = append(faults, fmt.Errorf("drop partition %s: %w", name, dbError(err)))
				continue
			}
			dropped = append(dropped, name)
		}
	}
	_, err = s.pool.Exec(ctx, "/* pgam:expire */ delete from history.query where last_seen_on < $1::date - 1", now.Add(-r.Windows).UTC())
	if err != nil {
		faults = append(faults, fmt.Errorf("expire statements: %w", dbError(err)))
	}
	return dropped, errors.Join(faults...)
}

func (s *Store) dropPartition(ctx context.Context, table, name string, concurrently bool) error {
	parent := pgx.Identifier{"history", table}.Sanitize()
	child := pgx.Identifier{"history", name}.Sanitize()
	if concurrently {
		if err := s.detach(ctx, parent, child); err != nil {
			return err
		}
	}
	return s.ddl(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "drop table if exists "+child)
		return err
	})
}

// detach takes a partition off without ever blocking writers; a try that was
// interrupted is finished first. It waits for readers of the partition as
// long as a statement may take.
func (s *Store) detach(ctx context.Context, parent, child string) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	_, err = conn.Exec(ctx, "alter table "+parent+" detach partition "+child+" concurrently")
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pgErr.Code {
		case "55000": // an earlier detach was interrupted
			_, err = conn.Exec(ctx, "alter table "+parent+" detach partition "+child+" finalize")
		case "42601", "42704": // before PostgreSQL 14
			return nil
		case "42P01": // detached already, only the table is left
			return nil
		}
	}
	return err
}
