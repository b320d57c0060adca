package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// databaseChunk is how much of a server's time one transaction makes rollups of:
	// as long as it lasts, nobody else writes the server's samples.
	databaseChunk = 2 * time.Hour
	// databaseSlack is by how much a look may be late against its plan: rows are
	// found by their plan, and shared out by when they were taken.
	databaseSlack = sample.MaxHeld
)

// databasesDue lists servers with rows, in buckets that are over, that are not in
// the rollups of databases, the oldest first; now is by stats_db's clock.
func (w *Writer) databasesDue(ctx context.Context, now time.Time) ([]due, error) {
	rows, err := w.pool.Query(ctx, sql("list_databases_due"), named{"before": now.Add(-sample.BucketLength - dueAfter)})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[due])
}

// CompactDatabases makes the rollups of a server's databases anew, from where they
// are not right on to the last ten minutes that are over. It is done again, at no
// cost, where nothing came.
func (w *Writer) CompactDatabases(ctx context.Context, server target.ID) error {
	for more := true; more; {
		var from, to time.Time
		chunk := func() error {
			return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) (err error) {
				if _, _, err = lockServer(ctx, tx, &pgx.Batch{}, server, 0, nil); err != nil {
					return err
				}
				from, to, more, err = nextChunk(ctx, tx, server)
				if err != nil || !from.Before(to) {
					return err
				}
				// What rows no longer tell, rollups do: they outlive them.
				if kept, err := rowsKept(ctx, tx, from); err != nil || !kept {
					return errors.Join(err, settle(ctx, tx, server, to))
				}
				return compactDatabases(ctx, tx, server, from, to)
			})
		}
		err := chunk()
		if partitionMissing(err) {
			if err = w.partitionsOf(ctx, from, to, "database_rollup"); err == nil {
				err = chunk()
			}
		}
		if err != nil {
			return fmt.Errorf("compact databases of server %d from %s: %w", server, from.Format(time.RFC3339), statsdb.Classify(err))
		}
	}
	return nil
}

