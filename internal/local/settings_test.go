package local

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/target"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	s := &Stack{folder: &folder{dir: "/data"}, cfg: Config{Environ: []string{
		"HOME=/root", "PGHOST=elsewhere", "PGOPTIONS=-c x=y", "PGAM_LISTEN=0.0.0.0:1", "PGAM_STATS_DSN=postgres://x/y", "PGAM_TOKEN_KEY_FILE=/x",
		"NOTIFY_SOCKET=/run/x", "PGAM_KEY_FILE=", "CREDENTIALS_DIRECTORY=/run/y",
	}}}
	want := []string{
		"HOME=/root", "PGAM_KEY_FILE=", // An empty one counts as not set, and the first one wins.
		"PGAM_KEY_FILE=/data/keys/keyring.json", "PGAM_LISTEN=127.0.0.1:8000", "PGAM_SHUTDOWN_TIMEOUT=4s", "PGAM_STATS_DSN_FILE=/data/keys/stats.dsn",
	}
	if diff := cmp.Diff(want, s.environment(map[string]string{"PGAM_LISTEN": "127.0.0.1:8000"})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"PGAM_LISTEN", "PGAM_STATS_DSN", "PGAM_TOKEN_KEY_FILE"}, SetAside(s.cfg.Environ)); diff != "" {
		t.Error(diff)
	}
}

func TestChooseListen(t *testing.T) {
	t.Parallel()
	var said []string
	s := &Stack{cfg: Config{Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}}
	s.cfg.Listen = faultnet.Listen(t, nil).Address()
	if got, err := s.chooseListen(t.Context()); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a taken port gives %q, %v", got, err)
	}
	s.cfg.AnyPort = true
	got, err := s.chooseListen(t.Context())
	if err != nil || got == s.cfg.Listen || len(said) != 1 {
		t.Errorf("a taken port, where any will do, gives %q, %v, and says %q", got, err, said)
	}
	s.cfg.Listen = "127.0.0.1:0"
	if got, err := s.chooseListen(t.Context()); err != nil || !strings.HasPrefix(got, "127.0.0.1:") || strings.HasSuffix(got, ":0") {
		t.Errorf("port 0 gives %q, %v", got, err)
	}
	for _, bad := range []string{"", "8000", "127.0.0.1", "127.0.0.1:http:1", "127.0.0.1:70000", "127.0.0.1:-1", "203.0.113.1:8000"} {
		s.cfg.Listen = bad
		if got, err := s.chooseListen(t.Context()); err == nil {
			t.Errorf("%q gives %q, want an error", bad, got)
		}
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", ":80": "127.0.0.1:80",
		"[::1]:80": "[::1]:80", "10.1.2.3:80": "10.1.2.3:80", "host.example:80": "host.example:80",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("reachable(%q) = %q, want %q", listen, got, want)
		}
	}
}

func TestServerName(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]target.Endpoint{
		"db1.example.org":      {Host: "db1.example.org", Port: 5432, Database: "postgres"},
		"db1":                  {Host: "db1"},
		"db1-5433-app":         {Host: "db1", Port: 5433, Database: "app"},
		"var-run-postgresql":   {Host: "/var/run/postgresql"},
		"2001-db8--1":          {Host: "2001:db8::1"},
		"h-my-db":              {Host: "h", Database: "my/db"},
		"server":               {Host: "///"},
		"xn--bcher-kva.de-a-b": {Host: "xn--bcher-kva.de", Database: "a\nb"},
	} {
		got := ServerName(e)
		if got != want {
			t.Errorf("ServerName(%+v) = %q, want %q", e, got, want)
		}
		if err := target.ValidateName(got); err != nil {
			t.Errorf("ServerName(%+v): %v", e, err)
		}
	}
	long := ServerName(target.Endpoint{Host: strings.Repeat("a", 300)})
	if err := target.ValidateName(long); err != nil {
		t.Error(err)
	}
}
