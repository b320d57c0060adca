package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/account"
)

const users = "/api/v1/users"

func userPath(name string) string { return users + "/" + url.PathEscape(name) }

func TestUsers(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	for _, role := range []account.Role{account.Viewer, account.Operator} {
		a.token = a.tokenOf(role)
		a.want(403, a.get(users))
		a.want(403, a.json(http.MethodPost, users, row{"username": "ann", "role": "admin", "password": password}))
		a.want(403, a.json(http.MethodPatch, userPath(string(role)), row{"role": "admin"}))
		a.want(403, a.send(http.MethodDelete, userPath("admin"), "", ""))
	}
	a.token = a.tokenOf(account.Admin)
	const name = "ann & co"
	made := a.row(a.want(201, a.json(http.MethodPost, users, row{"username": name, "role": "viewer", "password": "pass-canary"})))
	if made["username"] != name || made["role"] != "viewer" || made["active"] != true || made["last_login_at"] != nil || made["created_at"] == nil {
		t.Errorf("made %v", made)
	}
	page := a.row(a.want(200, a.get(users+"?limit=2")))
	if items := page["items"].([]any); len(items) != 2 || items[0].(row)["username"] != "admin" || items[1].(row)["username"] != name || page["next_cursor"] == nil {
		t.Errorf("the first page: %v", page)
	}
	for _, tt := range []struct {
		status int
		detail string
		body   row
	}{
		{409, "already exists", row{"username": name, "role": "viewer", "password": password}},
		{422, "begins or ends", row{"username": " x", "role": "viewer", "password": password}},
		{422, "shorter than 8", row{"username": "x", "role": "viewer", "password": "canary"}},
		{422, "more than 72", row{"username": "x", "role": "viewer", "password": strings.Repeat("canary", 20)}},
		{422, "", row{"username": "x", "role": "root", "password": password}},
		{422, "", row{"username": "x", "role": "viewer"}},
		{422, "", row{"username": "", "role": "viewer", "password": password}},
	} {
		r := a.want(tt.status, a.json(http.MethodPost, users, tt.body))
		if !strings.Contains(r.detail(t), tt.detail) || strings.Contains(string(r.Body), "canary") {
			t.Errorf("%v: %s", tt.body["username"], r.Body)
		}
	}
	if got := a.row(a.want(200, a.json(http.MethodPatch, userPath(name), row{"role": "operator"}))); got["role"] != "operator" {
		t.Errorf("another role: %v", got)
	}
	a.want(404, a.json(http.MethodPatch, userPath("nobody"), row{"role": "viewer"}))
	a.want(404, a.json(http.MethodPatch, userPath("nobody"), row{"password": password}))
	a.want(404, a.send(http.MethodDelete, userPath("nobody"), "", ""))
	for _, body := range []row{{"role": "operator"}, {"active": false}} {
		if r := a.want(409, a.json(http.MethodPatch, userPath("admin"), body)); !strings.Contains(r.detail(t), "last administrator") {
			t.Errorf("%v: %s", body, r.Body)
		}
	}
	a.want(409, a.send(http.MethodDelete, userPath("admin"), "", ""))
	a.want(204, a.send(http.MethodDelete, userPath(name), "", ""))
	if strings.Contains(a.log.String(), "canary") {
		t.Error("the log holds a password")
	}
}

// Whoever is logged in as a user is so no longer when the user gets another
// password, is made inactive or is deleted: in this process at once.
func TestUsersEndSessions(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	admin := a.tokenOf(account.Admin)
	for _, tt := range []struct {
		role account.Role
		end  func() answer
	}{
		{account.Viewer, func() answer { return a.json(http.MethodPatch, userPath("viewer"), row{"password": "another one"}) }},
		{account.Operator, func() answer { return a.json(http.MethodPatch, userPath("operator"), row{"active": false}) }},
		{account.Operator, func() answer {
			a.want(200, a.json(http.MethodPatch, userPath("operator"), row{"active": true}))
			return a.send(http.MethodDelete, userPath("operator"), "", "")
		}},
	} {
		a.token = ""
		if tt.role == account.Operator {
			a.token = admin
			a.want(200, a.json(http.MethodPatch, userPath("operator"), row{"active": true}))
			a.token = ""
		}
		b, token := a.browse(tt.role), a.tokenOf(tt.role)
		a.want(200, b.ask(http.MethodGet, sessionPath, ""))
		a.token = token
		a.want(200, a.get("/api/v1/me"))
		a.token = admin
		if r := tt.end(); r.Status >= 300 {
			t.Fatalf("%s: %d %s", tt.role, r.Status, r.Body)
		}
		a.token = token
		a.want(401, a.get("/api/v1/me"))
		a.token = ""
		a.want(401, b.ask(http.MethodGet, sessionPath, ""))
	}
}

func TestOwnPassword(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	const path, next = "/api/v1/me/password", "quite another one"
	a.token = ""
	a.want(401, a.json(http.MethodPut, path, row{"password": password, "new_password": next}))
	b, other := a.browse(account.Viewer), a.browse(account.Viewer)
	if r := a.want(422, b.ask(http.MethodPut, path, `{"password":"wrong one","new_password":"`+next+`"}`)); !strings.Contains(r.detail(t), "present password") {
		t.Errorf("a wrong one: %s", r.Body)
	}
	// Guessing it is bounded by where it comes from, as a login is.
	if log := a.log.String(); !strings.Contains(log, "login refused") || strings.Contains(log, "invalid IP") {
		t.Errorf("the refusal does not say where it came from:\n%s", log)
	}
	a.want(422, b.ask(http.MethodPut, path, `{"password":"`+password+`","new_password":"short"}`))
	a.want(200, b.ask(http.MethodGet, sessionPath, ""))
	a.want(204, b.ask(http.MethodPut, path, `{"password":"`+password+`","new_password":"`+next+`"}`))
	a.want(401, b.ask(http.MethodGet, sessionPath, ""))
	a.want(401, other.ask(http.MethodGet, sessionPath, ""))
	a.want(401, b.ask(http.MethodPost, sessionPath, `{"username":"viewer","password":"`+password+`"}`))
	a.want(200, b.ask(http.MethodPost, sessionPath, `{"username":"viewer","password":"`+next+`"}`))
}
