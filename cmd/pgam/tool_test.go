package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// desk is where commands are typed.
type desk struct {
	environ []string
	stdin   string
}

// deskOn has a stats_db and a keyring.
func deskOn(t *testing.T, dsn string) desk {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring.json")
	if err := secret.WriteKeyring(path); err != nil {
		t.Fatal(err)
	}

	return desk{environ: []string{"PGAM_STATS_DSN=" + dsn, "PGAM_KEY_FILE=" + path}}
}

// try runs a command line.
func (d desk) try(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	in, err := os.CreateTemp(t.TempDir(), "stdin")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	if _, err := in.WriteAt([]byte(d.stdin), 0); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), &tool{environ: d.environ, in: in, out: &stdout, errOut: &stderr}, args)

	return code, stdout.String(), stderr.String()
}

// do runs a command line that must work, and returns its result.
func (d desk) do(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := d.try(t, args...)
	if code != 0 {
		t.Fatalf("pgam %s: exit code %d: %s", strings.Join(args, " "), code, errOut)
	}

	return out
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(pgtest.EmptyDB(t))
	if err != nil {
		t.Fatal(err)
	}
	admin := u.String()
	u.Path = "/tool_migrate"
	d := deskOn(t, u.String())
	t.Cleanup(func() { pgtest.Exec(t, admin, "drop database if exists tool_migrate") })

	if code, _, errOut := d.try(t, "migrate"); code != 1 || !strings.Contains(errOut, "--create-database") {
		t.Errorf("a missing database gives %d: %s", code, errOut)
	}
	if out := d.do(t, "migrate", "--create-database"); !regexp.MustCompile(`^migrated stats_db from version 0 to [1-9]\d*\n$`).MatchString(out) {
		t.Errorf("the first migration says %q", out)
	}
	if out := d.do(t, "migrate", "--create-database"); !regexp.MustCompile(`^stats_db is at version [1-9]\d* already\n$`).MatchString(out) {
		t.Errorf("the second migration says %q", out)
	}
	d.do(t, "migrate", "--status")
	pgtest.Exec(t, u.String(), "update public.pgam_schema_version set version = version - 1")
	if code, _, errOut := d.try(t, "migrate", "--status"); code != 1 || !strings.Contains(errOut, "run pgam migrate") {
		t.Errorf("an old version gives %d: %s", code, errOut)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	stored := catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)}), nil)
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(login, password string, role account.Role) {
		t.Helper()
		user, err := stored.Account(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		if user.Role != role || !user.Active {
			t.Errorf("%s is %+v", login, user)
		}
		if err := hasher.Verify(t.Context(), auth.Origin{}, user.PasswordHash, password); err != nil {
			t.Errorf("%s: %v", login, err)
		}
	}

	generated := strings.TrimSuffix(d.do(t, "user", "create", "ana", "--role", "admin", "--generate"), "\n")
	expect("ana", generated, account.Admin)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("pass word\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := d.do(t, "user", "create", "Анна Ω", "--password-file", file); out != "" {
		t.Errorf("a password that was given is printed: %q", out)
	}
	expect("Анна Ω", "pass word", account.Viewer)
	d.stdin = "from stdin\n"
	d.do(t, "user", "passwd", "Анна Ω", "--password-file", "-")
	expect("Анна Ω", "from stdin", account.Viewer)

	if code, _, errOut := d.try(t, "user", "create", "ana", "--generate"); code != 1 || !strings.Contains(errOut, "already taken") {
		t.Errorf("a second ana gives %d: %s", code, errOut)
	}
	if code, _, errOut := d.try(t, "user", "delete", "ana"); code != 1 || !strings.Contains(errOut, "last administrator") {
		t.Errorf("deleting the last administrator gives %d: %s", code, errOut)
	}
	d.do(t, "user", "delete", "Анна Ω")
	want := "LOGIN  ROLE   ACTIVE  LAST LOGIN\nana    admin  true    never\n"
	if diff := cmp.Diff(want, d.do(t, "user", "list")); diff != "" {
		t.Error(diff)
	}
	d.do(t, "user", "delete", "ana", "--force")
	if out := d.do(t, "user", "list"); strings.Contains(out, "ana") {
		t.Errorf("ana is still there: %s", out)
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	d := deskOn(t, pgtest.StatsDB(t))
	server := pgtest.Target(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(pgtest.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.do(t, "server", "add", "whole", "--dsn", server.DSN(pgtest.User))
	d.do(t, "server", "add", "by file", "--host", server.Host(), "--port", strconv.Itoa(server.Port()), "--user", pgtest.User, "--password-file", file)
	server.Exec(t, "create role blind login password '"+pgtest.Password+"'")
	code, _, errOut := d.try(t, "server", "add", "blind", "--dsn", server.DSN("blind"))
	if code != 0 || !strings.Contains(errOut, "grant pg_monitor to blind") {
		t.Errorf("a role without rights gives %d: %s", code, errOut)
	}
	for _, name := range []string{"whole", "by file"} {
		if out := d.do(t, "server", "test", name); !strings.Contains(out, "PostgreSQL "+server.Version()+".") || strings.Contains(out, "  no  ") {
			t.Errorf("test of %s says %q", name, out)
		}
	}
	if code, out, errOut := d.try(t, "server", "test", "blind"); code != 1 || !strings.Contains(errOut, "in full") || !strings.Contains(out, "grant pg_monitor to blind") {
		t.Errorf("test of blind gives %d: %s%s", code, out, errOut)
	}
	if out := d.do(t, "server", "test", "--dsn", server.DSN(pgtest.User)); !strings.Contains(out, "PostgreSQL "+server.Version()+".") {
		t.Errorf("test of an address says %q", out)
	}
	if code, out, _ := d.try(t, "server", "test", "--dsn", "postgres://nobody@"+server.Host()+":1/postgres"); code != 1 || !strings.Contains(out, "connection refused") {
		t.Errorf("test of a closed port gives %d: %s", code, out)
	}
	if code, _, errOut := d.try(t, "server", "add", "whole", "--dsn", server.DSN(pgtest.User)); code != 1 || !strings.Contains(errOut, "already exists") {
		t.Errorf("a second whole gives %d: %s", code, errOut)
	}
	d.do(t, "server", "remove", "blind")
	list := d.do(t, "server", "list")
	if strings.Count(list, "\n") != 3 || strings.Count(list, "sealed") != 2 || strings.Contains(list, "blind") || strings.Contains(list, pgtest.Password) {
		t.Errorf("the list is\n%s", list)
	}
	// With another keyring the passwords cannot be read, which is said.
	other := deskOn(t, strings.TrimPrefix(d.environ[0], "PGAM_STATS_DSN="))
	if list := other.do(t, "server", "list"); strings.Count(list, "unreadable") != 2 {
		t.Errorf("with another keyring the list is\n%s", list)
	}
	if code, out, _ := other.try(t, "server", "test", "whole"); code != 1 || !strings.Contains(out, "set it again") {
		t.Errorf("with another keyring the test gives %d: %s", code, out)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, kind := range []string{"generate", "token"} {
		path := filepath.Join(dir, kind)
		desk{}.do(t, "key", kind, path)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() < 32 {
			t.Errorf("%s makes %v, %v", kind, info, err)
		}
	}
	if _, err := secret.ReadKeyring(filepath.Join(dir, "generate")); err != nil {
		t.Error(err)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
		case "/readyz":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"checks":[{"name":"a","status":"ok"},{"name":"stats_db","status":"failed"}]}`))
		case "/moved":
			http.Redirect(w, r, "/healthz", http.StatusFound)
		case "/hangs":
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	desk{}.do(t, "healthcheck", server.URL+"/healthz")
	for path, want := range map[string]string{
		"/readyz": "503 Service Unavailable, stats_db failed", "/moved": "302 Found", "/hangs": "no answer within 3s",
	} {
		begun := time.Now()
		if code, _, errOut := (desk{}).try(t, "healthcheck", server.URL+path); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("%s gives %d: %s", path, code, errOut)
		}
		if time.Since(begun) > 2*healthWithin {
			t.Errorf("%s takes %s", path, time.Since(begun))
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	root := (&tool{}).rootCommand()
	root.InitDefaultCompletionCmd()
	for _, command := range root.Commands() {
		for _, c := range append(command.Commands(), command) {
			if c.Short == "" {
				t.Errorf("%s has no description", c.CommandPath())
			}
			if c.Runnable() && !c.HasSubCommands() && c.Example == "" && c.Name() != "version" && command.Name() != "completion" {
				t.Errorf("%s has no example", c.CommandPath())
			}
		}
	}
	if out := (desk{}).do(t, "--help"); !strings.Contains(out, "PGAM_STATS_DSN") {
		t.Errorf("the help names no settings:\n%s", out)
	}
	if out := (desk{}).do(t, "version"); !strings.HasPrefix(out, "pgam ") {
		t.Errorf("version prints %q", out)
	}
	if out := (desk{}).do(t, "openapi"); !strings.Contains(out, `"openapi": "3.1`) {
		t.Errorf("openapi prints %.200q", out)
	}
}

func TestPrintReport(t *testing.T) {
	t.Parallel()
	report := local.Report{
		APIURL: "http://127.0.0.1:8000", Login: "admin", Password: secret.New("pw"), StatsDSN: secret.New("postgres://x"),
		DataDir: "/data", Servers: []string{"local", "a b"}, Postgres: "15.18", ClusterDir: "/data/postgres",
	}
	var out bytes.Buffer
	desk := &tool{out: &out}
	if err := desk.printReport(report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"console   http://127.0.0.1:8000/ui/\n", "pw  (shown this once)", "-d username=admin -d password=pw", "http://127.0.0.1:8000/api/v1/servers/a%20b/activity"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := desk.printReportJSON(report); err != nil {
		t.Fatal(err)
	}
	want := `{"api_url":"http://127.0.0.1:8000","collector_url":"","login":"admin","password":"pw","stats_dsn":"postgres://x","data_dir":"/data","servers":["local","a b"]}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	report.Password, report.Servers = secret.Value{}, nil
	out.Reset()
	if err := desk.printReport(report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pgam user passwd admin --data /data", "-d password=PASSWORD", "http://127.0.0.1:8000/servers\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestDefaultDataDir(t *testing.T) {
	t.Parallel()
	if got := defaultDataDir([]string{"HOME=/home/x", "XDG_DATA_HOME=/y"}); got != "/y/pgam" {
		t.Errorf("with XDG_DATA_HOME it is %s", got)
	}
	want := "/home/x/.local/share/pgam"
	if os.Geteuid() == 0 {
		want = "/var/lib/pgam-up"
	}
	if got := defaultDataDir([]string{"HOME=/home/x", "XDG_DATA_HOME=relative"}); got != want {
		t.Errorf("without it is %s, want %s", got, want)
	}
}
