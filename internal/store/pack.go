package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// packAfter is how long a day must have been over before it is packed: what
	// still comes then is rare.
	packAfter = 3 * time.Hour
	// packRounds is how often the servers are gone through whose windows came or
	// went while the others were packed.
	packRounds = 5
	// packRest bounds the rest after each server, which is as long as its work.
	packRest = 10 * time.Second
	// packLimit is for statements that read what a day holds of all servers.
	packLimit = "120s"
	// lateShare is the part of a packed day's rows that may come late before it
	// is packed again.
	lateShare = 20
)

// packLock is the advisory lock of whoever packs ("pack" in ASCII).
const packLock = 0x7061636b

// packingComment marks the table that is to take a partition's place.
const packingComment = "pgam: windows being packed"

const packedSuffix = "_packed"

var (
	errPackedElsewhere = errors.New("another process is packing")
	// errWindowsMoved says that windows came or went since they were packed.
	errWindowsMoved = errors.New("windows came or went while their day was packed")
)

// PackedDay is what packing a day came to.
type PackedDay struct {
	Day     time.Time
	Servers int
	// Windows became Rows, with so many session samples.
	Windows, Rows, Samples int64
	// Bytes are of the partition with indexes and TOAST.
	BytesBefore, BytesAfter int64
	Took                    time.Duration
}

// Pack packs the windows of each day (UTC) that has been over for three hours
// into windows of five minutes, the newest day first, and tells done of each.
// Nobody waits for it but those who change windows of such a day: the packed
// ones are put beside the day's partition, one server after the other, and take
// its place at the end. It may end at any point and is then gone on with; a day
// that somebody reads for long is left for the next time and named in the error.
func (s *Store) Pack(ctx context.Context, now time.Time, done func(PackedDay)) error {
	return (&packer{s: s, reached: func(string) error { return nil }}).run(ctx, now, done)
}

// packer packs days. Tests end it where it has reached something.
type packer struct {
	s       *Store
	reached func(stage string) error
}

func (p *packer) run(ctx context.Context, now time.Time, done func(PackedDay)) error {
	days, err := p.s.unpacked(ctx, now)
	if err != nil {
		return fmt.Errorf("list days to pack: %w", statsdb.Classify(err))
	}
	var faults []error
	for _, day := range days {
		packed, err := p.day(ctx, day)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("pack %s: %w", day.Format(time.DateOnly), context.Cause(ctx))
		case err != nil:
			faults = append(faults, fmt.Errorf("pack %s: %w", day.Format(time.DateOnly), statsdb.Classify(err)))
		case packed.Windows > 0:
			done(packed)
		}
	}
	return errors.Join(faults...)
}

// windowPartitions are the partitions that are packed.
func windowPartitions() partitioned {
	return partitionedTables()[0]
}

// unpacked lists the days to pack, the newest first.
func (s *Store) unpacked(ctx context.Context, now time.Time) ([]time.Time, error) {
	existing, err := s.partitions(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, "/* pgam:pack */ select day from history.packed_day where late <= rows / $1", lateShare)
	if err != nil {
		return nil, err
	}
	packed, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, err
	}
	var days []time.Time
	for name, state := range existing {
		end, ok := windowPartitions().end(name)
		day := end.AddDate(0, 0, -1)
		if ok && state == attached && now.Sub(end) >= packAfter && !slices.ContainsFunc(packed, day.Equal) {
			days = append(days, day)
		}
	}
	slices.SortFunc(days, func(a, b time.Time) int { return b.Compare(a) })
	return days, nil
}

// A packingDay is a day that is being packed.
type packingDay struct {
	*packer
	day               time.Time
	partition, packed string // tables of the schema history
}

func (p *packer) day(ctx context.Context, day time.Time) (PackedDay, error) {
	begun := time.Now()
	name := windowPartitions().name(day)
	d := packingDay{p, day, name, name + packedSuffix}
	answer := PackedDay{Day: day}
	empty, err := d.begin(ctx)
	if err != nil || empty {
		return answer, err
	}
	servers := make(map[target.ID]bool)
	for range packRounds {
		var moved []target.ID
		if moved, err = d.moved(ctx, p.s.pool); err != nil {
			return answer, err
		}
		for _, id := range moved {
			servers[id] = true
			if err := d.server(ctx, id); err != nil {
				return answer, fmt.Errorf("server %d: %w", id, err)
			}
		}
		if err := d.vacuum(ctx); err != nil {
			return answer, err
		}
		if err = d.replace(ctx, &answer); !errors.Is(err, errWindowsMoved) {
			break
		}
	}
	answer.Servers, answer.Took = len(servers), time.Since(begun)
	return answer, err
}

