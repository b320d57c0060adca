package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/target"
)

// victim is a session that sleeps until it is signalled.
type victim struct {
	pid   int32
	start string // as the API says it
	ended chan string
}

// sleeping gives a session of the role app that is in a long statement.
func (a *site) sleeping(server string, s *pgtest.Server) *victim {
	a.t.Helper()
	cfg := must[*pgx.ConnConfig](a.t)(pgx.ParseConfig(s.DSN("app")))
	cfg.RuntimeParams["application_name"] = "sleeper"
	conn := must[*pgx.Conn](a.t)(pgx.ConnectConfig(a.t.Context(), cfg))
	a.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	v := &victim{pid: int32(conn.PgConn().PID()), ended: make(chan string, 1)}
	go func() {
		_, err := conn.Exec(context.WithoutCancel(a.t.Context()), "select pg_sleep(600)")
		code := ""
		if said, ok := errors.AsType[*pgconn.PgError](err); ok {
			code = said.Code
		}
		v.ended <- code
	}()
	pgtest.WaitFor(a.t, func() bool {
		for _, item := range a.row(a.want(200, a.get("/api/v1/servers/"+server+"/activity")))["sessions"].([]any) {
			if one := item.(row); one["pid"] == float64(v.pid) && one["state"] == "active" {
				v.start = one["backend_start"].(string)
				return true
			}
		}
		return false
	}, "the session to sleep")
	return v
}

func actPath(server string, pid int32, act string) string {
	return fmt.Sprintf("/api/v1/servers/%s/sessions/%d/%s", url.PathEscape(server), pid, act)
}

// audit gives the rows of the audit that fit, the newest first.
func (a *site) audit(asked string) []any {
	a.t.Helper()
	token := a.token
	defer func() { a.token = token }()
	a.token = a.tokenOf(account.Admin)
	return a.row(a.want(200, a.get("/api/v1/audit?"+asked)))["items"].([]any)
}

// Acting on a session is off unless somebody allows it, is an operator's, and is
// in the audit, whatever comes of it.
func TestActs(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	server := pgtest.Target(t)
	server.Exec(t, "create role app login password '"+pgtest.Password+"'")
	a.watched("db1", server)
	v := a.sleeping("db1", server)
	told := 0 // rows of the audit
	// act asks, and wants a status, a text of the refusal, and the row.
	act := func(status int, says, name string, pid int32, kind, start string) answer {
		t.Helper()
		r := a.want(status, a.json(http.MethodPost, actPath(name, pid, kind), row{"backend_start": start}))
		outcome, reason := any("ok"), any(nil)
		if status != 200 {
			outcome, reason = "refused", r.detail(t)
			if !strings.Contains(r.detail(t), says) {
				t.Errorf("%s: %s, want %q", kind, r.Body, says)
			}
		}
		told++
		rows := a.audit("limit=1000")
		newest := rows[0].(row)
		if len(rows) != told || newest["action"] != "session."+kind || newest["outcome"] != outcome || newest["reason"] != reason ||
			newest["client_addr"] != "127.0.0.1" || newest["at"] == nil || fmt.Sprint(newest["detail"].(row)["pid"]) != fmt.Sprint(pid) {
			t.Errorf("%d rows, want %d; the newest: %v", len(rows), told, newest)
		}
		return r
	}
	set := func(status int, control any) {
		t.Helper()
		got := a.want(status, a.json(http.MethodPatch, "/api/v1/servers/db1", row{"session_control": control}))
		if status == 200 && (a.row(got)["session_control"] != control || control != nil && a.row(got)["session_control_in_force"] != control) {
			t.Errorf("set %v: %s", control, got.Body)
		}
	}

	if one := a.row(a.want(200, a.get("/api/v1/servers/db1"))); one["session_control"] != nil || one["session_control_in_force"] != "off" {
		t.Errorf("by default: %v", one)
	}
	for _, kind := range []string{"cancel", "terminate"} {
		act(403, "PGAM_SESSION_CONTROL", "db1", v.pid, kind, v.start)
	}
	set(403, "cancel")
	a.token = a.tokenOf(account.Admin)
	set(422, "kill")
	set(200, "cancel")
	a.token = a.tokenOf(account.Viewer)
	act(403, "needs the role operator", "db1", v.pid, "cancel", v.start)
	if newest := a.audit("account=viewer")[0].(row); newest["server"] != "db1" {
		t.Errorf("the viewer's row: %v", newest)
	}
	a.token = a.tokenOf(account.Operator)
	act(403, "session control is cancel", "db1", v.pid, "terminate", v.start)
	act(403, "GRANT pg_signal_backend TO pgam;", "db1", v.pid, "cancel", v.start)
	server.Exec(t, "grant pg_signal_backend to pgam")
	began := must[time.Time](t)(time.Parse(time.RFC3339Nano, v.start))
	act(404, "another one has its pid", "db1", v.pid, "cancel", began.Add(time.Microsecond).Format(time.RFC3339Nano))
	act(404, "has gone", "db1", 1, "cancel", v.start)
	act(404, "Server not found", "no such", v.pid, "cancel", v.start)
	own := pgtest.Value[int32](t, server.SuperuserDSN(), "select pid from pg_stat_activity where application_name = 'pgam-api' limit 1")
	act(403, "pgam's own", "db1", own, "cancel", v.start)
	select {
	case code := <-v.ended:
		t.Fatalf("a refused act ended the statement with %q", code)
	default:
	}
	r := a.row(act(200, "", "db1", v.pid, "cancel", v.start))
	if r["signalled"] != true || r["pid"] != float64(v.pid) || r["action"] != "cancel" || <-v.ended != "57014" {
		t.Errorf("cancelled: %v", r)
	}
	if newest := a.audit("server=db1&action=session.cancel&account=operator")[0].(row)["detail"].(row); newest["user"] != "app" || newest["application"] != "sleeper" ||
		newest["backend_start"] != v.start {
		t.Errorf("of whom: %v", newest)
	}

	a.token = a.tokenOf(account.Admin)
	set(200, "terminate")
	a.token = a.tokenOf(account.Operator)
	set(403, "off")
	set(200, "terminate") // as it is
	v = a.sleeping("db1", server)
	act(200, "", "db1", v.pid, "terminate", v.start)
	if code := <-v.ended; code != "57P01" {
		t.Errorf("terminated with %q", code)
	}

	// Nothing is done that cannot be written down.
	v = a.sleeping("db1", server)
	pgtest.Exec(t, a.dsn, "alter table pgam.audit rename to elsewhere")
	if r := a.want(503, a.json(http.MethodPost, actPath("db1", v.pid, "terminate"), row{"backend_start": v.start})); !strings.Contains(r.detail(t), "nothing was done") {
		t.Errorf("without an audit: %s", r.Body)
	}
	pgtest.Exec(t, a.dsn, "alter table pgam.elsewhere rename to audit")
	act(200, "", "db1", v.pid, "cancel", v.start)
	<-v.ended

	// A server that does not answer is no refusal.
	server.Stop(t)
	a.want(502, a.json(http.MethodPost, actPath("db1", v.pid, "cancel"), row{"backend_start": v.start}))
	if newest := a.audit("limit=1")[0].(row); newest["outcome"] != "failed" || newest["reason"] == nil {
		t.Errorf("a server that is away: %v", newest)
	}
	a.want(422, a.json(http.MethodPost, actPath("db1", v.pid, "cancel"), row{"backend_start": "yesterday"}))
	a.want(422, a.json(http.MethodPost, actPath("db1", v.pid, "cancel"), row{}))
	a.want(422, a.json(http.MethodPost, actPath("db1", 0, "cancel"), row{"backend_start": v.start}))
}

