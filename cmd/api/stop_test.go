package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const operatorPassword = "password-canary / 100%"

// process is the API at work, with an operator and a server named db1.
type process struct {
	cmd    *exec.Cmd
	url    string
	logged chan string
	token  string
}

// startProcess starts the program over this stats_db and logs in.
func startProcess(t *testing.T, dsn string, server *pgtest.Server, settings ...string) *process {
	t.Helper()
	given := settingsFor(t, dsn, "127.0.0.1:0")
	for _, setting := range given {
		if file, ok := strings.CutPrefix(setting, "PGAM_KEY_FILE="); ok {
			populate(t, dsn, file, server)
		}
	}
	p := &process{cmd: command(t, nil, append(given, settings...)...), logged: make(chan string, 1)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		var all strings.Builder
		ready := regexp.MustCompile(`"msg":"ready".*"address":"([^"]+)"`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
		p.logged <- all.String()
	}()
	host, ok := <-address
	if !ok {
		t.Fatalf("it did not become ready:\n%s", <-p.logged)
	}
	p.url = "http://" + host
	var said struct {
		Token string `json:"access_token"`
	}
	status, body := p.send(t, http.MethodPost, "/token", "application/x-www-form-urlencoded",
		url.Values{"username": {"operator"}, "password": {operatorPassword}}.Encode())
	if err := json.Unmarshal([]byte(body), &said); err != nil || status != http.StatusOK {
		t.Fatalf("log in: %d %s", status, body)
	}
	p.token = said.Token
	return p
}

// populate writes the operator and the server into stats_db.
func populate(t *testing.T, dsn, keyFile string, server *pgtest.Server) {
	t.Helper()
	ring, err := secret.ReadKeyring(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)})
	defer db.Close()
	stored := catalog.New(db, ring)
	hasher, err := auth.NewHasher(auth.HasherConfig{Cost: 4})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hasher.Hash(t.Context(), operatorPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stored.CreateAccount(t.Context(), account.User{Login: "operator", PasswordHash: hash, Role: account.Operator, Active: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := stored.CreateServer(t.Context(), target.Target{Name: "db1", Enabled: true, Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}}); err != nil {
		t.Fatal(err)
	}
}

// send asks with the token, if there is one yet. A request that was not
// answered has status 0.
func (p *process) send(t *testing.T, method, path, contentType, body string, headers ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Content-Type", contentType)
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(data)
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// end waits for the process and gives its exit code and log.
func (p *process) end(t *testing.T) (code int, log string) {
	t.Helper()
	log = <-p.logged
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), log
}

// slowRequest asks a question of stats_db that waits until release is called.
func (p *process) slowRequest(t *testing.T, dsn string) (answered <-chan int, release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "begin; lock table history.database in access exclusive mode", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	statuses := make(chan int, 1)
	go func() {
		status, _ := p.send(t, http.MethodGet, "/server/db1/stats", "", "")
		statuses <- status
	}()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int64](t, dsn, "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())") > 0
	}, "a request to wait")
	return statuses, func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
}

// A stop lets requests under way finish, takes no new ones, and leaves no
// connection behind that PostgreSQL would have to clean up.
func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	server, dsn := pgtest.Target(t), pgtest.StatsDB(t)
	p := startProcess(t, dsn, server, "PGAM_SHUTDOWN_TIMEOUT=20s")
	if status, body := p.send(t, http.MethodGet, "/server_stats/db1", "", ""); status != http.StatusOK {
		t.Fatalf("a live question: %d %s", status, body)
	}
	answered, release := p.slowRequest(t, dsn)
	p.stop(t)
	pgtest.WaitFor(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, "the listener to close")
	select {
	case status := <-answered:
		t.Fatalf("the slow request ended before it could, with %d", status)
	case log := <-p.logged:
		t.Fatalf("the process ended before the slow request:\n%s", log)
	default:
	}
	release()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the slow request was answered %d", status)
	}
	code, log := p.end(t)
	if code != 0 || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("exit code %d:\n%s", code, log)
	}
	for _, where := range []string{dsn, server.SuperuserDSN()} {
		if n := pgtest.Value[int64](t, where, "select sum(sessions_abandoned)::int8 from pg_stat_database where datname = current_database()"); n != 0 {
			t.Errorf("%d connections were left behind", n)
		}
	}
}

