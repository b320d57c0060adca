package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	if port == 0 {
		return freeAddress(ctx, host)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Listen)
	switch {
	case err == nil:
		return s.cfg.Listen, listener.Close()
	case errors.Is(err, syscall.EADDRINUSE) && s.cfg.AnyPort:
		free, err := freeAddress(ctx, host)
		if err == nil {
			s.cfg.Say("port %d is taken: the API listens on %s instead (--listen chooses)", port, free)
		}

		return free, err
	case errors.Is(err, syscall.EADDRINUSE):
		return "", fmt.Errorf("listen on %s: %w: another process listens there (ss -ltnp 'sport = :%d' names it): stop it, or choose with --listen (port 0 takes a free one)",
			s.cfg.Listen, syscall.EADDRINUSE, port)
	case errors.Is(err, syscall.EACCES):
		return "", fmt.Errorf("listen on %s: %w: choose a port above 1023 with --listen", s.cfg.Listen, syscall.EACCES)
	}

	return "", fmt.Errorf("listen on %s: %w: choose an address of this host with --listen", s.cfg.Listen, err)
}

// freeAddress returns the host with a port that is free now.
func freeAddress(ctx context.Context, host string) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find free port on %s: %w: choose an address of this host with --listen", host, err)
	}
	defer func() { _ = listener.Close() }()
	bound, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return "", fmt.Errorf("find free port on %s: %w", host, err)
	}

	return net.JoinHostPort(host, strconv.Itoa(int(bound.Port()))), nil
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

// awaitReady asks until the answer is good, a program is given up, or ctx ends.
func (s *Stack) awaitReady(ctx context.Context, name, url string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}} // By no proxy.
	defer client.CloseIdleConnections()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		status, err := ask(ctx, client, url)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", name, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask %s: %w", url, err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))

	return response.StatusCode, errors.Join(err, response.Body.Close())
}
