package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// packStretch is how much of a server's day is in memory at once: some
// stretches that windows are merged in.
const packStretch = 4 * sample.MergedSpan

// server packs the windows of one server in one transaction, instead of what
// was packed of it before, and then rests.
func (d *packingDay) server(ctx context.Context, id target.ID) error {
	begun := time.Now()
	conn, err := d.s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// All that is read must be of one moment.
	err = pgx.BeginTxFunc(ctx, conn.Conn(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		return d.serverOn(ctx, tx, id)
	})
	conn.Release()
	if err == nil {
		err = d.reached("server")
	}
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(time.Since(begun), packRest)):
		return nil
	}
}

func (d *packingDay) serverOn(ctx context.Context, tx pgx.Tx, id target.ID) error {
	// What a crash takes back is only done again.
	if _, err := tx.Exec(ctx, "set local synchronous_commit = off"); err != nil {
		return err
	}
	if err := lockPacking(ctx, tx); err != nil {
		return err
	}
	packed := inHistory(d.packed)
	for _, sql := range []string{
		"/* pgam:pack */ delete from " + packed + " where server_id = $1",
		"/* pgam:pack */ delete from history.packing where server_id = $1 and day = '" + d.day.Format(time.DateOnly) + "'",
	} {
		if _, err := tx.Exec(ctx, sql, id); err != nil {
			return err
		}
	}
	name := "pgam_pack_" + d.partition
	stmt, err := tx.Conn().Prepare(ctx, name, "/* pgam:pack */ insert into "+packed+" "+windowInto+" values ("+windowParameters+")")
	if err != nil {
		return err
	}
	c := counted{id: id}
	if err = d.copyWindows(ctx, tx.Conn(), stmt, &c); err != nil {
		return err
	}
	if err := tx.Conn().Deallocate(ctx, name); err != nil {
		return err
	}
	if c.windows == 0 {
		return nil // all of them went
	}
	const note = `/* pgam:pack */
insert into history.packing (server_id, day, windows, first_t0, last_t0, rows, samples)
values ($1, $2, $3, $4, $5, $6, $7)`
	if _, err := tx.Exec(ctx, note, id, d.day, c.windows, c.first, c.last, c.rows, c.samples); err != nil {
		return err
	}
	return d.reached("packed")
}

// counted is what was packed of a server.
type counted struct {
	id                     target.ID
	windows, rows, samples int64
	first, last            time.Time
}

// copyWindows reads windows and writes what they are merged to, some minutes at
// a time.
func (d *packingDay) copyWindows(ctx context.Context, conn *pgx.Conn, stmt *pgconn.StatementDescription, c *counted) error {
	from, end := windowPartitions().span.bounds(d.day)
	for ; from.Before(end); from = from.Add(packStretch) {
		var merged []sample.Window
		var group []*sample.Window
		merge := func() {
			if len(group) > 0 {
				merged = append(merged, sample.MergeWindows(group))
				group = group[:0]
			}
		}
		stretch := history.Range{From: from, To: from.Add(packStretch)}
		err := windowsOn(ctx, conn, c.id, stretch, func(w *sample.Window) error {
			if n := len(group); n > 0 && !group[n-1].Joins(w) {
				merge()
			}
			group = append(group, w)
			c.windows++
			if c.last = w.T0; c.first.IsZero() {
				c.first = w.T0
			}
			return nil
		})
		if err != nil {
			return err
		}
		merge()
		if len(merged) == 0 {
			continue
		}
		w := &writer{statements: map[string]*pgconn.StatementDescription{stmt.Name: stmt}, pipe: conn.PgConn().StartPipeline(ctx)}
		for i := range merged {
			c.rows++
			c.samples += int64(merged[i].Minute.Samples)
			w.p.window(&merged[i])
			w.send(stmt.Name)
		}
		if err := w.end(); err != nil {
			return err
		}
		if err := d.reached("stretch"); err != nil {
			return err
		}
	}
	return nil
}
