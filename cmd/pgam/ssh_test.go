package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/statsdb"
)

// written puts a text into a file.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}

// refused runs a command line that must fail and say all of this.
func (d desk) refused(t *testing.T, code int, says []string, args ...string) {
	t.Helper()
	got, out, errOut := d.try(t, args...)
	if got != code {
		t.Errorf("pgam %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got, code, out, errOut)
	}
	for _, text := range says {
		if !strings.Contains(out+errOut, text) {
			t.Errorf("pgam %s does not say %q: %s%s", strings.Join(args, " "), text, out, errOut)
		}
	}
}

func TestSSHKeys(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	made := d.do(t, "ssh-key", "generate", "fleet", "--description", "for all")
	if !strings.HasPrefix(made, "ssh-ed25519 AAAA") || !strings.HasSuffix(made, " pgam fleet\n") || strings.Count(made, "\n") != 1 {
		t.Errorf("a new key prints %q", made)
	}
	private, public := sshtest.NewKey(t, "ed25519", "open sesame")
	imported := d.do(t, "ssh-key", "import", "old", written(t, private), "--passphrase-file", written(t, "open sesame\n"))
	if imported != public+"\n" {
		t.Errorf("an imported key prints %q, want %q", imported, public)
	}
	piped := d
	plain, plainPublic := sshtest.NewKey(t, "ecdsa", "")
	piped.stdin = plain
	if out := piped.do(t, "ssh-key", "import", "piped", "-"); out != plainPublic+"\n" {
		t.Errorf("a key from standard input prints %q", out)
	}
	d.refused(t, 2, []string{"has a passphrase"}, "ssh-key", "import", "x", written(t, private))
	d.refused(t, 2, []string{"does not open"}, "ssh-key", "import", "x", written(t, private), "--passphrase-file", written(t, "close sesame\n"))
	d.refused(t, 2, []string{"no private key"}, "ssh-key", "import", "x", written(t, "hello\n"))
	d.refused(t, 2, []string{"no such file"}, "ssh-key", "import", "x", "/nowhere/x")
	d.refused(t, 2, []string{"only one"}, "ssh-key", "import", "x", "-", "--passphrase-file", "-")
	d.refused(t, 2, []string{"NAME", "FILE"}, "ssh-key", "import", "x")
	d.refused(t, 2, []string{"ed25519 or rsa"}, "ssh-key", "generate", "x", "--type", "dsa")
	d.refused(t, 2, []string{"slash"}, "ssh-key", "generate", "a/b")
	d.refused(t, 1, []string{"another one has this name"}, "ssh-key", "generate", "fleet")
	d.refused(t, 1, []string{`this very key is kept as "piped"`}, "ssh-key", "import", "twin", written(t, plain))
	d.refused(t, 1, []string{"not found"}, "ssh-key", "show", "x")

	d.do(t, "server", "add", "a b", "--host", "127.0.0.1", "--port", "1", "--user", "mon", "--ssh-user", "watch", "--ssh-port", "1", "--ssh-key", "fleet")
	d.refused(t, 1, []string{"in use", `"a b"`}, "ssh-key", "delete", "fleet")
	d.do(t, "ssh-key", "rename", "fleet", "all hosts")
	d.refused(t, 1, []string{"another one has this name"}, "ssh-key", "rename", "old", "piped")

	list := strings.Fields(d.do(t, "ssh-key", "list"))
	want := []string{"NAME", "TYPE", "BITS", "FINGERPRINT", "PASSPHRASE", "SERVERS"}
	for _, key := range []struct {
		line, rest string
	}{{made, "all hosts ssh-ed25519 256 %s false 1"}, {imported, "old ssh-ed25519 256 %s true 0"}, {plainPublic, "piped ecdsa-sha2-nistp256 256 %s false 0"}} {
		parsed, err := remote.ParseHostKey(key.line)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.Fields(strings.Replace(key.rest, "%s", parsed.Fingerprint, 1))...)
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}
	shown := d.do(t, "ssh-key", "show", "all hosts")
	for _, text := range []string{"for all", "SHA256:", strings.TrimSpace(made), `"a b"`, "by the command line"} {
		if !strings.Contains(shown, text) {
			t.Errorf("%q is not in\n%s", text, shown)
		}
	}
	d.do(t, "server", "set", "a b", "--ssh-key", "")
	d.do(t, "ssh-key", "delete", "all hosts")
	if out := d.do(t, "ssh-key", "list"); strings.Contains(out, "all hosts") {
		t.Errorf("a deleted key is listed:\n%s", out)
	}
	dump := pgtest.Value[string](t, dsn, "select string_agg(row_to_json(k)::text, '') from pgam.ssh_key k")
	for _, canary := range []string{"PRIVATE KEY", "open sesame"} {
		if strings.Contains(dump, canary) || strings.Contains(shown, canary) {
			t.Errorf("%q is in the clear", canary)
		}
	}
}

