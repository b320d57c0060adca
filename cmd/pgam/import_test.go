package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fernet/fernet-go"
	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/statsdb"
)

// legacyData is the folder of a Python installation, made by Python.
const legacyData = "../../internal/legacy/testdata"

// pythonFolder makes a folder of the Python version with these servers, whose
// passwords are given in the clear, and the users of the test data.
func pythonFolder(t *testing.T, servers ...map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	keyText, err := os.ReadFile(filepath.Join(legacyData, "encryption_key.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := fernet.DecodeKey(strings.TrimSpace(string(keyText)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		for _, field := range []string{"password", "ssh_password"} {
			plain, _ := s[field].(string)
			if plain == "" || strings.HasPrefix(plain, "gAAAAA") {
				continue
			}
			token, err := fernet.EncryptAndSign([]byte(plain), key)
			if err != nil {
				t.Fatal(err)
			}
			s[field] = string(token)
		}
	}
	content, err := json.Marshal(servers)
	if err != nil {
		t.Fatal(err)
	}
	users, err := os.ReadFile(filepath.Join(legacyData, "users.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"servers.json": content, "users.json": users, "encryption_key.key": keyText} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

// watchedServer has a database stats_db as the Python version filled it.
func watchedServer(t *testing.T) *pgtest.Server {
	t.Helper()
	server := pgtest.Target(t)
	server.Exec(t, "create database stats_db")
	pgtest.Exec(t, server.DatabaseDSN(pgtest.Superuser, "stats_db"), `
create table pg_statistics (
    id serial primary key, ts timestamptz not null, datname text not null, numbackends int, xact_commit bigint, db_size bigint,
    disk_free_space bigint, last_size_update timestamptz);
create index pg_statistics_ts_idx on pg_statistics (ts);
create table db_creation (datname text primary key, creation_time timestamptz not null, oid oid not null);
insert into pg_statistics (ts, datname, numbackends, xact_commit, db_size, disk_free_space, last_size_update)
select t, d, n % 5, n * 3, 1000000 + n, 900000 - n, case when n % 3 = 0 then t end
  from generate_series(0, 287) n, lateral (select date_trunc('hour', now()) - interval '3 days' + n * interval '10 minutes' as t) x,
       unnest(array['shop', 'cms']) d;
insert into pg_statistics (ts, datname, numbackends, xact_commit) select ts, datname, 9, 9 from pg_statistics where id <= 10;
insert into db_creation values ('shop', '2025-01-02 03:04:05+00', 16384);
grant select on all tables in schema public to `+pgtest.User)

	return server
}

// entry is an entry of servers.json for a server.
func entry(name string, server *pgtest.Server, also map[string]any) map[string]any {
	e := map[string]any{
		"name": name, "host": server.Host(), "port": server.Port(), "user": pgtest.User, "password": pgtest.Password,
		"stats_db": "stats_db", "ssh_user": "", "ssh_password": "", "ssh_port": 22,
	}
	maps.Copy(e, also)

	return e
}

// importReportOf runs an import that must end with this code, and gives its report.
func (d desk) importReportOf(t *testing.T, code int, args ...string) importReport {
	t.Helper()
	got, out, errOut := d.try(t, append([]string{"import", "--json"}, args...)...)
	if got != code {
		t.Fatalf("pgam import %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got, code, out, errOut)
	}
	if strings.Contains(out+errOut, pgtest.Password) {
		t.Errorf("the report holds a password: %s%s", out, errOut)
	}
	var report importReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	return report
}

// statsDump is all that an import writes, as one text.
func statsDump(t *testing.T, dsn string) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{
		"pgam.account", "pgam.server", "history.database", "history.database_stat", "history.database_size", "history.database_rollup",
		"history.disk_usage", "history.disk_rollup", "history.file_system",
	} {
		sum := "select coalesce(md5(string_agg(x::text, E'\\n' order by x::text)), '') || ' ' || count(*) from " + table + " x"
		fmt.Fprintf(&all, "%s %s\n", table, pgtest.Value[string](t, dsn, sum))
	}

	return all.String()
}

func TestImport(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	server := watchedServer(t)
	dir := pythonFolder(t,
		entry("db1", server, nil),
		entry("team/db2", server, map[string]any{"stats_db": nil}),
		entry("no history", server, map[string]any{"stats_db": "nowhere"}),
		entry("lost", server, map[string]any{"password": "gAAAAABqrubbish"}),
		entry("bad", server, map[string]any{"port": 0}),
	)
	empty := statsDump(t, dsn)
	dry := d.importReportOf(t, exitIncomplete, "--from", dir, "--dry-run")
	if diff := cmp.Diff(empty, statsDump(t, dsn)); diff != "" || !dry.DryRun {
		t.Errorf("a dry run writes: %s", diff)
	}
	done := d.importReportOf(t, exitIncomplete, "--from", dir)
	for n := range done.History {
		dry.History[n].Seconds = done.History[n].Seconds
	}
	dry.DryRun = false
	if diff := cmp.Diff(done, dry); diff != "" {
		t.Errorf("a dry run reports something else: %s", diff)
	}
	checkImported(t, done)
	checkUsers(t, dsn)
	checkServers(t, d, dsn)

	// Again: everything is there, and nothing changes.
	before := statsDump(t, dsn)
	again := d.importReportOf(t, exitIncomplete, "--from", dir)
	if diff := cmp.Diff(before, statsDump(t, dsn)); diff != "" {
		t.Errorf("a second import changes %s", diff)
	}
	for _, u := range again.Users {
		if u.Status == statusNew {
			t.Errorf("%+v is new", u)
		}
	}
	for _, h := range again.History {
		if h.RowsImported+h.SizesImported+h.DisksImported != 0 || (h.Status == statusRead && h.RowsPresent != 576) {
			t.Errorf("%+v is new", h)
		}
	}

	// What was not there is there now.
	d.do(t, "server", "set", "lost", "--password-file", written(t, pgtest.Password+"\n"))
	repaired := d.importReportOf(t, exitIncomplete, "--from", dir)
	for _, h := range repaired.History {
		if h.Server == "lost" && h.RowsImported != 576 {
			t.Errorf("with its password set again: %+v", h)
		}
	}
}

func checkImported(t *testing.T, r importReport) {
	t.Helper()
	var got []string
	for _, u := range r.Users {
		got = append(got, strings.TrimSpace(fmt.Sprintf("user %s %s %s: %s", u.Login, u.Role, u.Status, u.Remark)))
	}
	for _, s := range r.Servers {
		got = append(got, strings.TrimSpace(fmt.Sprintf("server %s %s: %s", s.Name, s.Status, s.Remark)))
	}
	for _, h := range r.History {
		got = append(got, fmt.Sprintf("history %s %s %s: %d = %d + %d + %+v, %d sizes, %d disks", h.Server, h.Database, h.Status, h.RowsRead, h.RowsImported,
			h.RowsPresent, h.RowsSkipped, h.SizesImported, h.DisksImported))
	}
	full := "586 = 576 + 0 + {Duplicate:10 Own:0 NoDatabase:0 Future:0 Broken:0}, 192 sizes, 288 disks"
	nothing := "0 = 0 + 0 + {Duplicate:0 Own:0 NoDatabase:0 Future:0 Broken:0}, 0 sizes, 0 disks"
	want := []string{
		"user admin admin new:", "user анна viewer new:", "user old operator new: inactive", "user a-hash viewer new: the role was superuser",
		"user no role viewer new: the role was none", "user plain admin left out: the password is not a bcrypt hash of a usual cost",
		`user "admin" (number 6)  left out: the login is there before: the first one counts`, "user number 7  left out: the login is empty",
		"user number 9  left out: login is not text", "user number 10  left out: it is not an object",
		"server db1 new:", `server team_db2 new: was called "team/db2"`, "server no history new:", "server lost new:",
		`server "bad" (number 5) left out: port is not a number from 1 to 65535`,
		"history db1 stats_db read: " + full, "history lost stats_db not read: " + nothing, "history no history nowhere not read: " + nothing,
		"history team_db2 stats_db read: " + full,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, must := range []string{
		`users.json: number 9: login is not text`, `user "plain": .*pgam user create "plain"`, `servers.json: "bad" \(number 5\): port`,
		`server "lost": password: the secret does not decrypt.*pgam server set "lost" --password-file`,
		`server "lost": history in database "stats_db": authentication failed`,
		`server "no history": history in database "nowhere": the database to connect to does not exist`,
	} {
		if !regexp.MustCompile(must).MatchString(strings.Join(r.ToDo, "\n")) {
			t.Errorf("%q is not to do: %s", must, strings.Join(r.ToDo, "\n"))
		}
	}
}

// checkUsers lets users log in with the passwords they had.
func checkUsers(t *testing.T, dsn string) {
	t.Helper()
	stored := catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)}), nil)
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		login, password string
		role            account.Role
		active          bool
	}{
		{"admin", "correct horse battery staple", account.Admin, true},
		{"анна", "пароль с пробелами", account.Viewer, true},
		{"old", "php", account.Operator, false},
		{"a-hash", "2a", account.Viewer, true},
	} {
		user, err := stored.Account(t.Context(), c.login)
		if err != nil || user.Role != c.role || user.Active != c.active {
			t.Errorf("%s is %v, %v", c.login, user, err)
		}
		if err := hasher.Verify(t.Context(), auth.Origin{}, user.PasswordHash, c.password); err != nil {
			t.Errorf("%s cannot log in: %v", c.login, err)
		}
		if err := hasher.Verify(t.Context(), auth.Origin{}, user.PasswordHash, c.password+"x"); err == nil {
			t.Errorf("%s logs in with another password", c.login)
		}
	}
}

