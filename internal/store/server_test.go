package store

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func exampleServer(name string) target.Target {
	return target.Target{
		Name:      name,
		Endpoint:  target.Endpoint{Host: "db.example.org", Port: 5433, User: "mon", Password: secret.New("s3cret-pg")},
		Shell:     target.Shell{User: "root", Password: secret.New("s3cret-ssh")},
		StatsDB:   "stats_db",
		Intervals: target.Intervals{Activity: 2 * time.Second, Sizes: time.Hour},
		Enabled:   true,
	}
}

// sameServer compares all but what the store gives.
func sameServer(a, b target.Target) bool {
	return a.Name == b.Name && a.SameEndpoint(b) && a.Shell.User == b.Shell.User && a.Shell.Port == b.Shell.Port &&
		a.Shell.Password.Equal(b.Shell.Password) && a.StatsDB == b.StatsDB && a.Intervals == b.Intervals && a.Pool == b.Pool && a.Enabled == b.Enabled
}

func TestServerLife(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	ctx := t.Context()

	const name = `größe "quoted" it's 100% ok`
	made, err := s.CreateServer(ctx, exampleServer(name))
	if err != nil {
		t.Fatal(err)
	}
	want := exampleServer(name)
	want.Defaults()
	if !sameServer(made, want) || made.ID == 0 || made.Revision == 0 || made.CreatedAt.Location() != time.UTC {
		t.Errorf("created %+v", made)
	}
	read, err := s.Server(ctx, name)
	if err != nil || !sameServer(read, want) || read.ID != made.ID {
		t.Fatalf("read %+v, %v", read, err)
	}
	list, faults, err := s.ListServers(ctx)
	if err != nil || len(faults) != 0 || len(list) != 1 || !sameServer(list[0], want) {
		t.Fatalf("listed %+v, %v, %v", list, faults, err)
	}
	dump := pgtest.Value[string](t, dsn, "select row_to_json(s)::text from pgam.server s")
	for _, canary := range []string{"s3cret-pg", "s3cret-ssh"} {
		if strings.Contains(dump, canary) || strings.Contains(dump, hexOf(canary)) {
			t.Errorf("the row holds %s in clear", canary)
		}
	}
	before, err := s.ServersRevision(ctx)
	if err != nil || before != made.Revision {
		t.Fatalf("revision %d, %v; want %d", before, err, made.Revision)
	}
	if err := s.DeleteServer(ctx, name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Server(ctx, name); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("deleted server: %v", err)
	}
	if err := s.DeleteServer(ctx, name); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	after, err := s.ServersRevision(ctx)
	if err != nil || after <= before {
		t.Errorf("revision after the deletion is %d, %v; before %d", after, err, before)
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from pgam.server where deleted_at is not null and password_sealed is null"); n != 1 {
		t.Errorf("%d hidden rows without a password, want 1", n)
	}
	again, err := s.CreateServer(ctx, exampleServer(name))
	if err != nil || again.ID == made.ID {
		t.Errorf("created again: id %d after %d, %v", again.ID, made.ID, err)
	}
}

