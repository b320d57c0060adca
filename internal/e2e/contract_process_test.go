package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
)

// settings: the names of the seed count beside our own, and secrets may come
// from files.
func (s *site) settingNames(t *testing.T) {
	file := func(name, content string) string {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}

		return path
	}
	stats, secrets := strings.TrimPrefix(s.settings[0], "PGAM_STATS_DSN="), s.secrets(t)
	common := []string{"PGAM_LISTEN=127.0.0.1:0", s.settings[1], "PGAM_STATS_DSN_FILE=" + file("dsn", stats)}
	for level, says := range map[string][2]bool{ // whether it says info, and debug
		"LOG_LEVEL=DEBUG": {true, true}, "LOG_LEVEL=info": {true, false}, "LOG_LEVEL=Warning": {false, false}, "LOG_LEVEL=error": {false, false},
		"PGAM_LOG_LEVEL=debug": {true, true}, "PGAM_LOG_LEVEL=WARNING": {false, false},
	} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			// Ready is said at info, so a silent process must be found.
			port := strconv.Itoa(faultnet.FreePort(t))
			settings := append([]string{level, "PGAM_TOKEN_KEY_FILE=" + file(level, tokenKey), "TOKEN_EXPIRATION=5"}, common...)
			settings[len(settings)-3] = "PGAM_LISTEN=127.0.0.1:" + port
			p := startSilent(t, "pgam-api", "127.0.0.1:"+port, settings...)
			c := newClient(t, p.url(), s.seen)
			checkLife(t, c.login(t, "viewer", userPassword), 5*time.Minute)
			c.as(forge(t, strings.Repeat("another key ", 4), "viewer", time.Now())).get(t, "/servers").want(t, http.StatusUnauthorized)
			p.stop(t)
			if found := find(p.logged(), secrets); len(found) > 0 {
				t.Errorf("the log holds %v", found)
			}
			log := strings.ToLower(p.logged())
			for i, word := range []string{"level=info", "level=debug"} {
				if strings.Contains(log, word) != says[i] {
					t.Errorf("%s is in the log: %v, want %v:\n%s", word, !says[i], says[i], p.logged())
				}
			}
		})
	}
	for setting, word := range map[string]string{
		"LOG_LEVEL=verbose": "LOG_LEVEL", "TOKEN_EXPIRATION=soon": "TOKEN_EXPIRATION", "SSH_CACHE_TTL=-1": "SSH_CACHE_TTL",
		"SERVER_STATUS_CACHE_TTL=x": "SERVER_STATUS_CACHE_TTL",
	} {
		out := runProgram(t, append([]string{setting, "SECRET_KEY=" + tokenKey}, common...), "pgam-api")
		if out.code != 2 || !strings.Contains(out.stderr, word) {
			t.Errorf("%s: exit code %d: %s", setting, out.code, out.stderr)
		}
	}
}

// checkLife reads from a token how long it is good.
func checkLife(t *testing.T, token string, want time.Duration) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.Unix(claims.Exp, 0)); left > want || left < want-time.Minute {
		t.Errorf("the token is good for %s, want %s", left, want)
	}
}

// lastRequest: who asked before SIGTERM is answered, who comes later is not
// let in, and the process ends in time with 0 (promise 14).
func (s *site) lastRequest(t *testing.T) {
	p := s.start(t, "pgam-api", s.apiSettings()...)
	c := newClient(t, p.url(), s.seen).as(s.operator.token)
	c.get(t, "/servers").want(t, http.StatusOK)
	load := startLoad(t, c)
	release := s.holdAccounts(t)
	slow := make(chan answer, 1)
	request := c.as("").request(t, http.MethodPost, "/token", formType, url.Values{"username": {"viewer"}, "password": {userPassword}}.Encode())
	go func() {
		got, err := c.try(request)
		if err != nil {
			t.Errorf("a request that was under way at the stop: %v", err)
		}
		slow <- got
	}()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, s.dsn, "select exists (select from pg_stat_activity where datname = current_database() and application_name = 'pgam-api' and wait_event_type = 'Lock')")
	}, "a request to wait in stats_db")
	p.signal(t, syscall.SIGTERM)
	pgtest.WaitFor(t, func() bool { return strings.Contains(p.logged(), "stopping") }, "the process to be stopping")
	release()
	if got := <-slow; got.Status != http.StatusOK {
		t.Errorf("a request that was under way at the stop: %d %s", got.Status, got.Body)
	}
	p.awaitEnd(t)
	load.stop(t)
	if _, err := c.try(c.request(t, http.MethodGet, "/servers", "", "")); err == nil {
		t.Error("a process that has ended answers")
	}
	if strings.Contains(p.logged(), "panic") {
		t.Errorf("the log tells of a panic:\n%s", p.logged())
	}
}

// holdAccounts makes every question about a user wait until it is released.
func (s *site) holdAccounts(t *testing.T) (release func()) {
	t.Helper()
	conn := connect(t, s.dsn)
	if _, err := conn.Exec(t.Context(), "begin; lock table pgam.account in access exclusive mode"); err != nil {
		t.Fatal(err)
	}

	return func() {
		if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
			t.Error(err)
		}
	}
}

// load is clients that go on asking.
type load struct {
	asking sync.WaitGroup
	done   chan struct{}
	good   atomic.Int64
	bad    atomic.Pointer[answer]
}

func startLoad(t *testing.T, c *client) *load {
	t.Helper()
	l := &load{done: make(chan struct{})}
	for range 4 {
		request := c.request(t, http.MethodGet, "/api/pools/status", "", "")
		l.asking.Go(func() {
			for {
				select {
				case <-l.done:
					return
				default:
				}
				got, err := c.try(request)
				if err != nil {
					return // Nobody is let in any more.
				}
				if got.Status != http.StatusOK {
					l.bad.Store(&got)
				}
				l.good.Add(1)
			}
		})
	}
	pgtest.WaitFor(t, func() bool { return l.good.Load() > 10 }, "the load to be under way")

	return l
}

func (l *load) stop(t *testing.T) {
	t.Helper()
	close(l.done)
	l.asking.Wait()
	if bad := l.bad.Load(); bad != nil {
		t.Errorf("a request while the process stops: %d %s", bad.Status, bad.Body)
	}
}

// end stops everything, as an operator does, under load.
func (s *site) end(t *testing.T) {
	load := startLoad(t, s.operator)
	for _, p := range []*process{s.api, s.second, s.collector} {
		p.stop(t)
		if log := p.logged(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
			t.Errorf("the log of %s tells of a panic:\n%s", p.program, log)
		}
	}
	load.stop(t)
}