// checkServers uses the imported secrets.
func checkServers(t *testing.T, d desk, dsn string) {
	t.Helper()
	if out := d.do(t, "server", "test", "db1"); !strings.Contains(out, "connected and authenticated") {
		t.Errorf("db1 cannot be reached: %s", out)
	}
	if sealed := pgtest.Value[string](t, dsn, "select string_agg(name, ',' order by name) from pgam.server where password_sealed is not null"); sealed != "db1,no history,team_db2" {
		t.Errorf("passwords are sealed of %s", sealed)
	}
	row := pgtest.Value[string](t, dsn, "select (stats_db, pool_profile, enabled, tls_mode, database_name)::text from pgam.server where name = 'db1'")
	if row != "(stats_db,stats_db,t,prefer,postgres)" {
		t.Errorf("db1 is %s", row)
	}
	created := pgtest.Value[string](t, dsn, `select string_agg(d.oid || ' ' || d.name || ' ' || coalesce(d.created_at::text, '-'), ', ' order by d.oid)
 from history.database d join pgam.server s on s.id = d.server_id where s.name = 'db1'`)
	if created != "16384 shop 2025-01-02 03:04:05+00, 4294967295 cms -" {
		t.Errorf("the databases are %s", created)
	}
}

func TestImportFromElsewhere(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	server := watchedServer(t)
	d.do(t, "server", "add", "here", "--dsn", server.DSN(pgtest.User))
	url := server.DatabaseDSN(pgtest.User, "stats_db")
	report := d.importReportOf(t, 0, "--stats-dsn", "here=@"+written(t, url+"\n"))
	if len(report.History) != 1 || report.History[0].RowsImported != 576 || len(report.ToDo) != 0 || report.Users == nil {
		t.Errorf("reported %+v", report)
	}
	d.refused(t, 2, []string{`no server "there"`}, "import", "--stats-dsn", "there="+url)
	d.refused(t, 2, []string{"NAME=URL"}, "import", "--stats-dsn", url[:8])
	d.refused(t, 2, []string{"--from"}, "import")
	d.refused(t, 2, []string{"viewer, operator or admin"}, "import", "--from", "x", "--unknown-role", "root")
	d.refused(t, 2, []string{"not a folder"}, "import", "--from", filepath.Join(t.TempDir(), "none"))
	d.refused(t, 2, []string{"no-history"}, "import", "--from", "x", "--no-history", "--later-dsn", url)
	// A table that may not be read is reported, and no fault.
	pgtest.Exec(t, server.DatabaseDSN(pgtest.Superuser, "stats_db"), "revoke select on pg_statistics from "+pgtest.User)
	d.refused(t, exitIncomplete, []string{"missing privilege: grant select"}, "import", "--stats-dsn", "here="+url)
}

