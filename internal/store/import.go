package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// importTries is how often a chunk is tried where somebody else was in the way,
// and importWithin what one statement of it may take.
const (
	importTries  = 8
	importWithin = 2 * time.Minute
)

// ImportPlan reads what an import must know of a server's history.
func (s *Store) ImportPlan(ctx context.Context, id target.ID) (history.ImportPlan, error) {
	var plan history.ImportPlan
	list, err := s.Inventory(ctx, id)
	if err != nil {
		return plan, err
	}
	// Nobody else's samples have rollbacks, and none of pgam's own is older than
	// the first look at the server.
	const sql = `/* pgam:import */
select i.since,
       (select d.sampled_at
          from history.database_stat d
         where d.server_id = $1
           and d.sampled_at >= i.since
           and d.xact_rollback_total is not null
         order by d.sampled_at
         limit 1),
       exists (select from history.database d where d.server_id = $1 and d.last_seen_at >= i.since)
  from (select min(since) as since from history.server_identity where server_id = $1) i`
	var since, own *time.Time
	var listed bool
	if err := s.pool.QueryRow(ctx, sql, id).Scan(&since, &own, &listed); err != nil {
		return plan, fmt.Errorf("plan import: %w", statsdb.Classify(err))
	}
	if own != nil {
		plan.OwnFirst = own.UTC()
	}
	if since != nil && listed {
		plan.ListedFirst = since.UTC()
	}
	slices.SortStableFunc(list, func(a, b history.Database) int { return a.FirstSeenAt.Compare(b.FirstSeenAt) })
	plan.Databases = list
	return plan, nil
}

