package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/peer"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/migrations"
)

// Errors that say what is wrong with stats_db. Whatever wraps none of them is a
// fault of the data, of the schema or of ours: waiting does not help.
var (
	// ErrSchema says that stats_db is not at the version this program was
	// built for.
	ErrSchema = errors.New("stats_db has the wrong schema version")
	// ErrUnavailable says that stats_db cannot be reached, lets nobody in, or
	// cannot write now; trying again later may help.
	ErrUnavailable = errors.New("stats_db is not available")
	// ErrTooSlow says that stats_db is there, but that the answer took longer
	// than a statement or the caller may wait: less has to be asked.
	ErrTooSlow = errors.New("stats_db took too long")
	// ErrLocked says that another session held a lock for longer than a
	// statement may wait for it.
	ErrLocked = errors.New("stats_db is locked")
)

// MayPass says whether an error may be gone the next time, without anybody's
// doing.
func MayPass(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTooSlow) || errors.Is(err, ErrLocked)
}

// pingLimit is how long a connection that was idle may take to show that it is
// still one, before another is taken.
const pingLimit = time.Second

// noticeLimit bounds the first statement on a connection.
const noticeLimit = 5 * time.Second

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
	lease     atomic.Pointer[Lease] // nil: there is none to ask for
	mark      mark
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
	pc.PingTimeout = pingLimit
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
	cc.DialFunc = peer.Dialer().DialContext
	cc.AfterConnect = noticeGone
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		return nil, fmt.Errorf("set up pool of stats_db: %w", err)
	}
	return &Store{pool: pool, keyring: cfg.Keyring}, nil
}

// noticeGone has stats_db notice soon when this process has gone without a word:
// its sessions hold locks. What refuses the settings does without.
func noticeGone(ctx context.Context, pg *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(ctx, noticeLimit)
	defer cancel()
	_, err := pg.Exec(ctx, "/* pgam */ "+peer.SessionSQL).ReadAll()
	if _, told := errors.AsType[*pgconn.PgError](err); told && !pg.IsClosed() {
		return nil
	}
	return err
}

// Close waits for the connections in use and closes them all.
func (s *Store) Close() { s.pool.Close() }

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
		return fmt.Errorf("read schema version: %w", dbError(err))
	case version < latest:
		return fmt.Errorf("%w: it has version %d, version %d is needed: run pgam migrate", ErrSchema, version, latest)
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this program knows version %d: install the newer pgam", ErrSchema, version, latest)
	}
	return nil
}

// dbError gives a driver's error the class it has: one of the errors above,
// context.Canceled where the caller went away, or none, for what is not known.
// The text stays, for the log.
func dbError(err error) error {
	pgErr, told := errors.AsType[*pgconn.PgError](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	class := func() error {
		switch {
		case err == nil, MayPass(err), errors.Is(err, ErrUnconfirmed), errors.Is(err, context.Canceled):
			return nil
		case told && !connecting:
			return stateClass(pgErr.Code)
		case connecting: // refused, cut, too late, or let in by nobody, whatever the reason
			return ErrUnavailable
		case errors.Is(err, context.DeadlineExceeded):
			return ErrTooSlow
		case cut(err):
			return ErrUnavailable
		}
		return nil
	}()
	if class == nil {
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}

// stateClass gives the class of what the server said to a statement, nil for
// what waiting does not cure.
func stateClass(code string) error {
	switch code {
	case "57014", // statement_timeout, or somebody cancelled it
		"25P03", "25P04": // idle_in_transaction_session_timeout, transaction_timeout
		return ErrTooSlow
	case "55P03": // lock_timeout, NOWAIT
		return ErrLocked
	case "40001", "40P01", // serialization, deadlock
		"25006": // read-only: a standby, until somebody is promoted
		return ErrUnavailable
	}
	switch {
	case strings.HasPrefix(code, "08"), // connection exception, a pooler's too
		strings.HasPrefix(code, "53"),  // out of disk, memory, connections
		strings.HasPrefix(code, "57P"): // shut down, crashed, starting up, database dropped
		return ErrUnavailable
	}
	return nil
}

// cut says whether a connection ended before the answer came.
func cut(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, errNoAnswer)
}

// isUnique reports a violated unique constraint or index of this name.
func isUnique(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23505" && strings.EqualFold(pgErr.ConstraintName, constraint)
}