func hexOf(text string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func TestServerNames(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		if _, err := s.CreateServer(ctx, exampleServer(name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateServer(ctx, exampleServer("a")); !errors.Is(err, target.ErrConflict) {
		t.Errorf("created twice: %v", err)
	}
	if _, err := s.UpdateServer(ctx, "a", func(t *target.Target) error { t.Name = "b"; return nil }); !errors.Is(err, target.ErrConflict) {
		t.Errorf("renamed to a taken name: %v", err)
	}
	renamed, err := s.UpdateServer(ctx, "a", func(t *target.Target) error { t.Name = "c"; return nil })
	if err != nil || renamed.Name != "c" || renamed.Endpoint.Password.Reveal() != "s3cret-pg" {
		t.Errorf("renamed: %+v, %v", renamed, err)
	}
	for _, name := range []string{"", "nobody", "nul\x00", "bad\xff"} {
		if _, err := s.Server(ctx, name); !errors.Is(err, target.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := s.UpdateServer(ctx, name, func(*target.Target) error { return nil }); !errors.Is(err, target.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.CreateServer(ctx, target.Target{Name: "x/y"}); !errors.Is(err, target.ErrInvalid) {
		t.Errorf("an invalid server: %v", err)
	}
}

func TestUpdateServerPasswords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*target.Target)
		wantPG string // "" : refused
	}{
		{"nothing", func(*target.Target) {}, "s3cret-pg"},
		{"what no secret is bound to", func(t *target.Target) { t.StatsDB, t.Endpoint.Database, t.Enabled = "", "app", false }, "s3cret-pg"},
		{"new password", func(t *target.Target) { t.Endpoint.Password = secret.New("newer") }, "newer"},
		{"new host without the passwords", func(t *target.Target) { t.Endpoint.Host = "evil.example.org" }, ""},
		{"new port without the password", func(t *target.Target) { t.Endpoint.Port = 1 }, ""},
		{"new user without the password", func(t *target.Target) { t.Endpoint.User = "other" }, ""},
		{"weaker TLS without the password", func(t *target.Target) { t.Endpoint.TLS = target.TLSDisable }, ""},
		{"new SSH user without its password", func(t *target.Target) { t.Shell.User = "other" }, ""},
		{"new host with the SSH password missing", func(t *target.Target) {
			t.Endpoint.Host, t.Endpoint.Password = "new.example.org", secret.New("again")
		}, ""},
		{"new host with both", func(t *target.Target) {
			t.Endpoint.Host, t.Endpoint.Password, t.Shell.Password = "new.example.org", secret.New("again"), secret.New("again too")
		}, "again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _ := openStore(t)
			ctx := t.Context()
			old, err := s.CreateServer(ctx, exampleServer("a"))
			if err != nil {
				t.Fatal(err)
			}
			updated, err := s.UpdateServer(ctx, "a", func(n *target.Target) error {
				if !n.Endpoint.Password.IsZero() || !n.Shell.Password.IsZero() {
					t.Error("the change is shown a stored password")
				}
				tt.change(n)
				return nil
			})
			now, readErr := s.Server(ctx, "a")
			if readErr != nil {
				t.Fatal(readErr)
			}
			if tt.wantPG == "" {
				if !errors.Is(err, target.ErrInvalid) || !strings.Contains(err.Error(), "again") {
					t.Errorf("not refused, or without saying what to do: %v", err)
				}
				if !sameServer(now, old) || now.Revision != old.Revision {
					t.Errorf("a refused change left its mark: %+v", now)
				}
				return
			}
			if err != nil || updated.Endpoint.Password.Reveal() != tt.wantPG || updated.Revision <= old.Revision {
				t.Fatalf("updated to %+v, %v", updated, err)
			}
			if !sameServer(now, updated) || now.ID != old.ID || now.CreatedAt != old.CreatedAt {
				t.Errorf("stored %+v, given %+v", now, updated)
			}
		})
	}
}

// A ciphertext that was moved to another row, or whose address was changed
// behind our back, opens for nobody, and hides no other server.
func TestSecretsAreBound(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"address":      `update pgam.server set host = 'evil.example.org' where name = 'a'`,
		"tls":          `update pgam.server set tls_mode = 'disable' where name = 'a'`,
		"another row":  `update pgam.server set password_sealed = (select password_sealed from pgam.server where name = 'b') where name = 'a'`,
		"another cell": `update pgam.server set password_sealed = ssh_password_sealed where name = 'a'`,
		"a byte":       `update pgam.server set password_sealed = set_byte(password_sealed, 20, get_byte(password_sealed, 20) # 1) where name = 'a'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dsn := openStore(t)
			for _, n := range []string{"a", "b"} {
				if _, err := s.CreateServer(t.Context(), exampleServer(n)); err != nil {
					t.Fatal(err)
				}
			}
			pgtest.Exec(t, dsn, tamper)
			list, faults, err := s.ListServers(t.Context())
			if err != nil || len(list) != 2 {
				t.Fatalf("%d servers, %v", len(list), err)
			}
			if !list[0].Endpoint.Password.IsZero() || !errors.Is(faults[list[0].ID], secret.ErrSealBroken) {
				t.Errorf("the tampered password opened (fault %v)", faults[list[0].ID])
			}
			if list[1].Endpoint.Password.Reveal() != "s3cret-pg" || faults[list[1].ID] != nil {
				t.Errorf("the other server suffers: %v", faults[list[1].ID])
			}
			// A new password heals it.
			healed, err := s.UpdateServer(t.Context(), "a", func(n *target.Target) error {
				n.Endpoint.Password, n.Shell.Password = secret.New("new"), secret.New("new")
				return nil
			})
			if err != nil || healed.Endpoint.Password.Reveal() != "new" {
				t.Errorf("set again: %v", err)
			}
			if _, err := s.Server(t.Context(), "a"); err != nil {
				t.Errorf("after a new password: %v", err)
			}
		})
	}
}

func TestSealedServers(t *testing.T) {
	t.Parallel()
	dsn, keys := pgtest.StatsDB(t), newKeyring(t)
	s := openStoreAt(t, dsn, keys)
	for _, n := range []string{"a", "b"} {
		if _, err := s.CreateServer(t.Context(), exampleServer(n)); err != nil {
			t.Fatal(err)
		}
	}
	data, revision, err := s.SealedServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := s.ServersRevision(t.Context()); revision != want {
		t.Errorf("revision %d, want %d", revision, want)
	}
	if bytes.Contains(data, []byte("s3cret")) {
		t.Error("the copy holds a secret")
	}
	list, faults, err := s.OpenServers(data)
	if err != nil || len(faults) != 0 || len(list) != 2 {
		t.Fatalf("%d servers, %v, %v", len(list), faults, err)
	}
	stored, _, err := s.ListServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if !sameServer(list[i], stored[i]) || list[i].ID != stored[i].ID || !list[i].CreatedAt.Equal(stored[i].CreatedAt) {
			t.Errorf("copy %+v, stored %+v", list[i], stored[i])
		}
	}
	stranger := openStoreAt(t, dsn, newKeyring(t))
	if _, faults, err := stranger.OpenServers(data); err != nil || len(faults) != 2 {
		t.Errorf("with another key: %d faults, %v", len(faults), err)
	}
	if _, _, err := s.OpenServers(data[:len(data)/2]); err == nil {
		t.Error("half of a copy was accepted")
	}
}

// Whoever has seen a revision has seen every change before it.
func TestRevisionsAreVisibleInOrder(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	ctx := t.Context()
	var writers sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := s.CreateServer(ctx, exampleServer(name)); err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for range 10 {
				if _, err := s.UpdateServer(ctx, name, func(n *target.Target) error { n.Enabled = !n.Enabled; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	seen := map[target.ID]int64{} // by server, the newest revision
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		newest, err := s.ServersRevision(ctx)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := s.ListServers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			if last, ok := seen[n.ID]; ok && n.Revision > last && n.Revision <= seen[0] {
				t.Fatalf("revision %d of %s became visible after %d had been seen", n.Revision, n.Name, seen[0])
			}
			seen[n.ID] = n.Revision
		}
		seen[0] = newest
	}
}
