package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
)

const (
	goodTokenKey = "PGAM_TOKEN_KEY=Zm9vYmFyYmF6cXV4cXV1eDEyMzQ1Njc4OTBhYmNkZWZnaGlq"
	// canary stands where a secret would.
	canary = "canary-of-a-password"
)

// wrong is what is wrong, for every case.
type wrong struct {
	key         string // PGAM_KEY_FILE=… that is good
	openKey     string // …, but others can read it
	migrated    string // PGAM_STATS_DSN=…
	empty       string // … not migrated
	newer       string // … of a later version
	missing     string // … of no database
	unreachable string // … where nothing listens
	refusing    string // … with a wrong password
	powerless   string // … of a role that may create nothing
	listener    string // a taken address
	file        string // a file where a folder should be
}

func setWrong(t *testing.T) wrong {
	t.Helper()
	dir := t.TempDir()
	w := wrong{key: filepath.Join(dir, "keyring.json"), openKey: filepath.Join(dir, "open.json"), file: filepath.Join(dir, "file")}
	for _, path := range []string{w.key, w.openKey} {
		if got := runProgram(t, nil, "pgam", "key", "generate", path); got.code != 0 {
			t.Fatal(got.stderr)
		}
	}
	if err := os.Chmod(w.openKey, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.migrated, w.empty, w.newer = pgtest.StatsDB(t), pgtest.EmptyDB(t), pgtest.StatsDB(t)
	pgtest.Exec(t, w.newer, "update public.pgam_schema_version set version = version + 1")
	change := func(dsn string, change func(*url.URL)) string {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		change(u)

		return u.String()
	}
	w.missing = change(w.empty, func(u *url.URL) { u.Path = "/no_such_db" })
	w.unreachable = change(w.empty, func(u *url.URL) { u.Host = fmt.Sprint("127.0.0.1:", faultnet.FreePort(t)) })
	target := pgtest.Target(t)
	w.refusing = pgtest.WithUser(t, target.DSN(pgtest.User), pgtest.User, canary)
	w.powerless = target.DSN(pgtest.User)
	w.listener = faultnet.Listen(t, nil).Address()
	for _, dsn := range []*string{&w.migrated, &w.empty, &w.newer, &w.missing, &w.unreachable, &w.refusing, &w.powerless} {
		*dsn = "PGAM_STATS_DSN=" + *dsn
	}
	w.key, w.openKey = "PGAM_KEY_FILE="+w.key, "PGAM_KEY_FILE="+w.openKey

	return w
}

// badInput is one thing done wrong and what must be said of it.
type badInput struct {
	env  []string
	args []string
	code int
	say  []string // words of the one line
}

// TestBadInput proves that each mistake gives one clear line that says what to
// do, and an exit code that tells whether another try is of use.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := setWrong(t)
	t.Run("pgam-collector", func(t *testing.T) { t.Parallel(); tryAll(t, "pgam-collector", collectorInput(t, w)) })
	t.Run("pgam-api", func(t *testing.T) { t.Parallel(); tryAll(t, "pgam-api", apiInput(w)) })
	t.Run("pgam", func(t *testing.T) { t.Parallel(); tryAll(t, "pgam", toolInput(t, w)) })
}

