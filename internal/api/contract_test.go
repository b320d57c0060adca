package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// contractCase is one request of the contract. Cases of a route are asked in
// order, each at / and at /api.
type contractCase struct {
	name   string
	status int
	as     account.Role // empty: operator
	path   string       // empty: that of the route
	body   any          // a string is sent as it is, anything else as JSON
	media  string       // empty: JSON, where there is a body
}

// contract holds the Python contract: by route, what is asked of it.
type contract struct {
	*site
	port int // of the watched server
}

// outsideContract says which routes are not in the contract; the tests of pages
// and of the programs have them.
func outsideContract(path string) bool {
	for _, other := range []string{"/api/v1/", "/ui", "/docs", "/redoc", "/openapi.json", "/healthz", "/readyz", "/metrics"} {
		if strings.HasPrefix(path, other) {
			return true
		}
	}
	// What came with the later version: later_test.go asks for it.
	for _, later := range []string{"/refresh", "/logout", "/api/users/", "/api/ssh-keys", "/test-pg", "/test-ssh"} {
		if strings.Contains(path, later) {
			return true
		}
	}
	return false
}

// Every route of the contract, at / and at /api: status, headers and body of
// every answer that it promises. A route without a golden file fails, and so
// does one that was never seen to give an answer of its document.
func TestContract(t *testing.T) {
	t.Parallel()
	c := startContract(t)
	cases := c.cases()
	engine, ok := c.Config.Handler.(interface{ Routes() gin.RoutesInfo })
	if !ok {
		t.Fatalf("the handler is a %T", c.Config.Handler)
	}
	document := must[*openapi3.T](t)(openapi3.NewLoader().LoadFromData(c.want(200, c.get("/openapi.json")).Body))
	routes := map[string][]string{} // by method and path at /, the prefixes it is served under
	for _, r := range engine.Routes() {
		if outsideContract(r.Path) {
			continue
		}
		name, prefix := r.Method+" "+r.Path, ""
		if bare, under := strings.CutPrefix(r.Path, "/api"); under && cases[r.Method+" "+bare] != nil {
			name, prefix = r.Method+" "+bare, "/api"
		}
		routes[name] = append(routes[name], prefix)
	}
	for name, prefixes := range routes {
		if cases[name] == nil {
			t.Errorf("%s is not tested", name)
			continue
		}
		if alone := strings.Contains(name, " /api/") || name == "GET /"; !alone && len(prefixes) != 2 {
			t.Errorf("%s is served under %q only", name, prefixes)
		}
	}
	// Reading first: the changes come after it, in the order of their effects.
	order := slices.Sorted(maps.Keys(cases))
	slices.SortStableFunc(order, func(a, b string) int { return changes(a) - changes(b) })
	for _, route := range order {
		if routes[route] == nil {
			t.Errorf("%s is tested, but not served", route)
			continue
		}
		slices.Sort(routes[route])
		for _, prefix := range routes[route] {
			c.prepare(t, route)
			c.converse(t, document, prefix, route, cases[route])
		}
	}
}

