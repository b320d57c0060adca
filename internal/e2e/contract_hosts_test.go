package e2e

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sshtest"
)

const (
	// wrongShellPassword and passphrase must be seen nowhere.
	wrongShellPassword = "canary-of-a-wrong-ssh-password"
	keyPassphrase      = "canary-of-a-passphrase"
	// diskSlack is what may be written to a disk during the test.
	diskSlack = 4 << 30
)

// overSSH is a row about the watched server, with a host to look at.
func (s *site) overSSH(name string, login sshtest.Login) map[string]any {
	return with(s.row(name), map[string]any{"ssh_user": login.User, "ssh_password": login.Password, "ssh_port": login.Port})
}

// disks are seen by the Python contract alone: with a password, on a host that
// the known_hosts file knows.
func (s *site) disks(t *testing.T) {
	// The process that waits longer: what is told must not hang on the machine.
	patient, stranger := newClient(t, s.second.url(), s.seen).as(s.operator.token), sshtest.InProcess(t)
	here := names{
		strconv.Itoa(s.shell.Port): "port of the SSH server", strconv.Itoa(stranger.Port): "port of another SSH server",
		fingerprint(t, stranger.HostKeyLine): "fingerprint", stranger.HostKeyLine: "host key",
	}
	maps.Copy(here, s.names)
	s.talk(t, "disks", rowMasks(), func(talk *transcript) {
		talk.c, talk.names = patient, here
		row := s.overSSH("host", s.shell.Login)
		const one = "/servers/host"
		row["port"] = strconv.Itoa(s.watched.Port())
		put := func(name string, fields map[string]any) answer {
			return talk.say(name, http.MethodPut, one, with(row, fields))
		}
		made := talk.say("a server whose host is looked at", http.MethodPost, "/servers", row)
		s.checkSpace(t, made.object(t))
		s.checkSpace(t, patient.get(t, talk.prefix+"/servers").rows(t)["host"])
		s.checkSpace(t, put("empty passwords keep the stored ones", map[string]any{"password": "", "ssh_password": ""}).object(t))
		put("another port needs the password again, or it would be sent there", map[string]any{"ssh_password": "", "ssh_port": stranger.Port})
		s.awaitDisks(t, "host")
		fallback := put("a wrong password: the newest sample is shown", map[string]any{"ssh_password": wrongShellPassword})
		s.checkSpace(t, fallback.object(t))
		put("no SSH server there: the newest sample is shown", map[string]any{"ssh_port": 1})
		put("a host that nobody has confirmed", map[string]any{"ssh_port": stranger.Port, "ssh_user": stranger.User, "ssh_password": stranger.Password})
		put("no SSH user: nothing is looked at", map[string]any{"ssh_user": "", "ssh_password": ""})
		s.checkSpace(t, put("back", nil).object(t))
		talk.ask("removed", http.MethodDelete, one)
		talk.compare("disks")
	})
	if n := stranger.Attempts(); n != 0 {
		t.Errorf("%d attempts to log in to a host that nobody has confirmed", n)
	}
}

// checkSpace compares a row with the file system of the data directory.
func (s *site) checkSpace(t *testing.T, row map[string]any) {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(row["data_dir"].(string), &stat); err != nil {
		t.Fatal(err)
	}
	free, _ := row["free_space"].(float64)
	total, _ := row["total_space"].(float64)
	wantFree, wantTotal := float64(stat.Bavail)*float64(stat.Frsize), float64(stat.Blocks)*float64(stat.Frsize)
	if math.Abs(free-wantFree) > diskSlack || total != wantTotal {
		t.Errorf("%.0f of %.0f bytes free, want about %.0f of %.0f: %v", free, total, wantFree, wantTotal, row)
	}
}

// awaitDisks waits until the collector has looked at the host.
func (s *site) awaitDisks(t *testing.T, name string) {
	t.Helper()
	id := s.id(t, name)
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, s.dsn, "select count(*)::int from history.disk_usage where server_id = $1 and total_bytes > 0 and free_bytes > 0", id) > 0
	}, "a sample of the disks")
}

