package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
	"github.com/pgam/pgam/migrations"
)

// TestStartsRefused starts a collector that knows its servers while stats_db
// refuses it: if it led last it samples into its journal, else it stands by; it
// says why, once a minute, and goes on when stats_db is right again.
func TestStartsRefused(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	type scene struct{ admin, stats, name, role string }
	inStats := func(statements ...string) func(*testing.T, scene) {
		return func(t *testing.T, s scene) {
			t.Helper()
			pgtest.Exec(t, s.stats, statements...)
		}
	}
	moved := func(from, to string) func(*testing.T, scene) {
		return func(t *testing.T, s scene) {
			t.Helper()
			from, to := s.name+from, s.name+to
			pgtest.WaitFor(t, func() bool {
				return pgtest.Value[int](t, s.admin, fmt.Sprintf(
					"select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s') x", from)) == 0
			}, "stats_db to be alone")
			pgtest.Exec(t, s.admin, fmt.Sprintf("alter database %q rename to %q", from, to))
		}
	}
	for name, tt := range map[string]struct {
		led          bool
		refuse, heal func(*testing.T, scene)
		says         string
	}{
		"login": {true, func(t *testing.T, s scene) {
			t.Helper()
			pgtest.Exec(t, s.admin, "alter role "+s.role+" nologin")
		}, func(t *testing.T, s scene) {
			t.Helper()
			pgtest.Exec(t, s.admin, "alter role "+s.role+" login")
		}, "28000"},
		"database": {true, moved("", "_away"), moved("_away", ""), "createdb"},
		"schema": {
			true,
			inStats("alter schema pgam rename to p", "alter schema history rename to h", "alter table public.pgam_schema_version rename to v"),
			inStats("alter schema p rename to pgam", "alter schema h rename to history", "alter table public.v rename to pgam_schema_version"),
			"pgam migrate",
		},
		"older": {
			true,
			inStats("update public.pgam_schema_version set version = version - 1", "alter table history.activity_recent rename tick_burst to b"),
			inStats("update public.pgam_schema_version set version = version + 1", "alter table history.activity_recent rename b to tick_burst"),
			fmt.Sprintf("version %d is needed", migrations.Latest()),
		},
		"stands by": {
			false,
			inStats("update public.pgam_schema_version set version = version - 1"),
			inStats("update public.pgam_schema_version set version = version + 1"),
			"pgam migrate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := install(t)
			in.add(t, target.Target{Name: "one", Endpoint: target.Endpoint{
				Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
			}})
			at, err := url.Parse(in.dsn)
			if err != nil {
				t.Fatal(err)
			}
			s := scene{stats: in.dsn, name: at.Path[1:], role: at.Path[1:] + "_role"}
			at.Path = "/postgres"
			s.admin = at.String()
			pgtest.Exec(t, s.admin, "create role "+s.role+" superuser login password 'known'")
			t.Cleanup(func() {
				pgtest.Exec(t, s.stats, "reassign owned by "+s.role+" to current_user") // partitions
				pgtest.Exec(t, s.admin, "drop role "+s.role)
			})
			in.dsn = pgtest.WithUser(t, in.dsn, s.role, "known")
			ticks := func(since time.Time) int64 {
				return pgtest.Value[int64](t, s.stats, "select count(*) from report.tick where time > $1 and outcome = 'ok'", since)
			}

			p := in.start(t)
			pgtest.WaitFor(t, func() bool { return ticks(time.Time{}) > 0 }, "a first slot")
			p.stop(t)
			if !tt.led {
				kept, err := journal.Open(journal.Config{Dir: in.data, MaxBytes: 1 << 20})
				if err != nil {
					t.Fatal(err)
				}
				if err := kept.Lead(false); err != nil {
					t.Error(err)
				}
				if err := kept.Close(); err != nil {
					t.Error(err)
				}
			}
			tt.refuse(t, s)
			began := time.Now()
			p = in.start(t)
			if tt.led {
				pgtest.WaitFor(t, func() bool { return p.metric(t, `pgam_ticks_total{outcome="ok"}`) >= 3 }, "ticks into the journal")
			} else {
				pgtest.WaitFor(t, func() bool { return strings.Contains(p.said(), "standing by") }, "it to stand by")
			}
			status, says := p.get(t, "/readyz")
			if status != http.StatusServiceUnavailable || !strings.Contains(says, `{"name":"stats_db","status":"failed"`) {
				t.Errorf("readyz: %d %s", status, says)
			}
			healed := time.Now()
			for line := range strings.Lines(p.said()) {
				if n, most := strings.Count(p.said(), strings.SplitAfter(line, `"msg"`)[0]), 1+int(healed.Sub(began)/time.Minute); strings.Contains(line, `"WARN"`) && n > most {
					t.Errorf("said %d times: %s", n, line)
				}
			}
			if !strings.Contains(p.said(), tt.says) {
				t.Errorf("the log does not say %q", tt.says)
			}
			tt.heal(t, s)
			since := healed
			if tt.led {
				since = began
			}
			pgtest.WaitFor(t, func() bool {
				return ticks(healed) > 0 && (!tt.led || ticks(since)-ticks(healed) >= 2)
			}, "what was seen meanwhile, and what is seen now")
			pgtest.WaitFor(t, func() bool { status, _ := p.get(t, "/readyz"); return status == http.StatusOK }, "readyz")
			p.stop(t)
		})
	}
}