// prepare adds or removes the server that comes and goes.
func (c *contract) prepare(t *testing.T, route string) {
	t.Helper()
	if err := c.stored.DeleteServer(t.Context(), "new", true); err != nil && !errors.Is(err, target.ErrNotFound) {
		t.Fatal(err)
	}
	if strings.HasPrefix(route, "DELETE") {
		must[target.Target](t)(c.stored.CreateServer(t.Context(), target.Target{Name: "new", Endpoint: target.Endpoint{Host: "h", User: "u"}}))
	}
	if err := c.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func changes(route string) int {
	return slices.Index([]string{"POST", "PUT", "DELETE"}, strings.Fields(route)[0])
}

// converse asks all cases of a route and compares what was said.
func (c *contract) converse(t *testing.T, document *openapi3.T, prefix, route string, cases []contractCase) {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	pathItem := document.Paths.Find(prefix + toBraces(path))
	var operation *openapi3.Operation
	if pathItem != nil {
		operation = pathItem.GetOperation(method)
	}
	var said bytes.Buffer
	seen := map[int]bool{}
	if operation != nil && operation.Security != nil && len(*operation.Security) > 0 {
		for name, header := range c.identities(t) {
			req := c.request(method, prefix+c.concrete(path), "", "")
			req.Header.Del("Authorization")
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			fmt.Fprintf(&said, "# %s\n%s", name, c.record(c.do(req)))
		}
		seen[http.StatusUnauthorized] = true
	}
	for _, one := range cases {
		c.token = c.tokenOf(cmpOr(one.as, account.Operator))
		at := prefix + cmpOr(one.path, c.concrete(path))
		contentType, body := one.media, ""
		if one.body != nil {
			text, plain := one.body.(string)
			if body = text; !plain {
				body = string(must[[]byte](t)(json.Marshal(one.body)))
			}
			contentType = cmpOr(contentType, "application/json")
		}
		req := c.request(method, at, contentType, body)
		r := c.do(req)
		if r.Status != one.status {
			t.Errorf("%s at %q, %s: %d, want %d: %s", route, prefix, one.name, r.Status, one.status, r.Body)
		}
		seen[r.Status] = true
		fmt.Fprintf(&said, "# %s\n%s", one.name, c.record(r))
	}
	if operation != nil {
		for status := range operation.Responses.Map() {
			code, err := strconv.Atoi(status)
			elsewhere := code == http.StatusNotModified || code == http.StatusTooManyRequests // TestETag and TestLoginLimit ask for them
			if err == nil && code < 500 && !seen[code] && !elsewhere {
				t.Errorf("%s at %q: nothing asks for its answer %d", route, prefix, code)
			}
		}
	}
	c.compare(t, prefix, route, said.Bytes())
}

func cmpOr[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (c *contract) compare(t *testing.T, prefix, route string, said []byte) {
	t.Helper()
	name := strings.Trim(strings.NewReplacer(" /", "_", "/", "_", ":", "", " ", "_").Replace(route), "_")
	file := filepath.Join("testdata", "contract", name+".golden")
	if updating() && prefix == "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, said, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := must[[]byte](t)(os.ReadFile(file))
	if !bytes.Equal(want, said) {
		t.Errorf("%s at %q: the answers differ from %s: look at them, then run go test ./internal/api -update\n%s", route, prefix, file, said)
	}
}

// toBraces writes a route's parameters as the document does.
func toBraces(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

// concrete is the path of a route for what there is.
func (c *contract) concrete(path string) string {
	return strings.NewReplacer(":server_name", seeded, ":db_name", "shop").Replace(path)
}

func (c *contract) request(method, path, contentType, body string) *http.Request {
	c.t.Helper()
	req := must[*http.Request](c.t)(http.NewRequestWithContext(c.t.Context(), method, c.URL+path, strings.NewReader(body)))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept-Encoding", "identity")
	return req
}

// identities are those who may not, by what they are, in the order of the
// contract's table.
func (c *contract) identities(t *testing.T) func(yield func(string, string) bool) {
	t.Helper()
	viewer := must[account.User](t)(c.stored.Account(t.Context(), "viewer"))
	issue := func(id int64, login string, at time.Time) string {
		u := viewer
		u.ID, u.Login = id, login
		token, _, err := c.tokens.Issue(u, at)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	stranger := must[*auth.Tokens](t)(auth.NewTokens(auth.TokensConfig{
		Key: []byte(strings.Repeat("another key ", 4)), Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour,
	}))
	forged, _, err := stranger.Issue(viewer, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, string) bool) {
		for _, one := range [][2]string{
			{"no header", ""},
			{"another scheme", "Basic dXNlcjpwYXNz"},
			{"a bad signature", "Bearer " + forged},
			{"junk", "Bearer junk"},
			{"expired", issue(viewer.ID, "viewer", time.Now().Add(-2*time.Hour))},
			{"nobody's", issue(4711, "nobody", time.Now())},
		} {
			if !yield(one[0], one[1]) {
				return
			}
		}
	}
}

// record writes an answer down without what differs from run to run.
func (c *contract) record(r answer) string {
	c.t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "%d\n", r.Status)
	for _, name := range []string{"Allow", "Cache-Control", "Content-Type", "Location", "Retry-After", "WWW-Authenticate", "X-Content-Type-Options"} {
		if v := r.Header.Values(name); len(v) > 0 {
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(v, ", "))
		}
	}
	if len(r.Body) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(r.Body))
		decoder.UseNumber()
		var body any
		if err := decoder.Decode(&body); err != nil {
			c.t.Fatalf("body %s: %v", r.Body, err)
		}
		if fault, ok := body.(map[string]any); ok && r.Status >= 400 {
			if _, text := fault["detail"].(string); fault["detail"] != nil && !text || strings.Contains(string(r.Body), "canary") {
				c.t.Errorf("an error that no client can print, or that repeats what was sent: %s", r.Body)
			}
		}
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(c.hide("", body)); err != nil {
			c.t.Fatal(err)
		}
		out.Write(text.Bytes())
	}
	return out.String() + "\n"
}

