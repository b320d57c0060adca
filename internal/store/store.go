package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/migrations"
)

// Errors that say what is wrong with stats_db and what to do.
var (
	// ErrSchema says that stats_db is not at the version this program was
	// built for.
	ErrSchema = errors.New("stats_db has the wrong schema version")
	// ErrUnavailable says that stats_db cannot be reached or answered too
	// late; trying again later may help.
	ErrUnavailable = errors.New("stats_db is not available")
)

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
	pool      *pgxpool.Pool
	keyring   *secret.Keyring
	timelines timelines
	rolls     rolls
	since     partitionsSince
}

// New makes a Store that connects when it is first used. The error is about
// the DSN and does not quote it.
func New(cfg Config) (*Store, error) {
	pc, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		return nil, errors.New("the DSN of stats_db cannot be understood: expected postgres://user:password@host:port/stats_db or host=… user=… dbname=…")
	}
	pc.MinConns = cfg.MinConns
	pc.MaxConns = max(cfg.MaxConns, cfg.MinConns)
	if pc.MaxConns == 0 {
		pc.MaxConns = 4
	}
	pc.MaxConnLifetime = time.Hour
	pc.MaxConnLifetimeJitter = 10 * time.Minute
	pc.MaxConnIdleTime = 5 * time.Minute
	timeout := cfg.StatementTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	cc := pc.ConnConfig
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = 5 * time.Second
	}
	cc.RuntimeParams["application_name"] = cfg.Application
	cc.RuntimeParams["timezone"] = "UTC"
	cc.RuntimeParams["statement_timeout"] = fmt.Sprint(timeout.Milliseconds())
	cc.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	cc.RuntimeParams["jit"] = "off"
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		return nil, fmt.Errorf("set up pool of stats_db: %w", err)
	}
	return &Store{pool: pool, keyring: cfg.Keyring}, nil
}

// Close waits for the connections in use and closes them all.
func (s *Store) Close() { s.pool.Close() }

// Pool gives the pool for its statistics; statements stay in this package.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// CheckSchema compares the version of stats_db with the one this program was
// built for. The error wraps ErrSchema and names the command to run, or
// ErrUnavailable.
func (s *Store) CheckSchema(ctx context.Context) error {
	var version int32
	err := s.pool.QueryRow(ctx, "/* pgam */ select version from public.pgam_schema_version").Scan(&version)
	var pgErr *pgconn.PgError
	latest := migrations.Latest()
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == "42P01":
		return fmt.Errorf("%w: it has no pgam schema yet, version %d is needed: run pgam migrate", ErrSchema, latest)
	case errors.As(err, &pgErr) && pgErr.Code == "3D000":
		return fmt.Errorf("%w: the database does not exist: create it (createdb stats_db), then run pgam migrate", ErrSchema)
	case err != nil:
		return fmt.Errorf("read schema version: %w", dbError(err))
	case version < latest:
		return fmt.Errorf("%w: it has version %d, version %d is needed: run pgam migrate", ErrSchema, version, latest)
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this program knows version %d: install the newer pgam", ErrSchema, version, latest)
	}
	return nil
}

// dbError maps a driver error to ErrUnavailable where waiting may help; the
// text stays for the log.
func dbError(err error) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pgErr.Code[:2] {
		case "08", "53", "57":
			return fmt.Errorf("%w: %s (SQLSTATE %s)", ErrUnavailable, pgErr.Message, pgErr.Code)
		}
		switch pgErr.Code {
		case "40001", "40P01", "55P03", "25006":
			return fmt.Errorf("%w: %s (SQLSTATE %s)", ErrUnavailable, pgErr.Message, pgErr.Code)
		}
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, errMalformedArray) || errors.Is(err, errLabels) {
		return err
	}
	// No answer from the server at all: refused, cut, timed out.
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// isUnique reports a violated unique constraint or index of this name.
func isUnique(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23505" && strings.EqualFold(pgErr.ConstraintName, constraint)
}
