package statsdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/migrations"
)

// ErrSchema says that stats_db is not at the version this program was built for.
var ErrSchema = errors.New("stats_db has the wrong schema version")

// CheckSchema compares the version of stats_db with the one this program was
// built for. The error wraps ErrSchema and names the command to run, or is
// stats_db's.
func (d *DB) CheckSchema(ctx context.Context) error { return CheckSchema(ctx, d.pool) }

// CheckSchema is DB.CheckSchema on a connection that is not the pool's.
func CheckSchema(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) error {
	var version int32
	err := q.QueryRow(ctx, "/* pgam */ select version from public.pgam_schema_version").Scan(&version)
	var pgErr *pgconn.PgError
	latest := migrations.Latest()
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == "42P01":
		return fmt.Errorf("%w: it has no pgam schema yet, version %d is needed: run pgam migrate", ErrSchema, latest)
	case errors.As(err, &pgErr) && pgErr.Code == "3D000":
		return fmt.Errorf("%w: the database does not exist: create it (createdb stats_db), then run pgam migrate", ErrSchema)
	case err != nil:
		return fmt.Errorf("read schema version: %w", Classify(err))
	case version < latest:
		return fmt.Errorf("%w: it has version %d, version %d is needed: run pgam migrate", ErrSchema, version, latest)
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this program knows version %d: install the newer pgam", ErrSchema, version, latest)
	}
	return nil
}
