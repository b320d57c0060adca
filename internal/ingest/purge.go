package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// purgeChunk is how many rows one transaction deletes: few enough to take
	// tens of milliseconds.
	purgeChunk = 2000
	// purgeGrace is how long the row of a purged server stays. Until then
	// what was seen when it was deleted, or waited in the journal, may still come; a later purge finds them by it.
	purgeGrace = time.Hour
)

// PurgeDeleted deletes what the schema history holds of servers that were deleted
// with purge, dictionaries included, and then, an hour after their deletion, their
// own rows. It works in short transactions, resting as long as it worked, and takes no
// lock that a writer or a reader would wait for. It returns how many rows of
// history it deleted, also with an error; what is left is for the next call, as is
// what a collector writes of such a server afterwards.
func (w *Writer) PurgeDeleted(ctx context.Context) (rows int64, err error) {
	servers, err := w.purgedServers(ctx)
	if err != nil || len(servers) == 0 {
		return 0, err
	}
	tables, err := w.historyTables(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range servers {
		before := rows
		for _, table := range tables {
			n, err := w.purgeTable(ctx, table, id)
			rows += n
			if err != nil {
				return rows, fmt.Errorf("purge %s of server %d: %w", table, id, statsdb.Classify(err))
			}
		}
		if rows > before {
			continue // More may be on its way.
		}
		for _, gone := range []string{
			`delete from history.progress where server_id = $1
                and exists (select from pgam.server where id = $1 and purge and deleted_at < now() - $2::interval)`,
			"delete from pgam.server where id = $1 and purge and deleted_at < now() - $2::interval",
		} {
			if _, err := w.pool.Exec(ctx, "/* pgam:purge */ "+gone, id, purgeGrace); err != nil {
				return rows, fmt.Errorf("purge server %d: %w", id, statsdb.Classify(err))
			}
		}
	}
	return rows, nil
}

func (w *Writer) purgedServers(ctx context.Context) ([]target.ID, error) {
	rows, err := w.pool.Query(ctx, "/* pgam:purge */ select id from pgam.server where purge and deleted_at is not null order by id")
	if err != nil {
		return nil, fmt.Errorf("list servers to purge: %w", statsdb.Classify(err))
	}
	servers, err := pgx.CollectRows(rows, pgx.RowTo[target.ID])
	if err != nil {
		return nil, fmt.Errorf("list servers to purge: %w", statsdb.Classify(err))
	}
	return servers, nil
}

// historyTables gives every table that holds rows of servers: partitions rather
// than what they are partitions of, those that are detached and not dropped yet
// included. The catalog says which: a table that is added later is in it.
func (w *Writer) historyTables(ctx context.Context) ([]string, error) {
	rows, err := w.pool.Query(ctx, sql("list_history"))
	if err != nil {
		return nil, fmt.Errorf("list tables of history: %w", statsdb.Classify(err))
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list tables of history: %w", statsdb.Classify(err))
	}
	return tables, nil
}

// purgeTable deletes the rows of a server from one table. One that is gone by now
// had none.
func (w *Writer) purgeTable(ctx context.Context, table string, id target.ID) (rows int64, err error) {
	name := pgx.Identifier{"history", table}.Sanitize()
	// The rows are found by the table's key, which begins with the server.
	chunk := `/* pgam:purge */
delete from ` + name + `
 where server_id = $1
   and ctid = any (array(select ctid from ` + name + ` where server_id = $1 limit $2))`
	for {
		begun := time.Now()
		n, err := w.deleteChunk(ctx, chunk, id)
		rows += n
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42P01" {
			return rows, nil
		}
		if err != nil || n < purgeChunk {
			return rows, err
		}
		select {
		case <-ctx.Done():
			return rows, ctx.Err()
		case <-time.After(time.Since(begun)):
		}
	}
}

// deleteChunk runs one delete of at most purgeChunk rows. A crash may undo it
// after it was reported: it is then only done again.
func (w *Writer) deleteChunk(ctx context.Context, chunk string, id target.ID) (rows int64, err error) {
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		// Never a scan of all servers' rows for one's.
		if _, err := tx.Exec(ctx, "set local synchronous_commit = off; set local enable_seqscan = off"); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, chunk, id, purgeChunk)
		rows = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return rows, nil
}
