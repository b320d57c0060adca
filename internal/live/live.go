package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// pollEvery is how often the catalog is asked whether a server has changed.
const pollEvery = time.Second

// pollTimeout bounds one such question.
const pollTimeout = 5 * time.Second

var (
	errStopped     = errors.New("live questions have been stopped")
	errUnsupported = errors.New("PostgreSQL older than 9.6")
)

// Catalog is where the servers come from. ListServers also gives, by server,
// why its secrets do not open; ServersRevision grows with every change.
type Catalog interface {
	ListServers(ctx context.Context) ([]target.Target, map[target.ID]error, error)
	ServersRevision(ctx context.Context) (int64, error)
}

// Config is what New needs.
type Config struct {
	Catalog Catalog
	Log     *slog.Logger
	// Application becomes application_name; begin it with "pgam-", so that it
	// is left out of the answers.
	Application string
	// Pools are the sizes by profile; target.PoolDefault must be there.
	Pools map[target.PoolProfile]Size
	// Deadline bounds every question to a server.
	Deadline time.Duration
	// StatusTTL is how long a status is shown again.
	StatusTTL time.Duration
}

// Live answers questions about now. It is safe for concurrent use.
type Live struct {
	catalog  Catalog
	log      *slog.Logger
	deadline time.Duration
	pools    *pools
	statuses *otter.Cache[statusKey, Status]

	stop    context.CancelFunc
	running sync.WaitGroup
	beat    atomic.Int64 // Unix time of the last turn of follow

	loading sync.Mutex // one list of servers is read at a time

	mu       sync.RWMutex
	revision int64
	loaded   bool
	servers  []target.Target // by name
	byName   map[string]target.Target
	broken   map[target.ID]error
}

// New makes a Live that asks nobody until Start.
func New(cfg Config) (*Live, error) {
	switch {
	case cfg.Catalog == nil || cfg.Log == nil:
		return nil, errors.New("live without a catalog or a log")
	case cfg.Deadline <= 0 || cfg.StatusTTL <= 0:
		return nil, errors.New("live without a deadline or a time to keep a status")
	case cfg.Pools[target.PoolDefault].Max < 1:
		return nil, errors.New("live without a size of the default pool")
	}
	statuses, err := otter.New(&otter.Options[statusKey, Status]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[statusKey, Status](cfg.StatusTTL),
		Logger:           &otter.NoopLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of statuses: %w", err)
	}
	return &Live{
		catalog: cfg.Catalog, log: cfg.Log, deadline: cfg.Deadline, statuses: statuses,
		pools: &pools{sizes: cfg.Pools, application: cfg.Application, deadline: cfg.Deadline, byID: make(map[target.ID]*serverPool)},
	}, nil
}

// Start reads the list of servers and keeps it up to date until Stop. It fails
// only where the list cannot be read now.
func (l *Live) Start(ctx context.Context) error {
	if err := l.Refresh(ctx); err != nil {
		return err
	}
	l.beat.Store(time.Now().Unix())
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.running.Go(func() { l.follow(ctx) })
	return nil
}

// Stop closes all pools once the questions under way are answered, or ctx ends.
func (l *Live) Stop(ctx context.Context) error {
	if l.stop != nil {
		l.stop()
	}
	l.running.Wait()
	err := l.pools.close(ctx)
	l.statuses.StopAllGoroutines()
	return err
}

// follow reads the list again whenever its revision grows.
func (l *Live) follow(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.beat.Store(time.Now().Unix())
		err := l.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			l.log.WarnContext(ctx, "list of servers cannot be read; going on with the last one", "error", err)
		case err == nil && failing:
			l.log.InfoContext(ctx, "list of servers can be read again")
		}
		failing = err != nil
	}
}

// Beat is when the list of servers was last looked after. It is never long ago
// while all is well inside, whatever the catalog does.
func (l *Live) Beat() time.Time { return time.Unix(l.beat.Load(), 0) }

func (l *Live) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pollTimeout, fmt.Errorf("revision of servers: deadline %s", pollTimeout))
	defer cancel()
	revision, err := l.catalog.ServersRevision(ctx)
	if err != nil {
		return err
	}
	l.mu.RLock()
	current := l.loaded && revision == l.revision
	l.mu.RUnlock()
	if current {
		return nil
	}
	return l.Refresh(ctx)
}

