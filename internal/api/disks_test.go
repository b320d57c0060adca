package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

// find gives the row of a server in GET /servers.
func (a *site) find(name string) row {
	a.t.Helper()
	var list []row
	a.want(200, a.get("/servers")).into(a.t, &list)
	for _, r := range list {
		if r["name"] == name {
			return r
		}
	}
	a.t.Fatalf("no server %s in %v", name, list)
	return nil
}

// The way of an operator: a server with SSH is added by the Python contract,
// its host's key is seen by the test and confirmed, its disks are shown; then
// its sshd goes away, and the newest sample takes their place.
func TestDisksOverSSH(t *testing.T) {
	t.Parallel()
	server, host := pgtest.Target(t), sshtest.InProcess(t)
	a := startAPI(t)
	body := bodyOf(server, "db1")
	body["ssh_user"], body["ssh_password"], body["ssh_port"] = host.User, host.Password, strconv.Itoa(host.Port)
	made := a.row(a.want(200, a.json(http.MethodPost, "/servers", body)))
	if status, _ := a.find("db1")["status"].(string); !strings.HasPrefix(status, "ok (SSH: host key not confirmed") || !strings.Contains(status, "SHA256:") ||
		made["free_space"] != nil || made["has_ssh_password"] != true || made["ssh_port"] != float64(host.Port) {
		t.Errorf("before the key is confirmed: %v", made)
	}
	if host.Attempts() != 0 {
		t.Error("somebody logged in before the key was confirmed")
	}
	const one = "/api/v1/servers/db1"
	report := a.row(a.want(200, a.send(http.MethodPost, one+"/test", "", "")))
	key := report["host_key"].(row)
	if report["ok"] != false || key["confirmed"] != false || key["line"] != host.HostKeyLine {
		t.Errorf("report %v", report)
	}
	for _, bad := range []string{"junk-canary", "ssh-ed25519 AAAA", "@cert-authority * " + host.HostKeyLine} {
		if r := a.want(422, a.json(http.MethodPatch, one, row{"ssh": row{"host_key": bad}})); strings.Contains(string(r.Body), "canary") {
			t.Errorf("%s: %s", bad, r.Body)
		}
	}
	// The stored password is for a host that nobody has confirmed yet.
	if r := a.want(422, a.json(http.MethodPatch, one, row{"ssh": row{"host_key": key["line"]}})); !strings.Contains(r.detail(t), "send the ssh_password again, or let an administrator") {
		t.Errorf("an operator pins: %s", r.Body)
	}
	a.token = a.tokenOf(account.Admin)
	confirmed := a.row(a.want(200, a.json(http.MethodPatch, one, row{"ssh": row{"host_key": key["line"].(string) + " comment\n"}})))["ssh"].(row)
	if confirmed["host_key"] != host.HostKeyLine || confirmed["host_key_fingerprint"] != key["fingerprint"] || confirmed["has_password"] != true {
		t.Errorf("confirmed %v", confirmed)
	}
	if report := a.row(a.want(200, a.send(http.MethodPost, one+"/test", "", ""))); report["ok"] != true || len(report["findings"].([]any)) != 9 {
		t.Errorf("report %v", report)
	}
	shown := a.find("db1")
	free, ok1 := shown["free_space"].(float64)
	total, ok2 := shown["total_space"].(float64)
	if shown["status"] != "ok" || !ok1 || !ok2 || free <= 0 || total < free {
		t.Errorf("shown %v", shown)
	}
	disks := a.row(a.want(200, a.get(one+"/disks")))
	systems := disks["file_systems"].([]any)
	if disks["source"] != "ssh" || disks["live"] != true || disks["problem"] != nil || len(systems) == 0 || disks["age_seconds"].(float64) > 60 {
		t.Errorf("disks %v", disks)
	}
	// A whole row as received keeps the password of SSH, the pin and all else.
	shown["free_space"] = "ignored"
	if got := a.row(a.want(200, a.json(http.MethodPut, "/servers/db1", shown))); got["status"] != "ok" || got["has_ssh_password"] != true || got["free_space"] == nil {
		t.Errorf("after PUT of a row: %v", got)
	}
	// Elsewhere it is not sent to whoever is there.
	shown["ssh_port"] = host.Port + 1
	if r := a.want(400, a.json(http.MethodPut, "/servers/db1", shown)); !strings.Contains(r.detail(t), "ssh_password") {
		t.Errorf("another SSH port without the password: %s", r.Body)
	}

	host.Stop(t)
	at := time.Now().UTC().Add(-90 * time.Second).Truncate(time.Second)
	a.sampledDisk("db1", at, 1000, 250)
	pgtest.WaitFor(t, func() bool { return a.find("db1")["status"] != "ok" }, "the end of the sshd to be noticed")
	pgtest.WaitFor(t, func() bool { return a.find("db1")["free_space"] == 250.0 }, "the newest sample to be shown")
	gone := a.find("db1")
	if status, _ := gone["status"].(string); !strings.HasPrefix(status, "ok (SSH: connection ") || strings.Count(status, "(SSH") != 1 ||
		gone["total_space"] != 1000.0 || gone["version"] == nil {
		t.Errorf("without sshd: %v", gone)
	}
	disks = a.row(a.want(200, a.get(one+"/disks")))
	if age := disks["age_seconds"].(float64); disks["live"] != false || disks["problem"] == nil || disks["source"] != "ssh" || age < 89 || age > 600 ||
		disks["sampled_at"] != at.Format(time.RFC3339) || disks["file_systems"].([]any)[0].(row)["free_bytes"] != 250.0 {
		t.Errorf("disks without sshd: %v", disks)
	}
	// What is older than a day is not shown as if it were of today.
	pgtest.Exec(t, a.dsn, "delete from history.disk_usage")
	a.sampledDisk("db1", at.Add(-24*time.Hour), 1000, 250)
	pgtest.WaitFor(t, func() bool { return a.find("db1")["free_space"] == nil }, "the old sample to be left out")
	if disks := a.row(a.want(200, a.get(one+"/disks"))); disks["live"] != false || len(disks["file_systems"].([]any)) != 1 {
		t.Errorf("disks of yesterday: %v", disks)
	}
	for _, canary := range []string{host.Password, "canary"} {
		if strings.Contains(a.log.String(), canary) {
			t.Errorf("the log holds %s", canary)
		}
	}
}

