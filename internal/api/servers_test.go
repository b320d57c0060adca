package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/target"
)

type row = map[string]any

func bodyOf(s *pgtest.Server, name string) row {
	return row{
		"name": name, "host": s.Host(), "port": s.Port(), "user": pgtest.User, "password": pgtest.Password,
		"stats_db": nil, "ssh_user": "", "ssh_password": "", "ssh_port": 22,
	}
}

func (a *site) row(r answer) row {
	a.t.Helper()
	var v row
	r.into(a.t, &v)
	return v
}

func TestPythonServers(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	a := startAPI(t)
	if r := a.want(200, a.get("/servers")); strings.TrimSpace(string(r.Body)) != "[]" {
		t.Errorf("no servers: %s", r.Body)
	}
	const name = `größe "x" it's 100%+1`
	path := "/servers/" + url.PathEscape(name)
	body := bodyOf(server, name)
	body["extra"], body["port"] = "ignored", fmt.Sprint(server.Port()) // a number in a string
	made := a.row(a.want(200, a.json(http.MethodPost, "/servers", body)))
	keys := make([]string, 0, len(made))
	for k := range made {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	want := []string{
		"connections", "data_dir", "free_space", "has_password", "has_ssh_password", "host", "name", "port",
		"ssh_auth_type", "ssh_key_id", "ssh_key_info", "ssh_port", "ssh_user",
		"stats_db", "status", "total_space", "uptime_hours", "user", "version",
	}
	if !slices.Equal(keys, want) {
		t.Errorf("fields %v, want %v", keys, want)
	}
	if made["name"] != name || made["status"] != "ok" || made["has_password"] != true || made["has_ssh_password"] != false ||
		made["port"] != float64(server.Port()) || made["stats_db"] != nil || !strings.HasPrefix(made["version"].(string), server.Version()) ||
		made["data_dir"] == nil || made["connections"] == nil || made["uptime_hours"] == nil || made["free_space"] != nil {
		t.Errorf("row %v", made)
	}
	if r := a.want(400, a.json(http.MethodPost, "/api/servers", body)); r.detail(t) != "Server with this name already exists" {
		t.Errorf("twice: %s", r.Body)
	}
	var list []row
	a.want(200, a.get("/api/servers")).into(t, &list)
	if len(list) != 1 || list[0]["name"] != name || list[0]["status"] != "ok" {
		t.Errorf("list %v", list)
	}

	// A whole row as received, with no password in it, keeps the stored one.
	list[0]["stats_db"] = "stats_db"
	updated := a.row(a.want(200, a.json(http.MethodPut, path, list[0])))
	if updated["status"] != "ok" || updated["stats_db"] != "stats_db" || updated["has_password"] != true {
		t.Errorf("after PUT of a row: %v", updated)
	}
	// Another address needs the password again.
	moved := bodyOf(server, name)
	moved["host"], moved["password"] = "localhost", ""
	if r := a.want(400, a.json(http.MethodPut, path, moved)); !strings.Contains(r.detail(t), "send the password again") {
		t.Errorf("new host without a password: %s", r.Body)
	}
	moved["password"] = "wrong-canary"
	if got := a.row(a.want(200, a.json(http.MethodPut, path, moved)))["status"]; got != "PostgreSQL: authentication failed: check user, password and pg_hba.conf" {
		t.Errorf("with a wrong password: %v", got)
	}
	moved["password"], moved["name"] = pgtest.Password, "plain"
	if got := a.row(a.want(200, a.json(http.MethodPut, path, moved))); got["status"] != "ok" || got["name"] != "plain" {
		t.Errorf("renamed: %v", got)
	}
	if r := a.want(404, a.json(http.MethodPut, path, moved)); r.detail(t) != "Server not found" {
		t.Errorf("the old name: %s", r.Body)
	}
	if r := a.row(a.want(200, a.send(http.MethodDelete, "/servers/plain", "", ""))); r["message"] != "Server plain deleted" {
		t.Errorf("deleted: %v", r)
	}
	a.want(404, a.send(http.MethodDelete, "/servers/plain", "", ""))
	for _, canary := range []string{"wrong-canary", pgtest.Password} {
		if strings.Contains(a.log.String(), canary) {
			t.Errorf("the log holds %s", canary)
		}
	}
}

func TestPythonServerRefused(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	good := `"name":"a","host":"h","user":"u","password":"p-canary","ssh_user":"","ssh_password":""`
	for name, tt := range map[string]struct {
		status       int
		body, detail string
	}{
		"not JSON":       {422, `{"password":"p-canary"`, "not valid JSON"},
		"nothing":        {422, ``, "required"},
		"an array":       {422, `["p-canary"]`, "expected object"},
		"field missing":  {422, `{` + good + `}`, "port"},
		"wrong type":     {422, `{` + good + `,"port":{"p-canary":1}}`, "port"},
		"no number":      {422, `{` + good + `,"port":"p-canary"}`, "port"},
		"huge number":    {422, `{` + good + `,"port":99999999999999}`, ""},
		"negative port":  {400, `{` + good + `,"port":-5}`, "port -5"},
		"slash":          {400, strings.Replace(`{`+good+`,"port":1}`, `"a"`, `"a/b"`, 1), "slash"},
		"empty name":     {400, strings.Replace(`{`+good+`,"port":1}`, `"a"`, `""`, 1), "name is empty"},
		"several faults": {400, strings.Replace(strings.Replace(`{`+good+`,"port":1}`, `"a"`, `""`, 1), `"h"`, `""`, 1), "; host is empty"},
		"too large":      {413, `{` + good + `,"port":1,"x":"` + strings.Repeat("p-canary ", 130_000) + `"}`, ""},
		"another type":   {422, "name=a", "application/json"},
	} {
		contentType := "application/json"
		if name == "another type" {
			contentType = form
		}
		r := a.want(tt.status, a.send(http.MethodPost, "/servers", contentType, tt.body))
		if !strings.Contains(r.detail(t), tt.detail) || strings.Contains(string(r.Body), "p-canary") {
			t.Errorf("%s: %s", name, r.Body)
		}
	}
}

func TestV1Servers(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	a := startAPI(t)
	made := a.row(a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{
		"name": "db 1", "host": server.Host(), "port": server.Port(), "user": pgtest.User, "password": pgtest.Password,
		"tls_mode": "prefer", "intervals": row{"activity_seconds": 5}, "ssh": row{"user": "root", "password": "s"}, "disk_source": "none",
	})))
	if made["name"] != "db 1" || made["database"] != "postgres" || made["enabled"] != true || made["has_password"] != true ||
		made["ssh"].(row)["has_password"] != true || made["intervals"].(row)["activity_seconds"] != 5.0 || made["password_broken"] != false {
		t.Errorf("made %v", made)
	}
	r := a.want(409, a.json(http.MethodPost, "/api/v1/servers", row{"name": "db 1", "host": "h", "user": "u"}))
	if r.Header.Get("Content-Type") != "application/problem+json" || a.row(r)["status"] != 409.0 {
		t.Errorf("conflict: %s %s", r.Header.Get("Content-Type"), r.Body)
	}
	for _, tt := range []struct {
		status int
		body   string
	}{
		{400, `{"name":`},
		{422, `{"name":"x","host":"h","user":"u","password":{"p-canary":1}}`},
		{422, `{"name":"x","host":"h","user":"u","unknown":"p-canary"}`},
		{422, `{"name":"x","host":"h","user":"u","port":0}`},
		{422, `{"name":"x","host":"h","user":"u","tls_mode":"p-canary"}`},
		{422, `{"name":"x/y","host":"h","user":"u"}`},
	} {
		r := a.want(tt.status, a.send(http.MethodPost, "/api/v1/servers", "application/json", tt.body))
		if strings.Contains(string(r.Body), "p-canary") || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", tt.body, r.Body)
		}
	}
	one := "/api/v1/servers/db%201"
	changed := a.row(a.want(200, a.json(http.MethodPatch, one, row{"enabled": false, "intervals": row{"activity_seconds": 0}, "pool_profile": "high_load"})))
	if changed["enabled"] != false || changed["intervals"].(row)["activity_seconds"] != nil || changed["has_password"] != true || changed["pool_profile"] != "high_load" {
		t.Errorf("changed %v", changed)
	}
	a.want(422, a.json(http.MethodPatch, one, row{"tls_mode": "disable"}))
	if got := a.row(a.want(200, a.get(one))); got["tls_mode"] != "prefer" || got["id"] != made["id"] {
		t.Errorf("read %v", got)
	}
	report := a.row(a.want(200, a.send(http.MethodPost, one+"/test", "", "")))
	if report["ok"] != true || len(report["findings"].([]any)) != 6 || report["in_recovery"] != false {
		t.Errorf("report %v", report)
	}

	// Pages.
	for i := range 4 {
		a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{"name": fmt.Sprintf("s%d", i), "host": "h", "user": "u"}))
	}
	var names []string
	next := "/api/v1/servers?limit=2"
	for pages := 0; next != ""; pages++ {
		page := a.row(a.want(200, a.get(next)))
		for _, item := range page["items"].([]any) {
			names = append(names, item.(row)["name"].(string))
		}
		next = ""
		if c, ok := page["next_cursor"].(string); ok {
			next = "/api/v1/servers?limit=2&cursor=" + c
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if !slices.Equal(names, []string{"db 1", "s0", "s1", "s2", "s3"}) {
		t.Errorf("pages gave %v", names)
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?cursor=!", "?unknown=1"} {
		a.want(422, a.get("/api/v1/servers"+query))
	}
	if r := a.want(204, a.send(http.MethodDelete, one, "", "")); len(r.Body) != 0 {
		t.Errorf("body of a deletion: %s", r.Body)
	}
	for _, gone := range []string{one, one + "/activity", one + "/history/at", one + "/history/activity"} {
		if r := a.want(404, a.get(gone)); r.detail(t) != "Server not found" {
			t.Errorf("%s: %s", gone, r.Body)
		}
	}
	if n := pgtest.Value[int64](t, a.dsn, "select count(*) from pgam.server where name = 'db 1' and deleted_at is not null"); n != 1 {
		t.Error("the row of the deleted server is gone")
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create table held (id int)", "insert into held values (1)")
	a := startAPI(t)
	a.watched("db1", server)
	a.token = a.tokenOf("viewer")

	connect := func() *pgx.Conn {
		conn := must[*pgx.Conn](t)(pgx.Connect(t.Context(), server.SuperuserDSN()))
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	holder, waiter := connect(), connect()
	if _, err := holder.Exec(t.Context(), "begin; update held set id = 2", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { _, err := waiter.Exec(t.Context(), "update held set id = 3"); waiting <- err }()

	var waits row
	pgtest.WaitFor(t, func() bool {
		body := a.row(a.want(200, a.get("/api/v1/servers/db1/activity")))
		for _, s := range body["sessions"].([]any) {
			if s.(row)["pid"] == float64(waiter.PgConn().PID()) && s.(row)["wait_event_type"] == "Lock" {
				waits = s.(row)
			}
		}
		return waits != nil
	}, "the waiter to wait")
	if fmt.Sprint(waits["blocked_by"]) != fmt.Sprintf("[%d]", holder.PgConn().PID()) || waits["query"] != "update held set id = ?" ||
		waits["state"] != "active" || waits["query_age_seconds"] == nil || waits["database"] != "postgres" {
		t.Errorf("waiter %v", waits)
	}
	if _, ok := waits["query_id"].(string); waits["query_id"] != nil && !ok {
		t.Errorf("query_id is no text: %v", waits["query_id"])
	}
	// The same to everybody, everywhere: what of a text each may see.
	seen := func(path string, role account.Role, texts target.QueryTexts) string {
		pgtest.Exec(t, a.dsn, "update pgam.server set query_texts = '"+string(texts)+"', revision = nextval('pgam.revision') where name = 'db1'")
		if err := a.live.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.token = a.tokenOf(role)
		return string(a.want(200, a.get(path)).Body)
	}
	for _, path := range []string{"/server_stats/db1", "/api/server_stats/db1", "/api/v1/servers/db1/activity", "/api/v1/servers/db1/locks"} {
		for _, role := range account.Roles() {
			for _, texts := range []target.QueryTexts{target.TextsNone, target.TextsNormalized, target.TextsFull} {
				body := seen(path, role, texts)
				whole := role != account.Viewer || texts == target.TextsFull
				if strings.Contains(body, "held set id = 2") != whole || strings.Contains(body, "held set id = ?") != (!whole && texts == target.TextsNormalized) ||
					!strings.Contains(body, fmt.Sprint(waiter.PgConn().PID())) {
					t.Errorf("%s as %s with texts %s: %s", path, role, texts, body)
				}
			}
		}
	}
	a.token = a.tokenOf(account.Viewer)
	var sessions struct {
		Queries []struct {
			PID                            uint32
			UseName, DatName, Query, State *string
		}
	}
	a.want(200, a.get("/server_stats/db1")).into(t, &sessions)
	found := 0
	for _, q := range sessions.Queries {
		if q.PID == waiter.PgConn().PID() && *q.State == "active" || q.PID == holder.PgConn().PID() && *q.State == "idle in transaction" {
			found++
		}
	}
	if found != 2 {
		t.Errorf("server_stats %+v", sessions)
	}
	if _, err := holder.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	pools := a.row(a.want(200, a.get("/api/pools/status")))
	pool, ok := pools[fmt.Sprintf("%s:%d:%s:postgres", server.Host(), server.Port(), pgtest.User)].(row)
	if !ok || pool["minconn"] != 1.0 || pool["maxconn"] != 5.0 || pool["closed"] != false {
		t.Errorf("pools %v", pools)
	}
	if health := a.row(a.want(200, a.get("/api/health"))); health["status"] != "ok" || health["pools_count"] != 1.0 || health["version"] != "test" {
		t.Errorf("health %v", health)
	}

	// A server that is away is an error in either form, without its address.
	server.Stop(t)
	pg := a.want(500, a.get("/server_stats/db1"))
	v1 := a.want(502, a.get("/api/v1/servers/db1/activity"))
	for _, r := range []answer{pg, v1} {
		if r.detail(t) != "PostgreSQL: connection refused: is PostgreSQL running at this host and port?" {
			t.Errorf("away: %s", r.Body)
		}
	}
	for _, leak := range []string{server.Host(), fmt.Sprint(server.Port()), "dial"} {
		if strings.Contains(string(pg.Body)+string(v1.Body), leak) {
			t.Errorf("an error holds %q", leak)
		}
	}
}

// A server that hangs does not delay another's row, nor any other request.
func TestHungServer(t *testing.T) {
	t.Parallel()
	hung, well := pgtest.Target(t), pgtest.Target(t)
	a := startAPI(t)
	a.watched("a hung", hung)
	a.watched("b well", well)
	a.want(200, a.get("/servers"))
	hung.Pause(t)
	defer hung.Resume(t)

	slow := make(chan answer, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+"/server_stats/a%20hung", http.NoBody)
		if err != nil {
			t.Error(err)
		}
		req.Header.Set("Authorization", "Bearer "+a.token)
		res, err := a.Client().Do(req)
		if err != nil {
			t.Error(err)
			slow <- answer{}
			return
		}
		_ = res.Body.Close()
		slow <- answer{Status: res.StatusCode}
	}()
	for range 20 {
		begun := time.Now()
		a.want(200, a.get("/server_stats/b%20well"))
		if took := time.Since(begun); took > time.Second {
			t.Errorf("a request about the other server took %s", took)
		}
	}
	a.want(504, a.get("/api/v1/servers/a%20hung/activity"))
	if r := <-slow; r.Status != 500 {
		t.Errorf("the hung server's request: %d", r.Status)
	}
	var list []row
	pgtest.WaitFor(t, func() bool { // once the first status is no longer remembered
		begun := time.Now()
		a.want(200, a.get("/servers")).into(t, &list)
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("GET /servers took %s", took)
		}
		return list[0]["status"] == "PostgreSQL: timeout"
	}, "the hung server to be shown as such")
	if list[1]["status"] != "ok" || list[0]["version"] != nil {
		t.Errorf("list %v", list)
	}
}

func TestOutsideOperations(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	if r := a.want(404, a.get("/nothing")); r.detail(t) != "Not Found" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("unknown route: %s", r.Body)
	}
	if r := a.want(404, a.get("/api/v1/nothing")); r.Header.Get("Content-Type") != "application/problem+json" || r.detail(t) != "Not Found" {
		t.Errorf("unknown route of v1: %s", r.Body)
	}
	if r := a.want(405, a.send(http.MethodPatch, "/servers", "", "")); r.Header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
	for _, bad := range []string{"/server_stats/%ff", "/server_stats/a%00b", "/server_stats/a%2Fb", "/server/%zz/stats", "/server//stats", "/api/v1/servers//history/top"} {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, http.NoBody))
		req.URL.Opaque = strings.Replace(a.URL, "http:", "", 1) + bad
		req.Header.Set("Authorization", "Bearer "+a.token)
		res, err := a.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, res.StatusCode)
		}
	}
	// A slash at the end leads to the route itself, whatever the method.
	client := *a.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, tt := range []struct{ method, path, location string }{
		{http.MethodGet, "/servers/", "/servers"},
		{http.MethodPost, "/token/?a=%20b", "/token?a=%20b"},
		{http.MethodPut, "/api/servers/a%2Fb%3F//", "/api/servers/a%2Fb%3F"},
		{http.MethodGet, "/nothing/", ""},
		{http.MethodGet, "//servers/", ""},
		{http.MethodGet, "//evil.example.org/", ""},
	} {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), tt.method, a.URL, http.NoBody))
		req.URL.Opaque = strings.Replace(a.URL, "http:", "", 1) + tt.path
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		want := http.StatusTemporaryRedirect
		if tt.location == "" {
			want = http.StatusNotFound
		}
		if res.StatusCode != want || res.Header.Get("Location") != tt.location || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d to %q", tt.method, tt.path, res.StatusCode, res.Header.Get("Location"))
		}
	}
	r := a.get("/servers?token=query-canary")
	for name, want := range map[string]string{"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if r.Header.Get(name) != want {
			t.Errorf("%s: %q", name, r.Header.Get(name))
		}
	}
	id := r.Header.Get("X-Request-Id")
	if log := a.log.String(); id == "" || !strings.Contains(log, id) || !strings.Contains(log, "route=/servers") || strings.Contains(log, "query-canary") {
		t.Errorf("id %q, log:\n%s", id, log)
	}
	metrics := string(a.want(200, a.get("/metrics")).Body)
	if !strings.Contains(metrics, `pgam_http_requests_total{method="GET",route="/servers",status="2xx"} 1`) ||
		!strings.Contains(metrics, `route="unmatched"`) || strings.Contains(metrics, "nothing") {
		t.Errorf("metrics:\n%s", metrics)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	ask := func(method, origin string, headers ...string) answer {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, a.URL+"/servers", http.NoBody))
		req.Header.Set("Origin", origin)
		req.Header.Set("Authorization", "Bearer "+a.token)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return a.do(req)
	}
	const ui = "https://ui.example.org"
	r := a.want(200, ask(http.MethodOptions, ui, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"))
	if r.Header.Get("Access-Control-Allow-Origin") != ui || string(r.Body) != "OK" || !strings.EqualFold(r.Header.Get("Access-Control-Allow-Headers"), "authorization") ||
		!strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("preflight %v", r.Header)
	}
	if r := a.want(200, ask(http.MethodGet, ui)); r.Header.Get("Access-Control-Allow-Origin") != ui || r.Header.Get("Vary") != "Origin" {
		t.Errorf("request %v", r.Header)
	}
	for _, origin := range []string{"https://evil.example.org", "https://ui.example.org.evil.org", "null"} {
		a.want(400, ask(http.MethodOptions, origin, "Access-Control-Request-Method", "GET"))
		if r := a.want(200, ask(http.MethodGet, origin)); r.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is allowed", origin)
		}
	}
}

// Without stats_db the API says so, and answers from what it knows.
func TestWithoutStatsDB(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	a := startAPI(t)
	a.watched("db1", server)
	a.want(200, a.get("/servers"))
	pgtest.Exec(t, a.dsn, "alter table public.pgam_schema_version rename to away", "alter schema history rename to history_away")
	pgtest.WaitFor(t, func() bool { return a.get("/readyz").Status == 503 }, "readiness to fail")
	if health := a.row(a.want(503, a.get("/api/health"))); health["status"] != "error" {
		t.Errorf("health %v", health)
	}
	a.want(200, a.get("/healthz"))
	a.want(200, a.get("/server_stats/db1"))
	r := a.want(500, a.get("/server/db1/stats"))
	if r.detail(t) != "Internal Server Error" || !strings.Contains(a.log.String(), "42P01") {
		t.Errorf("a driver's error: %s", r.Body)
	}
	a.db.Close()
	if r := a.get("/server/db1/stats"); r.Status != 503 && r.Status != 500 || strings.Contains(string(r.Body), "pool") {
		t.Errorf("a closed pool: %d %s", r.Status, r.Body)
	}
	if !json.Valid(r.Body) {
		t.Errorf("body %s", r.Body)
	}
}
