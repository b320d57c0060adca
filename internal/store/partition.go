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
	"github.com/pgam/pgam/internal/statsdb"
)

// span is the length of a table's partitions.
type span int

const (
	daily span = iota
	monthly
	yearly
)

// partitioned is a table of the schema history that is partitioned by time, or
// the part of one with this step.
type partitioned struct {
	table string
	part  string // of the partitions' names, where the table has several
	step  int    // seconds; the first column of the partitions' key; 0: time alone
	span  span
	kept  func(Retention) time.Duration
	// with are storage parameters. Rows that grow in place find room in their
	// page when it was not filled.
	with string
}

func partitionedTables() []partitioned {
	windows := func(r Retention) time.Duration { return r.Windows }
	minutes := func(r Retention) time.Duration { return r.Minutes }
	databases := func(r Retention) time.Duration { return r.Databases }
	disks := func(r Retention) time.Duration { return r.Disks }
	rollups := func(r Retention) time.Duration { return r.Rollups }
	return []partitioned{
		{table: "activity_window", span: daily, kept: windows},
		{table: "session", span: daily, kept: windows},
		{table: "activity_minute", span: monthly, kept: minutes},
		{table: "database_stat", span: monthly, kept: databases},
		{table: "database_size", span: monthly, kept: databases},
		{table: "disk_usage", span: monthly, kept: disks},
		{table: "event", span: yearly, kept: rollups},
		{table: "horizon", span: monthly, kept: minutes},
		{table: "activity_rollup", part: "_minute", step: 60, span: monthly, kept: minutes},
		{table: "activity_rollup", part: "_10minute", step: 600, span: monthly, kept: minutes},
		{table: "activity_rollup", part: "_hour", step: 3600, span: yearly, kept: rollups},
		{table: "activity_rollup", part: "_day", step: 86400, span: yearly, kept: rollups},
		{table: "activity_total", span: yearly, kept: rollups},
		{table: "disk_rollup", span: yearly, kept: rollups, with: "fillfactor = 80"},
		{table: "database_rollup", part: "_hour", step: 3600, span: monthly, kept: rollups, with: "fillfactor = 80"},
		{table: "database_rollup", part: "_4hour", step: 14400, span: yearly, kept: rollups, with: "fillfactor = 80"},
		{table: "database_rollup", part: "_day", step: 86400, span: yearly, kept: rollups, with: "fillfactor = 80"},
	}
}

// Retention says how long each kind of history is kept; zero is for ever.
type Retention struct {
	Windows, Minutes, Databases, Disks, Rollups time.Duration
	// DetachConcurrently detaches before dropping, so that no reader is ever
	// in the way of a writer; off where the database cannot (Citus).
	DetachConcurrently bool
	// Confirmed says that somebody has seen what would be dropped: it may be more
	// than a third of a table.
	Confirmed bool
}

// layout is how the start of a partition is written in its name.
func (s span) layout() string {
	return [...]string{daily: "20060102", monthly: "200601", yearly: "2006"}[s]
}

// bounds gives the range of the partition that holds an instant.
func (s span) bounds(t time.Time) (from, to time.Time) {
	t = t.UTC()
	switch s {
	case yearly:
		from = time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(1, 0, 0)
	case monthly:
		from = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(0, 1, 0)
	case daily:
	}
	from = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 0, 1)
}

// name is that of the partition that begins at from.
func (p partitioned) name(from time.Time) string {
	return p.table + p.part + "_p" + from.Format(p.span.layout())
}

// bound writes an end of a partition's range in SQL.
func (p partitioned) bound(at time.Time) string {
	instant := "'" + at.Format(time.RFC3339) + "'"
	if p.step > 0 {
		return fmt.Sprintf("%d, %s", p.step, instant)
	}
	return instant
}

// end gives the upper bound of the partition with this name; ok is false if it
// is none of p's.
func (p partitioned) end(name string) (to time.Time, ok bool) {
	suffix, ok := strings.CutPrefix(name, p.table+p.part+"_p")
	if !ok {
		return to, false
	}
	from, err := time.Parse(p.span.layout(), suffix)
	if err != nil {
		return to, false
	}
	_, to = p.span.bounds(from)
	return to, true
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
// partition is made beside its table and attached. One that cannot be made does
// not keep the others from it, and is in the error.
func (s *Store) EnsurePartitions(ctx context.Context, from, to time.Time) error {
	existing, err := s.partitions(ctx)
	if err != nil {
		return fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	var faults []error
	for _, t := range partitionedTables() {
		if err := s.ensurePartitions(ctx, t, existing, from, to); err != nil {
			faults = append(faults, fmt.Errorf("create partitions of %s: %w", t.table+t.part, statsdb.Classify(err)))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(faults...)
}

// ensurePartitions does it for one table; the errors are the driver's.
func (s *Store) ensurePartitions(ctx context.Context, t partitioned, existing map[string]partitionState, from, to time.Time) error {
	var faults []error
	for at := from; ctx.Err() == nil; {
		lower, upper := t.span.bounds(at)
		if lower.After(to) {
			break
		}
		if existing[t.name(lower)] != attached {
			if err := s.createPartition(ctx, t, lower, upper); err != nil {
				faults = append(faults, err)
			}
		}
		at = upper
	}
	return errors.Join(append(faults, ctx.Err())...)
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
			add(v.Databases[i].At.Add(-v.Databases[i].Interval)) // rollups of months: at most one between these two
		}
		for i := range v.Sizes {
			add(v.Sizes[i].At)
		}
		if v.Disks != nil {
			add(v.Disks.At)
		}
		for i := range v.Events {
			add(v.Events[i].At)
		}
		for i := range v.Horizon {
			add(v.Horizon[i].At)
		}
	}
	var faults []error
	for day := range seen {
		faults = append(faults, s.EnsurePartitions(ctx, day, day))
	}
	return errors.Join(faults...)
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

func (s *Store) createPartition(ctx context.Context, t partitioned, from, to time.Time) error {
	parent := pgx.Identifier{"history", t.table}.Sanitize()
	child := pgx.Identifier{"history", t.name(from)}.Sanitize()
	with := ""
	if t.with != "" {
		with = " with (" + t.with + ")"
	}
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
			"create table if not exists " + child + " (like " + parent + " including all)" + with,
			"comment on table " + child + " is null",
		} {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return err
			}
		}
		if err := withoutStatistics(ctx, tx, parent, child); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf("alter table %s attach partition %s for values from (%s) to (%s)", parent, child, t.bound(from), t.bound(to)))
		return err
	})
}

