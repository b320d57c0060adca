package legacy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/target"
)

// folderWith makes a folder of these files, with the key of the test data
// unless it is given as "".
func folderWith(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	if _, given := files[KeyFile]; !given {
		content, err := os.ReadFile("testdata/encryption_key.key")
		if err != nil {
			tb.Fatal(err)
		}
		files[KeyFile] = string(content)
	}
	for name, content := range files {
		if name == KeyFile && content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func TestReadFolder(t *testing.T) {
	t.Parallel()
	f, err := ReadFolder("testdata", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var users []string
	for _, u := range f.Users {
		users = append(users, fmt.Sprintf("%s %s %s %t %s", u.Login, u.Role, u.UnknownRole, u.Active, u.PasswordHash[:4]))
	}
	wantUsers := []string{
		"admin admin  true $2b$", "анна viewer  true $2b$", "old operator  false $2y$", "a-hash viewer superuser true $2a$",
		"no role viewer none true $2b$", "plain admin  true plai",
	}
	if diff := cmp.Diff(wantUsers, users); diff != "" {
		t.Error(diff)
	}
	var servers []string
	for _, s := range f.Servers {
		e, sh := s.Target.Endpoint, s.Target.Shell
		servers = append(servers, fmt.Sprintf("%s|%s %s@%s:%d %s|%s@%d %s|%s %s|%v %v", s.Target.Name, s.Was, e.User, e.Host, e.Port, e.Password.Reveal(),
			sh.User, sh.Port, sh.Password.Reveal(), s.Target.StatsDB, s.Target.Pool, s.PasswordLost, s.ShellPasswordLost))
	}
	wantServers := []string{
		"db1| monitor@10.0.0.1:5432 pg db1|sshmon@22 ssh db1|stats_db stats_db|<nil> <nil>",
		"локальный| monitor@localhost:5432 пароль ü 100% /secret/|@22 | default|<nil> <nil>",
		"no ssh_port| monitor@db3.example.org:5433 pg no ssh_port|sshmon@22 ssh no ssh_port| default|<nil> <nil>",
		"team_db4|team/db4 monitor@10.0.0.4:5432 pg team/db4|sshmon@22 ssh team/db4|stats_db stats_db|<nil> <nil>",
		"10.0.0.5_6432| monitor@10.0.0.5:6432 pg |sshmon@22 ssh |stats_db stats_db|<nil> <nil>",
		"db1_2|db1 monitor@10.0.0.7:5432 pg db1|sshmon@22 ssh db1|stats_db stats_db|<nil> <nil>",
		"lost| monitor@10.0.0.1:5432 |sshmon@22 |stats_db stats_db|" +
			"the secret does not decrypt: it was made with another key, or changed since the secret does not decrypt: it is not a Fernet token",
		"empty password| monitor@10.0.0.1:5432 |sshmon@22 |stats_db stats_db|<nil> <nil>",
		"v6| mon/itor@::1:5432 pg v6|sshmon@22 ssh v6|stats_db stats_db|<nil> <nil>",
	}
	if diff := cmp.Diff(wantServers, servers); diff != "" {
		t.Error(diff)
	}
	wantLeft := []Left{
		{UsersFile, `"admin" (number 6)`, "the login is there before: the first one counts", true},
		{UsersFile, `number 7`, "the login is empty", false},
		{UsersFile, `number 9`, "login is not text", false},
		{UsersFile, `number 10`, "it is not an object", false},
		{ServersFile, `"db1" (number 6)`, "the same entry is there before", true},
		{ServersFile, `"bad port" (number 10)`, "port is not a number from 1 to 65535", false},
		{ServersFile, `"no host" (number 11)`, "host is empty: give a name, an address or the folder of a Unix socket", false},
		{ServersFile, `"number" (number 12)`, "host is not text", false},
	}
	if diff := cmp.Diff(wantLeft, f.Left); diff != "" {
		t.Error(diff)
	}
	for _, s := range f.Servers {
		if err := s.Target.Validate(); err != nil || !s.Target.Enabled {
			t.Errorf("%s: %v", s.Target.Name, err)
		}
	}
}

func TestReadFolderWithoutKey(t *testing.T) {
	t.Parallel()
	servers, err := os.ReadFile("testdata/servers.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := folderWith(t, map[string]string{ServersFile: string(servers), KeyFile: ""})
	if _, err := ReadFolder(dir, Options{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("a missing key gives %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, KeyFile), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFolder(dir, Options{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("a broken key gives %v", err)
	}
	f, err := ReadFolder(dir, Options{WithoutSecrets: true})
	if err != nil || len(f.Servers) != 9 || f.Servers[0].PasswordLost == nil || !f.Servers[0].Target.Endpoint.Password.IsZero() {
		t.Errorf("without secrets: %+v, %v", f, err)
	}
	f, err = ReadFolder(dir, Options{KeyFile: "testdata/encryption_key.key"})
	if err != nil || f.Servers[0].Target.Endpoint.Password.Reveal() != "pg db1" {
		t.Errorf("with a key elsewhere: %v, %v", f.Servers, err)
	}
	// Where there is no secret, no key is needed.
	bare := folderWith(t, map[string]string{ServersFile: `[{"name": "a", "host": "h", "user": "u", "password": "", "port": 5432}]`, KeyFile: ""})
	if f, err = ReadFolder(bare, Options{}); err != nil || len(f.Servers) != 1 || f.Servers[0].PasswordLost != nil {
		t.Errorf("without any secret: %+v, %v", f, err)
	}
}

func TestReadFolderFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string // "": it is empty and good
	}{
		"empty files":   {map[string]string{UsersFile: "", ServersFile: ""}, ""},
		"users alone":   {map[string]string{UsersFile: "[]"}, ""},
		"servers alone": {map[string]string{ServersFile: " \n"}, ""},
		"none":          {map[string]string{}, "holds neither"},
		"an object":     {map[string]string{UsersFile: "{}"}, "array"},
		"not JSON":      {map[string]string{UsersFile: "[{\"login\": 'SECRET'}]"}, "not valid JSON"},
		"cut":           {map[string]string{UsersFile: `[{"login": "SECRET`}, "not valid JSON"},
		"two values":    {map[string]string{UsersFile: `[] []`}, "not valid JSON"},
		"not UTF-8":     {map[string]string{UsersFile: "[\"SECRET\xff\"]"}, "not UTF-8"},
		"a mark before": {map[string]string{UsersFile: "\ufeff[]"}, "not valid JSON"},
	} {
		f, err := ReadFolder(folderWith(t, c.files), Options{})
		switch {
		case c.want == "" && (err != nil || len(f.Users)+len(f.Servers)+len(f.Left) > 0):
			t.Errorf("%s: %+v, %v", name, f, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "SECRET")):
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadFolder(filepath.Join(t.TempDir(), "missing"), Options{}); err == nil {
		t.Error("a missing folder is read")
	}
}

func TestFieldsOfEntries(t *testing.T) {
	t.Parallel()
	dir := folderWith(t, map[string]string{
		UsersFile: `[{"Login": "wrong case", "password": "h"}, {"login": "a", "login": "twice", "password": "h", "extra": [1]}, null,
			{"login": "x", "password": "h", "is_active": "no"}, {"login": "y", "password": "h", "is_active": null}]`,
		ServersFile: `[{"name": "five", "host": " h ", "user": "u", "password": "", "port": " 6 ", "ssh_port": 0},
			{"name": "float", "host": "h", "user": "u", "port": 5432.5}, {"name": "dot", "host": "h", "user": ""}, {"name": ".", "host": "/run/pg", "user": "u"},
			{"name": "ssh", "host": "h", "user": "u", "ssh_user": "s", "ssh_port": 0},
			{"name": "db_2", "host": "h", "user": "u"}, {"name": "d\u0000b", "host": "h", "user": "u"}, {"name": "d\nb", "host": "i", "user": "u"},
			{"name": "db", "host": "h", "user": "u", "port": -1}, {"name": "db", "host": "h", "user": "u", "port": 1}]`,
	})
	f, err := ReadFolder(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range f.Users {
		got = append(got, fmt.Sprintf("user %s %t", u.Login, u.Active))
	}
	for _, s := range f.Servers {
		got = append(got, fmt.Sprintf("server %s %s:%d/%d was %q", s.Target.Name, s.Target.Endpoint.Host, s.Target.Endpoint.Port, s.Target.Shell.Port, s.Was))
	}
	for _, l := range f.Left {
		got = append(got, "left "+l.Entry+": "+l.Why)
	}
	want := []string{
		"user twice true", "user y true",
		"server five h:6/22 was \"\"", "server run_pg_5432 /run/pg:5432/22 was \".\"", "server db_2 h:5432/22 was \"\"",
		"server d_b h:5432/22 was \"d\\x00b\"", "server d_b_2 i:5432/22 was \"d\\nb\"", "server db h:1/22 was \"\"",
		"left number 1: the login is empty", "left number 3: it is not an object", "left \"x\" (number 4): is_active is neither true nor false",
		"left \"float\" (number 2): port is not a number from 1 to 65535", "left \"dot\" (number 3): user is empty",
		"left \"ssh\" (number 5): ssh_port is not a number from 1 to 65535", "left \"db\" (number 9): port is not a number from 1 to 65535",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReplaceName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ж", 100)
	for name, want := range map[string]string{
		"db1": "db1", "a b": "a b", "a/b": "a_b", "//": "", "": "", ".": "", "..": "", "a\tb": "a_b", "имя": "имя", "\xff": "", "a\u202eb": "a_b",
		long: long[:128],
	} {
		got := ReplaceName(name)
		if got != want {
			t.Errorf("%q becomes %q, not %q", name, got, want)
		}
		if got != "" && target.ValidateName(got) != nil {
			t.Errorf("%q is no name", got)
		}
	}
}

// FuzzUsers checks that whatever stands in users.json, what is read is valid
// and everything else accounted for.
func FuzzUsers(f *testing.F) {
	seed(f, UsersFile)
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parseEntries(content)
		if err != nil {
			return
		}
		var folder Folder
		folder.addUsers(entries)
		if len(folder.Users)+len(folder.Left) != len(entries) {
			t.Errorf("%d entries give %d and %d", len(entries), len(folder.Users), len(folder.Left))
		}
		for _, u := range folder.Users {
			if _, err := account.ParseRole(string(u.Role)); err != nil || account.ValidateLogin(u.Login) != nil {
				t.Errorf("%+v is no user", u)
			}
		}
	})
}

// FuzzServers is FuzzUsers for servers.json.
func FuzzServers(f *testing.F) {
	seed(f, ServersFile)
	key := testKey(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parseEntries(content)
		if err != nil {
			return
		}
		var folder Folder
		folder.addServers(entries, key.Open)
		if len(folder.Servers)+len(folder.Left) != len(entries) {
			t.Errorf("%d entries give %d and %d", len(entries), len(folder.Servers), len(folder.Left))
		}
		names := make(map[string]bool)
		for _, s := range folder.Servers {
			if err := s.Target.Validate(); err != nil || names[s.Target.Name] {
				t.Errorf("%+v: %v", s, err)
			}
			names[s.Target.Name] = true
		}
	})
}

func seed(f *testing.F, name string) {
	f.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`[{"name": "a", "login": "b", "password": "c", "role": 1, "port": 1e3, "host": "/"}, null, [], 5]`))
}
