package ingest

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

	"github.com/pgam/pgam/internal/statsdb"
)

// Errors that say why nothing is deleted by time.
var (
	// ErrClocks says that this host's clock and stats_db's do not agree.
	ErrClocks = errors.New("the clocks of this host and of stats_db differ by more than a minute, so nothing is deleted by time")
	// ErrTooMuch says that retention would take too much of a table at once.
	ErrTooMuch = errors.New("retention would take more than a third of a table at once, so it takes nothing")
)

const (
	// maxClockOffset is how far two clocks may differ for either to be believed.
	maxClockOffset = time.Minute
	// maxShare of a table's partitions may go at once, as one of so many.
	maxShare = 3
	// lateDrop is how late a single partition may be dropped without counting as
	// too much: where a table has two, one that is due is half of it.
	lateDrop = 7 * 24 * time.Hour
	// mostTold tables are named where too much would go.
	mostTold = 3
)

// Retention says how long each kind of history is kept.
type Retention struct {
	// Kept is for how long; zero, or nothing, is for ever.
	Kept map[statsdb.Kept]time.Duration
	// DetachConcurrently detaches before dropping, so that no reader is ever
	// in the way of a writer; off where the database cannot (Citus).
	DetachConcurrently bool
	// Confirmed says that somebody has seen what would be dropped: it may be more
	// than a third of a table.
	Confirmed bool
}

// Now gives stats_db's clock, and how far that of this host is ahead of it. local
// is this host's clock, time.Now but in tests.
func (w *Writer) Now(ctx context.Context, local func() time.Time) (now time.Time, ahead time.Duration, err error) {
	before := local()
	if err := w.pool.QueryRow(ctx, "/* pgam:clock */ select clock_timestamp()").Scan(&now); err != nil {
		return now, 0, fmt.Errorf("ask stats_db for the time: %w", statsdb.Classify(err))
	}
	after := local()
	return now.UTC(), before.Add(after.Sub(before) / 2).Sub(now), nil
}