// withoutStatistics spares a partition those of its arrays: nobody looks for an
// element, and finding out which are frequent would cost more than writing them.
func withoutStatistics(ctx context.Context, tx pgx.Tx, parent, child string) error {
	const sql = `/* pgam:partitions */
select string_agg(format('alter column %I set statistics 0', a.attname), ', ')
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_type t on t.oid = a.atttypid
 where a.attrelid = to_regclass($1)
   and a.attnum > 0
   and not a.attisdropped
   and t.typcategory = 'A'`
	var actions *string
	if err := tx.QueryRow(ctx, sql, parent).Scan(&actions); err != nil || actions == nil {
		return err
	}
	_, err := tx.Exec(ctx, "alter table "+child+" "+*actions)
	return err
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

// dropExpired is DropExpired when it is now.
func (s *Store) dropExpired(ctx context.Context, now time.Time, r Retention) (dropped []string, err error) {
	existing, err := s.partitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	if err := tooMuch(existing, now, r); err != nil {
		return nil, err
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
			faults = append(faults, fmt.Errorf("drop partition %s: %w", name, statsdb.Classify(err)))
			continue
		}
		dropped = append(dropped, name)
	}
	return dropped, errors.Join(append(faults, s.forget(ctx, now, r)...)...)
}

// forget drops and deletes what only belonged to what has expired.
func (s *Store) forget(ctx context.Context, now time.Time, r Retention) (faults []error) {
	kept, err := s.partitions(ctx)
	if err != nil {
		return []error{fmt.Errorf("list partitions: %w", statsdb.Classify(err))}
	}
	if err := s.dropUnfinished(ctx, kept, now, r); err != nil {
		faults = append(faults, fmt.Errorf("drop what was being packed: %w", statsdb.Classify(err)))
	}
	var disks time.Time
	if r.Disks > 0 {
		disks = now.Add(-r.Disks).UTC()
	}
	for _, d := range []struct {
		what, sql string
		before    time.Time // zero: nothing has expired
	}{
		{"statements", "delete from history.query where last_seen_on < $1::date - 1", oldest(kept, "activity_window", "activity_rollup")},
		{"locks", "delete from history.lock where last_seen_on < $1::date - 1", oldest(kept, "activity_window")},
		{"labels", "delete from history.label where last_seen_on < $1::date - 1", oldest(kept, "activity_rollup")},
		{"file systems", "delete from history.file_system where last_seen_at < $1::timestamptz - interval '31 days'", disks},
		{"packed days", "delete from history.packed_day where day < $1::date", oldest(kept, "activity_window")},
		{"packed servers", "delete from history.packing where day < $1::date", oldest(kept, "activity_window")},
	} {
		if d.before.IsZero() {
			continue
		}
		if _, err := s.pool.Exec(ctx, "/* pgam:expire */ "+d.sql, d.before); err != nil {
			faults = append(faults, fmt.Errorf("expire %s: %w", d.what, statsdb.Classify(err)))
		}
	}
	return faults
}

// oldest gives the instant from which on something is kept in the partitions of
// some tables; zero where there are none.
func oldest(kept map[string]partitionState, tables ...string) (from time.Time) {
	for name := range kept {
		for _, t := range partitionedTables() {
			end, ok := t.end(name)
			if !ok || !slices.Contains(tables, t.table) {
				continue
			}
			if begins, _ := t.span.bounds(end.Add(-time.Nanosecond)); from.IsZero() || begins.Before(from) {
				from = begins
			}
		}
	}
	return from
}

// expired reports whether a table is a partition of ours that is due.
func expired(name string, now time.Time, r Retention) (partitioned, bool) {
	for _, t := range partitionedTables() {
		if end, ok := t.end(name); ok {
			kept := t.kept(r)
			return t, kept > 0 && now.Sub(end) >= kept
		}
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
