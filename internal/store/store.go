package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/migrations"
)

// ErrSchema says that stats_db is not at the version this program was built for.
var ErrSchema = errors.New("stats_db has the wrong schema version")

// Config is what Open needs.
type Config struct {
	// DSN of stats_db, a URL or keywords; a secret, never printed.
	DSN secret.Value
	// Keyring opens and seals the servers' passwords; nil where none is read.
	Keyring *secret.Keyring
	// Application becomes application_name, e.g. "pgam-api".
	Application string
	// MinConns and MaxConns bound the pool; 0 means 1 and 4.
	MinConns, MaxConns int32
	// StatementTimeout is set on the server; 0 means 10 s.
	StatementTimeout time.Duration
}

// Store is a pool of connections to stats_db. It is safe for concurrent use.
type Store struct {
	db        *statsdb.DB
	pool      *pgxpool.Pool // db's
	keyring   *secret.Keyring
	timelines timelines
	rolls     rolls
	since     partitionsSince
	lease     atomic.Pointer[Lease] // nil: there is none to ask for
	mark      mark
}

// New makes a Store that connects when it is first used. The error is about
// the DSN and does not quote it.
func New(cfg Config) (*Store, error) {
	db, err := statsdb.New(statsdb.Config{
		DSN: cfg.DSN, Application: cfg.Application, MinConns: cfg.MinConns, MaxConns: cfg.MaxConns, StatementTimeout: cfg.StatementTimeout,
	})
	if err != nil {
		return nil, err
	}
	return &Store{db: db, pool: db.Pool(), keyring: cfg.Keyring}, nil
}

// Close waits for the connections in use and closes them all.
func (s *Store) Close() { s.db.Close() }

// Pool gives the pool for its statistics; statements stay in this package.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// CheckSchema compares the version of stats_db with the one this program was
// built for. The error wraps ErrSchema and names the command to run, or is
// stats_db's.
func (s *Store) CheckSchema(ctx context.Context) error { return checkSchema(ctx, s.pool) }

func checkSchema(ctx context.Context, q interface {
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
		return fmt.Errorf("read schema version: %w", statsdb.Classify(err))
	case version < latest:
		return fmt.Errorf("%w: it has version %d, version %d is needed: run pgam migrate", ErrSchema, version, latest)
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this program knows version %d: install the newer pgam", ErrSchema, version, latest)
	}
	return nil
}
