package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sshtest"
)

const keys = "/api/v1/ssh-keys"

func TestSSHKeys(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	if page := a.row(a.want(200, a.get(keys))); len(page["items"].([]any)) != 0 || page["next_cursor"] != nil {
		t.Errorf("no keys: %v", page)
	}
	made := a.row(a.want(201, a.json(http.MethodPost, keys, row{"name": "fleet 1", "description": "of the fleet"})))
	if made["type"] != "ssh-ed25519" || made["bits"] != 256.0 || made["has_passphrase"] != false || made["created_by"] != "operator" ||
		!strings.HasPrefix(made["public_key"].(string), "ssh-ed25519 AAAA") || !strings.HasPrefix(made["fingerprint"].(string), "SHA256:") ||
		len(made["servers"].([]any)) != 0 || made["description"] != "of the fleet" {
		t.Errorf("made %v", made)
	}
	private, line := sshtest.NewKey(t, "rsa", "pass-canary")
	imported := a.row(a.want(201, a.json(http.MethodPost, keys, row{"name": "imported", "private_key": private, "passphrase": "pass-canary"})))
	if imported["type"] != "ssh-rsa" || imported["bits"].(float64) < 2048 || imported["has_passphrase"] != true || imported["public_key"] != line {
		t.Errorf("imported %v", imported)
	}
	for _, tt := range []struct {
		status int
		detail string
		body   row
	}{
		{409, "another one has this name", row{"name": "fleet 1"}},
		{409, "this very key", row{"name": "again", "private_key": private, "passphrase": "pass-canary"}},
		{422, "passphrase does not open it", row{"name": "new", "private_key": private, "passphrase": "wrong-canary"}},
		{422, "has a passphrase", row{"name": "new", "private_key": private}},
		{422, "no private key", row{"name": "new", "private_key": "key-canary"}},
		{422, "", row{"name": "new", "private_key": ""}},
		{422, "leave them out", row{"name": "new", "type": "rsa", "private_key": private}},
		{422, "of no use", row{"name": "new", "passphrase": "pass-canary"}},
		{422, "", row{"name": "new", "type": "dsa"}},
		{422, "3072", row{"name": "new", "type": "rsa", "bits": 1024}},
		{422, "256 bits", row{"name": "new", "bits": 3072}},
		{422, "slash", row{"name": "a/b"}},
		{422, "", row{"name": ""}},
		{422, "", row{"name": "new", "unknown": "key-canary"}},
	} {
		r := a.want(tt.status, a.json(http.MethodPost, keys, tt.body))
		if !strings.Contains(r.detail(t)+string(r.Body), tt.detail) || strings.Contains(string(r.Body), "canary") {
			t.Errorf("%v: %s", tt.body["name"], r.Body)
		}
	}
	a.want(400, a.send(http.MethodPost, keys, "application/json", "{"))

	// Bound to a server by its name, which follows a rename.
	server := "/api/v1/servers/db1"
	bound := a.row(a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{
		"name": "db1", "host": "h", "user": "u", "ssh": row{"user": "mon", "key": "fleet 1"},
	})))
	if bound["ssh"].(row)["key"] != "fleet 1" || bound["ssh"].(row)["has_password"] != false {
		t.Errorf("bound %v", bound["ssh"])
	}
	if r := a.want(400, a.json(http.MethodPatch, server, row{"ssh": row{"key": "nokey"}})); !strings.Contains(r.detail(t), "ssh.key") {
		t.Errorf("an unknown key: %s", r.Body)
	}
	a.want(400, a.json(http.MethodPost, "/api/v1/servers", row{"name": "db2", "host": "h", "user": "u", "ssh": row{"user": "mon", "key": "nokey"}}))
	changed := a.row(a.want(200, a.json(http.MethodPatch, keys+"/fleet%201", row{"name": "fleet"})))
	if fmt.Sprint(changed["servers"]) != "[db1]" || changed["name"] != "fleet" || changed["description"] != "of the fleet" || changed["fingerprint"] != made["fingerprint"] {
		t.Errorf("changed %v", changed)
	}
	if got := a.row(a.want(200, a.get(server)))["ssh"].(row); got["key"] != "fleet" {
		t.Errorf("the server after the rename: %v", got)
	}
	a.want(409, a.json(http.MethodPatch, keys+"/fleet", row{"name": "imported"}))
	a.want(422, a.json(http.MethodPatch, keys+"/fleet", row{"private_key": private}))
	if r := a.want(409, a.send(http.MethodDelete, keys+"/fleet", "", "")); !strings.Contains(r.detail(t), "db1") {
		t.Errorf("in use: %s", r.Body)
	}
	// A PUT of the Python contract leaves the key alone; null unbinds it.
	a.want(200, a.json(http.MethodPut, "/servers/db1", row{"name": "db1", "host": "h", "port": 5432, "user": "u", "ssh_user": "mon"}))
	if got := a.row(a.want(200, a.get(server)))["ssh"].(row); got["key"] != "fleet" {
		t.Errorf("the server after a PUT: %v", got)
	}
	if got := a.row(a.want(200, a.json(http.MethodPatch, server, row{"ssh": row{"key": nil}})))["ssh"].(row); got["key"] != nil {
		t.Errorf("unbound: %v", got)
	}
	// What an administrator made, or nobody knows who, is not an operator's to change.
	a.token = a.tokenOf(account.Admin)
	a.want(201, a.json(http.MethodPost, keys, row{"name": "theirs"}))
	a.token = a.tokenOf(account.Operator)
	for _, maker := range []string{"admin", "cli", "somebody who is gone"} {
		pgtest.Exec(t, a.dsn, "update pgam.ssh_key set created_by = '"+maker+"' where name = 'theirs'")
		a.want(403, a.send(http.MethodDelete, keys+"/theirs", "", ""))
		a.want(403, a.json(http.MethodPatch, keys+"/theirs", row{"description": "mine"}))
	}
	a.token = a.tokenOf(account.Admin)
	a.want(204, a.send(http.MethodDelete, keys+"/theirs", "", ""))
	a.token = a.tokenOf(account.Operator)
	a.want(204, a.send(http.MethodDelete, keys+"/fleet", "", ""))
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPatch} {
		if r := a.want(404, a.json(method, keys+"/fleet", row{})); r.detail(t) != "SSH key not found" {
			t.Errorf("%s of one that is gone: %s", method, r.Body)
		}
	}
	for _, canary := range []string{"pass-canary", strings.Split(private, "\n")[1]} {
		if strings.Contains(a.log.String(), canary) {
			t.Error("the log holds a secret")
		}
		if n := pgtest.Value[int64](t, a.dsn, "select count(*) from pgam.ssh_key k where k::text like '%' || $1 || '%'", canary); n != 0 {
			t.Error("a secret is stored in the clear")
		}
	}
}

