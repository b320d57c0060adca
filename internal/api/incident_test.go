package api_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// seedEvents adds events to the seeded history.
func seedEvents(a *site) {
	a.t.Helper()
	id := target.ID(pgtest.Value[int64](a.t, a.dsn, "select id from pgam.server where name = 'größe 2'"))
	at := func(minute int) time.Time { return time.Date(2024, 11, 22, 12, minute, 0, 0, time.UTC) }
	err := errors.Join(a.write.Append(a.t.Context(), id, []*sample.Visit{
		{Server: id, Events: []sample.Event{
			{At: at(0), Kind: sample.EventRestart, Detail: "the postmaster started at 11:59:58"},
			{At: at(1), Kind: sample.EventSetting, Subject: "work_mem", Old: "4MB", New: "64MB"},
		}, Settings: &sample.Settings{At: at(0), Set: []sample.Setting{{Name: "max_connections", Value: "100"}}}},
	}), a.write.Append(a.t.Context(), sample.TheMonitor, []*sample.Visit{
		{Server: sample.TheMonitor, Events: []sample.Event{{At: at(2), Kind: sample.EventCollectorStarted}}},
	}))
	if err != nil {
		a.t.Fatal(err)
	}
}

func TestIncidentRoutes(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	seedEvents(a)
	const one = "/api/v1/servers/gr%C3%B6%C3%9Fe%202"
	const hour = "from=2024-11-22T12:00:00Z&to=2024-11-22T13:00:00Z"
	for _, tt := range []struct{ name, path string }{
		{"history_events", one + "/history/events?" + hour},
		{"history_events_kinds", one + "/history/events?" + hour + "&kinds=setting,collector_started"},
		{"history_coverage", one + "/history/coverage?" + hour},
		{"history_coverage_step", one + "/history/coverage?" + hour + "&step=30m"},
		{"history_databases", one + "/history/databases?" + hour + "&step=15m"},
		{"history_databases_hour", one + "/history/databases?from=2024-11-22T11:00:00Z&to=2024-11-22T13:00:00Z&step=1h"},
		{"history_sizes", one + "/history/sizes?" + hour + "&step=30m"},
		{"history_blocking", one + "/history/blocking?" + hour},
		{"history_blocking_none", one + "/history/blocking?from=2024-11-22T12:00:30Z&to=2024-11-22T12:01:00Z"},
		{"history_session", one + "/history/session?pid=4712&backend_start=2024-11-22T11:58:00Z&" + hour},
		{"history_session_last", one + "/history/session?pid=4711&limit=1&from=2024-11-22T12:00:00Z&to=2024-11-22T12:00:12Z"},
		{"history_session_never", one + "/history/session?pid=4712&backend_start=2024-11-22T11:58:00.000001Z&" + hour},
		{"incident", one + "/incident?at=2024-11-22T12:00:10Z&window=1m"},
		{"fleet", "/api/v1/fleet?sort=load"},
		{"fleet_one", "/api/v1/fleet?server=" + strings.TrimPrefix(one, "/api/v1/servers/")},
		{"fleet_minutes", "/api/v1/fleet/minutes?from=2024-11-22T12:00:00Z&to=2024-11-22T12:05:00Z"},
		{"fleet_activity", "/api/v1/fleet/activity?" + hour + "&step=30m"},
	} {
		golden(t, tt.name, a.want(200, a.get(tt.path)))
	}
	// Pages.
	var kinds []string
	next := one + "/history/events?limit=1&" + hour
	for pages := 0; next != "" && pages < 10; pages++ {
		page := a.row(a.want(200, a.get(next)))
		for _, item := range page["items"].([]any) {
			kinds = append(kinds, item.(row)["kind"].(string))
		}
		next = ""
		if c, ok := page["next_cursor"].(string); ok {
			next = one + "/history/events?limit=1&cursor=" + c
		}
	}
	if got := strings.Join(kinds, " "); got != "database_dropped database_created collector_started setting restart" {
		t.Errorf("pages gave %s", got)
	}
	var pids []float64
	next = one + "/history/at?limit=1&at=2024-11-22T12:00:09Z"
	for pages := 0; next != "" && pages < 10; pages++ {
		page := a.row(a.want(200, a.get(next)))
		pids = append(pids, page["sessions"].([]any)[0].(row)["pid"].(float64))
		if page["sessions_total"] != 2.0 || page["sampled_at"] != "2024-11-22T12:00:08.2Z" || len(page["blocking"].(row)["roots"].([]any)) != 1 {
			t.Errorf("page %v", page)
		}
		next = ""
		if c, ok := page["next_cursor"].(string); ok {
			next = one + "/history/at?limit=1&cursor=" + c
		}
	}
	if fmt.Sprint(pids) != "[4711 4712]" {
		t.Errorf("pages gave %v", pids)
	}
}

