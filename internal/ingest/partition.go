package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

// ddlTries and ddlLock bound how long changing partitions waits for others,
// and so how long others wait behind it.
const (
	ddlTries = 10
	ddlLock  = "200ms"
)

// partitionLock is the advisory lock of whoever changes partitions ("part" in
// ASCII).
const partitionLock = 0x70617274

const (
	// expiredComment marks a partition that is being dropped, for the time between
	// its detaching and its end. One that somebody else detached is theirs.
	expiredComment = "pgam: expired, being dropped"
	// lateComment marks one that was made more than a day after its end, as an import
	// does: that it expires soon says nothing about the clock.
	lateComment = "pgam: made for what was old already"
)

// EnsurePartitions makes the partitions of all tables for every instant from
// from to to. It never waits long for a lock, nor makes anyone wait: a new
// partition is made beside its table and attached. One that cannot be made does
// not keep the others from it, and is in the error.
func (w *Writer) EnsurePartitions(ctx context.Context, from, to time.Time) error {
	existing, err := w.partitions(ctx)
	if err != nil {
		return fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	var faults []error
	for _, t := range statsdb.Layout() {
		if err := w.ensurePartitions(ctx, t, existing, from, to); err != nil {
			faults = append(faults, fmt.Errorf("create partitions of %s: %w", t.Name(), statsdb.Classify(err)))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(faults...)
}

// ensurePartitions does it for one table; the errors are the driver's.
func (w *Writer) ensurePartitions(ctx context.Context, t statsdb.Partitioned, existing map[string]partitionState, from, to time.Time) error {
	var faults []error
	for at := from; ctx.Err() == nil; {
		lower, upper := t.Span.Bounds(at)
		if lower.After(to) {
			break
		}
		if !existing[t.Partition(lower)].inUse() {
			if err := w.createPartition(ctx, t, lower, upper); err != nil {
				faults = append(faults, err)
			}
		}
		at = upper
	}
	return errors.Join(append(faults, ctx.Err())...)
}

// partitionState is what became of a partition.
type partitionState string

const (
	attached  partitionState = "attached"
	late      partitionState = "attached late" // marked with lateComment
	detaching partitionState = "detaching"     // a concurrent detach was interrupted
	detached  partitionState = "detached"      // marked with expiredComment, to be dropped
)

func (s partitionState) inUse() bool { return s == attached || s == late }

// partitions finds the partitions of the schema history.
func (w *Writer) partitions(ctx context.Context) (map[string]partitionState, error) {
	rows, err := w.pool.Query(ctx, sql("list_partitions"), named{"expired": expiredComment, "late": lateComment})
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

func (w *Writer) createPartition(ctx context.Context, t statsdb.Partitioned, from, to time.Time) error {
	parent := pgx.Identifier{"history", t.Table}.Sanitize()
	child := pgx.Identifier{"history", t.Partition(from)}.Sanitize()
	with := ""
	if t.With != "" {
		with = " with (" + t.With + ")"
	}
	return w.ddl(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(partitionLock)); err != nil {
			return err
		}
		var pending bool
		switch err := tx.QueryRow(ctx, sql("read_partition"), named{"child": child, "parent": parent}).Scan(&pending); {
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
		var old bool
		if err := tx.QueryRow(ctx, "select $1::timestamptz < now() - interval '1 day'", to).Scan(&old); err != nil {
			return err
		}
		comment := "null"
		if old {
			comment = "'" + lateComment + "'"
		}
		// It may be there, detached and not dropped yet: what it holds comes back.
		for _, ddl := range []string{
			"create table if not exists " + child + " (like " + parent + " including all)" + with,
			"comment on table " + child + " is " + comment,
		} {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return err
			}
		}
		if err := withoutStatistics(ctx, tx, parent, child); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf("alter table %s attach partition %s for values from (%s) to (%s)", parent, child, t.Bound(from), t.Bound(to)))
		return err
	})
}

// withoutStatistics spares a partition those of its arrays: nobody looks for an
// element, and finding out which are frequent would cost more than writing them.
func withoutStatistics(ctx context.Context, tx pgx.Tx, parent, child string) error {
	var actions *string
	if err := tx.QueryRow(ctx, sql("list_array_columns"), named{"table": parent}).Scan(&actions); err != nil || actions == nil {
		return err
	}
	_, err := tx.Exec(ctx, "alter table "+child+" "+*actions)
	return err
}

// ddl runs f in a transaction that gives up soon when a lock is in the way,
// and tries again.
func (w *Writer) ddl(ctx context.Context, f func(pgx.Tx) error) error {
	var err error
	for try := range ddlTries {
		err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
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

// partitionMissing reports whether an error says that a row had no partition.
func partitionMissing(err error) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	return ok && said.Code == statsdb.CheckViolation && said.ConstraintName == ""
}

// withPartitions does something that writes rows of some instants. Where a
// partition is missing they are made, of all tables, and it is done once more: one
// that is not needed may fail.
func (w *Writer) withPartitions(ctx context.Context, do func() error, instants func() []time.Time) error {
	err := do()
	if !partitionMissing(err) {
		return err
	}
	var made []error
	days := make(map[time.Time]bool)
	for _, at := range instants() {
		from, _ := statsdb.Daily.Bounds(at)
		if !days[from] {
			made = append(made, w.EnsurePartitions(ctx, from, from))
		}
		days[from] = true
	}
	if err = do(); err != nil {
		err = errors.Join(append(made, err)...) // why there is no partition, before that there is none
	}
	return err
}

// instants gives those of all that visits have rows of.
func instants(visits []*sample.Visit) (all []time.Time) {
	for _, v := range visits {
		if v.Tick != nil {
			all = append(all, v.Tick.Planned)
		}
		for i := range v.Entries.Sessions {
			all = append(all, date(v.Entries.Sessions[i].Day))
		}
		if v.Look != nil {
			all = append(all, v.Look.Planned)
		}
		for i := range v.Databases {
			all = append(all, v.Databases[i].Planned)
		}
		for i := range v.Sizes {
			all = append(all, v.Sizes[i].At)
		}
		if v.Disks != nil {
			all = append(all, v.Disks.At)
		}
		for i := range v.Events {
			all = append(all, v.Events[i].At)
		}
		for i := range v.Horizon {
			all = append(all, v.Horizon[i].At)
		}
	}
	return all
}