// A viewer may not even know which keys there are; no answer holds more than
// the public part.
func TestSSHKeysAreKept(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("k%d", i)
		body := string(a.want(201, a.json(http.MethodPost, keys, row{"name": name})).Body)
		if strings.Contains(body, "PRIVATE") {
			t.Errorf("the private part leaves: %s", body)
		}
	}
	for next, pages := keys+"?limit=2", 0; next != ""; pages++ {
		page := a.row(a.want(200, a.get(next)))
		for _, item := range page["items"].([]any) {
			names = append(names, item.(row)["name"].(string))
		}
		next = ""
		if c, ok := page["next_cursor"].(string); ok {
			next = keys + "?limit=2&cursor=" + c
		}
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if !slices.Equal(names, []string{"k0", "k1", "k2", "k3", "k4"}) {
		t.Errorf("pages gave %v", names)
	}
	a.token = a.tokenOf(account.Viewer)
	for _, one := range []struct{ method, path string }{
		{http.MethodGet, keys},
		{http.MethodPost, keys},
		{http.MethodGet, keys + "/k0"},
		{http.MethodPatch, keys + "/k0"},
		{http.MethodDelete, keys + "/k0"},
		{http.MethodGet, keys + "/nokey"},
	} {
		if r := a.want(403, a.json(one.method, one.path, row{})); strings.Contains(string(r.Body), "k0") {
			t.Errorf("%s %s: %s", one.method, one.path, r.Body)
		}
	}
}
