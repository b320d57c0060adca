package statsdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// confirmLimit is how long a change waits for stats_db's synchronous standby.
	confirmLimit = 8 * time.Second
	// commitLimit is how long it waits for any answer to its commit.
	commitLimit = 12 * time.Second
)

// Change runs a transaction, for what people change. Its commit is answered in
// time: where the synchronous standby is away, the server is asked to wait for it
// no longer, and then has committed without it. The error wraps ErrUnconfirmed
// then, and where nothing is known of a commit that was sent.
func (d *DB) Change(ctx context.Context, do func(pgx.Tx) error) error {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingLimit)
		defer cancel()
		_ = tx.Rollback(rollback) // or the connection ends, which does the same
		return err
	}
	return commit(ctx, conn, tx)
}

// commit goes on without who leaves: a commit that was sent cannot be taken back.
func commit(ctx context.Context, conn *pgxpool.Conn, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	defer cancel()
	patience := time.AfterFunc(confirmLimit, func() { _ = conn.Conn().PgConn().CancelRequest(ctx) })
	err := tx.Commit(ctx)
	waited := !patience.Stop()
	if waited {
		_ = conn.Conn().Close(ctx) // so that a late cancellation meets nobody else's statement
	}
	_, told := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil && waited:
		return fmt.Errorf("%w: it is stored and in force, but stats_db's synchronous standby did not confirm it within %s, "+
			"so a failover could lose it; sending it again is safe", ErrUnconfirmed, confirmLimit)
	case err == nil, told, errors.Is(err, pgx.ErrTxCommitRollback):
		return err
	}
	return fmt.Errorf("commit: %w: %w: stats_db did not answer its commit, so it may be in force or not: look, or send it again, which is safe",
		err, ErrUnconfirmed)
}
