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
	"github.com/pgam/pgam/internal/target"
)

const (
	// importTries is how often a chunk is tried where somebody else was in the way.
	importTries = 8
	// importWithin is what one statement of it may take.
	importWithin = 2 * time.Minute
)

// ImportPlan reads what an import must know of a server's history.
func (w *Writer) ImportPlan(ctx context.Context, server target.ID) (ImportPlan, error) {
	var (
		plan       ImportPlan
		since, own *time.Time
		listed     bool
	)
	args := named{"server_id": server}
	b := &pgx.Batch{}
	b.Queue(sql("import_plan"), args).QueryRow(func(row pgx.Row) error { return row.Scan(&since, &own, &listed) })
	b.Queue(sql("import_inventory"), args).Query(func(rows pgx.Rows) (err error) {
		plan.Databases, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ImportedDatabase])
		return err
	})
	if err := w.pool.SendBatch(ctx, b).Close(); err != nil {
		return plan, fmt.Errorf("plan import: %w", statsdb.Classify(err))
	}
	if own != nil {
		plan.OwnFirst = own.UTC()
	}
	if since != nil && listed {
		plan.ListedFirst = since.UTC()
	}
	return plan, nil
}

// Import writes a chunk in one transaction. Doing it twice stores it once: what is
// there already stays as it is. Partitions are made as needed, and rollups after
// the last chunk, which has no samples; an import that ends before leaves them to
// the collector. An error that may pass is for later.
func (w *Writer) Import(ctx context.Context, server target.ID, c ImportedChunk) (ImportCounts, error) {
	for try := 1; ; try++ {
		counts, err := w.importOnce(ctx, server, c)
		if err == nil {
			return counts, nil
		}
		if try == importTries || !inTheWay(err) {
			return ImportCounts{}, fmt.Errorf("import history: %w", statsdb.Classify(err))
		}
		select {
		case <-ctx.Done():
			return ImportCounts{}, fmt.Errorf("import history: %w", ctx.Err())
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

func (w *Writer) importOnce(ctx context.Context, server target.ID, c ImportedChunk) (ImportCounts, error) {
	gone, err := w.goneDays(ctx, c)
	if err == nil && len(c.Stats) > 0 {
		err = w.importPartitions(ctx, server, c, gone)
	}
	if err != nil {
		return ImportCounts{}, err
	}
	counts, err := w.importChunk(ctx, server, c, gone, false)
	if err == nil && len(c.Stats) == 0 {
		err = w.CompactDatabases(ctx, server)
	}
	return counts, err
}

// WouldImport gives what Import would, without writing.
func (w *Writer) WouldImport(ctx context.Context, server target.ID, c ImportedChunk) (ImportCounts, error) {
	gone, err := w.goneDays(ctx, c)
	var counts ImportCounts
	if err == nil {
		counts, err = w.importChunk(ctx, server, c, gone, true)
	}
	if err != nil {
		return counts, fmt.Errorf("look for imported history: %w", statsdb.Classify(err))
	}
	return counts, nil
}

// days are those, by their start in UTC, of which no row can be there.
type days map[time.Time]bool

// goneDays gives the days of a chunk of which no row is kept, or ever was.
func (w *Writer) goneDays(ctx context.Context, c ImportedChunk) (gone days, err error) {
	gone = make(days)
	err = pgx.BeginTxFunc(ctx, w.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for i := range c.Stats {
			day := c.Stats[i].At.UTC().Truncate(24 * time.Hour)
			if _, known := gone[day]; known {
				continue
			}
			kept, err := rowsKept(ctx, tx, day)
			if err != nil {
				return err
			}
			gone[day] = !kept
		}
		return nil
	})
	return gone, err
}

// importPartitions makes the partitions of what is not there yet, and no others: a
// year of daily ones of other tables would be made for nothing.
func (w *Writer) importPartitions(ctx context.Context, server target.ID, c ImportedChunk, gone days) error {
	var missing importedRows
	err := pgx.BeginTxFunc(ctx, w.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		missing, _, err = missingOf(ctx, tx, server, c, gone)
		return err
	})
	if n := len(missing.stats); err == nil && n > 0 {
		err = w.partitionsOf(ctx, missing.stats[0].At, missing.stats[n-1].At, "database_stat")
	}
	if err == nil {
		err = w.partitionsOf(ctx, c.Stats[0].At, c.Stats[len(c.Stats)-1].At, "database_size", "disk_usage", "disk_rollup")
	}
	return err
}

// inTheWay reports an error that goes away by itself: a lock, a deadlock, a row
// that somebody else wrote, a partition that retention dropped.
func inTheWay(err error) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch said.Code {
	case "40001", "40P01", "55P03", "23505":
		return true
	}
	return partitionMissing(err)
}

// importChunk writes what is not there yet, or only counts it where dry is set.
func (w *Writer) importChunk(ctx context.Context, server target.ID, c ImportedChunk, gone days, dry bool) (counts ImportCounts, err error) {
	mode := pgx.TxOptions{}
	if dry {
		mode.AccessMode = pgx.ReadOnly
	}
	err = pgx.BeginTxFunc(ctx, w.pool, mode, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("set local statement_timeout = '%d'", importWithin.Milliseconds())); err != nil {
			return err
		}
		if !dry {
			if _, _, err := lockServer(ctx, tx, &pgx.Batch{}, server, 0, nil); err != nil {
				return err
			}
		}
		missing, present, err := missingOf(ctx, tx, server, c, gone)
		if err != nil {
			return err
		}
		counts = ImportCounts{Samples: int64(len(missing.stats)), Sizes: int64(len(missing.sizes)), Disks: int64(len(missing.disks)), Present: present}
		if dry {
			return nil
		}
		if err := copyImported(ctx, tx, server, missing.stats); err != nil {
			return err
		}
		b := &pgx.Batch{}
		queueImported(b, server, missing)
		queueDisksImported(b, server, c.MountPoint, missing.disks)
		queueDatabasesImported(b, server, c.Databases)
		return tx.SendBatch(ctx, b).Close()
	})
	return counts, err
}

