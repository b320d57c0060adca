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

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/migrations"
)

// versionTable stands outside the schemas that the first migration makes.
const versionTable = "public.pgam_schema_version"

// lockWait bounds the wait for another process that is migrating.
const lockWait = 60 * time.Second

// Errors that say what is in the way.
var (
	// ErrNewer says that the database was migrated by a newer pgam.
	ErrNewer = errors.New("stats_db has a newer schema than this program knows")
	// ErrLocked says that another session kept Up from a lock it needs.
	ErrLocked = errors.New("another session holds a lock in the way of migrations")
)

// lockTry bounds one attempt to get tern's lock, or one on a table that a
// migration changes.
const lockTry = 2 * time.Second

// Up brings the database that conn is connected to, to the newest version. It
// does nothing when it is there already. conn must be a direct connection, not
// one through a transaction pooler; Up may be called by several processes at
// once, one of which applies. When ctx ends half-way, the migration under way
// is undone, those before it stay, and the next Up goes on from there. The error
// wraps ErrNewer, ErrLocked or statsdb.ErrOld where those are in the way.
func Up(ctx context.Context, conn *pgx.Conn, log *slog.Logger) error {
	return up(ctx, conn, log, lockWait)
}

func up(ctx context.Context, conn *pgx.Conn, log *slog.Logger, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for told := false; ; told = true {
		err := apply(ctx, conn, log, min(lockTry, wait))
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "55P03" {
			return err
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%w, for %s now: look in pg_locks for another pgam migrate (locktype advisory) or a long transaction on pgam's tables, end it and run again", ErrLocked, wait)
		}
		if !told {
			log.InfoContext(ctx, "waiting for another session that holds a lock in the way of migrations")
		}
	}
}

// apply is one try. Everything in it takes tern's session lock first, the
// reading of the version too, and waits for it as long as lock_timeout says.
func apply(ctx context.Context, conn *pgx.Conn, log *slog.Logger, try time.Duration) error {
	setTimeout := fmt.Sprintf("set lock_timeout = %d", try.Milliseconds())
	if _, err := conn.Exec(ctx, setTimeout); err != nil {
		return fmt.Errorf("set lock_timeout: %w", err)
	}
	if _, err := statsdb.SchemaVersion(ctx, conn); errors.Is(err, statsdb.ErrOld) {
		return err
	}
	m, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return fmt.Errorf("open migrations: %w", err)
	}
	if err := m.LoadMigrations(migrations.FS()); err != nil {
		return fmt.Errorf("load migrations: %w", err)
	}
	var errTimeout error
	m.OnStart = func(seq int32, name, direction, _ string) {
		log.InfoContext(ctx, "applying migration", "number", seq, "name", name, "direction", direction)
		// After each migration tern resets all settings of the session.
		_, err := conn.Exec(ctx, setTimeout)
		errTimeout = errors.Join(errTimeout, err)
	}
	err = errors.Join(m.Migrate(ctx), errTimeout)
	if _, ok := errors.AsType[migrate.BadVersionError](err); ok {
		return fmt.Errorf("%w: install the newer pgam", ErrNewer)
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Hint != "" {
		return fmt.Errorf("migrate: %w: %s", err, pgErr.Hint)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := conn.Exec(ctx, "reset lock_timeout"); err != nil {
		return fmt.Errorf("reset lock_timeout: %w", err)
	}
	return nil
}