func TestImportLater(t *testing.T) {
	t.Parallel()
	dsn, source := pgtest.StatsDB(t), pgtest.EmptyDB(t)
	d := deskOn(t, dsn)
	for _, name := range []string{"db1", "a_b"} {
		d.do(t, "server", "add", name, "--dsn", "postgres://mon@127.0.0.1:1/postgres")
	}
	pgtest.Exec(t, source, `
create table statistics (id bigserial, server_name text, ts timestamptz, datname text, numbackends int, xact_commit bigint, db_size bigint,
                         disk_free bigint, disk_total bigint);
create index on statistics (server_name, ts desc);
create table db_info (server_name text, datname text, oid oid, creation_time timestamptz);
insert into statistics (server_name, ts, datname, numbackends, xact_commit)
select s, timestamptz '2019-01-01 00:00+00' + n * interval '10 minutes', 'x', 1, n from generate_series(0, 99) n, unnest(array['db1', 'a/b', 'gone']) s`)
	report := d.importReportOf(t, exitIncomplete, "--later-dsn", source)
	var got []string
	for _, h := range report.History {
		got = append(got, fmt.Sprintf("%s %s %d", h.Server, h.Status, h.RowsImported))
	}
	if diff := cmp.Diff([]string{"a_b read 100", "db1 read 100", "gone unknown server 0"}, got); diff != "" {
		t.Error(diff)
	}
	todo := strings.Join(report.ToDo, "\n")
	for _, must := range []string{`server "gone" has a history`, `server "db1": the history begins on 2019-01-01`, "PGAM_RETENTION_DATABASES: raise it above 730 days"} {
		if !strings.Contains(todo, must) {
			t.Errorf("%q is not to do: %s", must, todo)
		}
	}
	keep := d
	keep.environ = append([]string{"PGAM_RETENTION_DATABASES=36500d"}, d.environ...)
	if todo := strings.Join(keep.importReportOf(t, exitIncomplete, "--later-dsn", source).ToDo, "\n"); strings.Contains(todo, "RETENTION") {
		t.Errorf("what is kept is warned of: %s", todo)
	}
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/nowhere"
	d.refused(t, exitIncomplete, []string{"does not exist"}, "import", "--later-dsn", u.String())
}