// sampledDisk stores a sample of the file system of a server's data directory.
func (a *site) sampledDisk(server string, at time.Time, total, free int64) {
	a.t.Helper()
	if err := a.write.EnsurePartitions(a.t.Context(), at, at); err != nil {
		a.t.Fatal(err)
	}
	id := pgtest.Value[int64](a.t, a.dsn, "select id from pgam.server where name = $1 and deleted_at is null", server)
	pgtest.Exec(a.t, a.dsn, fmt.Sprintf(`
insert into history.file_system (server_id, mount_point, device, uses, source, first_seen_at, last_seen_at)
values (%[1]d, '/srv', '/dev/sda1', '{data,wal}', 'ssh', '%[2]s', '%[2]s')
    on conflict (server_id, mount_point) do update set last_seen_at = excluded.last_seen_at;
insert into history.disk_usage (server_id, sampled_at, mount_point, total_bytes, free_bytes, inodes_total, inodes_free)
values (%[1]d, '%[2]s', '/srv', %[3]d, %[4]d, 100, 50)`, id, at.Format(time.RFC3339Nano), total, free))
}

// A changed host key is refused, with both fingerprints; the password is not
// offered.
func TestChangedHostKey(t *testing.T) {
	t.Parallel()
	server, host := pgtest.Target(t), sshtest.InProcess(t)
	a := startAPI(t)
	_, other := sshtest.NewKey(t, "ed25519", "")
	a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{
		"name": "db1", "host": server.Host(), "port": server.Port(), "user": pgtest.User, "password": pgtest.Password,
		"ssh": row{"host": host.Host, "user": host.User, "port": host.Port, "password": host.Password, "host_key": other},
	}))
	is, err1 := new(live.Live).HostKey(host.HostKeyLine)
	was, err2 := new(live.Live).HostKey(other)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	report := a.row(a.want(200, a.send(http.MethodPost, "/api/v1/servers/db1/test", "", "")))
	for name, text := range map[string]string{"status": a.find("db1")["status"].(string), "report": fmt.Sprint(report["findings"])} {
		if !strings.Contains(text, is.Fingerprint) || !strings.Contains(text, was.Fingerprint) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if key := report["host_key"].(row); key["confirmed"] != false || key["line"] != host.HostKeyLine || report["ok"] != false {
		t.Errorf("report %v", report)
	}
	if host.Attempts() != 0 {
		t.Error("somebody logged in to a host with another key")
	}
}

// PostgreSQL that is reached through SSH only.
func TestTunnel(t *testing.T) {
	t.Parallel()
	server, host := pgtest.Target(t), sshtest.InProcess(t)
	a := startAPI(t)
	r := a.want(422, a.json(http.MethodPost, "/api/v1/servers", row{"name": "db1", "host": "h", "user": "u", "ssh": row{"tunnel": true}}))
	if !strings.Contains(r.detail(t), "ssh_user") {
		t.Errorf("a tunnel by nobody: %s", r.Body)
	}
	a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{
		"name": "db1", "host": server.Host(), "port": server.Port(), "user": pgtest.User, "password": pgtest.Password, "disk_source": "none",
		"ssh": row{"host": host.Host, "user": host.User, "port": host.Port, "password": host.Password, "host_key": host.HostKeyLine, "tunnel": true},
	}))
	a.want(200, a.get("/server_stats/db1"))
	if row := a.find("db1"); row["status"] != "ok" || row["free_space"] != nil {
		t.Errorf("row %v", row)
	}
	host.Cut()
	a.want(200, a.get("/server_stats/db1"))
	host.Stop(t)
	if r := a.want(502, a.get("/api/v1/servers/db1/activity")); strings.Contains(r.detail(t), "is PostgreSQL running") {
		t.Errorf("without sshd: %s", r.Body)
	}
}

