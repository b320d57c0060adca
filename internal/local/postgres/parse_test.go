package postgres

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, version, major string }{
		{"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", "15"},
		{"postgres (PostgreSQL) 9.6.24", "9.6.24", "9.6"},
		{"postgres (PostgreSQL) 10.23", "10.23", "10"},
		{"postgres (PostgreSQL) 19beta2", "19beta2", "19"},
		{"postgres (PostgreSQL) 18devel", "18devel", "18"},
		{"postgres (EnterpriseDB) 16.3", "16.3", "16"},
	}
	for _, tt := range tests {
		version, major, err := parseVersion(tt.in)
		if err != nil || version != tt.version || major != tt.major {
			t.Errorf("parseVersion(%q) = %q, %q, %v, want %q, %q", tt.in, version, major, err, tt.version, tt.major)
		}
	}
	for _, in := range []string{"", "postgres", "initdb (PostgreSQL) 15.1", "postgres (PostgreSQL) x"} {
		if _, _, err := parseVersion(in); err == nil {
			t.Errorf("parseVersion(%q) gives no error", in)
		}
	}
}

func FuzzParsePidFile(f *testing.F) {
	f.Add("123\n/data\n1700000000\n5432\n/run\nlocalhost\n 1 2\nready   \n")
	f.Add("")
	f.Add("-1\n\n\nx")
	f.Fuzz(func(t *testing.T, content string) {
		if file, err := parsePidFile(content); err == nil && file.pid <= 0 {
			t.Errorf("parsePidFile(%q) = %+v: no process has that id", content, file)
		}
	})
}

func TestParsePidFile(t *testing.T) {
	t.Parallel()
	tests := map[string]pidFile{
		"7\n/data\n17\n5432\n/run\n127.0.0.1\n  1 2\nready   \n":     {7, 5432, "/run", true},
		"7\n/data\n17\n5432\n/run\n127.0.0.1\n  1 2\nstarting\n":     {7, 5432, "/run", false},
		"7\n/data\n17\n5432\n/run\n127.0.0.1\n  1 2\n":               {7, 5432, "/run", false},
		"7\n/data\n17\n5432\n/run\n":                                 {7, 5432, "/run", false},
		"7\n":                                                        {pid: 7},
		"7\n/data\n17\n5432\n/run\n\n  1 2\nstandby\n":               {7, 5432, "/run", true},
		"7\n/data\n17\n5432\n/run\n127.0.0.1\n  1 2\nstopping\n\n\n": {7, 5432, "/run", false},
	}
	for content, want := range tests {
		if got, err := parsePidFile(content); err != nil || got != want {
			t.Errorf("parsePidFile(%q) = %+v, %v, want %+v", content, got, err, want)
		}
	}
}

func TestReadOSRelease(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		content string
		ids     []string
		tool    string
	}{
		"debian":    {"PRETTY_NAME=\"x\"\nID=debian\n", []string{"debian"}, "apt-get"},
		"mint":      {"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", []string{"linuxmint", "ubuntu", "debian"}, "apt-get"},
		"rocky":     {"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", []string{"rocky", "rhel", "centos", "fedora"}, "dnf"},
		"alpine":    {"ID=alpine\n", []string{"alpine"}, "apk"},
		"arch":      {"ID=manjaro\nID_LIKE=arch\n", []string{"manjaro", "arch"}, "pacman"},
		"leap":      {"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", []string{"opensuse-leap", "suse", "opensuse"}, "zypper"},
		"something": {"ID=plan9\n", []string{"plan9"}, ""},
	}
	for name, tt := range tests {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		ids := readOSRelease(path)
		if p, _ := choosePackager(ids); !slices.Equal(ids, tt.ids) || p.tool != tt.tool {
			t.Errorf("%s: names %v, tool %q, want %v, %q", name, ids, p.tool, tt.ids, tt.tool)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"9.6", "10", "18", "9.5"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "bin"), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, found := range newestFirst(filepath.Join(dir, "*", "bin")) {
		got = append(got, filepath.Base(filepath.Dir(found)))
	}
	if want := []string{"18", "10", "9.6", "9.5"}; !slices.Equal(got, want) {
		t.Errorf("newestFirst = %v, want %v", got, want)
	}
}

func TestLastPort(t *testing.T) {
	t.Parallel()
	tests := map[string]int{
		`/usr/bin/postgres "-D" "/data" "-c" "listen_addresses=127.0.0.1" "-c" "port=40123" "-c" "x=y"` + "\n": 40123,
		`/usr/bin/postgres "-D" "/data"`: 0,
		`postgres "-c" "port=999999"`:    0,
		`postgres "-c" "port=`:           0,
	}
	for content, want := range tests {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "postmaster.opts"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastPort(dir); got != want {
			t.Errorf("lastPort of %q = %d, want %d", content, got, want)
		}
	}
}