// keyed: a host of OpenSSH, entered by a key that was made here.
func (s *site) keyed(t *testing.T) {
	made := s.operator.json(t, http.MethodPost, "/api/v1/ssh-keys", map[string]any{"name": "made here"}).want(t, http.StatusCreated).object(t)
	server := sshtest.Start(t, sshtest.WithClientKey(made["public_key"].(string)))
	s.hide(server.ClientKeyPEM)
	door := faultnet.NewProxy(t, server.Host, server.Port)
	s.operator.json(t, http.MethodPost, "/servers", s.row("keyed")).want(t, http.StatusOK)
	const one = "/api/v1/servers/keyed"
	s.operator.json(t, http.MethodPatch, one, map[string]any{"ssh": map[string]any{
		"user": server.User, "port": door.Port(), "key": "made here",
	}}).want(t, http.StatusOK)

	report := s.operator.send(t, http.MethodPost, one+"/test", "", "").want(t, http.StatusOK).object(t)
	shown, _ := report["host_key"].(map[string]any)
	if report["ok"] != false || shown["line"] != server.HostKeyLine || shown["confirmed"] != false || shown["fingerprint"] != fingerprint(t, server.HostKeyLine) {
		t.Errorf("test of a host that nobody has confirmed: %v", report)
	}
	if strings.Contains(server.Log(), "Accepted") || strings.Contains(server.Log(), "Failed") {
		t.Errorf("somebody logged in to a host that nobody has confirmed:\n%s", server.Log())
	}
	s.admin.json(t, http.MethodPatch, one, map[string]any{"ssh": map[string]any{"host_key": shown["line"]}}).want(t, http.StatusOK)
	if report = s.operator.send(t, http.MethodPost, one+"/test", "", "").want(t, http.StatusOK).object(t); report["ok"] != true {
		t.Errorf("test of a host that was confirmed: %v", report)
	}
	pgtest.WaitFor(t, func() bool { return s.status(t, "keyed") == "ok" }, "the host to be looked at")
	row := s.operator.get(t, "/servers").rows(t)["keyed"]
	s.checkSpace(t, row)
	// Clients of the Python contract know nothing of keys, and leave them alone.
	before := s.operator.get(t, one).want(t, http.StatusOK).object(t)["ssh"]
	if row = s.operator.json(t, http.MethodPut, "/servers/keyed", row).want(t, http.StatusOK).object(t); row["status"] != "ok" {
		t.Errorf("after a PUT of the whole row as received: %v", row)
	}
	if diff := cmp.Diff(before, s.operator.get(t, one).want(t, http.StatusOK).object(t)["ssh"]); diff != "" {
		t.Errorf("after a PUT of the whole row as received SSH is another:\n%s", diff)
	}
	s.imported(t, server)
	s.awaitDisks(t, "keyed")
	t.Run("a dead SSH server", func(t *testing.T) { s.dead(t, server) })
	t.Run("an SSH server that hangs", func(t *testing.T) { s.hanging(t, door, server) })
	t.Run("a changed host key", func(t *testing.T) { s.changedKey(t, door, server) })
	t.Run("full in hours", s.fullIn)
	s.operator.send(t, http.MethodDelete, "/servers/keyed", "", "").want(t, http.StatusOK)
	for _, key := range []string{"made here", "taken over"} {
		s.operator.send(t, http.MethodDelete, "/api/v1/ssh-keys/"+url.PathEscape(key), "", "").want(t, http.StatusNoContent)
	}
}