// Import writes a chunk in one transaction. Doing it twice stores it once:
// what is there already stays as it is, and the rollups grow only by what was
// not. Partitions are made as needed. An error that may pass is for later.
func (s *Store) Import(ctx context.Context, id target.ID, c history.ImportedChunk) (history.ImportCounts, error) {
	var counts history.ImportCounts
	for try := 1; ; try++ {
		err := s.importPartitions(ctx, c)
		if err == nil {
			counts, err = s.importChunk(ctx, id, c, false)
		}
		if err == nil {
			return counts, nil
		}
		if try == importTries || !inTheWay(err) {
			return history.ImportCounts{}, fmt.Errorf("import history: %w", statsdb.Classify(err))
		}
		select {
		case <-ctx.Done():
			return history.ImportCounts{}, fmt.Errorf("import history: %w", ctx.Err())
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// WouldImport gives what Import would, without writing.
func (s *Store) WouldImport(ctx context.Context, id target.ID, c history.ImportedChunk) (history.ImportCounts, error) {
	counts, err := s.importChunk(ctx, id, c, true)
	if err != nil {
		return counts, fmt.Errorf("look for imported history: %w", statsdb.Classify(err))
	}
	return counts, nil
}

// inTheWay reports an error that goes away by itself: a lock, a deadlock, a row
// that somebody else wrote, a partition that retention dropped.
func inTheWay(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch pgErr.Code {
	case "40001", "40P01", "55P03", "23505", "23514":
		return true
	}
	return false
}

// importedTables are those a chunk is written to that are partitioned.
func importedTables() map[string]bool {
	return map[string]bool{"database_stat": true, "database_size": true, "database_rollup": true, "disk_usage": true, "disk_rollup": true}
}

// importPartitions makes the partitions of a chunk, and only those: a year of
// daily ones of other tables would be made for nothing.
func (s *Store) importPartitions(ctx context.Context, c history.ImportedChunk) error {
	if len(c.Stats) == 0 {
		return nil
	}
	existing, err := s.partitions(ctx)
	if err != nil {
		return err
	}
	first, shared := c.Stats[0].At, c.Stats[0].At // what was counted is shared out over the rollups since the sample before
	for i := range c.Stats {
		if since := c.Stats[i].At.Add(-c.Stats[i].Interval); since.Before(shared) {
			shared = since
		}
	}
	imported := importedTables()
	for _, t := range partitionedTables() {
		if imported[t.table] {
			from := first
			if t.table == "database_rollup" {
				from = shared
			}
			if err := s.ensurePartitions(ctx, t, existing, from, c.Stats[len(c.Stats)-1].At); err != nil {
				return err
			}
		}
	}
	return nil
}

// importChunk writes what is not there yet, or only counts it where dry is set.
// Somebody else may write the same meanwhile: the keys let one of both through,
// and the other looks again.
func (s *Store) importChunk(ctx context.Context, id target.ID, c history.ImportedChunk, dry bool) (counts history.ImportCounts, err error) {
	mode := pgx.TxOptions{}
	if dry {
		mode.AccessMode = pgx.ReadOnly
	}
	err = pgx.BeginTxFunc(ctx, s.pool, mode, func(tx pgx.Tx) error {
		limits := fmt.Sprintf("set local lock_timeout = '2s'; set local statement_timeout = '%d'", importWithin.Milliseconds())
		if _, err := tx.Exec(ctx, limits, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		stats, sizes, disks, err := missing(ctx, tx, id, c)
		if err != nil {
			return err
		}
		counts = history.ImportCounts{
			Samples: int64(len(stats)), Sizes: int64(len(sizes)), Disks: int64(len(disks)), Present: int64(len(c.Stats) - len(stats)),
		}
		if dry {
			return nil
		}
		for _, write := range []func() error{
			func() error { return copyStats(ctx, tx, id, stats) },
			func() error { return copySizes(ctx, tx, id, sizes) },
			func() error { return importDisks(ctx, tx, id, c.MountPoint, disks) },
			func() error { return growRollups(ctx, tx, id, rollUp(stats, sizes)) },
			// Last, because the collector writes these rows too.
			func() error { return importDatabases(ctx, tx, id, c.Databases) },
			func() error { _, err := tx.Exec(ctx, advanceRevision, id); return err },
		} {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
	return counts, err
}

// statKey is the key of a sample within its server.
type statKey struct {
	at  int64 // microseconds
	oid uint32
}

const (
	statKeysSQL = `/* pgam:import */
select sampled_at, database_oid
  from history.database_stat
 where server_id = $1
   and sampled_at between $2 and $3`
	sizeKeysSQL = `/* pgam:import */
select sampled_at, database_oid
  from history.database_size
 where server_id = $1
   and sampled_at between $2 and $3`
	diskKeysSQL = `/* pgam:import */
select sampled_at, 0::oid
  from history.disk_usage
 where server_id = $1
   and sampled_at between $2 and $3
   and mount_point = $4`
)

// missing gives what of a chunk is not there yet: samples, samples with a size
// that is not there, and disks.
func missing(ctx context.Context, tx pgx.Tx, id target.ID, c history.ImportedChunk) (stats, sizes []history.ImportedStat, disks []history.ImportedDisk, err error) {
	if len(c.Stats) == 0 {
		return nil, nil, nil, nil
	}
	from, to := c.Stats[0].At, c.Stats[len(c.Stats)-1].At
	there, err := importedKeys(ctx, tx, statKeysSQL, id, from, to)
	if err != nil {
		return nil, nil, nil, err
	}
	sized, err := importedKeys(ctx, tx, sizeKeysSQL, id, from, to)
	if err != nil {
		return nil, nil, nil, err
	}
	looked, err := importedKeys(ctx, tx, diskKeysSQL, id, from, to, c.MountPoint)
	if err != nil {
		return nil, nil, nil, err
	}
	stats = make([]history.ImportedStat, 0, len(c.Stats))
	for i := range c.Stats {
		key := statKey{c.Stats[i].At.UnixMicro(), c.Stats[i].OID}
		if !there[key] {
			stats = append(stats, c.Stats[i])
		}
		if c.Stats[i].Size.Known && !sized[key] {
			sizes = append(sizes, c.Stats[i])
		}
	}
	for _, d := range c.Disks {
		if !looked[statKey{at: d.At.UnixMicro()}] {
			disks = append(disks, d)
		}
	}
	return stats, sizes, disks, nil
}

func importedKeys(ctx context.Context, tx pgx.Tx, sql string, args ...any) (map[statKey]bool, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	keys := make(map[statKey]bool)
	for rows.Next() {
		values := rows.RawValues()
		at := int64(binary.BigEndian.Uint64(values[0])) + pgEpochMicros
		keys[statKey{at, binary.BigEndian.Uint32(values[1])}] = true
	}
	return keys, rows.Err()
}

func copyStats(ctx context.Context, tx pgx.Tx, id target.ID, stats []history.ImportedStat) error {
	if len(stats) == 0 {
		return nil
	}
	r := newCopyRows(8, len(stats))
	for i := range stats {
		s := &stats[i]
		r.begin()
		r.eight(uint64(id))
		r.time(s.At)
		r.four(s.OID)
		if s.Backends.Known {
			r.four(uint32(s.Backends.V))
		} else {
			r.null()
		}
		if s.Interval > 0 {
			r.float(s.Interval.Seconds())
		} else {
			r.null()
		}
		r.time(s.Epoch)
		r.known(s.Commits)
		r.known(s.CommitsDelta)
	}
	const sql = `/* pgam:import */
copy history.database_stat (server_id, sampled_at, database_oid, numbackends, interval_seconds, epoch, xact_commit_total, xact_commit)
from stdin (format binary)`
	return r.copy(ctx, tx, sql)
}

func copySizes(ctx context.Context, tx pgx.Tx, id target.ID, sized []history.ImportedStat) error {
	if len(sized) == 0 {
		return nil
	}
	r := newCopyRows(6, len(sized))
	for i := range sized {
		s := &sized[i]
		r.begin()
		r.eight(uint64(id))
		r.time(s.At)
		r.four(s.OID)
		r.known(s.Size)
		r.four(0) // it is not known how long it took
		r.two(0)
	}
	const sql = `/* pgam:import */
copy history.database_size (server_id, sampled_at, database_oid, size_bytes, duration_ms, reason)
from stdin (format binary)`
	return r.copy(ctx, tx, sql)
}

const importFileSystemSQL = `/* pgam:import */
insert into history.file_system as f (server_id, mount_point, device, uses, source, first_seen_at, last_seen_at)
values ($1, $2, '', array['data'], $3, $4, $5)
on conflict (server_id, mount_point) do update
   set first_seen_at = least(f.first_seen_at, excluded.first_seen_at), last_seen_at = greatest(f.last_seen_at, excluded.last_seen_at)
 where f.first_seen_at > excluded.first_seen_at or f.last_seen_at < excluded.last_seen_at`

const importDiskRollupSQL = `/* pgam:import */
insert into history.disk_rollup as r (server_id, bucket, mount_point, samples, last_sample_at, total_bytes, free_bytes, free_bytes_min)
select $1, date_bin('1 hour', g.sampled_at, timestamptz 'epoch') as bucket, $2, count(*), max(g.sampled_at),
       (array_agg(g.total_bytes order by g.sampled_at desc))[1], (array_agg(g.free_bytes order by g.sampled_at desc))[1], min(g.free_bytes)
  from unnest($3::timestamptz[], $4::int8[], $5::int8[]) as g (sampled_at, total_bytes, free_bytes)
 group by bucket` + growDiskRollup

func importDisks(ctx context.Context, tx pgx.Tx, id target.ID, mountPoint string, disks []history.ImportedDisk) error {
	if len(disks) == 0 {
		return nil
	}
	r := newCopyRows(5, len(disks))
	for i := range disks {
		r.begin()
		r.eight(uint64(id))
		r.time(disks[i].At)
		r.text(mountPoint)
		r.known(disks[i].Total)
		r.known(disks[i].Free)
	}
	const sql = `/* pgam:import */
copy history.disk_usage (server_id, sampled_at, mount_point, total_bytes, free_bytes)
from stdin (format binary)`
	if err := r.copy(ctx, tx, sql); err != nil {
		return err
	}
	at, total, free := make([]time.Time, len(disks)), make([]*int64, len(disks)), make([]*int64, len(disks))
	for i := range disks {
		d := &disks[i]
		at[i] = d.At
		if d.Total.Known {
			total[i] = &d.Total.V
		}
		if d.Free.Known {
			free[i] = &d.Free.V
		}
	}
	if _, err := tx.Exec(ctx, importDiskRollupSQL, id, mountPoint, at, total, free); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, importFileSystemSQL, id, mountPoint, history.ImportSource, disks[0].At, disks[len(disks)-1].At)
	return err
}

// A row that the collector has made keeps what the collector says of it, but
// was first seen earlier. A second import changes nothing: what it would write
// is there.
const (
	importDatabaseSQL = `/* pgam:import */
insert into history.database as d (server_id, oid, name, is_template, allow_connect, created_at, first_seen_at, last_seen_at, dropped_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (server_id, oid, name) do update
   set created_at = coalesce(d.created_at, excluded.created_at),
       first_seen_at = least(d.first_seen_at, excluded.first_seen_at),
       last_seen_at = greatest(d.last_seen_at, excluded.last_seen_at),
       dropped_at = case when d.last_seen_at < excluded.last_seen_at then excluded.dropped_at
                         when d.last_seen_at = excluded.last_seen_at then coalesce(d.dropped_at, excluded.dropped_at)
                         else d.dropped_at
                    end
 where (d.created_at is null and excluded.created_at is not null)
    or d.first_seen_at > excluded.first_seen_at
    or d.last_seen_at < excluded.last_seen_at
    or (d.last_seen_at = excluded.last_seen_at and d.dropped_at is null and excluded.dropped_at is not null)`
	importCreatedSQL = `/* pgam:import */
update history.database
   set created_at = $4
 where server_id = $1
   and oid = $2
   and name = $3
   and created_at is null`
)

func importDatabases(ctx context.Context, tx pgx.Tx, id target.ID, list []history.Database) error {
	for _, d := range list {
		var err error
		if d.FirstSeenAt.IsZero() {
			_, err = tx.Exec(ctx, importCreatedSQL, id, d.OID, d.Name, d.CreatedAt)
		} else {
			_, err = tx.Exec(ctx, importDatabaseSQL, id, d.OID, d.Name, d.IsTemplate, d.AllowConnect, d.CreatedAt, d.FirstSeenAt, d.LastSeenAt, d.DroppedAt)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