func TestImportHostKeys(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	server, known, unknown := pgtest.Target(t), sshtest.InProcess(t), sshtest.InProcess(t)
	shell := func(s *sshtest.InProcessServer) map[string]any {
		return map[string]any{"stats_db": nil, "ssh_user": "watch", "ssh_password": "secret", "ssh_port": s.Shell().Port}
	}
	dead := map[string]any{"stats_db": nil, "ssh_user": "watch", "ssh_password": "secret", "ssh_port": 1}
	dir := pythonFolder(t, entry("known", server, shell(known)), entry("unknown", server, shell(unknown)), entry("dead", server, dead),
		entry("none", server, map[string]any{"stats_db": nil}))
	pins := func() string {
		return pgtest.Value[string](t, dsn, "select coalesce(string_agg(name, ',' order by name), '') from pgam.server where ssh_host_key <> ''")
	}
	keys := func(r importReport) (names []string) {
		for _, s := range r.Servers {
			if strings.HasPrefix(s.HostKey, "ssh-") && strings.Contains(s.HostKey, " SHA256:") {
				names = append(names, s.Name)
			}
		}

		return names
	}
	todo := strings.Join(d.importReportOf(t, exitIncomplete, "--from", dir).ToDo, "\n")
	if strings.Count(todo, "SSH host key is not confirmed") != 3 || !strings.Contains(todo, `pgam server pin "unknown"`) || pins() != "" {
		t.Errorf("to do is %s", todo)
	}
	line := "[" + server.Host() + "]:" + strconv.Itoa(known.Shell().Port) + " " + known.Shell().HostKey + "\n"
	report := d.importReportOf(t, exitIncomplete, "--from", dir, "--known-hosts", written(t, line))
	todo = strings.Join(report.ToDo, "\n")
	if diff := cmp.Diff([]string{"known"}, keys(report)); diff != "" || pins() != "known" || !strings.Contains(todo, `"unknown": SSH: host key not confirmed`) {
		t.Errorf("%s pinned, to do is %s", pins(), todo)
	}
	// A dry run looks and pins nothing.
	report = d.importReportOf(t, exitIncomplete, "--from", dir, "--pin-host-keys", "--dry-run")
	if diff := cmp.Diff([]string{"unknown"}, keys(report)); diff != "" || pins() != "known" {
		t.Errorf("%s pinned in a dry run: %s", pins(), diff)
	}
	// A key that the file says is another one is never pinned.
	other := "[" + server.Host() + "]:" + strconv.Itoa(unknown.Shell().Port) + " " + known.Shell().HostKey + "\n"
	report = d.importReportOf(t, exitIncomplete, "--from", dir, "--pin-host-keys", "--known-hosts", written(t, other))
	if pins() != "known" || !strings.Contains(strings.Join(report.ToDo, "\n"), "host key changed") {
		t.Errorf("%s pinned, to do is %s", pins(), report.ToDo)
	}
	report = d.importReportOf(t, exitIncomplete, "--from", dir, "--pin-host-keys")
	if pins() != "known,unknown" || !strings.Contains(strings.Join(report.ToDo, "\n"), `server "dead": SSH:`) {
		t.Errorf("%s pinned, to do is %s", pins(), report.ToDo)
	}
	if known.Attempts()+unknown.Attempts() != 0 {
		t.Error("somebody tried to log in")
	}
}

