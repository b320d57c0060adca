package statsdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/peer"
	"github.com/pgam/pgam/internal/secret"
)

// pingLimit is how long a connection that was idle may take to show that it is
// still one, before another is taken.
const pingLimit = time.Second

// noticeLimit bounds the first statement on a connection.
const noticeLimit = 5 * time.Second

// Config is what New needs.
type Config struct {
	// DSN of stats_db, a URL or keywords; a secret, never printed.
	DSN secret.Value
	// Application becomes application_name, e.g. "pgam-api".
	Application string
	// MinConns and MaxConns bound the pool; 0 means 1 and 4.
	MinConns, MaxConns int32
	// StatementTimeout is set on the server; 0 means 10 s.
	StatementTimeout time.Duration
	// GenericPlans has a statement planned once a connection, whatever its
	// arguments. It is for readers of the history: a plan made for the arguments
	// names each partition, and takes longer to make than to carry out, where that
	// for all arguments leaves partitions out when it begins.
	GenericPlans bool
}

// DB is a pool of connections to stats_db. It is safe for concurrent use.
type DB struct{ pool *pgxpool.Pool }

// New makes a DB that connects when it is first used. The error is about
// the DSN and does not quote it.
func New(cfg Config) (*DB, error) {
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
	if cfg.GenericPlans {
		cc.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	}
	cc.DialFunc = peer.Dialer().DialContext
	cc.AfterConnect = noticeGone
	pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		registerArrays(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		return nil, fmt.Errorf("set up pool of stats_db: %w", err)
	}
	return &DB{pool}, nil
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
func (d *DB) Close() { d.pool.Close() }

// Pool gives the connections: for statements, and for statistics.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }
