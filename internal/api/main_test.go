package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var testHash = sample.NewHash([16]byte{4, 2})

const (
	password = "correct horse / 100% + battery"
	tokenKey = "0123456789abcdef-not-the-real-one"
)

// site is a whole API over a stats_db of the test's own.
type site struct {
	*httptest.Server
	t        *testing.T
	dsn      string
	db       *statsdb.DB
	stored   *catalog.Catalog
	past     *history.Reader
	write    *ingest.Writer
	live     *live.Live
	tokens   *auth.Tokens
	log      *lockedBuffer
	routes   routers.Router
	services api.Services
	token    string // sent with every request; empty: none
	fitted   int    // answers that were held against the document
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// startAPI starts an API with the users viewer, operator and admin, as whom it
// asks.
func startAPI(t *testing.T, change ...func(*api.Config)) *site {
	t.Helper()
	a := &site{t: t, dsn: pgtest.StatsDB(t), log: new(lockedBuffer)}
	log := slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys := must[*secret.Keyring](t)(secret.ParseKeyring(must[[]byte](t)(secret.GenerateKeyring())))
	a.db = pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(a.dsn), Application: "pgam-api", MaxConns: 4})
	a.stored, a.past, a.write = catalog.New(a.db, keys), history.New(a.db), ingest.New(a.db, testHash)
	shells := must[*remote.Shells](t)(remote.NewShells(remote.ShellsConfig{Timeout: 5 * time.Second, Log: log}))
	t.Cleanup(shells.Close)
	a.live = must[*live.Live](t)(live.New(live.Config{
		Catalog: a.stored, Log: log, Application: "pgam-api", Deadline: 3 * time.Second, StatusTTL: 5 * time.Second,
		Pools:  map[target.PoolProfile]live.Size{target.PoolDefault: {Min: 1, Max: 5}, target.PoolStatsDB: {Min: 2, Max: 10}},
		Shells: shells, Disks: probe.NewDiskReader(shells), DiskTTL: 5 * time.Second,
	}))
	if err := a.live.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := a.live.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	hasher := must[*auth.Hasher](t)(auth.NewHasher(auth.HasherConfig{Cost: 4, Queue: 100}))
	a.tokens = must[*auth.Tokens](t)(auth.NewTokens(auth.TokensConfig{
		Key: []byte(tokenKey), Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour,
	}))
	hash := must[string](t)(hasher.Hash(t.Context(), password))
	for _, role := range account.Roles() {
		must[account.User](t)(a.stored.CreateAccount(t.Context(), account.User{Login: string(role), PasswordHash: hash, Role: role, Active: true}))
	}
	ready := must[*daemon.Readiness](t)(daemon.NewReadiness(log, daemon.Check{Name: "stats_db", Run: a.db.CheckSchema}))
	registry := prometheus.NewRegistry()
	cfg := api.Config{
		Services: api.Services{
			Catalog: a.stored, Live: a.live, History: a.past, Settings: oneSetting{a.stored},
			Passwords: hasher, Tokens: a.tokens,
			Healthy: func(ctx context.Context) bool { return ready.Report(ctx).Ready }, Log: log, Version: "test",
		},
		CORSOrigins: []string{"https://ui.example.org"},
		Liveness:    daemon.Liveness("pgam-api", nil), Readiness: ready, Metrics: daemon.Metrics(registry), Registry: registry,
	}
	for _, c := range change {
		c(&cfg)
	}
	handler := must[http.Handler](t)(api.New(cfg))
	a.services = cfg.Services
	a.Server = httptest.NewServer(handler)
	t.Cleanup(a.Close)
	document := must[*openapi3.T](t)(openapi3.NewLoader().LoadFromData(must[[]byte](t)(api.OpenAPI("test"))))
	a.routes = must[routers.Router](t)(legacy.NewRouter(document))
	a.token = a.tokenOf(account.Operator)
	return a
}

func (a *site) tokenOf(role account.Role) string {
	a.t.Helper()
	user := must[account.User](a.t)(a.stored.Account(a.t.Context(), string(role)))
	token, _, err := a.tokens.Issue(user, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

// answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// into decodes the body; a field that it does not name fails the test where
// strict.
func (r answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
}

// detail is the error's text.
func (r answer) detail(t *testing.T) string {
	t.Helper()
	var body struct{ Detail any }
	r.into(t, &body)
	text, ok := body.Detail.(string)
	if !ok {
		t.Fatalf("detail is not a string: %s", r.Body)
	}
	return text
}

// send makes a request and holds the answer against the OpenAPI document.
func (a *site) send(method, path, contentType, body string) answer {
	a.t.Helper()
	req := must[*http.Request](a.t)(http.NewRequestWithContext(a.t.Context(), method, a.URL+path, strings.NewReader(body)))
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	return a.do(req)
}

func (a *site) do(req *http.Request) answer {
	a.t.Helper()
	res, err := a.Client().Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body := must[[]byte](a.t)(io.ReadAll(res.Body))
	r := answer{res.StatusCode, res.Header, body}
	a.validate(req, r)
	return r
}

// validate checks the answer of every operation of the document against it.
func (a *site) validate(req *http.Request, r answer) {
	a.t.Helper()
	if r.Status == http.StatusMethodNotAllowed || r.Status == http.StatusNoContent && req.Method == http.MethodOptions {
		return
	}
	plain := req.Clone(a.t.Context())
	plain.URL = &url.URL{Path: req.URL.Path, RawPath: req.URL.RawPath, RawQuery: req.URL.RawQuery}
	route, params, err := a.routes.FindRoute(plain)
	if err != nil {
		return // not an operation
	}
	a.fitted++
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	err = openapi3filter.ValidateResponse(a.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route, Options: options},
		Status:                 r.Status, Header: r.Header, Body: io.NopCloser(bytes.NewReader(r.Body)), Options: options,
	})
	if err != nil {
		a.t.Errorf("%s %s: the answer %d does not fit the document: %v\n%s", req.Method, req.URL.Path, r.Status, err, r.Body)
	}
}

func (a *site) get(path string) answer { a.t.Helper(); return a.send(http.MethodGet, path, "", "") }

func (a *site) json(method, path string, body any) answer {
	a.t.Helper()
	return a.send(method, path, "application/json", string(must[[]byte](a.t)(json.Marshal(body))))
}

// want fails the test unless the status is this.
func (a *site) want(status int, r answer) answer {
	a.t.Helper()
	if r.Status != status {
		a.t.Fatalf("status %d, want %d: %s\nlog:\n%s", r.Status, status, r.Body, a.log)
	}
	return r
}

// watched adds a running server under a name.
func (a *site) watched(name string, s *pgtest.Server) target.Target {
	a.t.Helper()
	t := must[target.Target](a.t)(a.stored.CreateServer(a.t.Context(), target.Target{
		Name: name, Enabled: true,
		Endpoint: target.Endpoint{Host: s.Host(), Port: s.Port(), User: pgtest.User, Password: secret.New(pgtest.Password)},
	}))
	if err := a.live.Refresh(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	return t
}
