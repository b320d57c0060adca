package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sshtest"
)

// loginOf gives a token as POST /token does.
func (a *site) loginOf(role account.Role) string {
	a.t.Helper()
	form := url.Values{"username": {string(role)}, "password": {password}}.Encode()
	token, _ := a.row(a.want(200, a.send(http.MethodPost, "/token", "application/x-www-form-urlencoded", form)))["access_token"].(string)
	if token == "" {
		a.t.Fatal("no token")
	}
	return token
}

// as says what who has this token is answered.
func (a *site) as(token, method, path string) answer {
	a.t.Helper()
	before := a.token
	defer func() { a.token = before }()
	a.token = token
	return a.send(method, path, "", "")
}

// The session dialog of the later version's client: who goes on gets another
// token, who logs out ends every token of that login, and of no other one.
func TestALoginIsRenewedAndEnded(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	first, other := a.loginOf(account.Viewer), a.loginOf(account.Viewer)
	var renewed []string
	for _, path := range []string{"/refresh", "/api/refresh"} {
		body := a.row(a.want(200, a.as(first, http.MethodPost, path)))
		token, _ := body["access_token"].(string)
		if token == "" || token == first || body["token_type"] != "bearer" {
			t.Fatalf("renewed: %v", body)
		}
		a.want(200, a.as(token, http.MethodGet, "/servers"))
		renewed = append(renewed, token)
	}
	for _, token := range []string{"", "junk"} {
		a.want(401, a.as(token, http.MethodPost, "/api/refresh"))
		a.want(401, a.as(token, http.MethodPost, "/api/logout"))
	}
	if body := a.row(a.want(200, a.as(renewed[0], http.MethodPost, "/api/logout"))); body["detail"] != "Logged out" {
		t.Errorf("logged out: %v", body)
	}
	for _, token := range append(renewed, first) {
		if r := a.want(401, a.as(token, http.MethodGet, "/servers")); r.detail(t) != "Invalid token" {
			t.Errorf("after the logout: %s", r.Body)
		}
		a.want(401, a.as(token, http.MethodPost, "/api/refresh"))
		a.want(401, a.as(token, http.MethodPost, "/logout"))
	}
	a.want(200, a.as(other, http.MethodGet, "/servers"))
	// Another process has read the user before.
	user := must[account.User](t)(a.stored.Account(t.Context(), "viewer"))
	claims, err := a.tokens.Parse(first)
	if err != nil || claims.Check(user) == nil {
		t.Errorf("what another process reads leaves the token in force: %v", err)
	}
	// What is over is forgotten at the next logout.
	pgtest.Exec(t, a.dsn, "update pgam.ended_session set expires_at = now() - interval '1 second'")
	a.want(200, a.as(other, http.MethodPost, "/api/logout"))
	if n := pgtest.Value[int](t, a.dsn, "select count(*) from pgam.ended_session"); n != 1 {
		t.Errorf("%d logins are kept as ended, want the last one", n)
	}
}

// Whoever asks is told who that is: the client shows a menu by it.
func TestWhoAsks(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	for _, role := range account.Roles() {
		me := a.row(a.want(200, a.as(a.loginOf(role), http.MethodGet, "/api/users/me")))
		if me["login"] != string(role) || me["role"] != string(role) || me["is_active"] != true || me["email"] != nil || me["created_at"] == nil {
			t.Errorf("%s: %v", role, me)
		}
	}
	a.want(401, a.as("", http.MethodGet, "/api/users/me"))
}

