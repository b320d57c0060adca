package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/httpapi"
)

// login tries a wrong password from an address, as a proxy reports it.
func (a *api) login(path, forwarded string) answer {
	a.t.Helper()
	req := must[*http.Request](a.t)(http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.URL+path,
		strings.NewReader("username=viewer&password=secret-canary")))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if forwarded != "" {
		req.Header.Set("X-Forwarded-For", forwarded)
	}
	return a.do(req)
}

func TestLoginRate(t *testing.T) {
	t.Parallel()
	const rate = 4
	limited := func(c *httpapi.Config) { c.LoginsPerMinute = rate }
	proxied := func(c *httpapi.Config) { limited(c); c.TrustedProxies = []string{"127.0.0.1"} }

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