// From nothing to disks over SSH and a tunnel, by commands alone.
func TestServerOverSSH(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	server, host := pgtest.Target(t), sshtest.InProcess(t)
	shown, err := remote.ParseHostKey(host.HostKeyLine)
	if err != nil {
		t.Fatal(err)
	}
	password := written(t, pgtest.Password+"\n")
	d.do(t, "ssh-key", "import", "fleet", written(t, host.ClientKeyPEM))
	d.refused(t, 2, []string{"no such ssh_key"}, "server", "add", "db1", "--dsn", server.DSN(pgtest.User), "--ssh-user", host.User, "--ssh-key", "nobody's")
	code, _, errOut := d.try(t, "server", "add", "db1", "--dsn", server.DSN(pgtest.User),
		"--ssh-host", host.Host, "--ssh-port", strconv.Itoa(host.Port), "--ssh-user", host.User, "--ssh-key", "fleet")
	if code != 0 || !strings.Contains(errOut, `pgam server pin "db1"`) || !strings.Contains(errOut, shown.Fingerprint) {
		t.Fatalf("a host that nobody has confirmed: exit code %d: %s", code, errOut)
	}
	d.refused(t, 1, []string{"host_key", "nobody has confirmed", "in full"}, "server", "test", "db1")

	wrong := "SHA256:" + strings.Repeat("A", 43)
	d.refused(t, 2, []string{shown.Fingerprint, "no terminal"}, "server", "pin", "db1")
	d.refused(t, 1, []string{shown.Fingerprint, "nothing was pinned"}, "server", "pin", "db1", "--fingerprint", wrong)
	if n := host.Attempts(); n != 0 {
		t.Errorf("%d attempts to log in to a host that nobody has confirmed", n)
	}
	d.do(t, "server", "pin", "db1", "--fingerprint", shown.Fingerprint)
	d.do(t, "server", "pin", "db1") // There is nothing to ask any more.
	if out := d.do(t, "server", "test", "db1"); !strings.Contains(out, "GiB free") || strings.Contains(out, "  no  ") {
		t.Errorf("the test says\n%s", out)
	}

	// A tunnel leads the password to where the SSH host says.
	d.refused(t, 2, []string{"send the password again"}, "server", "set", "db1", "--tunnel")
	d.do(t, "server", "set", "db1", "--tunnel", "--password-file", password)
	before := host.Accepted()
	if out := d.do(t, "server", "test", "db1"); host.Accepted() == before || strings.Contains(out, "  no  ") {
		t.Errorf("through the tunnel the test says\n%s", out)
	}
	if list := d.do(t, "server", "list"); !strings.Contains(list, "by key fleet, tunnel") || strings.Contains(list, "not pinned") {
		t.Errorf("the list is\n%s", list)
	}

	// By password, at another host, which shows another key.
	other := sshtest.InProcess(t)
	move := []string{
		"server", "set", "db1", "--ssh-port", strconv.Itoa(other.Port), "--ssh-key", "", "--ssh-user", other.User, "--ssh-password-file", written(t, other.Password),
		"--password-file", password,
	}
	if code, _, errOut := d.try(t, move...); code != 0 || !strings.Contains(errOut, "is forgotten") {
		t.Errorf("moving to another port gives %d: %s", code, errOut)
	}
	d.do(t, append(move, "--ssh-host-key", host.HostKeyLine)...)
	d.refused(t, 1, []string{"pgam server pin --replace", shown.Fingerprint}, "server", "test", "db1")
	d.refused(t, 1, []string{"--replace", shown.Fingerprint}, "server", "pin", "db1", "--yes")
	d.do(t, "server", "pin", "db1", "--yes", "--replace")
	d.do(t, "server", "test", "db1")
	if other.Attempts() == 0 {
		t.Error("nobody has logged in to the other host")
	}
}

