package pgtest

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/local/postgres"
)

const (
	// Superuser is the first role of every server.
	Superuser = postgres.Superuser
	// User is the role that samples a Target: it may log in and has pg_monitor.
	User = "pgam"
	// Password is the password of every role on a Target, unless it trusts.
	Password = "pgtest: 100% /secret/"

	// host is where every server listens.
	host = "127.0.0.1"

	// queryTimeout bounds one query of a test helper.
	queryTimeout = time.Minute
)

// Option changes a Target.
type Option func(*options)

type options struct {
	settings map[string]string
	version  string
	trust    bool
}

// WithSettings adds configuration parameters.
func WithSettings(settings map[string]string) Option {
	return func(o *options) { maps.Copy(o.settings, settings) }
}

// WithVersion asks for a major version, such as "10", instead of the local one.
func WithVersion(major string) Option {
	return func(o *options) { o.version = major }
}

// WithTrust lets everyone in without a password.
func WithTrust() Option {
	return func(o *options) { o.trust = true }
}

// Server is a PostgreSQL server of a test's own. The methods that take the
// test fail it when they cannot do what they say.
type Server struct {
	cluster  *postgres.Cluster
	programs postgres.Binaries
	trust    bool

	mu      sync.Mutex
	stopped []int // paused processes
}

// Target starts a server with the roles Superuser and User. It is stopped and
// removed when the test ends; of a failed test the end of its log is logged.
func Target(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	o := options{settings: map[string]string{}}
	for _, opt := range opts {
		opt(&o)
	}
	programs := Local(tb)
	if o.version != "" {
		programs = Binaries(tb, o.version)
	}
	dir, err := makeDir()
	if err != nil {
		tb.Fatal(err)
	}
	settings := volatileSettings(programs)
	maps.Copy(settings, o.settings)
	cfg := postgres.Config{
		Dir: filepath.Join(dir, "data"), Binaries: programs, Settings: settings,
		Password: Password,
	}
	if o.trust {
		cfg.Password = ""
	}
	c, err := postgres.New(cfg)
	if err != nil {
		tb.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	s := &Server{cluster: c, programs: programs, trust: o.trust}
	tb.Cleanup(func() { s.remove(tb, dir) })
	s.Start(tb)
	s.Exec(tb, "create role "+User+" login password '"+Password+"'", "grant pg_monitor to "+User)

	return s
}

// remove ends the server and its data.
func (s *Server) remove(tb testing.TB, dir string) {
	tb.Helper()
	if tb.Failed() {
		if content, err := os.ReadFile(s.cluster.LogFile()); err == nil {
			tb.Logf("pgtest: end of the log of the server on port %d:\n%s", s.Port(), content[max(0, len(content)-4096):])
		}
	}
	s.Resume(tb)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := errors.Join(s.cluster.Stop(ctx, postgres.Immediate), os.RemoveAll(dir)); err != nil {
		tb.Error(err)
	}
}

// Version returns the major version, such as "15".
func (s *Server) Version() string { return s.programs.Major }

// Host returns the address that the server listens on.
func (s *Server) Host() string { return host }

// Port returns the TCP port, which stays the same over restarts.
func (s *Server) Port() int { return s.cluster.Port() }

// SocketDir returns the folder of the Unix socket.
func (s *Server) SocketDir() string { return s.cluster.SocketDir() }

// Pid returns the id of the server's first process, 0 while it does not run.
func (s *Server) Pid() int { return s.cluster.Pid() }

// DSN returns a URL for a role to the database postgres.
func (s *Server) DSN(user string) string { return s.DatabaseDSN(user, "postgres") }

// SuperuserDSN is DSN for the superuser.
func (s *Server) SuperuserDSN() string { return s.DSN(Superuser) }

// DatabaseDSN is DSN to another database.
func (s *Server) DatabaseDSN(user, database string) string {
	password := Password
	if s.trust {
		password = ""
	}

	return s.cluster.DSN(user, password, database)
}

// Exec runs statements in the database postgres as the superuser.
func (s *Server) Exec(tb testing.TB, statements ...string) {
	tb.Helper()
	Exec(tb, s.SuperuserDSN(), statements...)
}

// Start starts a server that was stopped or killed.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := s.cluster.Start(ctx); err != nil {
		tb.Fatal(err)
	}
}

// Stop stops the server in its own time; sessions are cut.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.Resume(tb)
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.cluster.Stop(ctx, postgres.Fast); err != nil {
		tb.Fatal(err)
	}
}

// Restart is Stop and Start.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop(tb)
	s.Start(tb)
}

// Kill ends all processes of the server at once, as a crash does.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.Resume(tb)
	done := s.cluster.Process().Done()
	if err := signal(syscall.SIGKILL, s.processes(tb)); err != nil {
		tb.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(stopTimeout):
		tb.Fatal("a killed server lives")
	}
}

// Pause stops all processes of the server where they are: connections stay
// open and new ones are accepted by the kernel, but nothing answers.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	// The first process goes first, so that it makes no others meanwhile.
	all := s.processes(tb)
	if err := signal(syscall.SIGSTOP, all[:1]); err != nil {
		tb.Fatal(err)
	}
	s.stopped = s.processes(tb)
	if err := signal(syscall.SIGSTOP, s.stopped); err != nil {
		tb.Fatal(err)
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := signal(syscall.SIGCONT, s.stopped); err != nil {
		tb.Fatal(err)
	}
	s.stopped = nil
}
