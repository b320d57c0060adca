package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

// contents reads all files of a folder; nil where there is none.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	var found map[string]string
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	for _, entry := range entries {
		content, readErr := os.ReadFile(filepath.Join(dir, entry.Name()))
		info, statErr := entry.Info()
		if err != nil || readErr != nil || statErr != nil {
			t.Fatal(err, readErr, statErr)
		}
		if found == nil {
			found = make(map[string]string)
		}
		found[fmt.Sprintf("%s %04o", entry.Name(), info.Mode().Perm())] = string(content)
	}

	return found
}

func sameFiles(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, content := range before {
		if after[name] != content {
			t.Errorf("%s has changed", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("there were %d files, and are %d", len(before), len(after))
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	dir := filepath.Join(t.TempDir(), "new", "pgam")
	stats := fmt.Sprintf("postgres://o%%20wner@%s:%d/stats%%20db", server.Host(), server.Port())
	args := []string{"setup", "--config-dir", dir, "--stats-dsn", stats, "--create-as", server.SuperuserDSN(), "--admin", "root"}
	dry := append(args, "--dry-run")

	code, out, said := (desk{}).try(t, dry...)
	if code != 0 || out != "" || contents(t, dir) != nil ||
		pgtest.Value[int](t, server.SuperuserDSN(), "select count(*)::int from pg_roles where rolname in ('o wner', 'pgam_read')") != 0 {
		t.Errorf("a dry run gives %d, %q: %s", code, out, said)
	}
	for _, want := range []string{"would have created what is missing of role o wner", "would have made keyring", "would have migrated", `would have created admin "root"`, "nothing was changed"} {
		if !strings.Contains(said, want) {
			t.Errorf("a dry run does not say %q: %s", want, said)
		}
	}

	code, out, said = (desk{}).try(t, args...)
	if code != 0 || !regexp.MustCompile(`^[a-z2-7]{26}\n$`).MatchString(out) {
		t.Fatalf("setup gives %d, %q: %s", code, out, said)
	}
	made := contents(t, dir)
	for _, name := range []string{"stats.dsn 0600", "keyring.json 0600", "token.key 0600", "collector.env 0640", "api.env 0640"} {
		if made[name] == "" {
			t.Errorf("%s was not made", name)
		}
	}
	// What was made is what the daemons take.
	environ := []string{"PGAM_STATS_DSN_FILE=" + filepath.Join(dir, "stats.dsn"), "PGAM_TOKEN_KEY_FILE=" + filepath.Join(dir, "token.key"), "PGAM_KEY_FILE=" + filepath.Join(dir, "keyring.json"), "PGAM_ENV_FILE=" + filepath.Join(dir, "api.env")}
	loaded, err := config.LoadAPI(environ)
	if err != nil {
		t.Fatal(err)
	}
	checkLogin(t, loaded.StatsDSN, "root", strings.TrimSpace(out))
	if owner := pgtest.Value[string](t, server.DatabaseDSN(pgtest.Superuser, "stats db"), "select current_database() || pg_get_userbyid(datdba) from pg_database where datname = current_database()"); owner != "stats dbo wner" {
		t.Errorf("the database is %q", owner)
	}

	// Again, with and without what was said before, and dry: nothing is changed.
	for _, again := range [][]string{args, dry, {"setup", "--config-dir", dir}, {"setup", "--config-dir", dir, "--stats-dsn", stats}} {
		if code, out, said := (desk{}).try(t, again...); code != 0 || out != "" || !strings.Contains(said, "everything is in place: nothing was changed") {
			t.Errorf("%q again gives %d, %q: %s", again[len(again)-1], code, out, said)
		}
		sameFiles(t, made, contents(t, dir))
	}
	testSetupChanges(t, server, dir, environ)
}

// testSetupChanges goes on with an installation that is there.
func testSetupChanges(t *testing.T, server *pgtest.Server, dir string, environ []string) {
	t.Helper()
	before := contents(t, dir)
	// An address that does not work does not take the place of one that does.
	wrong := fmt.Sprintf("postgres://o%%20wner:canary@%s:%d/stats%%20db", server.Host(), server.Port())
	if code, _, said := (desk{}).try(t, "setup", "--config-dir", dir, "--stats-dsn", wrong); code != 1 || strings.Contains(said, "canary") {
		t.Errorf("a wrong password gives %d: %s", code, said)
	}
	sameFiles(t, before, contents(t, dir))

	// Setup tells the other commands where stats_db is.
	at := tool{configDir: dir, environ: environ[2:3]}
	if cfg, err := at.config(); err != nil || cfg.StatsDSN.IsZero() {
		t.Errorf("the address of stats_db is not found: %v", err)
	}

	// Another password of the role: setup with --create-as gives it the new one.
	pgtest.Exec(t, server.SuperuserDSN(), `alter role "o wner" password 'other'`)
	if code, _, said := (desk{}).try(t, "setup", "--config-dir", dir, "--create-as", server.SuperuserDSN()); code != 0 || !strings.Contains(said, "set the password of role o wner") {
		t.Errorf("a changed password gives %d: %s", code, said)
	}
	sameFiles(t, before, contents(t, dir))

	// A keyring that something was sealed with cannot be made again.
	desk{environ: environ[:1]}.do(t, "user", "list")
	sealed := desk{environ: []string{environ[0], environ[2]}, stdin: "pw\n"}
	sealed.do(t, "server", "add", "a", "--host", "127.0.0.1", "--port", "1", "--user", "u", "--password-file", "-")
	if err := os.Remove(filepath.Join(dir, "keyring.json")); err != nil {
		t.Fatal(err)
	}
	if code, _, said := (desk{}).try(t, "setup", "--config-dir", dir); code != 1 || !strings.Contains(said, "restore it from its backup") {
		t.Errorf("a lost keyring gives %d: %s", code, said)
	}
}

// checkLogin tells whether a password is that of a user.
func checkLogin(t *testing.T, dsn secret.Value, login, password string) {
	t.Helper()
	stored := catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: dsn}), nil)
	user, err := stored.Account(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := hasher.Verify(t.Context(), auth.Origin{}, user.PasswordHash, password); err != nil || user.Role != "admin" {
		t.Errorf("%s: %v, role %s", login, err, user.Role)
	}
}

// TestSetup_SaysWhatToRun runs what setup says, line by line, until it works.
func TestSetup_SaysWhatToRun(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	dir := filepath.Join(t.TempDir(), "pgam")
	file := filepath.Join(t.TempDir(), "url")
	stats := fmt.Sprintf("postgres://Watch:pw@%s:%d/History", server.Host(), server.Port())
	if err := os.WriteFile(file, []byte(stats+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"setup", "--config-dir", dir, "--stats-dsn", "@" + file}
	admin := server.SuperuserDSN()
	statement := regexp.MustCompile(`(?:create|alter) (?:role|database) [^;:]*`)
	for _, missing := range []string{"create role \"Watch\" login", "create database \"History\"", "create role pgam_read"} {
		code, _, said := (desk{}).try(t, args...)
		if code != 1 || !strings.Contains(said, missing) || contents(t, dir) != nil {
			t.Fatalf("without %q it gives %d: %s", missing, code, said)
		}
		for _, sql := range statement.FindAllString(said, -1) {
			if strings.HasPrefix(sql, missing) {
				pgtest.Exec(t, admin, strings.TrimSpace(strings.Replace(sql, "…", "pw", 1)))
			}
		}
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("given by hand\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, said := (desk{}).try(t, append(args, "--admin-password-file", password)...); code != 0 || out != "" {
		t.Errorf("with all of it, it gives %d, %q: %s", code, out, said)
	}
	checkLogin(t, secret.New(stats), "admin", "given by hand")

	// A database of somebody else.
	pgtest.Exec(t, admin, "create database other")
	theirs := strings.Replace(stats, "/History", "/other", 1)
	code, _, said := (desk{}).try(t, "setup", "--config-dir", dir+"2", "--stats-dsn", theirs)
	if code != 1 || !strings.Contains(said, `alter database "other" owner to "Watch"`) {
		t.Errorf("the database of another gives %d: %s", code, said)
	}
}

// TestSetup_CreateAlone chooses everything, beside the administrator.
func TestSetup_CreateAlone(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	dir := filepath.Join(t.TempDir(), "pgam")
	code, _, said := (desk{}).try(t, "setup", "--config-dir", dir, "--create-as="+server.SuperuserDSN())
	if code != 0 || !strings.Contains(said, "created database stats_db") {
		t.Fatalf("it gives %d: %s", code, said)
	}
	dsn, err := os.ReadFile(filepath.Join(dir, "stats.dsn"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(strings.TrimSpace(string(dsn)))
	if err != nil || cfg.Database != "stats_db" || cfg.User != "pgam" || len(cfg.Password) < 26 || strings.Contains(said, cfg.Password) {
		t.Errorf("stats_db is at %s: %v", dsn, err)
	}
}

func TestSetup_Wrong(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "pgam")
	for want, args := range map[string][]string{
		"where is stats_db?":        {},
		"names no database":         {"--stats-dsn", "postgres://u:canary@h"},
		"no such file":              {"--stats-dsn", "@/nowhere"},
		"--create-as: cannot be":    {"--create-as=postgres://u:canary@h:x/d"},
		"login":                     {"--admin", "", "--stats-dsn", "postgres://u@h/d"},
		"unknown command \"extra\"": {"extra"},
	} {
		code, _, said := (desk{}).try(t, append([]string{"setup", "--config-dir", dir}, args...)...)
		if code != 2 || !strings.Contains(said, want) || strings.Contains(said, "canary") || contents(t, dir) != nil {
			t.Errorf("%q gives %d: %s", args, code, said)
		}
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	desk{}.do(t, "man", dir)
	pages := contents(t, dir)
	for _, name := range []string{"pgam.1", "pgam-setup.1", "pgam-server-add.1", "pgam-collector.8", "pgam-api.8"} {
		if page := pages[name+" 0644"]; !strings.Contains(page, ".TH PGAM") && !strings.Contains(page, ".TH \"PGAM") || !strings.Contains(page, "\n.SH NAME\n") {
			t.Errorf("%s is no page: %.200q", name, page)
		}
	}
	if page := strings.ReplaceAll(pages["pgam-collector.8 0644"], "\\", ""); !strings.Contains(page, "PGAM_MAX_CONNECTING") || strings.Contains(page, "PGAM_TOKEN_KEY") {
		t.Errorf("pgam-collector(8) has other settings than pgam-collector:\n%s", page)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string]string{"bash": "complete -o default -F __start_pgam pgam", "zsh": "#compdef pgam", "fish": "complete -c pgam"} {
		if out := (desk{}).do(t, "completion", shell); !strings.Contains(out, want) {
			t.Errorf("%s: %.200q", shell, out)
		}
	}
	if out := (desk{}).do(t, "__complete", "set"); !strings.Contains(out, "setup\t") {
		t.Errorf("set is completed to %q", out)
	}
}

// A new address without a password takes that of an earlier setup, and nothing
// else of it.
func TestSetup_TakesThePasswordOnly(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://pgam@db.example.org/stats_db?sslmode=verify-full":       `postgres://pgam:se%27c%20r%5Cet@db.example.org/stats_db?sslmode=verify-full`,
		"host=db.example.org user=pgam dbname=stats_db sslmode=verify-full": `host=db.example.org user=pgam dbname=stats_db sslmode=verify-full password='se\'c r\\et'`,
		"postgres://pgam:new@db.example.org/stats_db?sslmode=verify-full":   "postgres://pgam:new@db.example.org/stats_db?sslmode=verify-full",
		"postgres://pgam@other.example.org/stats_db?sslmode=verify-full":    "postgres://pgam@other.example.org/stats_db?sslmode=verify-full",
	} {
		s := setup{t: &tool{}, o: setupOptions{configDir: t.TempDir()}}
		stored := "postgres://pgam:se%27c%20r%5Cet@db.example.org/stats_db?sslmode=disable\n"
		if err := os.WriteFile(s.path(statsDSNFile), []byte(stored), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := s.readDSN(given)
		if err != nil || a.value.Reveal() != want {
			t.Errorf("%s: %s, %v", given, a.value.Reveal(), err)
			continue
		}
		if again, err := pgx.ParseConfig(a.value.Reveal()); err != nil || again.Password != a.cfg.Password || again.TLSConfig == nil {
			t.Errorf("%s: %v", given, err)
		}
	}
}