// inHistory quotes the name of a table of the schema history.
func inHistory(name string) string { return pgx.Identifier{"history", name}.Sanitize() }

// begin makes the table to pack into, or finds that of an earlier run. A day
// without windows is done.
func (d *packingDay) begin(ctx context.Context) (empty bool, err error) {
	partition, packed, parent := inHistory(d.partition), inHistory(d.packed), inHistory(windowPartitions().table)
	err = d.s.ddl(ctx, func(tx pgx.Tx) error {
		if err := lockPacking(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "/* pgam:pack */ select not exists (select from "+partition+")").Scan(&empty); err != nil {
			return err
		}
		if empty {
			_, err := tx.Exec(ctx, `/* pgam:pack */
insert into history.packed_day (day, packed_at, windows, rows, samples, bytes_before, bytes_after)
values ($1, now(), 0, 0, 0, pg_catalog.pg_total_relation_size($2::text::regclass), pg_catalog.pg_total_relation_size($2::text::regclass))
on conflict (day) do update set late = 0`, d.day, partition)
			return err
		}
		var comment *string
		const find = `/* pgam:pack */
select coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '')
  from (select to_regclass($1::text)::oid as oid) c
 where c.oid is not null`
		switch err := tx.QueryRow(ctx, find, packed).Scan(&comment); {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case *comment != packingComment:
			return fmt.Errorf("a table %s is in the way that is not pgam's: rename or drop it", packed)
		default:
			return nil
		}
		from, to := windowPartitions().span.bounds(d.day)
		if _, err := tx.Exec(ctx, "/* pgam:pack */ delete from history.packing where day = $1", d.day); err != nil {
			return err
		}
		for _, ddl := range []string{
			fmt.Sprintf(`create table %s (like %s including all, constraint %s check (t0 >= %s and t0 < %s))
with (autovacuum_enabled = off, toast.autovacuum_enabled = off)`, packed, parent, d.constraint(), windowPartitions().bound(from), windowPartitions().bound(to)),
			"comment on table " + packed + " is '" + packingComment + "'",
		} {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return err
			}
		}
		return withoutStatistics(ctx, tx, parent, packed)
	})
	if err == nil {
		err = d.reached("begun")
	}
	return empty, err
}

// constraint says what the partition's bounds will be, so that they need not be
// checked row by row.
func (d *packingDay) constraint() string { return pgx.Identifier{d.packed + "_day"}.Sanitize() }

func lockPacking(ctx context.Context, tx pgx.Tx) error {
	var mine bool
	if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock($1)", int64(packLock)).Scan(&mine); err != nil {
		return err
	}
	if !mine {
		return errPackedElsewhere
	}
	return nil
}

// moved gives the servers whose windows are not, or no longer, those that were
// packed.
func (d *packingDay) moved(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) ([]target.ID, error) {
	rows, err := db.Query(ctx, `/* pgam:pack */
with held as (
    select server_id, count(*) as windows, min(t0) as first_t0, max(t0) as last_t0
      from `+inHistory(d.partition)+`
     group by server_id
), packed as (
    select server_id, windows, first_t0, last_t0
      from history.packing
     where day = $1
)
select coalesce(h.server_id, p.server_id)
  from held h
  full join packed p on p.server_id = h.server_id
 where (h.windows, h.first_t0, h.last_t0) is distinct from (p.windows, p.first_t0, p.last_t0)
 order by 1`, d.day)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[target.ID])
}

// vacuum makes counting windows and looking for one cheap: it is not done again
// by itself for long. The long values are not looked at.
func (d *packingDay) vacuum(ctx context.Context) error {
	conn, err := d.s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, sql := range []string{
		"set statement_timeout = '" + packLimit + "'",
		"vacuum (freeze, analyze, process_toast false) " + inHistory(d.packed),
		"reset statement_timeout",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			_ = conn.Conn().Close(ctx) // the limit must not stay on a connection that others take
			return err
		}
	}
	return d.reached("vacuumed")
}

