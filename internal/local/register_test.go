package local

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// stackOn returns a stack that has come as far as a migrated stats_db.
func stackOn(t *testing.T, dsn string, targets ...target.Endpoint) *Stack {
	t.Helper()
	f := open(t, t.TempDir())
	k, err := f.openKeys()
	if err != nil {
		t.Fatal(err)
	}
	s := &Stack{
		cfg:    Config{Log: slog.New(slog.DiscardHandler), Say: t.Logf},
		folder: f, keys: k, port: 5999, statsDSN: secret.New(dsn),
	}
	for _, e := range targets {
		s.cfg.Targets = append(s.cfg.Targets, target.Target{Endpoint: e})
	}

	return s
}

// again is the same stack at its next start, on another port.
func (s *Stack) again(t *testing.T, port int) *Stack {
	t.Helper()
	return &Stack{cfg: s.cfg, folder: s.folder, keys: s.keys, port: port, statsDSN: s.statsDSN}
}

func (s *Stack) catalog(t *testing.T) *catalog.Catalog {
	t.Helper()

	return catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: s.statsDSN}), s.keys.ring)
}

func mustRegister(t *testing.T, s *Stack) Report {
	t.Helper()
	if err := s.register(t.Context()); err != nil {
		t.Fatal(err)
	}

	return s.report
}

func TestRegister(t *testing.T) {
	t.Parallel()
	mine := target.Endpoint{Host: "db1", User: "u", Password: secret.New("one")}
	s := stackOn(t, pgtest.StatsDB(t), mine)
	first := mustRegister(t, s)
	if first.Login != "admin" || first.Password.IsZero() {
		t.Fatalf("first start reports %q and a password: %t", first.Login, !first.Password.IsZero())
	}
	stored := s.catalog(t)
	user, err := stored.Account(t.Context(), first.Login)
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := hasher.Verify(t.Context(), auth.Origin{}, user.PasswordHash, first.Password.Reveal()); err != nil {
		t.Errorf("the password that is shown: %v", err)
	}
	if diff := cmp.Diff([]string{"local", "db1"}, first.Servers); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]target.DiskSource{"local": target.DiskLocal, "db1": target.DiskAuto} {
		if server, err := stored.Server(t.Context(), name); err != nil || server.DiskSource != want {
			t.Errorf("disks of %s are looked at by %q, want %q: %v", name, server.DiskSource, want, err)
		}
	}

	// The next start: another port, another password of the server's.
	next := s.again(t, 6001)
	next.cfg.Targets = []target.Target{{Endpoint: target.Endpoint{Host: "db1", User: "v", Password: secret.New("two")}}}
	second := mustRegister(t, next)
	if !second.Password.IsZero() || second.Login != "admin" {
		t.Errorf("second start reports %q and a password: %t", second.Login, !second.Password.IsZero())
	}
	if diff := cmp.Diff(first.Servers, second.Servers); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]struct {
		port     int
		password secret.Value
	}{"local": {6001, s.keys.monitor}, "db1": {5432, secret.New("two")}} {
		server, err := stored.Server(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if server.Endpoint.Port != want.port || !server.Endpoint.Password.Equal(want.password) {
			t.Errorf("server %s is at port %d with the password as of the second start: %t", name, server.Endpoint.Port, server.Endpoint.Password.Equal(want.password))
		}
	}
}

// TestRegister_disks: a server of an older version's making learns that its
// disks are here; one whose disks nobody is to look at stays so.
func TestRegister_disks(t *testing.T) {
	t.Parallel()
	s := stackOn(t, pgtest.StatsDB(t))
	mustRegister(t, s)
	stored := s.catalog(t)
	for chosen, want := range map[target.DiskSource]target.DiskSource{
		target.DiskAuto: target.DiskLocal, target.DiskNone: target.DiskNone, target.DiskSSH: target.DiskSSH,
	} {
		_, err := stored.UpdateServer(t.Context(), "local", func(t *target.Target) error {
			t.DiskSource, t.Shell.User = chosen, ""
			if chosen == target.DiskSSH {
				t.Shell.User = "watcher"
			}

			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		mustRegister(t, s.again(t, 5999))
		if server, err := stored.Server(t.Context(), "local"); err != nil || server.DiskSource != want {
			t.Errorf("disks by %q become %q, want %q: %v", chosen, server.DiskSource, want, err)
		}
	}
}

func TestRegister_respects_changes(t *testing.T) {
	t.Parallel()
	s := stackOn(t, pgtest.StatsDB(t))
	mustRegister(t, s)
	stored := s.catalog(t)
	if _, err := stored.UpdateServer(t.Context(), "local", func(t *target.Target) error { t.Name = "renamed"; return nil }); err != nil {
		t.Fatal(err)
	}
	renamed := s.again(t, 6002)
	if got := mustRegister(t, renamed).Servers; !cmp.Equal(got, []string{"renamed"}) {
		t.Errorf("servers after a rename are %q", got)
	}
	if server, err := stored.Server(t.Context(), "renamed"); err != nil || server.Endpoint.Port != 6002 {
		t.Errorf("the renamed server is at port %d, %v", server.Endpoint.Port, err)
	}
	if err := stored.DeleteServer(t.Context(), "renamed", false); err != nil {
		t.Fatal(err)
	}
	if got := mustRegister(t, s.again(t, 6003)).Servers; len(got) != 0 {
		t.Errorf("servers after a removal are %q", got)
	}
}

// TestRegister_after_kill stands for a kill between a write to stats_db and the
// write of the state.
func TestRegister_after_kill(t *testing.T) {
	t.Parallel()
	s := stackOn(t, pgtest.StatsDB(t))
	mustRegister(t, s)
	s.folder.state = state{ClusterDir: "postgres"}
	next := s.again(t, 6004)
	report := mustRegister(t, next)
	if report.Login != "admin" || !cmp.Equal(report.Servers, []string{"local"}) || next.folder.state.LocalServer == 0 {
		t.Errorf("report %+v, state %+v", report, next.folder.state)
	}
	servers, _, err := s.catalog(t).ListServers(t.Context())
	if err != nil || len(servers) != 1 {
		t.Errorf("%d servers, %v, want one", len(servers), err)
	}
}

func TestRegister_name_taken(t *testing.T) {
	t.Parallel()
	s := stackOn(t, pgtest.StatsDB(t), target.Endpoint{Host: "db1", User: "u"})
	other := target.Target{Name: "db1", Endpoint: target.Endpoint{Host: "elsewhere", User: "u"}}
	if _, err := s.catalog(t).CreateServer(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := s.register(t.Context()); !errors.Is(err, target.ErrConflict) {
		t.Errorf("register = %v, want target.ErrConflict", err)
	}
}
