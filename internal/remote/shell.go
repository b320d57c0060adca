package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/target"
)

const (
	// defaultKeepAlive is how often an open connection is asked whether it is
	// alive.
	defaultKeepAlive = 15 * time.Second
	// defaultIdle is how long a connection that nobody uses stays open: longer
	// than the time between two looks at disks.
	defaultIdle = 3 * time.Minute

	// firstPause and longestPause are the pauses after failed attempts to enter
	// a host: the first, and what it grows to.
	firstPause   = time.Second
	longestPause = 10 * time.Second

	// maxOutputBytes bounds what a command may print.
	maxOutputBytes = 1 << 20
)

// ErrAnswer says that a host answered something else than the script it was
// given would.
var ErrAnswer = errors.New("the host did not run the script to its end")

// ErrShellsClosed says that Close was called.
var ErrShellsClosed = errors.New("SSH connections are closed")

// ShellsConfig says how hosts are reached over SSH.
type ShellsConfig struct {
	// KnownHosts is a file as OpenSSH has it, of host keys that are trusted
	// beside those pinned to a server; empty: none. It is read again when it
	// changes.
	KnownHosts string
	// Timeout bounds each step: reaching and entering a host, one command, and
	// opening one tunnel.
	Timeout time.Duration
	// KeepAlive is the time between two questions whether a connection lives;
	// zero: 15 s.
	KeepAlive time.Duration
	// Idle is how long a connection without use stays open; zero: 3 min.
	Idle time.Duration
	Log  *slog.Logger
}

// Shells are the SSH connections to the hosts of servers: one a server, opened
// when first needed, shared by commands and tunnels, and closed when nobody has
// used it for a while or the way to the host has changed.
type Shells struct {
	cfg   ShellsConfig
	known *knownHostsFile
	keys  *keyRing

	ctx    context.Context //nolint:containedctx // Ends with Close, for attempts that several callers wait for.
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	current  map[target.ID]*link
	all      map[*link]struct{}
	failures map[target.ID]failure
}

// failure is the last attempt to enter a host, if it failed.
type failure struct {
	t     target.Target
	err   error
	pause time.Duration
	until time.Time
}

// ShellError is a failure of SSH, as against one of what was asked through it.
type ShellError struct {
	// Server is the watched server's name.
	Server string
	// Step is what was being done: dial, handshake, run command …
	Step string
	// Said is what the host says of it, as it can be shown; empty: nothing.
	Said string
	Err  error
}

// Error implements error.
func (e *ShellError) Error() string {
	if e.Said != "" {
		return fmt.Sprintf("ssh to %s: %s: %v: the host says: %s", e.Server, e.Step, e.Err, e.Said)
	}
	return fmt.Sprintf("ssh to %s: %s: %v", e.Server, e.Step, e.Err)
}

// Unwrap gives the cause.
func (e *ShellError) Unwrap() error { return e.Err }