// DropExpired drops the partitions that hold nothing younger than what r keeps, by
// stats_db's clock, and forgets what nothing that is kept can refer to:
// statements, waits, locks, labels, file systems. Rows of the audit go by their age. It returns the names of the
// partitions dropped; one that somebody reads is left for the next time and named
// in the error.
//
// A wrong clock must not cost the history: it drops nothing, with ErrClocks, when
// local disagrees, and with ErrTooMuch when more than a third of the partitions of
// a table would go and r.Confirmed does not say that this is meant.
func (w *Writer) DropExpired(ctx context.Context, local func() time.Time, r Retention) (dropped []string, err error) {
	now, ahead, err := w.Now(ctx, local)
	if err != nil {
		return nil, err
	}
	if ahead.Abs() > maxClockOffset {
		return nil, fmt.Errorf("%w: it is %s here and %s there; set the wrong one right (NTP), then it goes on by itself",
			ErrClocks, now.Add(ahead).Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return w.dropExpired(ctx, now, r)
}

// Expiring says what retention would take of one table, or of the part of it with
// one step.
type Expiring struct {
	Table      string
	Partitions int       // attached now
	Expired    []string  // of those, to be dropped, the oldest first
	Until      time.Time // end of the newest of Expired
	TooMuch    bool      // only with Retention.Confirmed: those that were made late do not count
}

// Expiring says what DropExpired would drop now, table by table.
func (w *Writer) Expiring(ctx context.Context, r Retention) ([]Expiring, error) {
	now, _, err := w.Now(ctx, time.Now)
	if err != nil {
		return nil, err
	}
	existing, err := w.partitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	return expiring(existing, now, r), nil
}

func expiring(existing map[string]partitionState, now time.Time, r Retention) []Expiring {
	var all []Expiring
	for _, t := range statsdb.Layout() {
		e, inTime, expired := Expiring{Table: t.Name()}, 0, 0
		for _, name := range slices.Sorted(maps.Keys(existing)) {
			end, ok := t.Ends(name)
			if !ok || !existing[name].inUse() {
				continue
			}
			e.Partitions++
			if existing[name] == attached {
				inTime++
			}
			if kept := r.Kept[t.Kept]; kept > 0 && now.Sub(end) >= kept {
				e.Expired, e.Until = append(e.Expired, name), end
				if existing[name] == attached {
					expired++
				}
			}
		}
		alone := expired == 1 && now.Sub(e.Until)-r.Kept[t.Kept] < lateDrop
		e.TooMuch = !alone && expired*maxShare > inTime
		all = append(all, e)
	}
	return all
}

// tooMuch refuses what only a wrong clock, a shortened retention or a long stop
// would do.
func tooMuch(existing map[string]partitionState, now time.Time, r Retention) error {
	var said []string
	for _, e := range expiring(existing, now, r) {
		if e.TooMuch {
			said = append(said, fmt.Sprintf("%d of %d partitions of %s, up to %s", len(e.Expired), e.Partitions, e.Table, e.Until.Format(time.DateOnly)))
		}
	}
	if len(said) == 0 || r.Confirmed {
		return nil
	}
	if n := len(said) - mostTold; n > 0 {
		said = append(said[:mostTold], fmt.Sprintf("and of %d more tables", n))
	}
	return fmt.Errorf("%w: %s, where it is %s by stats_db's clock. If the clock is right and this is meant, as after a retention was shortened or nobody collected for long, run: pgam retention apply",
		ErrTooMuch, strings.Join(said, "; "), now.Format(time.RFC3339))
}

// RetentionInForce gives what the collector follows. The error says so where no
// collector ever did.
func (w *Writer) RetentionInForce(ctx context.Context) (Retention, error) {
	kept, err := w.db.Retention(ctx)
	if err != nil {
		return Retention{}, fmt.Errorf("read retention: %w", statsdb.Classify(err))
	}
	for _, k := range statsdb.AllKept() {
		if _, known := kept[k]; !known {
			return Retention{}, errors.New("read retention: no collector has said yet what it keeps: start pgam-collector once")
		}
	}
	return Retention{Kept: kept}, nil
}

// dropExpired is DropExpired when it is now.
func (w *Writer) dropExpired(ctx context.Context, now time.Time, r Retention) (dropped []string, err error) {
	existing, err := w.partitions(ctx)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	if err := tooMuch(existing, now, r); err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(existing))
	slices.SortFunc(names, func(a, b string) int {
		// A table can have one detach pending: finish it before the next.
		return cmp.Or(cmp.Compare(existing[b], existing[a]), cmp.Compare(a, b))
	})
	waits, err := w.notSummed(ctx)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, name := range names {
		t, ok := expired(name, now, r)
		if !ok || waits.hold(t, name, existing[name], now, r) {
			continue
		}
		if err := w.dropPartition(ctx, t.Table, name, existing[name], r.DetachConcurrently); err != nil {
			faults = append(faults, fmt.Errorf("drop partition %s: %w", name, statsdb.Classify(err)))
			continue
		}
		dropped = append(dropped, name)
	}
	return dropped, errors.Join(append(faults, w.forget(ctx, now, r)...)...)
}

// notSummed is from when on rows of databases are not in the rollups yet; zero:
// all are.
type notSummed struct{ from time.Time }

func (w *Writer) notSummed(ctx context.Context) (n notSummed, err error) {
	var from *time.Time
	if err := w.pool.QueryRow(ctx, "/* pgam:expire */ select min(databases_from) from history.progress").Scan(&from); err != nil {
		return n, fmt.Errorf("look what is not summed up: %w", statsdb.Classify(err))
	}
	if from != nil {
		n.from = *from
	}
	return n, nil
}

// hold reports whether a partition that has expired stays until its rows are summed
// up, as while an import goes on. One of a server that cannot be summed up is not
// waited for longer than a week.
func (n notSummed) hold(t statsdb.Partitioned, name string, state partitionState, now time.Time, r Retention) bool {
	end, _ := t.Ends(name)
	raw := t.Step == 0 && strings.HasPrefix(t.Table, "database_")
	return raw && !n.from.IsZero() && end.After(n.from) && (state == late || now.Sub(end)-r.Kept[t.Kept] < lateDrop)
}

// forget deletes what only belonged to what has expired: what keys stand for, by
// the day when they were last seen, and file systems. Nobody looks into rows for
// that.
func (w *Writer) forget(ctx context.Context, now time.Time, r Retention) (faults []error) {
	left, err := w.partitions(ctx)
	if err != nil {
		return []error{fmt.Errorf("list partitions: %w", statsdb.Classify(err))}
	}
	ago := func(k statsdb.Kept) (before time.Time) {
		if kept := r.Kept[k]; kept > 0 {
			before = now.Add(-kept)
		}
		return before
	}
	samples, rollups := oldest(left, "activity"), oldest(left, "activity_rollup")
	both := samples
	if both.IsZero() || !rollups.IsZero() && rollups.Before(both) {
		both = rollups
	}
	for _, d := range []struct {
		what, sql string
		before    time.Time // zero: nothing has expired
	}{
		{"statements", "delete from history.query where last_seen_on < $1::date - 1", both},
		{"waits", "delete from history.wait where last_seen_on < $1::date - 1", both},
		{"labels", "delete from history.label where last_seen_on < $1::date - 1", rollups},
		{"locks", "delete from history.lock where last_seen_on < $1::date - 1", samples},
		{"file systems", "delete from history.file_system where last_seen_at < $1::timestamptz - interval '31 days'", ago(statsdb.KeptDisks)},
		{"the audit", "delete from pgam.audit where at < $1", ago(statsdb.KeptAudit)},
	} {
		if d.before.IsZero() {
			continue
		}
		if _, err := w.pool.Exec(ctx, "/* pgam:expire */ "+d.sql, d.before); err != nil {
			faults = append(faults, fmt.Errorf("expire %s: %w", d.what, statsdb.Classify(err)))
		}
	}
	return faults
}

// oldest gives the instant from which on something is kept in the partitions of
// a table; zero where there are none.
func oldest(left map[string]partitionState, table string) (from time.Time) {
	for name := range left {
		for _, t := range statsdb.Layout() {
			end, ok := t.Ends(name)
			if !ok || t.Table != table {
				continue
			}
			if begins, _ := t.Span.Bounds(end.Add(-time.Nanosecond)); from.IsZero() || begins.Before(from) {
				from = begins
			}
		}
	}
	return from
}

// expired reports whether a table is a partition of ours that is due.
func expired(name string, now time.Time, r Retention) (statsdb.Partitioned, bool) {
	for _, t := range statsdb.Layout() {
		if end, ok := t.Ends(name); ok {
			kept := r.Kept[t.Kept]
			return t, kept > 0 && now.Sub(end) >= kept
		}
	}
	return statsdb.Partitioned{}, false
}

func (w *Writer) dropPartition(ctx context.Context, table, name string, state partitionState, concurrently bool) error {
	parent := pgx.Identifier{"history", table}.Sanitize()
	child := pgx.Identifier{"history", name}.Sanitize()
	if concurrently && state != detached {
		if err := w.detach(ctx, parent, child, state); err != nil {
			return err
		}
	}
	return w.ddl(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "drop table if exists "+child)
		return err
	})
}

// detach takes a partition off without ever blocking writers; a try that was
// interrupted is finished instead. It waits for those who read the table as
// long as a statement may take. The mark is what is left to go by when the
// process ends between here and the drop.
func (w *Writer) detach(ctx context.Context, parent, child string, state partitionState) error {
	err := w.ddl(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "comment on table "+child+" is '"+expiredComment+"'")
		return err
	})
	if err != nil {
		return err
	}
	how := " concurrently"
	if state == detaching {
		how = " finalize"
	}
	_, err = w.pool.Exec(ctx, "alter table "+parent+" detach partition "+child+how)
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch said.Code {
		case "42601", "42704": // before PostgreSQL 14
			return nil
		case "42P01": // somebody else detached or dropped it
			return nil
		}
	}
	return err
}
