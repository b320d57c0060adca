package schema

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/tern/v2/migrate"

	"github.com/pgam/pgam/migrations"
)

// versionTable stands outside the schemas that the first migration makes.
const versionTable = "public.pgam_schema_version"

// lockWait bounds the wait for another process that is migrating.
const lockWait = 60 * time.Second

// ErrNewer says that the database was migrated by a newer pgam.
var ErrNewer = errors.New("stats_db has a newer schema than this program knows")

// Up brings the database that conn is connected to, to the newest version. It
// does nothing when it is there already. conn must be a direct connection, not
// one through a transaction pooler; Up may be called by several processes at
// once, one of which applies.
func Up(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	m, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return fmt.Errorf("open migrations: %w", err)
	}
	if err := m.LoadMigrations(migrations.FS()); err != nil {
		return fmt.Errorf("load migrations: %w", err)
	}
	m.OnStart = func(seq int32, name, direction, _ string) {
		log.InfoContext(ctx, "applying migration", "number", seq, "name", name, "direction", direction)
	}
	// The lock is tern's own session lock; lock_timeout bounds every attempt.
	deadline := time.Now().Add(lockWait)
	for {
		if _, err := conn.Exec(ctx, "set lock_timeout = '2s'"); err != nil {
			return fmt.Errorf("set lock_timeout: %w", err)
		}
		err = m.Migrate(ctx)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "55P03" {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("migrate: another session has held the migration lock for %s: find it in pg_locks (locktype advisory) and run again: %w", lockWait, err)
		}
		log.InfoContext(ctx, "waiting for another migration to finish")
	}
	if _, ok := errors.AsType[migrate.BadVersionError](err); ok {
		return fmt.Errorf("%w: install the newer pgam", ErrNewer)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
