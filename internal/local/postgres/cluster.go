package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// Superuser is the role that the cluster is made with.
	Superuser = "postgres"
	// host is where a server listens beside its socket.
	host = "127.0.0.1"
	// startWithin bounds a start, and covers recovery after a crash.
	startWithin = 2 * time.Minute
)

// How a server is stopped.
const (
	// Fast rolls back what runs and writes a checkpoint.
	Fast = syscall.SIGINT
	// Immediate drops everything; the next start recovers.
	Immediate = syscall.SIGQUIT
)

// Config says what cluster to make and how to run its server.
type Config struct {
	// Dir is the data folder (PGDATA). The socket is in the folder "run" beside
	// it, or in a temporary one where the path is too long.
	Dir string
	// Binaries are the programs to use.
	Binaries Binaries
	// Settings are configuration parameters by name; they win over the defaults
	// here and over postgresql.conf. With fsync off, initdb does not wait for the
	// disk either.
	Settings map[string]string
	// Password is the superuser's, asked for by SCRAM on every connection. If
	// empty, every connection is trusted.
	Password string
	// LogFile takes what the server says, Dir + ".log" by default.
	LogFile string
	// Logger takes what happens to the cluster. The default logs nothing.
	Logger *slog.Logger
}

// Cluster is a data folder and the server on it. Its methods may be called from
// several goroutines; Start and Stop wait for one another.
type Cluster struct {
	cfg Config
	log *slog.Logger

	serial sync.Mutex // held by Start and Stop

	mu         sync.Mutex // guards what follows
	process    *Process   // nil before the first start
	port       int
	socketDir  string
	tempSocket string // temporary folder to remove at Stop
}

// New checks a configuration and touches nothing.
func New(cfg Config) (*Cluster, error) {
	dir, err := filepath.Abs(cfg.Dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("configure cluster: find data folder: %w", err)
	case cfg.Dir == "" || cfg.Binaries.Dir == "":
		return nil, errors.New("configure cluster: a data folder and binaries are needed")
	case strings.Contains(cfg.Binaries.Major, "."):
		return nil, fmt.Errorf("configure cluster: PostgreSQL %s is too old to run one: 10 or newer is needed", cfg.Binaries.Version)
	case strings.ContainsAny(cfg.Password, "\r\n\x00"):
		return nil, errors.New("configure cluster: a password is one line")
	}
	cfg.Dir = dir
	if cfg.LogFile == "" {
		cfg.LogFile = cfg.Dir + ".log"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}

	return &Cluster{cfg: cfg, log: cfg.Logger.With("data_dir", cfg.Dir)}, nil
}

// Dir returns the data folder.
func (c *Cluster) Dir() string { return c.cfg.Dir }

// LogFile returns the file with the server's messages.
func (c *Cluster) LogFile() string { return c.cfg.LogFile }

// Port returns the server's TCP port, 0 before the first start.
func (c *Cluster) Port() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.port
}

// SocketDir returns the folder of the server's socket, empty before the first
// start.
func (c *Cluster) SocketDir() string {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.socketDir
}

// DSN returns a URL, by TCP, for a role to a database. Valid after Start.
func (c *Cluster) DSN(role, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: net.JoinHostPort(host, strconv.Itoa(c.Port())), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	if password == "" {
		u.User = url.User(role)
	}

	return u.String()
}

// Pid returns the id of the server's first process, 0 if it does not run.
func (c *Cluster) Pid() int {
	if p := c.Process(); p != nil && p.running() {
		return p.pid
	}

	return 0
}

// Process returns the server that was started last, nil before the first start.
func (c *Cluster) Process() *Process {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.process
}

// childEnv is the environment of every program run here: nothing of ours, so
// that no PG* variable or locale changes what happens.
func childEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
}