func TestImportWithoutKey(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	server := pgtest.Target(t)
	dir := pythonFolder(t, entry("db1", server, nil))
	if err := os.Remove(filepath.Join(dir, "encryption_key.key")); err != nil {
		t.Fatal(err)
	}
	d.refused(t, 2, []string{"encryption_key.key", "--without-secrets"}, "import", "--from", dir)
	if n := pgtest.Value[int](t, dsn, "select count(*) from pgam.account"); n != 0 {
		t.Errorf("%d users were imported before the key was missed", n)
	}
	report := d.importReportOf(t, exitIncomplete, "--from", dir, "--without-secrets", "--no-history")
	if todo := strings.Join(report.ToDo, "\n"); !strings.Contains(todo, `server "db1": password: it was left out as asked`) || len(report.History) != 0 {
		t.Errorf("reported %+v", report)
	}
	// A server that was changed since stays as it is.
	report = d.importReportOf(t, exitIncomplete, "--from", dir, "--key-file", filepath.Join(legacyData, "encryption_key.key"), "--no-history")
	if s := report.Servers[0]; s.Status != statusPresent || s.Remark != "left as it is; the file has another password" {
		t.Errorf("reported %+v", s)
	}
}

func TestPrintImport(t *testing.T) {
	t.Parallel()
	from, to := time.Date(2025, 6, 17, 1, 2, 3, 0, time.UTC), time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC)
	report := &importReport{
		DryRun: true, Users: []importedUser{{Login: "ana", Role: "admin", Status: statusNew}},
		Servers: []importedServer{{Name: "db1", Status: statusPresent, Remark: "left as it is"}},
		History: []importedHistory{
			{
				Server: "db1", Database: "stats_db", Status: statusRead, From: &from, To: &to, RowsRead: 20, RowsImported: 10, RowsPresent: 4,
				RowsSkipped: skippedRows{Duplicate: 1, Own: 2, Future: 3}, ValuesSkipped: 7, SizesImported: 5, DisksImported: 6,
			},
			{Server: "db2", Database: "x", Status: statusUnread, Remark: "timeout"},
		},
		ToDo: []string{"look", "again"},
	}
	var out strings.Builder
	if err := (&tool{out: &out}).printImport(report, false); err != nil {
		t.Fatal(err)
	}
	want := `Dry run: nothing was written.

USER  ROLE   STATUS  REMARK
ana   admin  new     

SERVER  STATUS   PINNED HOST KEY  REMARK
db1     present                   left as it is

HISTORY OF  IN        STATUS    FROM        TO          ROWS  NEW  PRESENT  SKIPPED  SIZES  DISKS  REMARK
db1         stats_db  read      2025-06-17  2026-06-17  20    10   4        6        5      6      2 not older than pgam's own first sample, 1 with the instant and database of another, 3 later than now, 7 single values that cannot be
db2         x         not read  -           -           0     0    0        0        0      0      timeout

To do
- look
- again
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