// hide replaces what differs from run to run by its type. Null stays null.
func (c *contract) hide(field string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if field == "connections" {
			for state, n := range v {
				if _, whole := n.(json.Number); !whole || state == "" {
					return fmt.Sprintf("%v is no count", v)
				}
			}
			return "<counts>"
		}
		for name, inner := range v {
			hidden := c.hide(name, inner)
			delete(v, name)
			v[strings.ReplaceAll(name, ":"+strconv.Itoa(c.port)+":", ":<port>:")] = hidden
		}
		return v
	case []any:
		for i := range v {
			v[i] = c.hide(field, v[i])
		}
		return v
	case string:
		switch field {
		case "version", "data_dir", "access_token", "timestamp":
			return "<text>"
		}
		return v
	case json.Number:
		whole := !strings.ContainsAny(v.String(), ".eE")
		switch {
		case v.String() == strconv.Itoa(c.port):
			return "<port>"
		case slices.Contains([]string{"pid", "free_space", "total_space", "total", "acquired", "idle", "waits"}, field) && whole &&
			v.String() != strconv.Itoa(sampledFree) && v.String() != strconv.Itoa(sampledTotal):
			return "<integer>"
		case field == "uptime_hours", field == "wait_seconds":
			return "<number>"
		}
		return v
	}
	return v
}

const (
	seeded = "gr%C3%B6%C3%9Fe%202" // the server with a history
	// A key that no host has.
	someHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm5JEt1qBSuL3RYh9PhcmYZmeFF3l9rnV5ZRDFSGsNO"
	// What the newest sample of a host says that cannot be looked at.
	sampledFree, sampledTotal = 123456789, 987654321
)

// startContract starts an API that watches: a server with a history, away by
// now; one that is well; one whose disks are seen; one whose disks were sampled;
// and one that is away.
func startContract(t *testing.T) *contract {
	t.Helper()
	server := pgtest.Target(t, pgtest.WithSettings(map[string]string{"autovacuum": "off"}))
	session := must[*pgx.Conn](t)(pgx.Connect(t.Context(), server.SuperuserDSN()))
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	must[pgconn.CommandTag](t)(session.Exec(t.Context(), "begin; select 'é < \"x\"'", pgx.QueryExecModeSimpleProtocol))
	a := seedHistory(t)
	c := &contract{site: a, port: server.Port()}
	watch := func(name string, change func(*target.Target)) target.Target {
		t.Helper()
		one := target.Target{
			Name: name, Enabled: true,
			Endpoint: target.Endpoint{Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password)},
		}
		change(&one)
		return must[target.Target](t)(a.stored.CreateServer(t.Context(), one))
	}
	watch("well", func(*target.Target) {})
	watch("disks", func(s *target.Target) { s.DiskSource = target.DiskLocal })
	watch("sampled", func(s *target.Target) {
		s.StatsDB, s.Pool, s.Shell = "stats_db", target.PoolStatsDB, target.Shell{User: "mon", Port: 1, Password: secret.New("x"), HostKey: someHostKey}
	})
	watch("away", func(s *target.Target) { s.Endpoint.Port = 1 })
	a.sampledDisk("sampled", time.Now().Add(-10*time.Minute), sampledTotal, sampledFree)
	if err := a.live.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.want(200, a.get("/servers")) // which opens the pools
	return c
}