// A server that hangs does not make a stop cut off who asks about it.
func TestStopAnswersForHungServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	p := startProcess(t, pgtest.StatsDB(t), server, "PGAM_SHUTDOWN_TIMEOUT=20s", "PGAM_LIVE_DEADLINE=1m")
	if status, body := p.send(t, http.MethodGet, "/server_stats/db1", "", ""); status != http.StatusOK {
		t.Fatalf("a live question: %d %s", status, body)
	}
	server.Pause(t)
	defer server.Resume(t)
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		status, body := p.send(t, http.MethodGet, "/server_stats/db1", "", "")
		answered <- answer{status, body}
	}()
	pgtest.WaitFor(t, func() bool {
		_, pools := p.send(t, http.MethodGet, "/api/pools/status", "", "")
		return strings.Contains(pools, `"acquired":1`)
	}, "the question to be under way")
	p.stop(t)
	if got := <-answered; got.status != http.StatusInternalServerError || !strings.Contains(got.body, "try again in a moment") {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if _, log := p.end(t); strings.Contains(log, "requests cut off") {
		t.Errorf("requests were cut off:\n%s", log)
	}
}

// A stop does not wait for ever.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	p := startProcess(t, dsn, pgtest.Target(t), "PGAM_SHUTDOWN_TIMEOUT=2s")
	answered, release := p.slowRequest(t, dsn)
	defer release()
	begun := time.Now()
	p.stop(t)
	code, log := p.end(t)
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %s to stop within 2s", took)
	}
	if code != 1 || !strings.Contains(log, "requests cut off") {
		t.Errorf("exit code %d:\n%s", code, log)
	}
	if status := <-answered; status != 0 {
		t.Errorf("the request that was cut off was answered %d", status)
	}
}

// The log says who asked for what route, and nothing that a client sent.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	p := startProcess(t, pgtest.StatsDB(t), pgtest.Target(t), "LOG_LEVEL=debug")
	const form, js = "application/x-www-form-urlencoded", "application/json"
	row := `{"name":"name-canary","host":"127.0.0.1","port":1,"user":"user-canary","password":"secret-canary","ssh_user":"u","ssh_password":"shell-canary"`
	for _, r := range []struct {
		method, path, media, body string
		status                    int
		headers                   []string
	}{
		{"GET", "/servers?token=query-canary&start_date=query-canary", "", "", 200, nil},
		{"GET", "/server/db1/stats?start_date=query-canary", "", "", 400, nil},
		{"GET", "/server/path-canary/stats", "", "", 404, nil},
		{"GET", "/server_stats/path-canary", "", "", 404, nil},
		{"GET", "/unknown-canary/path-canary?query-canary", "", "", 404, nil},
		{"POST", "/token", form, "username=operator&password=wrong-canary", 401, nil},
		{"POST", "/token", js, `{"password":"wrong-canary"}`, 422, nil},
		{"POST", "/servers", js, row + `}`, 200, nil},
		{"POST", "/servers", js, row + `,"port":"secret-canary"}`, 422, nil},
		{"POST", "/servers", js, row, 422, nil},
		{"PUT", "/servers/name-canary", js, row + `}`, 200, nil},
		{"GET", "/servers", "", "", 401, []string{"Authorization", "Bearer token-canary"}},
		{"GET", "/servers", "", "", 401, []string{"Authorization", "Basic token-canary"}},
		{"GET", "/servers", "", "", 200, []string{
			"Cookie", "session=header-canary", "User-Agent", "header-canary", "Referer", "https://header-canary/", "X-Request-Id", "header-canary",
			"X-Forwarded-For", "header-canary", "If-None-Match", "header-canary", "Origin", "https://header-canary", "Accept", "header-canary",
		}},
		{"GET", "/", "", "", 200, nil},
	} {
		if status, body := p.send(t, r.method, r.path, r.media, r.body, r.headers...); status != r.status {
			t.Errorf("%s %s: %d, want %d: %s", r.method, r.path, status, r.status, body)
		}
	}
	p.stop(t)
	code, log := p.end(t)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, secret := range []string{"canary", url.QueryEscape(operatorPassword), p.token, strings.Split(p.token, ".")[2], pgtest.Password, "random-7Yb2", "?"} {
		for line := range strings.Lines(log) {
			// A server's name is no secret, and the log of its failures needs it.
			if strings.Contains(strings.ReplaceAll(line, `"server":"name-canary"`, ""), secret) {
				t.Errorf("the log holds %q: %s", secret, line)
			}
		}
	}
	requests := 0
	for line := range strings.Lines(log) {
		var said struct {
			Msg       string  `json:"msg"`
			RequestID string  `json:"request_id"`
			Method    string  `json:"method"`
			Route     string  `json:"route"`
			Client    string  `json:"client"`
			Status    int     `json:"status"`
			Duration  float64 `json:"duration_seconds"`
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		if said.Msg != "request" {
			continue
		}
		requests++
		if len(said.RequestID) != 16 || said.Method == "" || said.Route == "" || said.Status == 0 || said.Duration <= 0 || said.Client != "127.0.0.1" {
			t.Errorf("a request's line says too little: %s", line)
		}
	}
	if requests != 16 {
		t.Errorf("%d requests in the log, want 16", requests)
	}
	if !strings.Contains(log, `"level":"DEBUG"`) {
		t.Error("LOG_LEVEL=debug changes nothing")
	}
}
