package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgam/pgam/internal/local/postgres"
)

// pollInterval is how often a program that comes up is asked.
const pollInterval = 50 * time.Millisecond

// ownSettings are the settings that are about parts of the stack.
func ownSettings() []string {
	return []string{
		"PGAM_STATS_DSN", "PGAM_KEY_FILE", "PGAM_DATA_DIR", "PGAM_HEALTH_LISTEN", "PGAM_LISTEN", "PGAM_TOKEN_KEY", "PGAM_SHUTDOWN_TIMEOUT",
	}
}

// SetAside returns the names of the variables that are set in an environment
// and that a stack does not heed, because it has its own.
func SetAside(environ []string) []string {
	var names []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		own := slices.Contains(ownSettings(), name) || slices.Contains(ownSettings(), strings.TrimSuffix(name, "_FILE"))
		if own && value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)

	return names
}

// environment returns the environment of a program of ours: what this process
// was given, without anything that leads elsewhere, and the settings.
func (s *Stack) environment(settings map[string]string) []string {
	aside := SetAside(s.cfg.Environ)
	var env []string
	for _, entry := range s.cfg.Environ {
		name, _, _ := strings.Cut(entry, "=")
		libpq := strings.HasPrefix(name, "PG") && !strings.HasPrefix(name, "PGAM_")
		if libpq || name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "CREDENTIALS_DIRECTORY" || slices.Contains(aside, name) {
			continue
		}
		env = append(env, entry)
	}
	all := map[string]string{
		"PGAM_STATS_DSN_FILE":   s.folder.path("keys", statsDSNFile),
		"PGAM_KEY_FILE":         s.folder.path("keys", keyringFile),
		"PGAM_SHUTDOWN_TIMEOUT": childStopWithin.String(),
	}
	maps.Copy(all, settings)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}

	return env
}

// startPrograms starts the collector and the API, waits until they answer, and
// keeps them running.
func (s *Stack) startPrograms(ctx, running context.Context, listen string) error {
	free, err := postgres.FreeAddress(ctx, loopback, 0)
	if err != nil {
		return err
	}
	s.report.CollectorURL, s.report.APIURL = "http://"+free.String(), "http://"+reachable(listen)
	collector, err := s.startProgram(ctx, "pgam-collector", "collector.log", map[string]string{
		"PGAM_DATA_DIR": Journal(s.folder.dir), "PGAM_HEALTH_LISTEN": free.String(),
	})
	if err != nil {
		return err
	}
	api, err := s.startProgram(ctx, "pgam-api", "api.log", map[string]string{
		"PGAM_LISTEN": listen, "PGAM_TOKEN_KEY_FILE": s.folder.path("keys", tokenKeyFile),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("no answer within %s: see the logs in %s", readyWithin, s.folder.path("log")))
	defer cancel()
	for url, p := range map[string]*program{s.report.CollectorURL: collector, s.report.APIURL: api} {
		if err := awaitReady(ctx, p.process, url+"/readyz"); err != nil {
			return fmt.Errorf("wait for %s: %w", p.command.Name, err)
		}
		s.keep(running, p.process, p.start)
	}

	return nil
}

// program is one of our programs. Who starts it again is done before it is
// stopped.
type program struct {
	command postgres.Command
	process *postgres.Process
}

func (p *program) start(context.Context) (*postgres.Process, error) {
	started, err := postgres.Run(p.command)
	if err == nil {
		p.process = started
	}

	return started, err
}

// startProgram starts a program; it returns before that is ready. The kernel
// kills it when this process is gone: the next start finds nothing in its way,
// and the collector's journal makes up for it.
func (s *Stack) startProgram(ctx context.Context, name, log string, settings map[string]string) (*program, error) {
	p := &program{command: postgres.Command{
		Name: name, Path: filepath.Join(s.cfg.BinDir, name), Env: s.environment(settings), Log: s.folder.path("log", log), OnDeath: syscall.SIGKILL,
	}}
	if _, err := p.start(ctx); err != nil {
		return nil, err
	}
	s.stop.Add(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, childKillAfter)
		defer cancel()

		return p.process.Stop(ctx, syscall.SIGTERM)
	})

	return p, nil
}

// splitAddress reads host:port.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen on %q: must be host:port, such as 127.0.0.1:8000", address)
	}

	return host, port, nil
}

// chooseListen returns where the API is to listen, with a port.
func (s *Stack) chooseListen(ctx context.Context) (string, error) {
	host, port, err := splitAddress(s.cfg.Listen)
	if err != nil {
		return "", err
	}
	free, err := postgres.FreeAddress(ctx, host, port)
	switch {
	case err == nil && port != 0:
		return s.cfg.Listen, nil
	case err == nil:
		return net.JoinHostPort(host, strconv.Itoa(int(free.Port()))), nil
	case errors.Is(err, syscall.EADDRINUSE) && s.cfg.AnyPort:
		free, err := postgres.FreeAddress(ctx, host, 0)
		s.cfg.Say("port %d is taken: the API listens on %s instead (--listen chooses)", port, free)

		return free.String(), err
	case errors.Is(err, syscall.EADDRINUSE):
		return "", fmt.Errorf("listen on %s: %w: another process listens there (ss -ltnp 'sport = :%d' names it): stop it, or choose with --listen (port 0 takes a free one)",
			s.cfg.Listen, syscall.EADDRINUSE, port)
	case errors.Is(err, syscall.EACCES):
		return "", fmt.Errorf("listen on %s: %w: choose a port above 1023 with --listen", s.cfg.Listen, syscall.EACCES)
	}

	return "", fmt.Errorf("listen on %s: %w: choose an address of this host with --listen", s.cfg.Listen, err)
}

// reachable returns an address at which what listens can be asked from here.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = loopback
	}

	return net.JoinHostPort(host, port)
}

// awaitReady asks until the answer is good, the program ends, or ctx does.
func awaitReady(ctx context.Context, p *postgres.Process, url string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}} // By no proxy.
	defer client.CloseIdleConnections()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.Done():
			return p.Ended()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