// imported: a key with a passphrase that was made elsewhere; the private part
// is never shown again.
func (s *site) imported(t *testing.T, server *sshtest.Server) {
	t.Helper()
	private, line := sshtest.NewKey(t, "ed25519", keyPassphrase)
	s.hide(private)
	s.operator.json(t, http.MethodPost, "/api/v1/ssh-keys", map[string]any{
		"name": "taken over", "private_key": private, "passphrase": "wrong",
	}).want(t, http.StatusUnprocessableEntity)
	made := s.operator.json(t, http.MethodPost, "/api/v1/ssh-keys", map[string]any{
		"name": "taken over", "private_key": private, "passphrase": keyPassphrase,
	}).want(t, http.StatusCreated).object(t)
	if made["fingerprint"] != fingerprint(t, line) || made["has_passphrase"] != true {
		t.Errorf("a key that was taken over: %v", made)
	}
	const one = "/api/v1/servers/keyed"
	bind := func(key string) {
		s.operator.json(t, http.MethodPatch, one, map[string]any{"ssh": map[string]any{"key": key}}).want(t, http.StatusOK)
	}
	bind("taken over") // Which the host does not admit.
	pgtest.WaitFor(t, func() bool { return strings.HasPrefix(s.status(t, "keyed"), "ok (SSH: authentication failed") }, "a key that is not admitted to be refused")
	if got := s.operator.send(t, http.MethodDelete, "/api/v1/ssh-keys/taken%20over", "", ""); got.Status != http.StatusConflict {
		t.Errorf("a key that is in use is removed: %d %s", got.Status, got.Body)
	}
	bind("made here")
	pgtest.WaitFor(t, func() bool { return s.status(t, "keyed") == "ok" }, "a key that is admitted to be so")
	if strings.Contains(server.Log(), "error:") {
		t.Logf("log of sshd:\n%s", server.Log())
	}
}

// status is how a server is, as the list says.
func (s *site) status(t *testing.T, name string) string {
	t.Helper()
	status, _ := s.operator.get(t, "/servers").want(t, http.StatusOK).rows(t)[name]["status"].(string)

	return status
}

// dead: without its SSH server a host is shown as history has last seen it.
func (s *site) dead(t *testing.T, server *sshtest.Server) {
	server.Kill(t)
	pgtest.WaitFor(t, func() bool { return strings.HasPrefix(s.status(t, "keyed"), "ok (SSH: ") }, "the dead SSH server to be shown")
	var row map[string]any
	pgtest.WaitFor(t, func() bool { // What was last sampled may be some seconds behind too.
		row = s.operator.get(t, "/servers").rows(t)["keyed"]

		return row["free_space"] != nil
	}, "the newest sample to be shown")
	if status, _ := row["status"].(string); !strings.HasPrefix(status, "ok (SSH: c") {
		t.Errorf("status %q, want connection refused or lost", status)
	}
	s.checkSpace(t, row)
	if !pgtest.Value[bool](t, s.dsn, "select exists (select from history.disk_usage where server_id = $1 and free_bytes = $2)", s.id(t, "keyed"), int64(row["free_space"].(float64))) {
		t.Errorf("%v bytes are free, which nobody has sampled", row["free_space"])
	}
	body := s.viewer.get(t, "/api/v1/servers/keyed/disks").want(t, http.StatusOK).object(t)
	if age, _ := body["age_seconds"].(float64); body["live"] != false || body["problem"] == nil || age <= 0 || len(body["file_systems"].([]any)) == 0 {
		t.Errorf("disks without SSH: %v", body)
	}
	server.Start(t)
	pgtest.WaitFor(t, func() bool { return s.status(t, "keyed") == "ok" }, "the SSH server that is back to be shown")
	body = s.viewer.get(t, "/api/v1/servers/keyed/disks").want(t, http.StatusOK).object(t)
	if body["live"] != true || body["problem"] != nil {
		t.Errorf("disks with SSH again: %v", body)
	}
}

// hanging: an SSH server that hangs delays nobody.
func (s *site) hanging(t *testing.T, door *faultnet.Proxy, server *sshtest.Server) {
	door.Set(faultnet.Cut)
	door.Set(faultnet.Dark)
	seen := false
	for begun := time.Now(); !seen && time.Since(begun) < pgtest.Patience; {
		got := s.operator.get(t, "/servers").want(t, http.StatusOK)
		rows := got.rows(t)
		if rows["t1"]["status"] != "ok" || rows["t1"]["version"] == nil || rows["keyed"]["version"] == nil {
			t.Errorf("rows beside a hung SSH server: %v", rows)
		}
		seen = rows["keyed"]["status"] == "ok (SSH: timeout)"
	}
	if !seen {
		t.Errorf("the SSH server that hangs is not shown as such: %s", s.status(t, "keyed"))
	}
	s.checkSpace(t, s.operator.get(t, "/servers").rows(t)["keyed"])
	door.Set(faultnet.Pass)
	pgtest.WaitFor(t, func() bool { return s.status(t, "keyed") == "ok" }, "the SSH server that hung to be well again")
}