// partitionsOf makes the partitions of some tables, and only those, for every
// instant from one to another.
func (w *Writer) partitionsOf(ctx context.Context, from, to time.Time, tables ...string) error {
	existing, err := w.partitions(ctx)
	if err != nil {
		return err
	}
	for _, t := range statsdb.Layout() {
		if slices.Contains(tables, t.Table) {
			if err := w.ensurePartitions(ctx, t, existing, from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextChunk gives whole buckets that are over and whose rollups are not right; more
// says that others follow.
func nextChunk(ctx context.Context, tx pgx.Tx, server target.ID) (from, to time.Time, more bool, err error) {
	var since *time.Time
	var now time.Time
	const sql = "/* pgam:compact */ select databases_from, now() from history.progress where server_id = $1"
	if err := tx.QueryRow(ctx, sql, server).Scan(&since, &now); err != nil || since == nil {
		return from, to, false, err
	}
	from, to = since.UTC().Truncate(sample.BucketLength), now.UTC().Add(-dueAfter).Truncate(sample.BucketLength)
	if next := from.Add(databaseChunk).Truncate(databaseChunk); next.Before(to) {
		return from, next, true, nil
	}
	return from, to, false, nil
}

// compactDatabases makes the ten minutes from one instant to another, and the
// hours and days that they lie in.
func compactDatabases(ctx context.Context, tx pgx.Tx, server target.ID, from, to time.Time) error {
	rollups, err := sizesOf(ctx, tx, server, from, to)
	if err != nil {
		return err
	}
	err = readStats(ctx, tx, server, from, to, func(oid uint32, rows []sample.DatabaseStat, looks []time.Time) {
		for i, sum := range sample.SumDatabase(rows, looks, from, to, sample.BucketLength) {
			if !sum.Empty() {
				key := rollupKey{oid, from.Add(time.Duration(i) * sample.BucketLength)}
				r := rollups[key]
				r.DatabaseSum = sum
				rollups[key] = r
			}
		}
	})
	if err != nil {
		return err
	}
	args := named{"server_id": server, "step_seconds": tenMinutes, "from": from, "to": to}
	if _, err := tx.Exec(ctx, sql("delete_database_rollups"), args); err != nil {
		return err
	}
	if err := copyRollups(ctx, tx, server, rollups); err != nil {
		return err
	}
	b := &pgx.Batch{}
	for _, step := range []struct{ seconds, finer int }{{hour, tenMinutes}, {day, hour}} {
		length := time.Duration(step.seconds) * time.Second
		args := named{
			"server_id": server, "step_seconds": step.seconds, "finer": step.finer, "from": from.Truncate(length), "to": to.Add(length - 1).Truncate(length),
		}
		b.Queue(sql("delete_database_rollups"), args)
		b.Queue(sql("sum_database_rollups"), args)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return settle(ctx, tx, server, to)
}

// settle says that rollups are right up to an instant.
func settle(ctx context.Context, tx pgx.Tx, server target.ID, until time.Time) error {
	_, err := tx.Exec(ctx, sql("settle_databases"), named{"server_id": server, "until": until})
	return err
}

// rowsKept reports whether rows of databases of an instant are still kept.
func rowsKept(ctx context.Context, tx pgx.Tx, at time.Time) (kept bool, err error) {
	for _, t := range statsdb.Layout() {
		if t.Table == "database_stat" {
			from, _ := t.Span.Bounds(at)
			err = tx.QueryRow(ctx, sql("has_rows_of"), named{"partition": t.Partition(from)}).Scan(&kept)
		}
	}
	return kept, err
}

// readStats reads the rows that reach into a stretch of time, one database after
// the other and in the order of their plan, and when looks were taken.
func readStats(ctx context.Context, tx pgx.Tx, server target.ID, from, to time.Time, database func(uint32, []sample.DatabaseStat, []time.Time)) error {
	var (
		oids  []uint32
		looks []time.Time
		stats []sample.DatabaseStat // of one database after the other
	)
	from, to = from.Add(-databaseSlack), to.Add(databaseSlack)
	b := &pgx.Batch{}
	b.Queue(sql("list_database_oids"), named{"server_id": server, "from": from, "to": to}).Query(func(rows pgx.Rows) (err error) {
		oids, err = pgx.CollectRows(rows, pgx.RowTo[uint32])
		return err
	})
	// A look after the last row of the stretch may be what the row stands until.
	b.Queue(sql("read_looks"), named{"server_id": server, "from": from, "to": to.Add(databaseSlack)}).Query(func(rows pgx.Rows) (err error) {
		looks, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	b = &pgx.Batch{}
	for _, oid := range oids {
		b.Queue(sql("read_database_stats"), named{"server_id": server, "oid": oid, "from": from, "to": to}).Query(func(rows pgx.Rows) (err error) {
			stats, err = pgx.AppendRows(stats[:0], rows, scanStat)
			if err == nil && len(stats) > 0 {
				database(oid, stats, looks)
			}
			return err
		})
	}
	return tx.SendBatch(ctx, b).Close()
}

// rollupKey is the key of ten minutes within their server.
type rollupKey struct {
	oid    uint32
	bucket time.Time
}

// databaseRollup is a row of ten minutes.
type databaseRollup struct {
	sample.DatabaseSum

	sizeBytes *int64
	sizeAt    *time.Time
}

// sizesOf gives the newest size of each database in each ten minutes.
func sizesOf(ctx context.Context, tx pgx.Tx, server target.ID, from, to time.Time) (map[rollupKey]databaseRollup, error) {
	rollups := make(map[rollupKey]databaseRollup)
	rows, err := tx.Query(ctx, sql("read_newest_sizes"), named{"server_id": server, "from": from, "to": to})
	if err != nil {
		return nil, err
	}
	var (
		key   rollupKey
		bytes int64
		at    time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&key.oid, &key.bucket, &bytes, &at}, func() error {
		key.bucket = key.bucket.UTC()
		rollups[key] = databaseRollup{sizeBytes: new(bytes), sizeAt: new(at)}
		return nil
	})
	return rollups, err
}

// rolledCounters are those that rollups have, beside all timers.
var rolledCounters = [...]sample.Counter{
	sample.XactCommit, sample.XactRollback, sample.BlksRead, sample.BlksHit, sample.TupReturned, sample.TupFetched, sample.TupInserted,
	sample.TupUpdated, sample.TupDeleted, sample.Conflicts, sample.TempFiles, sample.TempBytes, sample.Deadlocks, sample.Sessions,
}

// copyRollups writes ten minutes of databases.
func copyRollups(ctx context.Context, tx pgx.Tx, server target.ID, rollups map[rollupKey]databaseRollup) error {
	columns := []string{
		"server_id", "step_seconds", "database_oid", "bucket", "samples", "seconds", "backend_seconds", "counted_seconds",
		"backends_min", "backends_max", "backends_last", "last_sample_at", "size_bytes", "size_at",
	}
	for _, c := range rolledCounters {
		columns = append(columns, counterColumns[c])
	}
	columns = append(columns, timerColumns[:]...)
	rows := make([][]any, 0, len(rollups))
	for key, r := range rollups {
		row := []any{
			int64(server), int32(tenMinutes), key.oid, key.bucket, r.Samples, r.Seconds, r.BackendSeconds, r.CountedSeconds,
			known(r.MinBackends), known(r.MaxBackends), known(r.LastBackends), orNull(r.LastAt), r.sizeBytes, r.sizeAt,
		}
		for _, c := range rolledCounters {
			row = append(row, known(r.Counters[c]))
		}
		for _, t := range r.Timers {
			if t.Known {
				row = append(row, &t.V)
			} else {
				row = append(row, nil)
			}
		}
		rows = append(rows, row)
	}
	return copyRows(ctx, tx.Conn(), "database_rollup", columns, rows, "")
}
