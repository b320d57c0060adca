package live

import (
	"cmp"
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

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// pollEvery is how often the catalog is asked whether a server has changed.
const pollEvery = time.Second

// answersTogether bounds the long answers that are being read of all servers,
// maxAnswer and maxRows the bytes and the rows of each, whatever the SQL says: one
// takes several times its length until it is an answer of ours.
const (
	answersTogether = 64 << 20
	maxAnswer       = 16 << 20
	maxRows         = 10_000
)

// pollTimeout bounds one such question.
const pollTimeout = 5 * time.Second

var errStopped = errors.New("live questions have been stopped")

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
	// Shells are the SSH connections to the servers' hosts. Live uses them, and
	// leaves closing them to who made them.
	Shells *remote.Shells
	// Disks looks at file systems.
	Disks DiskReader
	// DiskTTL is how long a look at file systems is shown again.
	DiskTTL time.Duration
	// Listeners bounds those who listen to live streams; 0 means 100.
	Listeners int
	// Pins stores the key of a host at first contact; nil: a host whose key
	// nobody has confirmed is refused.
	Pins Pins
}

// Live answers questions about now. It is safe for concurrent use.
type Live struct {
	catalog  Catalog
	log      *slog.Logger
	deadline time.Duration
	pools    *pools
	shells   *remote.Shells
	reader   DiskReader
	pins     Pins // nil: none are made
	statuses *otter.Cache[statusKey, Status]
	looks    *otter.Cache[statusKey, Disks]
	places   *otter.Cache[statusKey, []sample.Location] // as last read
	sessions shared[activityKey, Activity]
	waits    shared[statusKey, Locks]
	feeds    feeds
	tests    atomic.Int64
	used     *caches

	running sync.WaitGroup
	quit    chan struct{} // closed by Stop
	hurry   chan struct{} // closed when questions to servers may take no longer
	hurried sync.Once
	began   time.Time
	beat    atomic.Int64 // nanoseconds from began to the last turn of follow: a clock that is set neither hides nor feigns a hang

	loading chan struct{} // holds one while a list of servers is read

	mu       sync.RWMutex
	stopped  bool
	revision int64
	loaded   bool
	servers  []target.Target // by name
	byName   map[string]target.Target
	byID     map[target.ID]target.Target
	broken   map[target.ID]error
}

// New makes a Live that asks nobody until Start.
func New(cfg Config) (*Live, error) {
	switch {
	case cfg.Catalog == nil || cfg.Log == nil:
		return nil, errors.New("live without a catalog or a log")
	case cfg.Deadline <= 0 || cfg.StatusTTL <= 0 || cfg.DiskTTL <= 0:
		return nil, errors.New("live without a deadline or a time to keep a status or disks")
	case cfg.Shells == nil || cfg.Disks == nil:
		return nil, errors.New("live without SSH or a reader of disks")
	case cfg.Pools[target.PoolDefault].Max < 1:
		return nil, errors.New("live without a size of the default pool")
	}
	used := new(caches)
	statuses, err := otter.New(&otter.Options[statusKey, Status]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[statusKey, Status](cfg.StatusTTL),
		StatsRecorder:    &used.statuses,
		Logger:           &otter.NoopLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of statuses: %w", err)
	}
	places, err := otter.New(&otter.Options[statusKey, []sample.Location]{MaximumSize: 100_000, Logger: &otter.NoopLogger{}})
	if err != nil {
		return nil, fmt.Errorf("make cache of locations: %w", err)
	}
	looks, err := newLooks(cfg.DiskTTL, cfg.StatusTTL, &used.disks)
	if err != nil {
		return nil, err
	}
	return &Live{
		began:   time.Now(),
		feeds:   feeds{most: cmp.Or(cfg.Listeners, defaultListeners)},
		catalog: cfg.Catalog, log: cfg.Log, deadline: cfg.Deadline,
		shells: cfg.Shells, reader: cfg.Disks, pins: cfg.Pins,
		statuses: statuses, looks: looks, places: places, used: used, quit: make(chan struct{}), loading: make(chan struct{}, 1), hurry: make(chan struct{}),
		pools: &pools{
			sizes: cfg.Pools, application: cfg.Application, deadline: cfg.Deadline, shells: cfg.Shells, byID: make(map[target.ID]*serverPool),
			guard: remote.NewGuard(answersTogether), turns: make(map[target.ID]chan struct{}),
		},
	}, nil
}

// Start reads the list of servers and keeps it up to date until Stop. It fails
// only where the list cannot be read now.
func (l *Live) Start(ctx context.Context) error {
	if err := l.Refresh(ctx); err != nil {
		return err
	}
	l.beat.Store(int64(time.Since(l.began)))
	ctx, end, ok := l.behind(ctx, 0, "list of servers")
	if !ok {
		return errStopped
	}
	go func() {
		defer end()
		l.follow(ctx)
	}()
	return nil
}

// Stop ends what goes on behind requests and closes all pools once the
// questions under way are answered, or ctx ends.
func (l *Live) Stop(ctx context.Context) error {
	l.mu.Lock()
	if !l.stopped {
		l.stopped = true
		close(l.quit)
	}
	l.mu.Unlock()
	l.running.Wait()
	err := l.pools.close(ctx)
	l.statuses.StopAllGoroutines()
	l.looks.StopAllGoroutines()
	l.places.StopAllGoroutines()
	return err
}