// changedKey: a host that shows another key than was confirmed is not entered
// (promise 21).
func (s *site) changedKey(t *testing.T, door *faultnet.Proxy, server *sshtest.Server) {
	impostor := sshtest.InProcess(t, sshtest.WithUser(server.User))
	door.Lead(impostor.Host, impostor.Port)
	report := s.operator.send(t, http.MethodPost, "/api/v1/servers/keyed/test", "", "").want(t, http.StatusOK).object(t)
	detail := ""
	for _, finding := range report["findings"].([]any) {
		if finding := finding.(map[string]any); finding["name"] == "host_key" && finding["ok"] == false {
			detail = finding["detail"].(string)
		}
	}
	for _, line := range []string{server.HostKeyLine, impostor.HostKeyLine} {
		if !strings.Contains(detail, fingerprint(t, line)) {
			t.Errorf("the test does not name %s: %v", fingerprint(t, line), report)
		}
	}
	pgtest.WaitFor(t, func() bool { return strings.HasPrefix(s.status(t, "keyed"), "ok (SSH: host key changed") }, "the changed host key to be shown")
	if n := impostor.Attempts(); n != 0 {
		t.Errorf("%d attempts to log in to a host with another key", n)
	}
	if impostor.Accepted() == 0 {
		t.Error("nobody has asked the host with another key")
	}
	door.Lead(server.Host, server.Port)
	pgtest.WaitFor(t, func() bool { return s.status(t, "keyed") == "ok" }, "the right host to be entered again")
}

// socketTunnel and loopTunnel: PostgreSQL that is reached through SSH only, at a
// Unix socket and at loopback of the host.
func (s *site) socketTunnel(t *testing.T) { s.tunnel(t, "by socket", s.watched.SocketDir()) }

func (s *site) loopTunnel(t *testing.T) { s.tunnel(t, "by loopback", s.watched.Host()) }

func (s *site) tunnel(t *testing.T, name, host string) {
	t.Helper()
	server := sshtest.Start(t)
	s.hide(server.ClientKeyPEM)
	path := url.PathEscape(name)
	s.operator.json(t, http.MethodPost, "/api/v1/ssh-keys", map[string]any{"name": name, "private_key": server.ClientKeyPEM}).want(t, http.StatusCreated)
	s.operator.json(t, http.MethodPost, "/api/v1/servers", map[string]any{
		"name": name, "host": host, "port": s.watched.Port(), "user": pgtest.User, "password": pgtest.Password,
		"ssh": map[string]any{"host": server.Host, "port": server.Port, "user": server.User, "key": name, "host_key": server.HostKeyLine, "tunnel": true},
	}).want(t, http.StatusCreated)
	s.viewer.get(t, "/server_stats/"+path).want(t, http.StatusOK)
	pgtest.WaitFor(t, func() bool { return s.status(t, name) == "ok" }, "the host beyond the tunnel to be looked at")
	id := s.id(t, name)
	pgtest.WaitFor(t, func() bool { return s.kept(t, id)["activity_recent"] > 0 && s.kept(t, id)["disk_usage"] > 0 }, "the collector to come through the tunnel")
	server.Kill(t) // Now there is no way.
	s.viewer.get(t, "/server_stats/"+path).want(t, http.StatusInternalServerError)
	server.Start(t)
	pgtest.WaitFor(t, func() bool { return s.viewer.get(t, "/server_stats/"+path).Status == http.StatusOK }, "the tunnel to be back")
	s.operator.send(t, http.MethodDelete, "/servers/"+path, "", "").want(t, http.StatusOK)
	s.operator.send(t, http.MethodDelete, "/api/v1/ssh-keys/"+path, "", "").want(t, http.StatusNoContent)
}