func TestIncidentRoutesRefused(t *testing.T) {
	t.Parallel()
	a := seedHistory(t)
	const one = "/api/v1/servers/gr%C3%B6%C3%9Fe%202"
	for path, detail := range map[string]string{
		one + "/history/events?from=garbage-canary":                                        "from is not an instant",
		one + "/history/events?kinds=garbage-canary":                                       "choose of restart",
		one + "/history/coverage?step=90s":                                                 "whole minutes",
		one + "/history/coverage?step=1m&from=2020-01-01&to=2024-01-01":                    "more than 2000 steps",
		one + "/history/databases?step=garbage-canary":                                     "step is not a duration",
		one + "/history/databases?step=1m&from=2024-01-01&to=2024-02-01":                   "at most 48h",
		one + "/history/sizes?step=90m&from=2024-11-01&to=2024-11-02":                      "whole hours",
		one + "/history/sizes?from=2024-11-02&to=2024-11-01":                               "from must be before to",
		one + "/incident?at=garbage-canary":                                                "at is not an instant",
		one + "/history/blocking?from=garbage-canary":                                      "from is not an instant",
		one + "/history/session?pid=1&backend_start=garbage-canary":                        "backend_start is not an instant",
		one + "/incident?window=garbage-canary":                                            "window is not a duration",
		one + "/incident?window=3h":                                                        "from 1m to 2h",
		"/api/v1/fleet/activity?step=30s":                                                  "at least 1m",
		"/api/v1/fleet/activity?step=5m&from=2024-01-01&to=2024-02-01":                     "at most 48h",
		"/api/v1/fleet/activity?step=1h&from=1970-01-01T00:00:00Z&to=2199-01-01T00:00:00Z": "ask for a shorter range",
	} {
		r := a.want(400, a.get(path))
		if !strings.Contains(r.detail(t), detail) || strings.Contains(string(r.Body), "canary") {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	routes := []string{"/locks", "/stream", "/incident", "/history/at", "/history/events", "/history/coverage", "/history/databases", "/history/sizes", "/history/blocking", "/history/session?pid=1"}
	for _, route := range routes {
		a.want(404, a.get("/api/v1/servers/unknown"+route))
	}
	for _, path := range []string{
		one + "/history/events?cursor=" + base64.RawURLEncoding.EncodeToString([]byte(`{"f":"2024-11-22T12:00:00Z","t":"2024-11-22T13:00:00Z","k":{"At":"2024-11-22T12:30:00Z","Subject":"\u0000"}}`)),
		one + "/history/events?cursor=!", one + "/history/events?cursor=e30x", one + "/history/at?cursor=!", one + "/history/events?limit=0", one + "/history/at?limit=x",
		one + "/stream?every=0", one + "/locks?unknown=1", one + "/incident?unknown=1", "/api/v1/fleet?sort=canary", "/api/v1/fleet?limit=0", one + "/history/sizes?x=1",
		one + "/history/blocking?limit=0", one + "/history/session", one + "/history/session?pid=0",
	} {
		a.want(422, a.get(path))
	}
	a.token = ""
	for _, route := range routes {
		a.want(401, a.get(one+route))
	}
	a.want(401, a.get("/api/v1/fleet"))
	a.want(401, a.get("/api/v1/fleet/activity"))
}

// blockedServer gives a server where one session waits for another, and the
// pid of the latter.
func blockedServer(t *testing.T) (*pgtest.Server, uint32) {
	t.Helper()
	server := pgtest.Target(t)
	server.Exec(t, "create table held (id int)", "insert into held values (1)")
	connect := func() *pgx.Conn {
		conn := must[*pgx.Conn](t)(pgx.Connect(t.Context(), server.SuperuserDSN()))
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	holder, waiter := connect(), connect()
	if _, err := holder.Exec(t.Context(), "begin; update held set id = 2", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = waiter.Exec(t.Context(), "update held set id = 3") }()
	t.Cleanup(func() { <-done })
	return server, holder.PgConn().PID()
}

func TestLocksNow(t *testing.T) {
	t.Parallel()
	server, holder := blockedServer(t)
	a := startAPI(t)
	a.watched("db1", server)
	a.token = a.tokenOf(account.Viewer)
	var root row
	pgtest.WaitFor(t, func() bool {
		blocking := a.row(a.want(200, a.get("/api/v1/servers/db1/locks")))["blocking"].(row)
		if blocking["waiting"] != 1.0 {
			return false
		}
		root = blocking["roots"].([]any)[0].(row)
		return true
	}, "the lock to be waited for")
	if root["pid"] != float64(holder) || root["kind"] != "idle_in_transaction" || root["sessions_behind"] != 1.0 || root["query"] != "begin; update held set id = ?" ||
		root["lock"].(row)["type"] != "transactionid" || root["xact_age_seconds"] == nil {
		t.Errorf("root %v", root)
	}
	server.Stop(t)
	a.want(502, a.get("/api/v1/servers/db1/locks"))
}

// listener reads server-sent events.
type listener struct {
	t      *testing.T
	res    *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (a *site) listen(path string) *listener {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	a.t.Cleanup(cancel)
	req := must[*http.Request](a.t)(http.NewRequestWithContext(ctx, http.MethodGet, a.URL+path, http.NoBody))
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Accept-Encoding", "gzip")
	res := must[*http.Response](a.t)(a.Client().Do(req)) //nolint:bodyclose // below
	a.t.Cleanup(func() { _ = res.Body.Close() })
	return &listener{a.t, res, bufio.NewScanner(res.Body), cancel}
}

// next gives the next event; its kind is empty at the end.
func (l *listener) next() (kind string, data row) {
	l.t.Helper()
	for l.lines.Scan() {
		line := l.lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			kind = name
		}
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(text), &data); err != nil {
				l.t.Fatalf("data %s: %v", text, err)
			}
			return kind, data
		}
	}
	return "", nil
}

func TestStream(t *testing.T) {
	t.Parallel()
	server, holder := blockedServer(t)
	a := startAPI(t)
	a.watched("db1", server)
	a.token = a.tokenOf(account.Viewer)
	const path = "/api/v1/servers/db1/stream"
	first, second := a.listen(path), a.listen(path+"?every=2")
	stuck := a.listen(path) // it reads nothing
	if h := first.res.Header; first.res.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" ||
		h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" || h.Get("Content-Encoding") != "" {
		t.Errorf("%d %v", first.res.StatusCode, h)
	}
	var tick row
	for tick["waiting"] != 1.0 {
		var kind string
		if kind, tick = first.next(); kind != "tick" {
			t.Fatalf("an event of the kind %q: %v", kind, tick)
		}
	}
	root := tick["roots"].([]any)[0].(row)
	if root["pid"] != float64(holder) || tick["problem"] != nil || tick["sessions"].(row)["lock"] != 1.0 || tick["connections"].(row)["active"] == nil {
		t.Errorf("tick %v", tick)
	}
	if kind, data := second.next(); kind != "tick" || data["activity"] != nil || data["edges"] != nil {
		t.Errorf("the second got %q %v", kind, data)
	}
	_, whole := a.listen(path + "?sessions=true").next()
	edges, sessions := whole["edges"].([]any), whole["activity"].([]any)
	if len(edges) != 1 || edges[0].(row)["blocker"].(row)["pid"] != float64(holder) {
		t.Errorf("edges %v", edges)
	}
	waits := func(s any) bool { return len(s.(row)["blocked_by"].([]any)) == 1 && s.(row)["wait_class"] == "lock" }
	if len(sessions) < 2 || !slices.ContainsFunc(sessions, waits) || strings.Contains(fmt.Sprint(sessions), "id = 2") {
		t.Errorf("sessions %v", sessions)
	}
	// Who leaves is not served any more.
	stuck.cancel()
	// A user who may no longer ask is told so.
	pgtest.Exec(t, a.dsn, "update pgam.account set token_epoch = token_epoch + 1 where login = 'viewer'")
	for kind, data := first.next(); kind != "end"; kind, data = first.next() {
		if kind != "tick" {
			t.Fatalf("got %q %v", kind, data)
		}
	}
	if kind, _ := first.next(); kind != "" {
		t.Errorf("%q after the end", kind)
	}
	// A stop ends streams before it waits for requests.
	a.token = a.tokenOf(account.Operator)
	last := a.listen(path)
	if kind, _ := last.next(); kind != "tick" {
		t.Errorf("the last got %q", kind)
	}
	if err := a.live.EndStreams(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- a.Config.Shutdown(ctx)
	}()
	for kind := "tick"; kind == "tick"; {
		kind, _ = last.next()
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// While the program stops, no stream begins.
func TestStreamRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	a := startAPI(t)
	a.watched("db1", server)
	if err := a.live.EndStreams(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := a.want(503, a.get("/api/v1/servers/db1/stream")); r.Header.Get("Retry-After") == "" {
		t.Errorf("headers %v", r.Header)
	}
}