func collectorInput(t *testing.T, w wrong) map[string]badInput {
	t.Helper()
	data := func() string { return "PGAM_DATA_DIR=" + t.TempDir() } // One has it at a time.
	free := "PGAM_HEALTH_LISTEN=127.0.0.1:0"

	return map[string]badInput{
		"no settings":         {nil, nil, 2, []string{"PGAM_STATS_DSN", "postgres://"}},
		"an argument":         {nil, []string{"--verbose"}, 2, []string{"--verbose", "--help"}},
		"an unknown setting":  {[]string{w.migrated, w.key, data(), "PGAM_ACTIVITY_INTERVALL=1s"}, nil, 2, []string{"PGAM_ACTIVITY_INTERVALL", "did you mean PGAM_ACTIVITY_INTERVAL"}},
		"a wrong value":       {[]string{w.migrated, w.key, data(), "PGAM_ACTIVITY_INTERVAL=7m"}, nil, 2, []string{"PGAM_ACTIVITY_INTERVAL", "60s"}},
		"a DSN in disorder":   {[]string{"PGAM_STATS_DSN=" + canary, w.key, data()}, nil, 2, []string{"PGAM_STATS_DSN", "postgres://"}},
		"no key file":         {[]string{w.migrated, "PGAM_KEY_FILE=" + filepath.Join(t.TempDir(), "key"), data(), free}, nil, 2, []string{"pgam key generate"}},
		"an open key file":    {[]string{w.migrated, w.openKey, data(), free}, nil, 2, []string{"chmod 600"}},
		"a folder for a file": {[]string{w.migrated, w.key, "PGAM_DATA_DIR=" + w.file + "/x", free}, nil, 2, []string{w.file}},
		"no database":         {[]string{w.missing, w.key, data(), free}, nil, 2, []string{"does not exist", "pgam migrate"}},
		"not migrated":        {[]string{w.empty, w.key, data(), free}, nil, 2, []string{"pgam migrate"}},
		"a newer stats_db":    {[]string{w.newer, w.key, data(), free}, nil, 2, []string{"install the newer pgam"}},
		"unreachable":         {[]string{w.unreachable, w.key, data(), free}, nil, 1, []string{"PGAM_STATS_DSN"}},
		"a wrong password":    {[]string{w.refusing, w.key, data(), free}, nil, 1, []string{"password authentication failed"}},
		"a taken port":        {[]string{w.migrated, w.key, data(), "PGAM_HEALTH_LISTEN=" + w.listener}, nil, 1, []string{"address already in use", "PGAM_HEALTH_LISTEN"}},
	}
}

func apiInput(w wrong) map[string]badInput {
	free := "PGAM_LISTEN=127.0.0.1:0"

	return map[string]badInput{
		"no token key":       {[]string{w.migrated, w.key, free}, nil, 2, []string{"PGAM_TOKEN_KEY"}},
		"a short token key":  {[]string{w.migrated, w.key, free, "PGAM_TOKEN_KEY=" + canary}, nil, 2, []string{"PGAM_TOKEN_KEY", "32"}},
		"a known token key":  {[]string{w.migrated, w.key, free, "SECRET_KEY=default-secret-for-local-testing-and-more"}, nil, 2, []string{"SECRET_KEY", "guess"}},
		"an unknown setting": {[]string{w.migrated, w.key, goodTokenKey, "PGAM_LISTENN=127.0.0.1:0"}, nil, 2, []string{"PGAM_LISTENN", "did you mean PGAM_LISTEN"}},
		"not migrated":       {[]string{w.empty, w.key, goodTokenKey, free}, nil, 2, []string{"pgam migrate"}},
		"a newer stats_db":   {[]string{w.newer, w.key, goodTokenKey, free}, nil, 2, []string{"install the newer pgam"}},
		"unreachable":        {[]string{w.unreachable, w.key, goodTokenKey, free}, nil, 1, []string{"PGAM_STATS_DSN"}},
		"a taken port":       {[]string{w.migrated, w.key, goodTokenKey, "PGAM_LISTEN=" + w.listener}, nil, 1, []string{"address already in use", "PGAM_LISTEN"}},
	}
}

