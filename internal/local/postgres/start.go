package postgres

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

const (
	// startTries bounds how often Start tries again after a cause that passes:
	// a free port that someone else took, the processes of a killed server that
	// are about to notice.
	startTries = 40
	// retryInterval lies between the tries.
	retryInterval = 250 * time.Millisecond
	// pollInterval is how often a server that gives no signal is looked at.
	pollInterval = 10 * time.Millisecond
)

// Start makes the data folder where there is none, starts the server and returns
// when it accepts connections, which after a crash takes as long as recovery
// does. A server that a killed parent left on the folder is stopped first. The
// port is that of the last start if it is free. On failure nothing is left
// running. A folder of another version than the binaries, with other files or
// without access gives ErrDataDir.
func (c *Cluster) Start(ctx context.Context) error {
	c.serial.Lock()
	defer c.serial.Unlock()
	if c.Pid() != 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("no answer within %s", startWithin))
	defer cancel()
	o, err := c.owner()
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := c.makeDataDir(ctx, o); err != nil {
		return err
	}
	if err := o.checkPath(c.cfg.Dir); err != nil {
		return err
	}
	if err := c.stopLeftover(ctx); err != nil {
		return err
	}
	if err := c.makeSocketDir(o); err != nil {
		return fmt.Errorf("start PostgreSQL: make folder for the socket: %w", err)
	}
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
		taken = strings.Contains(said, "could not create any TCP/IP sockets")
		dying := strings.Contains(said, "pre-existing shared memory block") || strings.Contains(said, `"postmaster.pid" already exists`)
		if ctx.Err() != nil || try == startTries || !taken && !dying {
			return err
		}
		select {
		case <-time.After(retryInterval):
		case <-ctx.Done():
		}
	}
}

// startOnce starts the server and waits until it accepts connections, as it says
// itself in postmaster.pid. It returns what the server said if that failed.
func (c *Cluster) startOnce(ctx context.Context, o owner, port int) (said string, err error) {
	p, err := Run(Command{
		Name: "PostgreSQL", Path: c.cfg.Binaries.program("postgres"), Args: c.arguments(port), Env: childEnv(), Log: c.cfg.LogFile,
		OnDeath: Fast, as: o,
	})
	if err != nil {
		return "", fmt.Errorf("%w: as user %s: %w", ErrStart, o.name, err)
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if file, err := readPidFile(c.cfg.Dir); err == nil && file.pid == p.pid && file.ready {
			break
		}
		select {
		case <-p.done:
			return p.said(), fmt.Errorf("%w in %s: %w", ErrStart, c.cfg.Dir, p.Ended())
		case <-ctx.Done():
			_ = syscall.Kill(p.pid, Immediate)
			<-p.done

			return p.said(), fmt.Errorf("%w in %s: %w: %w", ErrStart, c.cfg.Dir, context.Cause(ctx), p.Ended())
		case <-tick.C:
		}
	}
	c.mu.Lock()
	c.process, c.port = p, port
	c.mu.Unlock()
	c.log.InfoContext(ctx, "started cluster", "pid", p.pid, "port", port, "version", c.cfg.Binaries.Version, "user", o.name)

	return "", nil
}

// arguments are the server's command line. The last setting of a name wins.
func (c *Cluster) arguments(port int) []string {
	settings := map[string]string{
		"listen_addresses":        host,
		"log_destination":         "stderr",
		"log_timezone":            "UTC",
		"logging_collector":       "off",
		"timezone":                "UTC",
		"unix_socket_permissions": "0700",
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

// Stop stops the server, Fast or Immediate, and waits until it is gone, as long
// as ctx allows. A server that does not run is no error, so it may be repeated.
func (c *Cluster) Stop(ctx context.Context, how syscall.Signal) error {
	c.serial.Lock()
	defer c.serial.Unlock()
	p := c.Process()
	if p == nil || !p.running() {
		return nil
	}
	_ = syscall.Kill(p.pid, how) // It may have ended meanwhile.
	select {
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("stop PostgreSQL in %s: process %d still runs: %w", c.cfg.Dir, p.pid, context.Cause(ctx))
	}
	c.removeTempSocket()
	c.log.InfoContext(ctx, "stopped cluster", "pid", p.pid)

	return nil
}

// stopLeftover stops a server that answers on the data folder's socket. One that
// does not answer holds up the start itself, which is tried again.
func (c *Cluster) stopLeftover(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for asked := false; ; {
		file, err := readPidFile(c.cfg.Dir)
		if err != nil || file.socketDir == "" || !answers(ctx, file) {
			return nil
		}
		if !asked {
			asked = true
			c.log.WarnContext(ctx, "stopping a server that was left running", "pid", file.pid)
			_ = syscall.Kill(file.pid, Fast) // It may be gone meanwhile.
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: process %d holds %s and does not end: stop it and start again: %w",
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

// pidFile is what a server says of itself in postmaster.pid.
type pidFile struct {
	pid       int
	port      int
	socketDir string
	ready     bool // accepts connections
}

// readPidFile reads postmaster.pid of a data folder, which a running server may
// be about to write.
func readPidFile(dir string) (pidFile, error) {
	content, err := os.ReadFile(filepath.Join(dir, "postmaster.pid")) //nolint:gosec // In our data folder.
	if err != nil {
		return pidFile{}, fmt.Errorf("read postmaster.pid: %w", err)
	}

	return parsePidFile(string(content))
}

// parsePidFile reads the lines: pid, data folder, start time, port, socket
// folder, listen address, shared memory and, the last to come, status.
func parsePidFile(content string) (pidFile, error) {
	lines := strings.Split(content, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidFile{}, errors.New("read postmaster.pid: its first line is no process id")
	}
	file := pidFile{pid: pid}
	if len(lines) > 4 {
		file.port, _ = strconv.Atoi(strings.TrimSpace(lines[3]))
		file.socketDir = strings.TrimSpace(lines[4])
	}
	if len(lines) > 7 {
		status := strings.TrimSpace(lines[7])
		file.ready = status == "ready" || status == "standby"
	}

	return file, nil
}

// choosePort returns the port of the last start unless that is taken, or a free
// one.
func (c *Cluster) choosePort(ctx context.Context, taken bool) (int, error) {
	last := c.Port()
	if last == 0 {
		last = lastPort(c.cfg.Dir)
	}
	if last != 0 && !taken {
		if address, err := FreeAddress(ctx, host, last); err == nil {
			return int(address.Port()), nil
		}
	}
	address, err := FreeAddress(ctx, host, 0)

	return int(address.Port()), err
}

// FreeAddress returns an address on a host of this machine where nobody listens
// now: with the port, or with any for 0. The error wraps that of listening.
func FreeAddress(ctx context.Context, host string, port int) (netip.AddrPort, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find free port on %s: %w", host, err)
	}
	defer func() { _ = listener.Close() }()

	return netip.ParseAddrPort(listener.Addr().String())
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