// Refresh reads the list of servers now: whoever has changed one calls it, and
// then sees the change.
func (l *Live) Refresh(ctx context.Context) error {
	l.loading.Lock()
	defer l.loading.Unlock()
	// The revision first: a change in between is then read again.
	revision, err := l.catalog.ServersRevision(ctx)
	if err != nil {
		return fmt.Errorf("read list of servers: %w", err)
	}
	servers, broken, err := l.catalog.ListServers(ctx)
	if err != nil {
		return fmt.Errorf("read list of servers: %w", err)
	}
	byName := make(map[string]target.Target, len(servers))
	byID := make(map[target.ID]target.Target, len(servers))
	for _, t := range servers {
		byName[t.Name], byID[t.ID] = t, t
	}
	l.mu.Lock()
	l.revision, l.loaded, l.servers, l.byName, l.broken = revision, true, servers, byName, broken
	l.mu.Unlock()
	l.pools.keep(byID)
	for id, fault := range broken {
		l.log.WarnContext(ctx, "a stored password does not open", "server", byID[id].Name, "error", fault)
	}
	return nil
}

// Servers gives all servers, by name. The list is at most two seconds old
// while stats_db answers. It must not be changed.
func (l *Live) Servers() []target.Target {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.servers
}

// Server gives the server of this name, or target.ErrNotFound.
func (l *Live) Server(name string) (target.Target, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t, ok := l.byName[name]
	if !ok {
		return target.Target{}, target.ErrNotFound
	}
	return t, nil
}

// SecretBroken reports whether a stored password of the server does not open.
func (l *Live) SecretBroken(id target.ID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.broken[id] != nil
}

// Pools says what is known of every pool.
func (l *Live) Pools() []PoolStatus { return l.pools.status() }

// Error is a question that a server did not answer. Its text is for the log;
// a client is shown Explain.
type Error struct {
	Reason sample.Reason
	// Advice replaces the explanation of the reason where it is not empty.
	Advice string
	err    error
}

// Error implements error.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

// Explain says what is wrong and what to do, without a host, a user or a
// driver's text.
func (e *Error) Explain() string {
	if e.Advice != "" {
		return e.Advice
	}
	return remote.Explain(e.Reason)
}

const brokenAdvice = "the stored password cannot be opened: set it again"

// ask runs a question on a connection of the server's pool, within the
// deadline. It is asked once more where the connection turned out to be dead.
// what names it: "activity".
func (l *Live) ask(ctx context.Context, t target.Target, what string, question func(context.Context, *pgxpool.Conn) error) error {
	if l.SecretBroken(t.ID) {
		return &Error{Reason: sample.AuthFailed, Advice: brokenAdvice, err: fmt.Errorf("%s of %s: stored password does not open", what, t.Name)}
	}
	late := fmt.Errorf("deadline %s", l.deadline)
	ctx, cancel := context.WithTimeoutCause(ctx, l.deadline, late)
	defer cancel()
	var err error
	for range 2 {
		var pool *serverPool
		if pool, err = l.pools.get(t); err != nil { //nolint:contextcheck // a pool outlives the question
			break
		}
		if err = askOn(ctx, pool, question); err == nil {
			return nil
		}
		lost := remote.Classify(err) == sample.ConnectionLost
		if ctx.Err() != nil || (!lost && !pool.dismissed.Load()) {
			break
		}
		if lost {
			pool.Reset() // the others died with it
		}
	}
	reason := remote.Classify(err)
	if errors.Is(err, errUnsupported) {
		reason = sample.Unsupported
	}
	if reason == sample.Timeout {
		err = fmt.Errorf("%w: %w", late, err)
	}
	return &Error{Reason: reason, err: fmt.Errorf("%s of %s: %w", what, t.Name, err)}
}

func askOn(ctx context.Context, pool *serverPool, question func(context.Context, *pgxpool.Conn) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return question(ctx, conn)
}

// rowsOf asks one question of this package and collects the rows.
func rowsOf[T any](ctx context.Context, conn *pgx.Conn, question string, args ...any) ([]T, error) {
	version := parseVersion(conn.PgConn().ParameterStatus("server_version"))
	sql, ok := statementFor(question, version)
	if !ok {
		return nil, fmt.Errorf("%w: server_version is %d", errUnsupported, version)
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}
