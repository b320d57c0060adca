package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrStart tells that the server did not start. The error that wraps it holds
// the last lines of its log.
var ErrStart = errors.New("PostgreSQL did not start")

// StopMode is how a server is stopped.
type StopMode int

const (
	// Fast rolls back what runs and writes a checkpoint.
	Fast StopMode = iota
	// Immediate drops everything; the next start recovers.
	Immediate
)

const (
	// maxLogBytes is the size above which Start puts the old log aside.
	maxLogBytes = 16 << 20
	// startTries bounds how often Start tries again after a cause that passes:
	// a free port that someone else took, backends of a killed server that are
	// about to notice.
	startTries = 20
	// retryInterval lies between the tries.
	retryInterval = 250 * time.Millisecond
)

// Start starts the server and returns when it accepts connections, which after
// a crash takes as long as recovery does. A server that runs on the data folder
// already is taken over with the port and the settings that it has. On failure
// nothing is left running.
func (c *Cluster) Start(ctx context.Context) error {
	c.serial.Lock()
	defer c.serial.Unlock()

	return c.start(ctx)
}

func (c *Cluster) start(ctx context.Context) error {
	if c.Running() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.StartTimeout, fmt.Errorf("no answer within %s", c.cfg.StartTimeout))
	defer cancel()

	if exists, err := c.checkDataDir(); err != nil {
		return err
	} else if !exists {
		return fmt.Errorf("%w: %s has no cluster: make one first", ErrDataDir, c.cfg.Dir)
	}
	if found, err := c.adoptRunning(ctx); err != nil || found {
		return err
	}
	o, err := c.owner()
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := o.checkPath(c.cfg.Dir); err != nil {
		return err
	}
	dir, temp, err := c.prepareSocketDir(o)
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	c.mu.Lock()
	c.socketDir, c.tempSocket = dir, temp
	c.mu.Unlock()
	if err := c.startUntilReady(ctx, o); err != nil {
		c.removeTempSocket()

		return err
	}

	return nil
}

// startUntilReady starts the server, again where the cause of a failure passes.
func (c *Cluster) startUntilReady(ctx context.Context, o owner) error {
	taken := false
	for try := 1; ; try++ {
		port, err := c.choosePort(ctx, taken)
		if err != nil {
			return err
		}
		said, err := c.startOnce(ctx, o, port)
		if err == nil {
			return nil
		}
		taken = c.cfg.Port == 0 && strings.Contains(said, "could not create any TCP/IP sockets")
		dying := strings.Contains(said, "pre-existing shared memory block")
		if ctx.Err() != nil || try == startTries || !taken && !dying {
			return err
		}
		select {
		case <-time.After(retryInterval):
		case <-ctx.Done():
		}
	}
}

// startOnce starts the server and waits. It returns what the server said if
// that failed.
func (c *Cluster) startOnce(ctx context.Context, o owner, port int) (said string, err error) {
	log, err := openLog(c.cfg.LogFile)
	if err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer func() { _ = log.Close() }()
	offset, err := log.Seek(0, 2)
	if err != nil {
		return "", fmt.Errorf("start PostgreSQL: find end of log: %w", err)
	}
	r, err := startChild(c.cfg.Binaries.program("postgres"), c.arguments(port), o, c.cfg.Volatile, log)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrStart, err)
	}
	if err := c.awaitReady(ctx, r); err != nil {
		_ = r.signal(syscall.SIGQUIT)
		<-r.done
		said = readFrom(c.cfg.LogFile, offset)

		return said, fmt.Errorf("%w in %s: %w: it said (all of it in %s): %s", ErrStart, c.cfg.Dir, err, c.cfg.LogFile, lastLines(said))
	}
	c.mu.Lock()
	c.run, c.port = r, port
	c.mu.Unlock()
	c.log.InfoContext(ctx, "started cluster", "pid", r.pid, "port", port, "version", c.cfg.Binaries.Version, "user", o.name)

	return "", nil
}

