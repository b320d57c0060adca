package main

import (
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
)

func TestSettingsCommand(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	line := func(name string) string {
		t.Helper()
		for l := range strings.Lines(d.do(t, "settings")) {
			if strings.HasPrefix(l, name+" ") {
				return strings.Join(strings.Fields(l)[1:4], " ")
			}
		}
		t.Fatalf("%s is not listed", name)
		return ""
	}
	if got := line("PGAM_RETENTION_ACTIVITY"); got != "30d default 30d" {
		t.Errorf("at first: %q", got)
	}
	pgtest.Exec(t, dsn, "insert into pgam.setting (name, environment) values ('PGAM_RETENTION_ACTIVITY', '20d'), ('PGAM_BURST_PAUSE', '5m0s')")
	if got := line("PGAM_RETENTION_ACTIVITY"); got != "20d environment 30d" {
		t.Errorf("of the environment: %q", got)
	}
	if got := line("PGAM_BURST_PAUSE"); got != "5m default 5m" {
		t.Errorf("the default in other words: %q", got)
	}
	d.do(t, "settings", "set", "retention_activity", "14d")
	if got := line("PGAM_RETENTION_ACTIVITY"); got != "14d changed 30d" {
		t.Errorf("changed: %q", got)
	}
	if by := pgtest.Value[string](t, dsn, "select updated_by from pgam.setting where name = 'PGAM_RETENTION_ACTIVITY'"); by != "cli" {
		t.Errorf("changed by %q", by)
	}
	d.do(t, "settings", "unset", "PGAM_RETENTION_ACTIVITY")
	if got := line("PGAM_RETENTION_ACTIVITY"); got != "20d environment 30d" {
		t.Errorf("taken back: %q", got)
	}
	for _, tt := range []struct {
		says string
		args []string
	}{
		{"1h to 36500d", []string{"set", "retention_activity", "1s"}},
		{"PGAM_BURST_PAUSE", []string{"set", "stats_dsn", "x"}},
		{"PGAM_BURST_PAUSE", []string{"unset", "nothing"}},
		{"NAME of the setting and its VALUE", []string{"set", "repack"}},
	} {
		if code, _, errOut := d.try(t, append([]string{"settings"}, tt.args...)...); code != 2 || !strings.Contains(errOut, tt.says) {
			t.Errorf("%v: exit code %d: %s", tt.args, code, errOut)
		}
	}
}

func TestServerKeepFlags(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	kept := func() string {
		t.Helper()
		return pgtest.Value[string](t, dsn, `select concat_ws(' ', query_texts, coalesce(burst_active::text, '-'), coalesce(burst_lock_waits::text, '-'),
			coalesce(burst_connections_percent::text, '-'), coalesce(session_control, '-'), coalesce(cpu_count::text, '-')) from pgam.server`)
	}
	// Nobody listens there; the server is added and changed all the same.
	d.try(t, "server", "add", "db1", "--host", "127.0.0.1", "--port", "1", "--user", "u", "--query-texts", "none", "--burst-active", "7", "--session-control", "cancel")
	if got := kept(); got != "none 7 - - cancel -" {
		t.Errorf("added with %q", got)
	}
	d.try(t, "server", "set", "db1", "--query-texts", "full", "--burst-active", "default", "--burst-lock-waits", "0", "--burst-connections-percent", "50",
		"--session-control", "default", "--cpu-count", "16")
	if got := kept(); got != "full - 0 50 - 16" {
		t.Errorf("changed to %q", got)
	}
	for _, args := range [][]string{{"--query-texts", "some"}, {"--burst-active", "-1"}, {"--burst-active", "many"}, {"--burst-connections-percent", "101"}, {"--session-control", "kill"}, {"--cpu-count", "0"}} {
		if code, _, errOut := d.try(t, append([]string{"server", "set", "db1"}, args...)...); code != 2 || !strings.Contains(errOut, args[0][2:5]) {
			t.Errorf("%v: exit code %d: %s", args, code, errOut)
		}
	}
	if got := kept(); got != "full - 0 50 - 16" {
		t.Errorf("after what was refused: %q", got)
	}
}