// replace puts the packed table into the partition's place, in a moment: what
// takes time is done before anybody has to wait, and when somebody is in the way
// it gives up.
func (d *packingDay) replace(ctx context.Context, answer *PackedDay) error {
	partition, packed, parent := inHistory(d.partition), inHistory(d.packed), inHistory(windowPartitions().table)
	from, to := windowPartitions().span.bounds(d.day)
	err := d.s.ddl(ctx, func(tx pgx.Tx) error {
		if err := d.compare(ctx, tx, answer); err != nil {
			return err
		}
		for _, ddl := range []string{
			fmt.Sprintf("select pg_advisory_xact_lock(%d)", int64(partitionLock)),
			"lock table only " + parent + " in access exclusive mode",
			"alter table " + parent + " detach partition " + partition,
			"drop table " + partition,
			"alter table " + packed + " rename to " + pgx.Identifier{d.partition}.Sanitize(),
			"alter index " + inHistory(d.packed+"_pkey") + " rename to " + pgx.Identifier{d.partition + "_pkey"}.Sanitize(),
			fmt.Sprintf("alter table %s attach partition %s for values from (%s) to (%s)", parent, partition, windowPartitions().bound(from), windowPartitions().bound(to)),
			"alter table " + partition + " drop constraint " + d.constraint(),
			"alter table " + partition + " reset (autovacuum_enabled, toast.autovacuum_enabled)",
			"comment on table " + partition + " is null",
		} {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return err
			}
		}
		return d.reached("replaced")
	})
	if err != nil {
		return err
	}
	return d.reached("done")
}

// compare makes sure that the packed table holds what the partition does, until
// the transaction ends, and writes down that the day is packed.
func (d *packingDay) compare(ctx context.Context, tx pgx.Tx, answer *PackedDay) error {
	if err := lockPacking(ctx, tx); err != nil {
		return err
	}
	partition, packed := inHistory(d.partition), inHistory(d.packed)
	for _, sql := range []string{
		"set local statement_timeout = '" + packLimit + "'",
		"lock table " + partition + " in share mode", // others may read
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	moved, err := d.moved(ctx, tx)
	if err != nil {
		return err
	}
	if len(moved) > 0 {
		return errWindowsMoved
	}
	const finish = `/* pgam:pack */
with done as (
    delete from history.packing
     where day = $1
    returning windows, rows, samples
), total as (
    select coalesce(sum(windows), 0)::bigint as windows, coalesce(sum(rows), 0)::bigint as rows, coalesce(sum(samples), 0)::bigint as samples
      from done
)
insert into history.packed_day as d (day, packed_at, windows, rows, samples, bytes_before, bytes_after)
select $1, now(), t.windows, t.rows, t.samples, pg_catalog.pg_total_relation_size($2::text::regclass), pg_catalog.pg_total_relation_size($3::text::regclass)
  from total t
on conflict (day) do update
   set packed_at = excluded.packed_at, windows = greatest(excluded.rows, d.windows + excluded.windows - d.rows), rows = excluded.rows,
       samples = excluded.samples, bytes_before = greatest(d.bytes_before, excluded.bytes_before), bytes_after = excluded.bytes_after, late = 0
returning windows, rows, samples, bytes_before, bytes_after`
	return tx.QueryRow(ctx, finish, d.day, partition, packed).Scan(&answer.Windows, &answer.Rows, &answer.Samples, &answer.BytesBefore, &answer.BytesAfter)
}

// dropUnfinished drops what is left of packing days that have expired or are no
// partitions any more.
func (s *Store) dropUnfinished(ctx context.Context, existing map[string]partitionState, now time.Time, r Retention) error {
	const sql = `/* pgam:expire */
select c.relname
  from pg_catalog.pg_class c
 where c.relnamespace = 'history'::regnamespace
   and c.relkind = 'r'
   and pg_catalog.obj_description(c.oid, 'pg_class') = $1`
	rows, err := s.pool.Query(ctx, sql, packingComment)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		partition := strings.TrimSuffix(name, packedSuffix)
		if _, over := expired(partition, now, r); !over && existing[partition] == attached {
			continue
		}
		err := s.ddl(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "drop table if exists "+inHistory(name))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