// cases are what is asked of each route, beside by those who may not.
func (c *contract) cases() map[string][]contractCase {
	body := func(change row) row {
		b := row{
			"name": "new", "host": "127.0.0.1", "port": c.port, "user": pgtest.User, "password": pgtest.Password,
			"stats_db": nil, "ssh_user": "", "ssh_password": "", "ssh_port": 22,
		}
		maps.Copy(b, change)
		return b
	}
	lacks := body(row{"password": "canary"})
	delete(lacks, "host")
	unfit := []contractCase{
		{name: "not JSON", status: 422, body: `{"password":"canary"`},
		{name: "nothing", status: 422, body: ""},
		{name: "a form", status: 422, body: "name=canary", media: form},
		{name: "a field is missing", status: 422, body: lacks},
		{name: "a port that is no number", status: 422, body: body(row{"port": "canary"})},
		{name: "a name that is no text", status: 422, body: body(row{"name": 5})},
		{name: "faults", status: 400, body: body(row{"name": "a/b", "host": "", "port": -5, "password": "canary"})},
		{name: "a viewer", status: 403, as: account.Viewer, body: body(nil)},
	}
	const py = "/server/" + seeded
	return map[string][]contractCase{
		"GET /":                {{name: "what this is", status: 200}},
		"GET /api/health":      {{name: "well", status: 200}},
		"GET /api/favicon.ico": {{name: "there is none", status: 404}},
		"GET /api/pools/status": {
			{name: "pools", status: 200, as: account.Viewer},
		},
		"POST /token": {
			{name: "a user", status: 200, body: "username=viewer&password=" + strings.ReplaceAll(password, "+", "%2b"), media: form},
			{name: "a wrong password", status: 401, body: "username=viewer&password=canary", media: form},
			{name: "nobody", status: 401, body: "username=canary&password=x", media: form},
			{name: "JSON", status: 422, body: row{"username": "viewer", "password": "canary"}},
			{name: "without a password", status: 422, body: "username=canary", media: form},
			{name: "another grant", status: 422, body: "username=viewer&password=x&grant_type=canary", media: form},
			{name: "too long", status: 413, body: "username=viewer&password=" + strings.Repeat("x", 20_000), media: form},
		},
		"GET /servers": {
			{name: "all", status: 200, as: account.Viewer},
			{name: "all again", status: 200, as: account.Viewer},
		},
		"POST /servers": append([]contractCase{
			{name: "added", status: 200, body: body(row{"name": "new", "port": fmt.Sprintf(" %d ", c.port), "extra": row{"a": 1}})},
			{name: "its name is taken", status: 400, body: body(nil)},
			{name: "too large", status: 413, body: `{"name":"` + strings.Repeat("canary ", 200_000) + `"}`},
		}, unfit...),
		"PUT /servers/:server_name": append([]contractCase{
			{name: "changed, as received", status: 200, path: "/servers/well", body: body(row{"name": "well", "password": "", "version": "15", "connections": nil, "status": "ok"})},
			{name: "renamed", status: 200, path: "/servers/well", body: body(row{"name": "better", "stats_db": "stats_db"})},
			{name: "renamed back", status: 200, path: "/servers/better", body: body(row{"name": "well"})},
			{name: "its name is taken", status: 400, path: "/servers/well", body: body(row{"name": "away"})},
			{name: "another host needs the password", status: 400, path: "/servers/well", body: body(row{"name": "well", "host": "localhost", "password": ""})},
			{name: "nobody", status: 404, path: "/servers/nobody", body: body(nil)},
			{name: "too large", status: 413, path: "/servers/well", body: `{"name":"` + strings.Repeat("canary ", 200_000) + `"}`},
		}, unfit...),
		"DELETE /servers/:server_name": {
			{name: "a viewer", status: 403, as: account.Viewer, path: "/servers/new"},
			{name: "neither true nor false", status: 422, path: "/servers/new?purge=canary"},
			{name: "removed", status: 200, path: "/servers/new"},
			{name: "gone", status: 404, path: "/servers/new"},
		},
		"GET /server_stats/:server_name": {
			{name: "sessions", status: 200, as: account.Viewer, path: "/server_stats/well"},
			{name: "nobody", status: 404, path: "/server_stats/nobody"},
			{name: "away", status: 500, path: "/server_stats/away"},
		},
		"GET /server/:server_name/stats": {
			{name: "an hour", status: 200, as: account.Viewer, path: py + "/stats?start_date=2024-11-22T12:00:00Z&end_date=2024-11-22T13:00:00%2B00:00"},
			{name: "seven days", status: 200, path: py + "/stats"},
			{name: "the wrong way round", status: 200, path: py + "/stats?start_date=2024-11-22&end_date=2024-11-21"},
			{name: "no date", status: 400, path: py + "/stats?start_date=canary&end_date=2024-13-01"},
			{name: "nobody", status: 404, path: "/server/nobody/stats"},
		},
		"GET /server/:server_name/db/:db_name": {
			{name: "a database", status: 200, as: account.Viewer},
			{name: "with a slash in its name", status: 200, path: py + "/db/a%2Fb%3F"},
			{name: "nobody", status: 404, path: "/server/nobody/db/shop"},
			{name: "no database", status: 404, path: "/server/well/db/nothing"},
			{name: "no database, of one that is away", status: 500, path: "/server/away/db/nothing"},
		},
		"GET /server/:server_name/db/:db_name/stats": {
			{name: "an hour", status: 200, as: account.Viewer, path: py + "/db/shop/stats?start_date=2024-11-22T12:00:00Z&end_date=2024-11-22T13:00:00Z"},
			{name: "no database", status: 200, path: py + "/db/nothing/stats?start_date=2024-11-22"},
			{name: "no date", status: 400, path: py + "/db/shop/stats?end_date=canary"},
			{name: "nobody", status: 404, path: "/server/nobody/db/shop/stats"},
		},
	}
}
