package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/pgtest"
)

// login tries a wrong password from an address, as a proxy reports it.
func (a *site) login(path, forwarded string) answer {
	a.t.Helper()
	req := must[*http.Request](a.t)(http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.URL+path,
		strings.NewReader("username=viewer&password=secret-canary")))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if forwarded != "" {
		req.Header.Set("X-Forwarded-For", forwarded)
	}
	return a.do(req)
}

// tryLogin logs in at an API from an address, as a proxy reports it.
func (a *site) tryLogin(base, forwarded, user, secret string) int {
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, base+"/token",
		strings.NewReader(url.Values{"username": {user}, "password": {secret}}.Encode()))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", form)
	req.Header.Set("X-Forwarded-For", forwarded)
	res, err := a.Client().Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// Fourteen addresses that guess as fast as they may keep nobody from logging in
// from somewhere else, and what they do is logged in a few lines.
func TestGuessersKeepNobodyFromLoggingIn(t *testing.T) {
	t.Parallel()
	a := startAPI(t, func(c *api.Config) {
		c.TrustedProxies = []string{"127.0.0.1"}
		c.Services.Passwords = must[*auth.Hasher](t)(auth.NewHasher(auth.HasherConfig{Cost: 6, Slots: 1, Queue: 64}))
		c.Services.Logins = must[*auth.Guard](t)(auth.NewGuard(auth.GuardConfig{
			Ledger: c.Services.Catalog, PerMinute: 30, Log: c.Services.Log,
			Wait: func(context.Context, time.Duration) error { return nil },
		}))
	})
	var (
		guessing sync.WaitGroup
		mu       sync.Mutex
		told     = map[int]int{}
	)
	begun := make(chan struct{}, 14*28)
	for n := range 14 {
		for i := range 28 {
			guessing.Go(func() {
				begun <- struct{}{}
				status := a.tryLogin(a.URL, fmt.Sprintf("10.1.%d.1", n), []string{"viewer", "nobody"}[i%2], fmt.Sprint("guess ", i))
				mu.Lock()
				defer mu.Unlock()
				told[status]++
			})
		}
	}
	for range 14 * 28 / 2 {
		<-begun
	}
	for i := range 5 {
		if got := a.tryLogin(a.URL, fmt.Sprintf("198.51.%d.7", i), "viewer", password); got != http.StatusOK {
			t.Errorf("an honest login from its own network: %d", got)
		}
	}
	guessing.Wait()
	if told[http.StatusUnauthorized]+told[http.StatusServiceUnavailable] != 14*28 {
		t.Errorf("the guessers were told %v", told)
	}
	t.Logf("the guessers were told %v", told)
	if n := strings.Count(a.log.String(), "login refused"); n < 1 || n > 60 {
		t.Errorf("%d lines about %d refusals", n, 14*28)
	}
	if strings.Contains(a.log.String(), "level=ERROR") || strings.Contains(a.log.String(), "request failed") || !strings.Contains(a.log.String(), "login=viewer") {
		t.Errorf("the log: %s", a.log)
	}
}

// Two processes of the API let an address try as often as one would.
func TestProcessesShareTheLimitOnLogins(t *testing.T) {
	t.Parallel()
	var cfg api.Config
	a := startAPI(t, func(c *api.Config) {
		c.LoginsPerMinute, c.TrustedProxies = 5, []string{"127.0.0.1"}
		cfg = *c
	})
	cfg.Registry = nil
	second := httptest.NewServer(must[http.Handler](t)(api.New(cfg)))
	t.Cleanup(second.Close)
	// Nothing runs out of the buckets, however long the test takes.
	still := func() {
		pgtest.Exec(t, a.dsn, "update pgam.login_bucket set filled_at = now() + interval '1 h'")
	}
	var told []int
	for i := range 10 {
		told = append(told, a.tryLogin([]string{a.URL, second.URL}[i%2], "192.0.2.1", fmt.Sprint("nobody ", i), "guess"))
		still()
	}
	if want := []int{401, 401, 401, 401, 401, 429, 429, 429, 429, 429}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if got := a.tryLogin(second.URL, "192.0.2.2", "viewer", password); got != http.StatusOK {
		t.Errorf("a neighbour: %d", got)
	}
	// While stats_db does not count, each counts alone, and lets people in.
	pgtest.Exec(t, a.dsn, "alter table pgam.login_bucket rename to away")
	if got := a.tryLogin(second.URL, "192.0.2.3", "viewer", password); got != http.StatusOK {
		t.Errorf("without counters: %d", got)
	}
}

func TestLoginRate(t *testing.T) {
	t.Parallel()
	const rate = 4
	// The clock stands still: nothing runs out of the buckets, however long the
	// test takes.
	limited := func(c *api.Config) {
		c.Services.Logins = must[*auth.Guard](t)(auth.NewGuard(auth.GuardConfig{
			Ledger: c.Services.Catalog, PerMinute: rate, Log: c.Services.Log, Now: func() time.Time { return time.Unix(1e9, 0) },
			Wait: func(context.Context, time.Duration) error { return nil },
		}))
	}
	proxied := func(c *api.Config) { limited(c); c.TrustedProxies = []string{"127.0.0.1"} }

	t.Run("an address", func(t *testing.T) {
		t.Parallel()
		a := startAPI(t, limited)
		for i := range rate {
			// The header of a client that is no proxy counts for nothing.
			a.want(401, a.login([]string{"/token", "/api/token"}[i%2], fmt.Sprintf("10.0.0.%d", i)))
		}
		for _, path := range []string{"/token", "/api/token"} {
			r := a.want(429, a.login(path, "10.0.0.99"))
			if r.detail(t) != "Too many logins from this address: try again in a minute" || r.Header.Get("Retry-After") != "60" ||
				r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s %v", path, r.Body, r.Header)
			}
		}
		a.want(200, a.get("/servers")) // nothing else is limited
		a.want(405, a.get("/token"))
		if strings.Contains(a.log.String(), "secret-canary") {
			t.Error("the log holds the password")
		}
	})
	t.Run("behind a proxy", func(t *testing.T) {
		t.Parallel()
		a := startAPI(t, proxied)
		for range rate {
			a.want(401, a.login("/token", "10.0.0.1"))
		}
		a.want(429, a.login("/token", "10.0.0.1"))
		a.want(429, a.login("/token", "6.6.6.6, 10.0.0.1")) // only the proxy's word counts
		a.want(401, a.login("/token", "10.0.0.2"))
		// A proxy that adds nothing passes on what clients make up.
		for i := range rate + 1 {
			req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL+"/token", strings.NewReader("username=viewer&password=x")))
			req.Header.Set("Content-Type", form)
			req.Header.Set("X-Real-Ip", fmt.Sprintf("10.0.1.%d", i))
			want := 401
			if i == rate {
				want = 429
			}
			a.want(want, a.do(req))
		}
	})
	t.Run("a network of IPv6", func(t *testing.T) {
		t.Parallel()
		a := startAPI(t, proxied)
		for i := range rate {
			a.want(401, a.login("/token", fmt.Sprintf("2001:db8:1:2:%x::1", i)))
		}
		a.want(429, a.login("/token", "2001:db8:1:2:ffff::1"))
		a.want(401, a.login("/token", "2001:db8:1:3::1"))
		for range rate {
			a.want(401, a.login("/token", "10.0.0.3"))
		}
		a.want(429, a.login("/token", "::ffff:10.0.0.3"))
	})
}