func TestServerSet(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	keys, err := secret.ReadKeyring(strings.TrimPrefix(d.environ[1], "PGAM_KEY_FILE="))
	if err != nil {
		t.Fatal(err)
	}
	stored := catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)}), keys)
	_, line := sshtest.NewKey(t, "ed25519", "")
	address := []string{"--host", "127.0.0.1", "--port", "1", "--user", "mon"}
	d.do(t, append([]string{"server", "add", "a", "--password-file", written(t, "pw1"), "--ssh-user", "watch", "--ssh-password-file", written(t, "pw2"), "--disk-source", "none"}, address...)...)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--disk-source", "ssh", "--disks-interval", "5m"}, "a mon:pw1@127.0.0.1:1/postgres prefer; watch:pw2@:22 ssh 5m0s true"},
		{[]string{"--disk-source", "auto", "--disks-interval", "0"}, "a mon:pw1@127.0.0.1:1/postgres prefer; watch:pw2@:22  0s true"},
		{[]string{"--name", "b", "--enabled=false", "--disk-source", "none"}, "b mon:pw1@127.0.0.1:1/postgres prefer; watch:pw2@:22 none 0s false"},
		{[]string{"--database", "app", "--password-file", written(t, "pw1")}, "b mon:pw1@127.0.0.1:1/app prefer; watch:pw2@:22 none 0s false"},
		{[]string{"--password-file", written(t, "pw3"), "--tls", "require"}, "b mon:pw3@127.0.0.1:1/app require; watch:pw2@:22 none 0s false"},
		{[]string{"--dsn", "postgres://eve:pw4@127.0.0.1:1"}, "b eve:pw4@127.0.0.1:1/postgres prefer; watch:pw2@:22 none 0s false"},
		{[]string{"--ssh-host", "jump", "--ssh-password-file", written(t, "pw5")}, "b eve:pw4@127.0.0.1:1/postgres prefer; watch:pw5@jump:22 none 0s false"},
		{[]string{"--ssh-host-key", line + " root@jump"}, "b eve:pw4@127.0.0.1:1/postgres prefer; watch:pw5@jump:22 none 0s false " + line},
		{[]string{"--ssh-port", "23", "--ssh-host-key", line, "--ssh-password-file", written(t, "pw5")}, "b eve:pw4@127.0.0.1:1/postgres prefer; watch:pw5@jump:23 none 0s false " + line},
		{[]string{"--ssh-host-key", ""}, "b eve:pw4@127.0.0.1:1/postgres prefer; watch:pw5@jump:23 none 0s false"},
	} {
		name := "a"
		if _, err := stored.Server(t.Context(), name); err != nil {
			name = "b"
		}
		d.do(t, append([]string{"server", "set", name}, test.args...)...)
		s, err := stored.Server(t.Context(), test.want[:1])
		if err != nil {
			t.Fatal(err)
		}
		got := s.Name + " " + s.Endpoint.User + ":" + s.Endpoint.Password.Reveal() + "@" + s.Endpoint.Host + ":" + strconv.Itoa(s.Endpoint.Port) + "/" + s.Endpoint.Database +
			" " + string(s.Endpoint.TLS) + "; " + s.Shell.User + ":" + s.Shell.Password.Reveal() + "@" + s.Shell.Host + ":" + strconv.Itoa(s.Shell.Port) +
			" " + string(s.DiskSource) + " " + s.Intervals.Disks.String() + " " + strconv.FormatBool(s.Enabled)
		if s.Shell.HostKey != "" {
			got += " " + s.Shell.HostKey
		}
		if got != test.want {
			t.Errorf("%v: %s, want %s", test.args, got, test.want)
		}
	}
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{2, "nothing to change", []string{"b"}},
		{2, "nothing to change", []string{"b", "--data", t.TempDir()}},
		{2, "NAME is missing", nil},
		{1, "not found", []string{"c", "--enabled"}},
		{2, "send the password again", []string{"b", "--host", "evil.example.org"}},
		{2, "send the ssh_password again", []string{"b", "--ssh-host", "evil.example.org"}},
		{2, "disk_source", []string{"b", "--disk-source", "nfs"}},
		{2, "disks interval", []string{"b", "--disks-interval", "10ms"}},
		{2, "host key", []string{"b", "--ssh-host-key", "SHA256:abc"}},
		{2, "needs ssh_user", []string{"b", "--tunnel", "--ssh-user", "", "--password-file", written(t, "x"), "--ssh-password-file", written(t, "x")}},
		{2, "only one password", []string{"b", "--password-file", "-", "--ssh-password-file", "-"}},
		{2, "no terminal", []string{"b", "--ask-password"}},
		{2, "no terminal", []string{"b", "--ask-ssh-password"}},
	} {
		d.refused(t, test.code, []string{test.says}, append([]string{"server", "set"}, test.args...)...)
	}
	if code, _, errOut := d.try(t, "server", "remove", "b", "--purge"); code != 0 || !strings.Contains(errOut, "history") {
		t.Errorf("removing gives %d: %s", code, errOut)
	}
	if !pgtest.Value[bool](t, dsn, "select purge from pgam.server where name = 'b'") {
		t.Error("its history would stay")
	}
}
