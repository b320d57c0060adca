package api_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
)

// An operator cannot look around with tests of servers: silent addresses are all
// told alike, a user has few tests a minute on all routes together, and Unix
// sockets, link-local addresses and pgam's own ports are an administrator's.
func TestATestOfAServerIsNoPortScanner(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	a := startAPI(t, func(c *api.Config) {
		now := time.Now()
		c.Services.Now = func() time.Time { return now }
		c.Services.OwnPorts = []int{server.Port()}
	})
	add := func(name, host string, port int) {
		t.Helper()
		a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{"name": name, "host": host, "port": port, "user": "u", "password": "p"}))
	}
	silent := faultnet.Listen(t, func(*faultnet.Conn) {}) // it accepts, and closes at once: no PostgreSQL
	add("closed", "127.0.0.1", faultnet.FreePort(t))
	add("open", silent.Host(), silent.Port())
	add("socket", "/var/run/postgresql", 5432)
	add("own", "localhost", server.Port())
	add("link-local", "169.254.169.254", 80)

	said := map[string]bool{}
	for _, name := range []string{"closed", "open"} {
		report := a.row(a.want(200, a.send(http.MethodPost, "/api/v1/servers/"+name+"/test", "", "")))
		delete(report, "version")
		said[string(must[[]byte](t)(json.Marshal(report)))] = true
	}
	if len(said) != 1 {
		t.Errorf("an operator tells a closed port from an open one: %v", said)
	}
	for _, name := range []string{"socket", "own", "link-local"} {
		for _, path := range []string{"/api/v1/servers/" + name + "/test", "/api/servers/" + name + "/test-pg", "/api/servers/" + name + "/test-ssh"} {
			if r := a.want(403, a.send(http.MethodPost, path, "", "")); !strings.Contains(r.detail(t), "only an administrator") {
				t.Errorf("%s: %s", path, r.Body)
			}
		}
	}
	// Two are done; of the next, on all routes together, the first eighteen are.
	for i := range 20 {
		path := []string{"/api/v1/servers/closed/test", "/api/servers/closed/test-pg"}[i%2]
		want := 200
		if i >= 18 {
			want = 429
		}
		r := a.want(want, a.send(http.MethodPost, path, "", ""))
		if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); want == 429 && (err != nil || seconds < 1) {
			t.Errorf("Retry-After: %q", r.Header.Get("Retry-After"))
		}
	}
	a.token = a.tokenOf(account.Admin)
	if report := string(a.want(200, a.send(http.MethodPost, "/api/v1/servers/closed/test", "", "")).Body); !strings.Contains(report, "refused") {
		t.Errorf("an administrator is told %s", report)
	}
	a.want(200, a.send(http.MethodPost, "/api/v1/servers/own/test", "", ""))
}