// The fields of disks and SSH, one by one.
func TestShellFields(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{"name": "db1", "host": "h", "user": "u"}))
	const one = "/api/v1/servers/db1"
	first := a.row(a.want(200, a.get(one)))
	if shell := first["ssh"].(row); first["disk_source"] != "auto" || shell["host"] != nil || shell["key"] != nil || shell["host_key"] != nil ||
		shell["host_key_fingerprint"] != nil || shell["tunnel"] != false || shell["port"] != 22.0 || first["intervals"].(row)["disks_seconds"] != nil {
		t.Errorf("new: %v", first)
	}
	if disks := a.row(a.want(200, a.get(one+"/disks"))); disks["source"] != "none" || disks["live"] != false || disks["problem"] != nil || disks["sampled_at"] != nil {
		t.Errorf("disks that nobody looks at: %v", disks)
	}
	for _, change := range []row{
		{"disk_source": "local"},
		{"disk_source": "none"},
		{"disk_source": "auto"},
		{"intervals": row{"disks_seconds": 300.0}},
		{"ssh": row{"host": "jump", "user": "mon"}},
		{"ssh": row{"host_key": someHostKey}},
		{"ssh": row{"tunnel": true}},
		{"disk_source": "ssh"},
		{"ssh": row{"host_key": nil}},
		{"ssh": row{"host": nil}},
	} {
		got := a.row(a.want(200, a.json(http.MethodPatch, one, change)))
		for field, want := range change {
			inner, nested := want.(row)
			if !nested {
				if got[field] != want {
					t.Errorf("%v: %v", change, got)
				}
				continue
			}
			for name, v := range inner {
				if got[field].(row)[name] != v {
					t.Errorf("%v: %v", change, got[field])
				}
			}
		}
	}
	// Another host or port has another key.
	a.want(200, a.json(http.MethodPatch, one, row{"ssh": row{"host_key": someHostKey}}))
	if got := a.row(a.want(200, a.json(http.MethodPatch, one, row{"ssh": row{"port": 2222}})))["ssh"].(row); got["host_key"] != nil {
		t.Errorf("at another port: %v", got)
	}
	for _, bad := range []row{
		{"disk_source": "df"},
		{"intervals": row{"disks_seconds": -1}},
		{"ssh": row{"host": 5}},
		{"ssh": row{"host": "a/b"}},
		{"ssh": row{"user": ""}},
		{"ssh": row{"key": 5}},
		{"ssh": row{"unknown": 1}},
	} {
		a.want(422, a.json(http.MethodPatch, one, bad))
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	for path, want := range map[string]bool{"/servers/a": false, "/servers/b?purge=true": true, "/api/v1/servers/c": false, "/api/v1/servers/d?purge=true": true} {
		name := path[strings.LastIndex(path, "/")+1:][:1]
		a.want(201, a.json(http.MethodPost, "/api/v1/servers", row{"name": name, "host": "h", "user": "u"}))
		if want {
			a.token = a.tokenOf(account.Operator)
			a.want(403, a.send(http.MethodDelete, path, "", ""))
			a.token = a.tokenOf(account.Admin)
		}
		if r := a.send(http.MethodDelete, path, "", ""); r.Status != 200 && r.Status != 204 {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
		if got := pgtest.Value[bool](t, a.dsn, "select purge from pgam.server where name = $1 and deleted_at is not null", name); got != want {
			t.Errorf("%s: purge is %v", path, got)
		}
	}
}

// With accept-new the first look pins the host's key in the catalog, for every
// process.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	server, host := pgtest.Target(t), sshtest.InProcess(t)
	a := startAPI(t)
	log := slog.New(slog.NewTextHandler(a.log, nil))
	shells := must[*remote.Shells](t)(remote.NewShells(remote.ShellsConfig{Timeout: 5 * time.Second, Log: log}))
	t.Cleanup(shells.Close)
	trusting := must[*live.Live](t)(live.New(live.Config{
		Catalog: a.stored, Log: log, Application: "pgam-api", Deadline: 10 * time.Second, StatusTTL: time.Second, DiskTTL: time.Second,
		Pools: map[target.PoolProfile]live.Size{target.PoolDefault: {Max: 1}}, Shells: shells, Disks: probe.NewDiskReader(shells), Pins: a.stored,
	}))
	body := bodyOf(server, "db1")
	body["ssh_user"], body["ssh_password"], body["ssh_port"] = host.User, host.Password, host.Port
	a.want(200, a.json(http.MethodPost, "/servers", body))
	if err := trusting.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := trusting.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	db1 := must[target.Target](t)(trusting.Server("db1"))
	if seen := trusting.Disks(t.Context(), db1); seen.Reason != sample.None {
		t.Errorf("first contact: %+v", seen)
	}
	// The other process, which is strict, follows.
	pgtest.WaitFor(t, func() bool { return a.find("db1")["status"] == "ok" }, "the pin to be followed")
	if got := a.row(a.want(200, a.get("/api/v1/servers/db1")))["ssh"].(row); got["host_key"] != host.HostKeyLine {
		t.Errorf("pinned %v", got)
	}
}
