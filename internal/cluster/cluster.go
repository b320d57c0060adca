package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxSocketDir is the longest folder of a socket, in bytes: the whole path must
// fit into 104 on some systems.
const maxSocketDir = 85

// defaultStartTimeout covers recovery after a crash.
const defaultStartTimeout = 2 * time.Minute

// Config says what cluster to make and how to run its server.
type Config struct {
	// Dir is the data folder (PGDATA). Its parent must let RunAs through.
	Dir string
	// Binaries are the programs to use.
	Binaries Binaries
	// SocketDir holds the Unix socket. The default is the folder "run" beside
	// Dir. Where the path is too long for a socket a temporary folder is used.
	SocketDir string
	// Port is for the socket and for TCP. 0 takes the port of the last start
	// if that is free, or any free one.
	Port int
	// Listen opens 127.0.0.1 beside the socket.
	Listen bool
	// Settings are configuration parameters by name; they win over the defaults
	// here and over postgresql.conf.
	Settings map[string]string
	// Superuser is the role that initdb makes, "postgres" by default.
	Superuser string
	// Password is the superuser's, asked for by SCRAM on every connection. If
	// empty, every connection is trusted.
	Password string
	// RunAs is the system user that runs the server when this process is root.
	// The default is the owner of an existing data folder, or else postgres, or
	// else nobody. Without root it must be empty or the current user.
	RunAs string
	// LogFile takes what the server says, Dir + ".log" by default.
	LogFile string
	// StartTimeout bounds Start, 2 minutes by default.
	StartTimeout time.Duration
	// Volatile makes the server end with this process, however that ends
	// (Linux only), and initdb not wait for the disk. For tests.
	Volatile bool
	// Logger takes what happens to the cluster. The default logs nothing.
	Logger *slog.Logger
}

// Cluster is a data folder and the server on it. Its methods may be called
// from several goroutines; Start, Stop and Restart wait for one another.
type Cluster struct {
	cfg Config
	log *slog.Logger

	serial sync.Mutex // held by Init, Start, Stop and Restart

	mu         sync.Mutex // guards what follows
	run        *run       // nil before the first start
	port       int
	socketDir  string
	tempSocket string // temporary folder to remove at Stop
}

// New checks a configuration and touches nothing.
func New(cfg Config) (*Cluster, error) {
	if cfg.Dir == "" {
		return nil, errors.New("configure cluster: no data folder given")
	}
	if cfg.Binaries.Dir == "" {
		return nil, errors.New("configure cluster: no binaries given")
	}
	if strings.Contains(cfg.Binaries.Major, ".") {
		return nil, fmt.Errorf("configure cluster: PostgreSQL %s is too old to run one: 10 or newer is needed", cfg.Binaries.Version)
	}
	if cfg.Port < 0 || cfg.Port > 65535 {
		return nil, fmt.Errorf("configure cluster: port %d is not in 0..65535", cfg.Port)
	}
	name := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	for key, value := range cfg.Settings {
		if !name.MatchString(key) || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("configure cluster: %q is not a setting", key)
		}
	}
	if strings.ContainsAny(cfg.Password, "\r\n\x00") {
		return nil, errors.New("configure cluster: a password is one line")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("configure cluster: find data folder: %w", err)
	}
	cfg.Dir = dir
	if cfg.Superuser == "" {
		cfg.Superuser = "postgres"
	}
	if cfg.LogFile == "" {
		cfg.LogFile = cfg.Dir + ".log"
	}
	if cfg.SocketDir == "" {
		cfg.SocketDir = filepath.Join(filepath.Dir(cfg.Dir), "run")
	}
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = defaultStartTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}

	return &Cluster{cfg: cfg, log: cfg.Logger.With("data_dir", cfg.Dir), port: cfg.Port}, nil
}

// Dir returns the data folder.
func (c *Cluster) Dir() string { return c.cfg.Dir }

// LogFile returns the file with the server's messages.
func (c *Cluster) LogFile() string { return c.cfg.LogFile }

// Port returns the server's port, 0 before the first start if none was given.
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

// DSN returns a URL for the superuser to a database, by TCP if the cluster
// listens, else by its socket. It holds the password. Valid after Start.
func (c *Cluster) DSN(database string) string {
	if !c.cfg.Listen {
		return c.SocketDSN(database)
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     c.userinfo(),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port())),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}

	return u.String()
}

// SocketDSN is DSN by the Unix socket.
func (c *Cluster) SocketDSN(database string) string {
	query := url.Values{"host": {c.SocketDir()}, "port": {strconv.Itoa(c.Port())}, "user": {c.cfg.Superuser}}
	if c.cfg.Password != "" {
		query.Set("password", c.cfg.Password)
	}
	// libpq and pgx take a plus sign for itself, not for a blank.
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}

	return u.String()
}

func (c *Cluster) userinfo() *url.Userinfo {
	if c.cfg.Password == "" {
		return url.User(c.cfg.Superuser)
	}

	return url.UserPassword(c.cfg.Superuser, c.cfg.Password)
}

// childEnv is the environment of every program run here: nothing of ours, so
// that no PG* variable or locale changes what happens.
func childEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
}