// behind gives the context of work that goes on when the request that began it
// has ended, for limit at most (0: no limit), and ends with Stop, which waits
// for end to be called. ok is false after Stop.
func (l *Live) behind(ctx context.Context, limit time.Duration, what string) (_ context.Context, end func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return ctx, nil, false
	}
	l.running.Add(1)
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	release := func() {}
	if limit > 0 {
		ctx, release = context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: deadline %s", what, limit))
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-l.quit:
			cancel(errStopped)
		case <-ended:
		}
	}()
	return ctx, func() {
		close(ended)
		release()
		cancel(nil)
		l.running.Done()
	}, true
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
		l.beat.Store(int64(time.Since(l.began)))
		err := guard.Run(func() error { return l.poll(ctx) })
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
func (l *Live) Beat() time.Time { return l.began.Add(time.Duration(l.beat.Load())) }

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
	select {
	case l.loading <- struct{}{}:
		defer func() { <-l.loading }()
	case <-ctx.Done():
		return fmt.Errorf("read list of servers: wait for who reads it: %w", context.Cause(ctx))
	}
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
	before := l.byID
	l.revision, l.loaded, l.servers, l.byName, l.byID, l.broken = revision, true, servers, byName, byID, broken
	l.mu.Unlock()
	l.pools.keep(byID)
	for id := range before {
		if _, ok := byID[id]; !ok {
			l.shells.Forget(id)
		}
	}
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

// SecretsBroken reports which stored secrets of the server do not open: the
// password of PostgreSQL, and the password or the key of SSH.
func (l *Live) SecretsBroken(id target.ID) (password, shell bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	fault := l.broken[id]
	if one, ok := errors.AsType[*target.SecretsError](fault); ok {
		return one.Password != nil, one.Shell != nil
	}
	return fault != nil, fault != nil
}

func (l *Live) brokenShell(id target.ID) bool {
	_, broken := l.SecretsBroken(id)
	return broken
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

const (
	brokenAdvice      = "the stored password cannot be opened: set it again"
	brokenShellAdvice = "the stored secret for SSH cannot be opened: set it again"
	stoppingAdvice    = "the program stops: try again in a moment"
)

// ask runs a question on a connection of the server's pool, within the
// deadline. It is asked once more where the connection turned out to be dead,
// or the host of a tunnel was met for the first time. what names it:
// "activity".
func (l *Live) ask(ctx context.Context, t target.Target, what string, question func(context.Context, *pgxpool.Conn) error) error {
	if advice := l.cannotAsk(t); advice != "" {
		return &Error{Reason: sample.AuthFailed, Advice: advice, err: fmt.Errorf("%s of %s: a stored secret does not open", what, t.Name)}
	}
	late := fmt.Errorf("deadline %s", l.deadline)
	ctx, cancel := context.WithTimeoutCause(ctx, l.deadline, late)
	defer cancel()
	ctx, release := l.untilHurry(ctx)
	defer release()
	var err error
	for range 2 {
		var pool *serverPool
		if pool, err = l.pools.get(t); err != nil {
			break
		}
		if err = askOn(ctx, pool, question); err == nil {
			return nil
		}
		reason := remote.Classify(err)
		if ctx.Err() != nil {
			break
		}
		if l.firstContact(err) {
			if t, err = l.pin(ctx, t); err != nil {
				break
			}
			continue
		}
		lost := reason == sample.ConnectionLost
		if !lost && !pool.dismissed.Load() {
			break
		}
		if lost {
			pool.Reset() // the others died with it
		}
	}
	failed := failure(err)
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		failed.Reason, failed.Advice = sample.Timeout, stoppingAdvice
	case failed.Reason == sample.Timeout:
		err = fmt.Errorf("%w: %w", late, err)
	}
	failed.err = fmt.Errorf("%s of %s: %w", what, t.Name, err)
	return failed
}

// untilHurry gives the context of a question that ends when the program is about
// to stop: who asked is then told so, instead of being cut off.
func (l *Live) untilHurry(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		select {
		case <-l.hurry:
			cancel(errStopped)
		case <-ended:
		}
	}()
	return ctx, func() {
		close(ended)
		cancel(nil)
	}
}

// cannotAsk says why the server is not asked at all; empty: it is.
func (l *Live) cannotAsk(t target.Target) string {
	switch password, shell := l.SecretsBroken(t.ID); {
	case password:
		return brokenAdvice
	case shell && t.Shell.Tunnel:
		return brokenShellAdvice
	}
	return ""
}

// failure gives what a failed question is to a client.
func failure(err error) *Error {
	failed := &Error{Reason: remote.Classify(err), err: err}
	failed.Advice = remote.Describe(err)
	return failed
}

func askOn(ctx context.Context, pool *serverPool, question func(context.Context, *pgxpool.Conn) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return guard.Run(func() error { return question(ctx, conn) })
}

// rowsOf asks one question of this package and collects the rows.
func rowsOf[T any](ctx context.Context, conn *pgx.Conn, question string, args ...any) ([]T, error) {
	version := remote.SessionOf(conn.PgConn()).Version
	sql, ok := statementFor(question, version)
	if !ok {
		return nil, fmt.Errorf("%w: server_version_num is %d", remote.ErrUnsupported, version)
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return collect(conn, rows, pgx.RowToStructByName[T])
}

// collect is pgx.CollectRows for as many rows as there may be: no PostgreSQL
// sends more than were asked for, so the connection ends with them.
func collect[T any](conn *pgx.Conn, rows pgx.Rows, read pgx.RowToFunc[T]) ([]T, error) {
	n := 0
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
		if n++; n > maxRows {
			_ = conn.PgConn().Conn().Close()
			var none T
			return none, fmt.Errorf("%w: more rows than were asked for", remote.ErrOversized)
		}
		return read(row)
	})
}
