package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// partitionLock is the advisory lock of whoever changes partitions ("part" in
// ASCII).
const partitionLock = 0x70617274

// expiredComment marks a partition that is being dropped, for the time between
// its detaching and its end. One that somebody else detached is theirs.
const expiredComment = "pgam: expired, being dropped"

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
			if existing[t.table+"_p"+suffix] != attached {
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

// partitionState is what became of a partition.
type partitionState string

const (
	attached  partitionState = "attached"
	detaching partitionState = "detaching" // a concurrent detach was interrupted
	detached  partitionState = "detached"  // marked with expiredComment, to be dropped
)

// partitions finds the partitions of the schema history.
func (s *Store) partitions(ctx context.Context) (map[string]partitionState, error) {
	// inhdetachpending exists from PostgreSQL 14 on.
	const sql = `/* pgam:partitions */
select c.relname,
       case when i.inhrelid is null then 'detached'
            when (to_jsonb(i) ->> 'inhdetachpending')::boolean then 'detaching'
            else 'attached'
       end
  from pg_catalog.pg_class c
  left join pg_catalog.pg_inherits i on i.inhrelid = c.oid
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'
   and (i.inhrelid is not null or pg_catalog.obj_description(c.oid, 'pg_class') = $1)`
	rows, err := s.pool.Query(ctx, sql, expiredComment)
	if err != nil {
		return nil, err
	}
	found := make(map[string]partitionState)
	var (
		name  string
		state partitionState
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &state}, func() error {
		found[name] = state
		return nil
	})
	return found, err
}

func (s *Store) createPartition(ctx context.Context, table, suffix string, from, to time.Time) error {
	parent := pgx.Identifier{"history", table}.Sanitize()
	child := pgx.Identifier{"history", table + "_p" + suffix}.Sanitize()
	return s.ddl(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
			return err
		}
		const sql = `/* pgam:partitions */
select (to_jsonb(i) ->> 'inhdetachpending')::boolean is true
  from pg_catalog.pg_inherits i
 where i.inhrelid = to_regclass($1) and i.inhparent = to_regclass($2)`
		var pending bool
		switch err := tx.QueryRow(ctx, sql, child, parent).Scan(&pending); {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case !pending:
			return nil // another one was faster
		default:
			if _, err := tx.Exec(ctx, "alter table "+parent+" detach partition "+child+" finalize"); err != nil {
				return err
			}
		}
		// It may be there, detached and not dropped yet: what it holds comes back.
		for _, ddl := range []string{
			"create table if not exists " + child + " (like " + parent + " including all)",
			"comment on table " + child + " is null",
			fmt.Sprintf("alter table %s attach partition %s for values from ('%s') to ('%s')",
				parent, child, from.Format(time.RFC3339), to.Format(time.RFC3339)),
		} {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return err
			}
		}
		return nil
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
	names := slices.Collect(maps.Keys(existing))
	slices.SortFunc(names, func(a, b string) int {
		// A table can have one detach pending: finish it before the next.
		if c := cmp.Compare(existing[b], existing[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	var faults []error
	for _, name := range names {
		t, ok := expired(name, now, r)
		if !ok {
			continue
		}
		if err := s.dropPartition(ctx, t.table, name, existing[name], r.DetachConcurrently); err != nil {
			faults = append(faults, fmt.Errorf("drop partition %s: %w", name, dbError(err)))
			continue
		}
		dropped = append(dropped, name)
	}
	_, err = s.pool.Exec(ctx, "/* pgam:expire */ delete from history.query where last_seen_on < $1::date - 1", now.Add(-r.Windows).UTC())
	if err != nil {
		faults = append(faults, fmt.Errorf("expire statements: %w", dbError(err)))
	}
	return dropped, errors.Join(faults...)
}

// expired reports whether a table is a partition of ours that is due.
func expired(name string, now time.Time, r Retention) (partitioned, bool) {
	for _, t := range partitionedTables() {
		suffix, ok := strings.CutPrefix(name, t.table+"_p")
		if !ok {
			continue
		}
		end, err := t.span.end(suffix)
		return t, err == nil && now.Sub(end) >= t.kept(r)
	}
	return partitioned{}, false
}

func (s *Store) dropPartition(ctx context.Context, table, name string, state partitionState, concurrently bool) error {
	parent := pgx.Identifier{"history", table}.Sanitize()
	child := pgx.Identifier{"history", name}.Sanitize()
	if concurrently && state != detached {
		if err := s.detach(ctx, parent, child, state); err != nil {
			return err
		}
	}
	return s.ddl(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "drop table if exists "+child)
		return err
	})
}

// detach takes a partition off without ever blocking writers; a try that was
// interrupted is finished instead. It waits for those who read the table as
// long as a statement may take. The mark is what is left to go by when the
// process ends between here and the drop.
func (s *Store) detach(ctx context.Context, parent, child string, state partitionState) error {
	err := s.ddl(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "comment on table "+child+" is '"+expiredComment+"'")
		return err
	})
	if err != nil {
		return err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	how := " concurrently"
	if state == detaching {
		how = " finalize"
	}
	_, err = conn.Exec(ctx, "alter table "+parent+" detach partition "+child+how)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pgErr.Code {
		case "42601", "42704": // before PostgreSQL 14
			return nil
		case "42P01": // somebody else detached or dropped it
			return nil
		}
	}
	return err
}