// awaitReady waits until the server accepts connections, as it says itself in
// postmaster.pid from PostgreSQL 10 on.
func (c *Cluster) awaitReady(ctx context.Context, r *run) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if file, err := readPidFile(c.cfg.Dir); err == nil && file.pid == r.pid && file.ready {
			return nil
		}
		select {
		case <-r.done:
			if r.err == nil {
				return errors.New("it ended at once")
			}

			return r.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// arguments are the server's command line. The last setting of a name wins.
func (c *Cluster) arguments(port int) []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"log_destination":         "stderr",
		"log_timezone":            "UTC",
		"logging_collector":       "off",
		"timezone":                "UTC",
		"unix_socket_permissions": "0700",
	}
	if c.cfg.Listen {
		settings["listen_addresses"] = "127.0.0.1"
	}
	maps.Copy(settings, c.cfg.Settings)
	settings["port"] = strconv.Itoa(port)
	settings["unix_socket_directories"] = c.SocketDir()

	args := []string{"-D", c.cfg.Dir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}

	return args
}

// adoptRunning takes over a server that runs on the data folder, left by a
// parent that was killed. One that is coming up or going down is waited for.
func (c *Cluster) adoptRunning(ctx context.Context) (bool, error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		file, err := readPidFile(c.cfg.Dir)
		if err != nil || !alive(file.pid) {
			return false, nil // No server, or a stale file that PostgreSQL itself replaces.
		}
		if yes, known := runsIn(file.pid, c.cfg.Dir); known && !yes {
			return false, nil // The id is another program's by now.
		}
		if file.ready && file.socketDir != "" && answers(ctx, file) {
			c.mu.Lock()
			c.run, c.port, c.socketDir = adopt(file.pid), file.port, file.socketDir
			c.mu.Unlock()
			c.log.WarnContext(ctx, "took over a server that was running", "pid", file.pid, "port", file.port)

			return true, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, fmt.Errorf("%w: process %d holds %s and does not answer: stop it and start again: %w",
				ErrStart, file.pid, c.cfg.Dir, context.Cause(ctx))
		}
	}
}

// answers tells whether the socket of a server takes connections.
func answers(ctx context.Context, file pidFile) bool {
	path := filepath.Join(file.socketDir, ".s.PGSQL."+strconv.Itoa(file.port))
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = conn.Close()

	return true
}

// choosePort returns the configured port, or the one of the last start unless
// that is taken, or a free one.
func (c *Cluster) choosePort(ctx context.Context, taken bool) (int, error) {
	if c.cfg.Port != 0 {
		return c.cfg.Port, nil
	}
	last := c.Port()
	if last == 0 {
		last = lastPort(c.cfg.Dir)
	}
	if !c.cfg.Listen {
		if last == 0 {
			last = 5432 // Only the name of a socket in our own folder.
		}

		return last, nil
	}
	if last != 0 && !taken {
		if port, err := freePort(ctx, last); err == nil {
			return port, nil
		}
	}

	return freePort(ctx, 0)
}

// freePort returns the port asked for if it is free, or for 0 any free one.
func freePort(ctx context.Context, port int) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("find free port on 127.0.0.1: %w", err)
	}
	defer func() { _ = listener.Close() }()
	addr, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return 0, fmt.Errorf("find free port on 127.0.0.1: %w", err)
	}

	return int(addr.Port()), nil
}

// lastPort returns the port of the last server of a data folder, from the
// command line it left in postmaster.opts, 0 if there is none.
func lastPort(dir string) int {
	content, err := os.ReadFile(filepath.Join(dir, "postmaster.opts")) //nolint:gosec // In our data folder.
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(content), `"port=`)
	digits, _, _ := strings.Cut(rest, `"`)
	port, err := strconv.Atoi(digits)
	if err != nil || port < 1 || port > 65535 {
		return 0
	}

	return port
}
