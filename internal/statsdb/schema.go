package statsdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/migrations"
)

var (
	// ErrSchema says that stats_db is not at the version this program was built for.
	ErrSchema = errors.New("stats_db has the wrong schema version")
	// ErrOld says that stats_db was made by a pgam from before there was a version 1
	// of its schema, whose history no program reads now.
	ErrOld = errors.New("stats_db was made by an older pgam and holds history that this one cannot read")
)

// Querier is a connection, a transaction or a pool.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SchemaVersion gives the version of the schema of stats_db, 0 for an empty
// database. The error wraps ErrOld and ErrSchema, or is the driver's.
func SchemaVersion(ctx context.Context, q Querier) (version int32, err error) {
	// The numbers began anew once: what was numbered before has no such table.
	const sql = `/* pgam */
select v.version,
       v.version > 0
       and not exists (
           select
             from pg_catalog.pg_class c
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'history'
              and c.relname = 'activity_recent')
  from public.pgam_schema_version v`
	var old bool
	err = q.QueryRow(ctx, sql).Scan(&version, &old)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == "42P01":
		return 0, nil
	case err == nil && old:
		return version, fmt.Errorf("%w: %w (its schema has version %d of an older numbering): name an empty database in PGAM_STATS_DSN and run pgam migrate",
			ErrSchema, ErrOld, version)
	}
	return version, err
}

// CheckSchema compares the version of stats_db with the one this program was
// built for. The error wraps ErrSchema and names the command to run, or is
// stats_db's.
func (d *DB) CheckSchema(ctx context.Context) error { return CheckSchema(ctx, d.pool) }

// CheckSchema is DB.CheckSchema on a connection that is not the pool's.
func CheckSchema(ctx context.Context, q Querier) error {
	version, err := SchemaVersion(ctx, q)
	var pgErr *pgconn.PgError
	latest := migrations.Latest()
	switch {
	case errors.Is(err, ErrOld):
		return err
	case errors.As(err, &pgErr) && pgErr.Code == "3D000":
		return fmt.Errorf("%w: the database does not exist: create it (createdb stats_db), then run pgam migrate", ErrSchema)
	case err != nil:
		return fmt.Errorf("read schema version: %w", Classify(err))
	case version == 0:
		return fmt.Errorf("%w: it has no pgam schema yet, version %d is needed: run pgam migrate", ErrSchema, latest)
	case version < latest:
		return fmt.Errorf("%w: it has version %d, version %d is needed: run pgam migrate", ErrSchema, version, latest)
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this program knows version %d: install the newer pgam", ErrSchema, version, latest)
	}
	return nil
}