// NewShells checks the configuration. It reaches nobody.
func NewShells(cfg ShellsConfig) (*Shells, error) {
	switch {
	case cfg.Timeout <= 0:
		return nil, fmt.Errorf("ssh timeout %s is not positive", cfg.Timeout)
	case cfg.KeepAlive < 0 || cfg.Idle < 0:
		return nil, errors.New("ssh keep-alive and idle time must not be negative")
	case cfg.Log == nil:
		return nil, errors.New("ssh connections need a logger")
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = defaultKeepAlive
	}
	if cfg.Idle == 0 {
		cfg.Idle = defaultIdle
	}
	s := &Shells{
		cfg:      cfg,
		known:    &knownHostsFile{path: cfg.KnownHosts, log: cfg.Log, size: -1},
		keys:     &keyRing{},
		current:  make(map[target.ID]*link),
		all:      make(map[*link]struct{}),
		failures: make(map[target.ID]failure),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// step bounds one step; the cause names it.
func (s *Shells) step(ctx context.Context, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.cfg.Timeout, fmt.Errorf("%s: deadline %s", what, s.cfg.Timeout))
}

// Run has the host's sh run a script, which goes by standard input, and gives
// what it printed: at most 1 MiB, and as much as there was if it failed. What it
// says on standard error is in the error, if there is one. A script may run twice if the connection
// breaks before the host has confirmed that it runs it.
func (s *Shells) Run(ctx context.Context, t target.Target, script string) ([]byte, error) {
	for first := true; ; first = false {
		l, err := s.acquire(ctx, t)
		if err != nil {
			return nil, err
		}
		reused := l.reused
		out, started, err := l.run(ctx, script, reused && first)
		s.release(l.link)
		if err == nil || started || !reused || !first || ctx.Err() != nil {
			return out, err
		}
		// The connection had died since it was last used.
		s.retire(l.link)
	}
}

// lease is the use of a link, which release ends.
type lease struct {
	*link
	reused bool // the link was there before
}

// acquire gives the connection of a server. All who ask while it is being
// opened wait for the one attempt; after a failed one they get its error again,
// until the pause is over.
func (s *Shells) acquire(ctx context.Context, t target.Target) (lease, error) {
	l, reused, err := s.take(t)
	if err != nil {
		return lease{}, err
	}
	select {
	case <-l.opened:
	case <-ctx.Done():
		s.release(l)
		return lease{}, &ShellError{Server: t.Name, Step: "connect", Err: endedBy(ctx, ctx.Err())}
	}
	if l.err != nil {
		s.release(l)
		return lease{}, l.err
	}
	return lease{link: l, reused: reused}, nil
}

// take gives the link of a server, which may be being opened, and counts the
// caller as a user.
func (s *Shells) take(t target.Target) (*link, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, ErrShellsClosed
	}
	if l := s.current[t.ID]; l != nil {
		// A target that is older than the link has not heard of the change yet.
		if t.Revision < l.t.Revision || l.t.SameShell(t) {
			l.use()
			return l, true, nil
		}
		s.retireLocked(l)
	}
	if f, ok := s.failures[t.ID]; ok {
		switch {
		case !f.t.SameShell(t):
			delete(s.failures, t.ID)
		case time.Now().Before(f.until):
			return nil, false, f.err
		}
	}
	l := newLink(s, t)
	l.use()
	s.all[l] = struct{}{}
	if t.ID == 0 {
		l.retired = true // not a server of ours yet: used once
	} else {
		s.current[t.ID] = l
	}
	s.wg.Go(l.live)
	return l, false, nil
}

// spawn has Close wait for f. After Close it runs nothing and says so.
func (s *Shells) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.wg.Go(f)
	}
	return !s.closed
}

// release ends a use.
func (s *Shells) release(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
	switch {
	case l.users > 0:
	case l.retired:
		l.close()
	default:
		l.idle.Reset(s.cfg.Idle)
	}
}

// retire has a link go when its last user has; nobody new gets it.
func (s *Shells) retire(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retireLocked(l)
}

func (s *Shells) retireLocked(l *link) {
	if s.current[l.t.ID] == l {
		delete(s.current, l.t.ID)
	}
	l.retired = true
	if l.users == 0 {
		l.close()
	}
}

// remember keeps how an attempt ended, for those who ask next.
func (s *Shells) remember(t target.Target, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || t.ID == 0 || s.closed {
		delete(s.failures, t.ID)
		return
	}
	pause := firstPause
	_, hostKey := errors.AsType[*HostKeyError](err)
	if last, ok := s.failures[t.ID]; ok && !hostKey {
		pause = min(2*last.pause, longestPause)
	}
	s.failures[t.ID] = failure{t: t, err: err, pause: pause, until: time.Now().Add(pause)}
}

// Forget closes the connection of a server that is watched no more, or whose
// next attempt must not wait. Commands and tunnels on it end.
func (s *Shells) Forget(id target.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, id)
	for l := range s.all {
		if l.t.ID == id && id != 0 {
			s.retireLocked(l)
			l.close()
		}
	}
}

// Close closes all connections and waits until everything that they needed is
// gone. It may be called again.
func (s *Shells) Close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.all {
		s.retireLocked(l)
		l.close()
	}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}