// importedRows are what of a chunk is not there yet.
type importedRows struct {
	stats, sizes []ImportedStat
	disks        []ImportedDisk
}

// importKey is the key of a sample within its server.
type importKey struct {
	at  int64 // microseconds
	oid uint32
}

// missingOf gives what of a chunk is not there yet. Rows that are not kept any more
// are in the rollups, if those know of a sample as late as they are.
func missingOf(ctx context.Context, tx pgx.Tx, server target.ID, c ImportedChunk, gone days) (missing importedRows, present int64, err error) {
	if len(c.Stats) == 0 {
		return missing, 0, nil
	}
	args := named{"server_id": server, "from": c.Stats[0].At, "to": c.Stats[len(c.Stats)-1].At, "mount_point": c.MountPoint}
	known := make(map[string]map[importKey]bool)
	b := &pgx.Batch{}
	for _, name := range []string{"import_stat_keys", "import_size_keys", "import_disk_keys"} {
		keys := make(map[importKey]bool)
		known[name] = keys
		b.Queue(sql(name), args).Query(func(rows pgx.Rows) error {
			var at time.Time
			var oid uint32
			_, err := pgx.ForEachRow(rows, []any{&at, &oid}, func() error {
				keys[importKey{at.UnixMicro(), oid}] = true
				return nil
			})
			return err
		})
	}
	hours := make(map[importKey]time.Time)
	b.Queue(sql("import_hours"), args).Query(func(rows pgx.Rows) error {
		var oid uint32
		var hour, last time.Time
		_, err := pgx.ForEachRow(rows, []any{&oid, &hour, &last}, func() error {
			hours[importKey{hour.UnixMicro(), oid}] = last
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return missing, 0, err
	}
	for _, s := range c.Stats {
		key := importKey{s.At.UnixMicro(), s.OID}
		rolled := gone[s.At.UTC().Truncate(24*time.Hour)] && !hours[importKey{s.At.Truncate(time.Hour).UnixMicro(), s.OID}].Before(s.At)
		if known["import_stat_keys"][key] || rolled {
			present++
		} else {
			missing.stats = append(missing.stats, s)
		}
		if s.Size.Known && !known["import_size_keys"][key] {
			missing.sizes = append(missing.sizes, s)
		}
	}
	for _, d := range c.Disks {
		if !known["import_disk_keys"][importKey{at: d.At.UnixMicro()}] {
			missing.disks = append(missing.disks, d)
		}
	}
	return missing, present, nil
}

// copyImported writes samples. What the commits go on from is their instance.
func copyImported(ctx context.Context, tx pgx.Tx, server target.ID, stats []ImportedStat) error {
	columns := []string{"server_id", "database_oid", "planned_at", "sampled_at", "instance", "numbackends", "xact_commit"}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"history", "database_stat"}, columns, pgx.CopyFromSlice(len(stats), func(i int) ([]any, error) {
		s := &stats[i]
		return []any{int64(server), s.OID, s.At, s.At, s.Epoch.UnixMicro(), known(s.Backends), known(s.Commits)}, nil
	}))
	return err
}

// queueImported writes sizes, and from when on rollups are to be made anew.
func queueImported(b *pgx.Batch, server target.ID, missing importedRows) {
	var visit sample.Visit
	for _, s := range missing.sizes {
		visit.Sizes = append(visit.Sizes, sample.DatabaseSize{At: s.At, OID: s.OID, Bytes: s.Size})
	}
	queueSizes(b, server, visit.Sizes)
	if len(missing.stats) > 0 {
		seen, oids := make(map[uint32]bool), []uint32{}
		for i := range missing.stats {
			if oid := missing.stats[i].OID; !seen[oid] {
				seen[oid], oids = true, append(oids, oid)
			}
		}
		first := missing.stats[0].At
		queueMark(b, server, first, first, oids, false)
	}
}

func queueDisksImported(b *pgx.Batch, server target.ID, mountPoint string, disks []ImportedDisk) {
	for _, d := range disks {
		queueDisks(b, server, &sample.Disks{At: d.At, Source: ImportSource, FileSystems: []sample.FileSystem{
			{MountPoint: mountPoint, Uses: []string{"data"}, Total: d.Total, Free: d.Free},
		}})
	}
}

func queueDatabasesImported(b *pgx.Batch, server target.ID, list []ImportedDatabase) {
	for _, d := range list {
		args := named{
			"server_id": server, "oid": d.OID, "name": d.Name, "is_template": d.IsTemplate, "allow_connect": d.AllowConnect, "created_at": d.CreatedAt,
			"first_seen_at": d.FirstSeenAt, "last_seen_at": d.LastSeenAt, "dropped_at": d.DroppedAt,
		}
		if d.FirstSeenAt.IsZero() {
			b.Queue(sql("import_created"), args)
		} else {
			b.Queue(sql("import_database"), args)
		}
	}
}