// The edit page asks for all keys before it shows a server, and binds them by
// number.
func TestKeysByNumber(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	const all = "/api/ssh-keys"
	if r := a.want(200, a.get(all)); string(r.Body) != "[]\n" && string(r.Body) != "[]" {
		t.Errorf("no keys: %s", r.Body)
	}
	made := a.row(a.want(200, a.json(http.MethodPost, all+"/generate", row{"name": "fleet", "key_type": "ed25519", "key_size": 4096, "description": nil, "x": 1})))
	one := fmt.Sprintf("%s/%v", all, made["id"])
	if made["key_type"] != "ed25519" || made["created_by"] != "operator" || made["servers_count"] != 0.0 || made["has_passphrase"] != false {
		t.Errorf("made %v", made)
	}
	private, line := sshtest.NewKey(t, "rsa", "pass-canary")
	imported := a.row(a.want(200, a.json(http.MethodPost, all+"/import", row{"name": "imported", "private_key": private, "passphrase": "pass-canary"})))
	if imported["key_type"] != "rsa" || imported["has_passphrase"] != true || imported["public_key"] != line {
		t.Errorf("imported %v", imported)
	}
	for _, tt := range []struct {
		status int
		path   string
		body   row
	}{
		{409, all + "/generate", row{"name": "fleet"}},
		{422, all + "/generate", row{"name": "x", "key_type": "dsa"}},
		{422, all + "/import", row{"name": "x", "private_key": private, "passphrase": "wrong-canary"}},
		{422, all + "/import", row{"name": "x", "private_key": "key-canary"}},
	} {
		if r := a.want(tt.status, a.json(http.MethodPost, tt.path, tt.body)); strings.Contains(string(r.Body), "canary") {
			t.Errorf("%s", r.Body)
		}
	}
	// A server is bound to a key, keeps it where it is not named, and leaves it.
	body := row{"name": "db1", "host": "192.0.2.1", "port": 5432, "user": "u", "ssh_user": "mon"}
	with := func(more row) row {
		out := row{}
		for _, from := range []row{body, more} {
			maps.Copy(out, from)
		}
		return out
	}
	bound := func(r row) string { return fmt.Sprint(r["ssh_auth_type"], r["ssh_key_id"], r["ssh_key_info"]) }
	want := fmt.Sprint("key", made["id"], row{"name": "fleet"})
	if got := bound(a.row(a.want(200, a.json(http.MethodPost, "/api/servers", with(row{"ssh_auth_type": "key", "ssh_key_id": made["id"]}))))); got != want {
		t.Errorf("bound to %s, want %s", got, want)
	}
	if got := bound(a.row(a.want(200, a.json(http.MethodPut, "/api/servers/db1", body)))); got != want {
		t.Errorf("after a change that says nothing of it %s, want %s", got, want)
	}
	if got := bound(a.row(a.want(200, a.json(http.MethodPut, "/api/servers/db1", a.find("db1"))))); got != want {
		t.Errorf("after its own row was sent back %s, want %s", got, want)
	}
	if got := a.want(200, a.get(one+"/servers")); strings.TrimSpace(string(got.Body)) != `["db1"]` {
		t.Errorf("servers of the key: %s", got.Body)
	}
	a.want(409, a.send(http.MethodDelete, one, "", ""))
	a.want(422, a.json(http.MethodPut, "/api/servers/db1", with(row{"ssh_auth_type": "key"})))
	a.want(422, a.json(http.MethodPut, "/api/servers/db1", with(row{"ssh_auth_type": "agent"})))
	a.want(400, a.json(http.MethodPut, "/api/servers/db1", with(row{"ssh_auth_type": "key", "ssh_key_id": "4711"})))
	if got := bound(a.row(a.want(200, a.json(http.MethodPut, "/api/servers/db1", with(row{"ssh_auth_type": "password", "ssh_key_id": nil}))))); got != fmt.Sprint("password", nil, nil) {
		t.Errorf("unbound: %s", got)
	}
	renamed := a.row(a.want(200, a.json(http.MethodPut, one, row{"name": "all hosts", "description": "of the fleet"})))
	if renamed["name"] != "all hosts" || renamed["description"] != "of the fleet" || renamed["id"] != made["id"] {
		t.Errorf("renamed %v", renamed)
	}
	if file := a.row(a.want(200, a.get(one+"/download-public"))); file["content"] != made["public_key"].(string)+"\n" || file["filename"] != "all hosts.pub" {
		t.Errorf("file %v", file)
	}
	a.want(403, a.as(a.loginOf(account.Viewer), http.MethodGet, all))
	a.want(200, a.send(http.MethodDelete, one, "", ""))
	for _, path := range []string{one, one + "/servers", one + "/download-public"} {
		a.want(404, a.get(path))
	}
	a.want(404, a.send(http.MethodDelete, one, "", ""))
	a.want(404, a.json(http.MethodPut, one, row{}))
	a.want(422, a.get(all+"/x"))
}

// Clients take every status but ok for a change that failed: one that waits for
// a host's key only is ok, and the list says what it waits for.
func TestAServerThatWaitsForItsHostKeyIsAdded(t *testing.T) {
	t.Parallel()
	server, host := pgtest.Target(t), sshtest.InProcess(t)
	a := startAPI(t)
	body := bodyOf(server, "db1")
	body["ssh_user"], body["ssh_password"], body["ssh_port"] = host.User, host.Password, host.Port
	for _, made := range []row{
		a.row(a.want(200, a.json(http.MethodPost, "/api/servers", body))),
		a.row(a.want(200, a.json(http.MethodPut, "/api/servers/db1", body))),
	} {
		if made["status"] != "ok" || made["version"] == nil || made["free_space"] != nil {
			t.Errorf("changed: %v", made)
		}
	}
	if status, _ := a.find("db1")["status"].(string); !strings.HasPrefix(status, "ok (SSH: host key not confirmed") {
		t.Errorf("the list says %q", status)
	}
	tested := a.row(a.want(200, a.send(http.MethodPost, "/api/servers/db1/test-pg", "", "")))
	if tested["success"] != true || !strings.HasPrefix(tested["message"].(string), "PostgreSQL 1") {
		t.Errorf("PostgreSQL: %v", tested)
	}
	entered := a.row(a.want(200, a.send(http.MethodPost, "/api/servers/db1/test-ssh", "", "")))
	if entered["success"] != false || !strings.Contains(entered["message"].(string), "nobody has confirmed") || entered["auth_type"] != "password" {
		t.Errorf("SSH: %v", entered)
	}
	a.want(200, a.json(http.MethodPatch, "/api/v1/servers/db1", row{"ssh": row{"host_key": host.HostKeyLine, "password": host.Password}}))
	if entered = a.row(a.want(200, a.send(http.MethodPost, "/api/servers/db1/test-ssh", "", ""))); entered["success"] != true {
		t.Errorf("SSH with the key confirmed: %v", entered)
	}
	wrong := bodyOf(server, "db2")
	wrong["password"] = "canary"
	if made := a.row(a.want(200, a.json(http.MethodPost, "/api/servers", wrong))); made["status"] == "ok" {
		t.Errorf("a server that refuses: %v", made)
	}
	tested = a.row(a.want(200, a.send(http.MethodPost, "/api/servers/db2/test-pg", "", "")))
	if message, _ := tested["message"].(string); tested["success"] != false || !strings.HasPrefix(message, "PostgreSQL: ") || strings.Contains(message, "canary") {
		t.Errorf("PostgreSQL that refuses: %v", tested)
	}
	if entered = a.row(a.want(200, a.send(http.MethodPost, "/api/servers/db2/test-ssh", "", ""))); entered["success"] != false {
		t.Errorf("SSH without a user: %v", entered)
	}
	a.want(404, a.send(http.MethodPost, "/api/servers/nobody/test-pg", "", ""))
	a.want(403, a.as(a.loginOf(account.Viewer), http.MethodPost, "/api/servers/db1/test-ssh"))
}