// What is allowed for all counts where a server has no setting of its own; that
// one may be stricter, or not.
func TestActsByDefault(t *testing.T) {
	t.Parallel()
	a := startAPI(t, func(c *api.Config) { c.Services.SessionControl = target.ControlTerminate })
	a.token = a.tokenOf(account.Admin)
	server := row{"name": "a", "host": "127.0.0.1", "port": 1, "user": "u"}
	for control, want := range map[any]string{nil: "terminate", "off": "off", "cancel": "cancel"} {
		server["name"], server["session_control"] = fmt.Sprint("db-", control), control
		if made := a.row(a.want(201, a.json(http.MethodPost, "/api/v1/servers", server))); made["session_control"] != control || made["session_control_in_force"] != want {
			t.Errorf("%v: %v", control, made)
		}
	}
	a.token = a.tokenOf(account.Operator)
	server["name"], server["session_control"] = "another", "off"
	a.want(403, a.json(http.MethodPost, "/api/v1/servers", server))
	start := "2026-11-22T03:04:05.678901Z"
	a.want(403, a.json(http.MethodPost, actPath("db-off", 7, "cancel"), row{"backend_start": start}))
	a.want(502, a.json(http.MethodPost, actPath("db-<nil>", 7, "terminate"), row{"backend_start": start}))

	// One user adds sixty rows a minute, and hurts nobody else with it.
	statuses := map[int]int{}
	for range 130 { // more than two minutes' worth, should one begin meanwhile
		statuses[a.json(http.MethodPost, actPath("db-off", 7, "cancel"), row{"backend_start": start}).Status]++
	}
	if statuses[429] == 0 || statuses[403]+statuses[429] != 130 {
		t.Errorf("statuses %v", statuses)
	}
	if n := len(a.audit("limit=1000")); n != statuses[403]+2 {
		t.Errorf("%d rows, want %d", n, statuses[403]+2)
	}
}

// The audit is shown in pages, by what is asked.
func TestAudit(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	pgtest.Exec(t, a.dsn, `insert into pgam.audit (at, account, action, server, outcome, detail)
		select '2026-11-22 03:00Z'::timestamptz + n * interval '1 minute', 'user ' || n % 2, 'session.cancel', 'db' || n % 3, 'ok', jsonb_build_object('pid', n)
		  from generate_series(1, 12) n`)
	a.token = a.tokenOf(account.Operator)
	a.want(403, a.get("/api/v1/audit"))
	a.token = a.tokenOf(account.Admin)
	for asked, want := range map[string]string{
		"":                                "12 11 10 9 8 7 6 5 4 3 2 1",
		"server=db1":                      "10 7 4 1",
		"server=db1&account=user+1":       "7 1",
		"action=session.terminate":        "",
		"from=2026-11-22T03:10:00Z":       "12 11 10",
		"to=2026-11-22T03:03:00Z":         "2 1",
		"server=%00":                      "",
		"account=" + url.QueryEscape("'"): "",
	} {
		var got []string
		for path := "/api/v1/audit?limit=2&" + asked; path != ""; {
			page := a.row(a.want(200, a.get(path)))
			for _, item := range page["items"].([]any) {
				got = append(got, fmt.Sprint(item.(row)["detail"].(row)["pid"]))
			}
			path = ""
			if next, more := page["next_cursor"].(string); more {
				path = "/api/v1/audit?limit=2&" + asked + "&cursor=" + next
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", asked, got, want)
		}
	}
	for _, asked := range []string{"from=x", "cursor=x", "limit=0", "other=1"} {
		if r := a.get("/api/v1/audit?" + asked); r.Status != 422 && r.Status != 400 {
			t.Errorf("%s: %d", asked, r.Status)
		}
	}
}