// fullIn: from the samples of a day follows when a disk is full.
func (s *site) fullIn(t *testing.T) {
	id := s.id(t, "keyed")
	const hours = 100
	if err := s.history.EnsurePartitions(t.Context(), time.Now().Add(-24*time.Hour), time.Now()); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, s.dsn, fmt.Sprintf(`
with newest as (select server_id, sampled_at, mount_point, total_bytes, free_bytes from history.disk_usage where server_id = %[1]d order by sampled_at desc limit 1)
insert into history.disk_usage (server_id, sampled_at, mount_point, total_bytes, free_bytes)
select server_id, at, mount_point, total_bytes * 2, free_bytes + (extract(epoch from sampled_at - at) * free_bytes / %[2]d / 3600)::bigint
  from newest, generate_series(sampled_at - interval '20 hours', sampled_at - interval '10 minutes', interval '10 minutes') at
    on conflict do nothing`, id, hours))
	var full float64
	pgtest.WaitFor(t, func() bool {
		body := s.viewer.get(t, "/api/v1/servers/keyed/disks").want(t, http.StatusOK).object(t)
		for _, row := range body["file_systems"].([]any) {
			full, _ = row.(map[string]any)["full_in_hours"].(float64)
		}

		return full > 0
	}, "a disk that fills up to say when it is full")
	if full < hours*0.9 || full > hours*1.1 {
		t.Errorf("full in %.1f hours, want about %d", full, hours)
	}
	series := s.viewer.get(t, "/api/v1/servers/keyed/history/disks?from="+time.Now().Add(-23*time.Hour).UTC().Format(time.RFC3339)).want(t, http.StatusOK).object(t)
	if len(series["file_systems"].([]any)) != 1 {
		t.Errorf("history of the disks: %v", series)
	}
}

// cachedShell: a host is looked at once in the cache's time, over one connection.
func (s *site) cachedShell(t *testing.T) {
	second, shell := newClient(t, s.second.url(), s.seen).as(s.operator.token), sshtest.InProcess(t)
	s.operator.json(t, http.MethodPost, "/api/v1/servers", map[string]any{
		"name": "cached", "host": s.watched.Host(), "port": s.watched.Port(), "user": pgtest.User, "password": pgtest.Password, "enabled": false,
		"ssh": map[string]any{"port": shell.Port, "user": shell.User, "password": shell.Password, "host_key": shell.HostKeyLine},
	}).want(t, http.StatusCreated)
	ask := func(c *client) {
		t.Helper()
		pgtest.WaitFor(t, func() bool { return c.get(t, "/servers").rows(t)["cached"]["free_space"] != nil }, "the host to be looked at")
	}
	ask(second)
	ask(s.operator)
	// From one look of the first process to its next; the other one has no need
	// of any, whatever it is asked.
	await := func(looks int) (asked int) {
		t.Helper()
		pgtest.WaitFor(t, func() bool {
			ask(s.operator)
			ask(second)
			asked++

			return shell.Sessions() >= looks
		}, "the cache to forget")

		return asked
	}
	await(shell.Sessions() + 1)
	begun, before, connected := time.Now(), shell.Sessions(), shell.Accepted()
	asked := await(before + 1)
	if took := time.Since(begun); took < sshTTL-time.Second {
		t.Errorf("a cache of %s forgets after %s and %d requests", sshTTL, took, asked)
	}
	if shell.Sessions() != before+1 || shell.Accepted() != connected {
		t.Errorf("%d looks over %d more connections", shell.Sessions()-before, shell.Accepted()-connected)
	}
	s.operator.send(t, http.MethodDelete, "/servers/cached", "", "").want(t, http.StatusOK)
}

// local: a server on pgam's own host needs no SSH.
func (s *site) local(t *testing.T) {
	s.operator.json(t, http.MethodPost, "/servers", s.row("local")).want(t, http.StatusOK)
	s.operator.json(t, http.MethodPatch, "/api/v1/servers/local", map[string]any{"disk_source": "local"}).want(t, http.StatusOK)
	row := s.operator.get(t, "/servers").rows(t)["local"]
	if row["status"] != "ok" {
		t.Errorf("row: %v", row)
	}
	s.checkSpace(t, row)
	s.awaitDisks(t, "local")
	s.operator.send(t, http.MethodDelete, "/servers/local", "", "").want(t, http.StatusOK)
}

// fingerprint is that of a public key, as ssh-keygen shows it.
func fingerprint(t *testing.T, line string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}

	return ssh.FingerprintSHA256(key)
}