func toolInput(t *testing.T, w wrong) map[string]badInput {
	t.Helper()
	up := func(args ...string) []string {
		return append([]string{"up", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"}, args...)
	}
	keyFile := strings.TrimPrefix(w.key, "PGAM_KEY_FILE=")

	return map[string]badInput{
		"an unknown command":        {nil, []string{"upp"}, 2, []string{"upp"}},
		"an unknown flag":           {nil, []string{"migrate", "--force"}, 2, []string{"--force"}},
		"an unknown setting":        {[]string{"PGAM_KEYFILE=/x"}, up(), 2, []string{"PGAM_KEYFILE", "did you mean PGAM_KEY_FILE"}},
		"up: a file for a folder":   {nil, up("--data", w.file), 1, []string{w.file, "--data"}},
		"up: below a file":          {nil, up("--data", w.file+"/x"), 1, []string{w.file, "--data"}},
		"up: a taken port":          {nil, up("--listen", w.listener), 1, []string{"address already in use", "--listen"}},
		"up: no address":            {nil, up("--listen", "8000"), 2, []string{"host:port"}},
		"up: no programs":           {nil, up("--bin-dir", filepath.Dir(w.file)), 2, []string{"pgam-collector", "make build"}},
		"up: no PostgreSQL":         {nil, up("--postgres-bin", filepath.Dir(w.file)), 1, []string{"initdb"}},
		"up: an address in words":   {nil, up("--target", "db1 "+canary), 2, []string{"postgres://"}},
		"up: no user":               {nil, up("--target", "postgres://db1/x"), 2, []string{"names no user"}},
		"up: an unknown parameter":  {nil, up("--target", "postgres://u:"+canary+"@db1/x?sslcert=y"), 2, []string{"sslcert"}},
		"migrate: no settings":      {nil, []string{"migrate"}, 2, []string{"PGAM_STATS_DSN"}},
		"migrate: no database":      {[]string{w.missing}, []string{"migrate"}, 1, []string{"no_such_db does not exist", "--create-database"}},
		"migrate: unreachable":      {[]string{w.unreachable}, []string{"migrate"}, 1, []string{"connection refused", "127.0.0.1"}},
		"migrate: a wrong password": {[]string{w.refusing}, []string{"migrate"}, 1, []string{"authentication failed"}},
		"migrate: no rights":        {[]string{w.powerless}, []string{"migrate"}, 1, []string{"permission denied", "owner"}},
		"migrate: newer":            {[]string{w.newer}, []string{"migrate"}, 1, []string{"install the newer pgam"}},
		"migrate: not yet":          {[]string{w.empty}, []string{"migrate", "--status"}, 1, []string{"version 0", "run pgam migrate"}},
		"key: there already":        {nil, []string{"key", "generate", keyFile}, 2, []string{keyFile, "move it away"}},
		"key: no name":              {nil, []string{"key", "token"}, 2, []string{"FILE is missing"}},
		"user: not migrated":        {[]string{w.empty}, []string{"user", "list"}, 2, []string{"pgam migrate"}},
		"user: no such role":        {[]string{w.migrated}, []string{"user", "create", "ana", "--role", "boss", "--generate"}, 2, []string{"viewer, operator or admin"}},
		"user: no terminal":         {[]string{w.migrated}, []string{"user", "create", "ana"}, 2, []string{"--password-file"}},
		"user: nobody":              {[]string{w.migrated}, []string{"user", "passwd", "nobody", "--generate"}, 1, []string{"user not found"}},
		"user: no data":             {nil, []string{"user", "list", "--data", t.TempDir()}, 2, []string{"pgam up"}},
		"server: no key":            {[]string{w.migrated, "PGAM_KEY_FILE=" + w.file + "2"}, []string{"server", "list"}, 2, []string{"pgam key generate"}},
		"server: no address":        {[]string{w.migrated, w.key}, []string{"server", "add", "db1"}, 2, []string{"--dsn"}},
		"server: a name with /":     {[]string{w.migrated, w.key}, []string{"server", "add", "a/b", "--dsn", "postgres://u@h/d"}, 2, []string{"slash"}},
		"server: nobody there":      {[]string{w.migrated, w.key}, []string{"server", "test", "db1"}, 1, []string{"server not found"}},
		"server: refused":           {nil, []string{"server", "test", "--dsn", strings.TrimPrefix(w.unreachable, "PGAM_STATS_DSN=")}, 1, []string{"cannot be watched"}},
		"healthcheck: nobody there": {nil, []string{"healthcheck", "http://127.0.0.1:1/healthz"}, 1, []string{"nothing listens there"}},
		"healthcheck: no URL":       {nil, []string{"healthcheck", "8000"}, 2, []string{"http://"}},
	}
}

func tryAll(t *testing.T, program string, inputs map[string]badInput) {
	t.Helper()
	for name, input := range inputs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := runProgram(t, input.env, program, input.args...)
			if got.code != input.code {
				t.Errorf("exit code %d, want %d", got.code, input.code)
			}
			said := faults(got.stderr)
			if len(said) != 1 {
				t.Errorf("%d lines, want one", len(said))
			}
			for _, word := range input.say {
				if len(said) == 0 || !strings.Contains(said[0], word) {
					t.Errorf("%q is not in what it says first", word)
				}
			}
			if text := got.stdout + got.stderr; strings.Contains(text, canary) || strings.Contains(text, pgtest.Password) {
				t.Error("a secret is shown")
			}
			if t.Failed() {
				t.Logf("it says:\n%s%s", got.stdout, got.stderr)
			}
		})
	}
}

// faults returns the lines that say what is wrong: without the remarks of a
// log, and without the pointer to the help.
func faults(stderr string) []string {
	var lines []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.Contains(line, "level=INFO") && !strings.HasPrefix(line, "pgam: see: ") {
			lines = append(lines, line)
		}
	}

	return lines
}
