package catalog

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
		Name:       name,
		Endpoint:   target.Endpoint{Host: "db.example.org", Port: 5433, User: "mon", Password: secret.New("s3cret-pg")},
		Shell:      target.Shell{User: "root", Password: secret.New("s3cret-ssh")},
		StatsDB:    "stats_db",
		Intervals:  target.Intervals{Activity: 2 * time.Second, Sizes: time.Hour, Disks: time.Minute},
		DiskSource: target.DiskNone,
		Enabled:    true,
	}
}

// sameServer compares all but what the store gives.
func sameServer(a, b target.Target) bool {
	return a.Name == b.Name && a.SameEndpoint(b) && a.SameShell(b) && a.Shell.Host == b.Shell.Host && a.Shell.Key.Name == b.Shell.Key.Name &&
		a.StatsDB == b.StatsDB && a.Intervals == b.Intervals && a.Pool == b.Pool && a.DiskSource == b.DiskSource && a.Enabled == b.Enabled
}

func TestServerLife(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	ctx := t.Context()

	const name = `größe "quoted" it's 100% ok`
	made, err := c.CreateServer(ctx, exampleServer(name))
	if err != nil {
		t.Fatal(err)
	}
	want := exampleServer(name)
	want.Defaults()
	if !sameServer(made, want) || made.ID == 0 || made.Revision == 0 || made.CreatedAt.Location() != time.UTC {
		t.Errorf("created %+v", made)
	}
	read, err := c.Server(ctx, name)
	if err != nil || !sameServer(read, want) || read.ID != made.ID {
		t.Fatalf("read %+v, %v", read, err)
	}
	list, faults, err := c.ListServers(ctx)
	if err != nil || len(faults) != 0 || len(list) != 1 || !sameServer(list[0], want) {
		t.Fatalf("listed %+v, %v, %v", list, faults, err)
	}
	dump := pgtest.Value[string](t, dsn, "select row_to_json(s)::text from pgam.server s")
	for _, canary := range []string{"s3cret-pg", "s3cret-ssh"} {
		if strings.Contains(dump, canary) || strings.Contains(dump, hexOf(canary)) {
			t.Errorf("the row holds %s in clear", canary)
		}
	}
	before, err := c.ServersRevision(ctx)
	if err != nil || before != made.Revision {
		t.Fatalf("revision %d, %v; want %d", before, err, made.Revision)
	}
	if err := c.DeleteServer(ctx, name, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Server(ctx, name); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("deleted server: %v", err)
	}
	if err := c.DeleteServer(ctx, name, false); !errors.Is(err, target.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	after, err := c.ServersRevision(ctx)
	if err != nil || after <= before {
		t.Errorf("revision after the deletion is %d, %v; before %d", after, err, before)
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from pgam.server where deleted_at is not null and password_sealed is null"); n != 1 {
		t.Errorf("%d hidden rows without a password, want 1", n)
	}
	again, err := c.CreateServer(ctx, exampleServer(name))
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
	c, _ := openCatalog(t)
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		if _, err := c.CreateServer(ctx, exampleServer(name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.CreateServer(ctx, exampleServer("a")); !errors.Is(err, target.ErrConflict) {
		t.Errorf("created twice: %v", err)
	}
	if _, err := c.UpdateServer(ctx, "a", func(t *target.Target) error { t.Name = "b"; return nil }); !errors.Is(err, target.ErrConflict) {
		t.Errorf("renamed to a taken name: %v", err)
	}
	renamed, err := c.UpdateServer(ctx, "a", func(t *target.Target) error { t.Name = "c"; return nil })
	if err != nil || renamed.Name != "c" || renamed.Endpoint.Password.Reveal() != "s3cret-pg" {
		t.Errorf("renamed: %+v, %v", renamed, err)
	}
	for _, name := range []string{"", "nobody", "nul\x00", "bad\xff"} {
		if _, err := c.Server(ctx, name); !errors.Is(err, target.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := c.UpdateServer(ctx, name, func(*target.Target) error { return nil }); !errors.Is(err, target.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := c.CreateServer(ctx, target.Target{Name: "x/y"}); !errors.Is(err, target.ErrInvalid) {
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
		{"what no secret is bound to", func(t *target.Target) { t.StatsDB, t.Enabled = "", false }, "s3cret-pg"},
		{"another database without the password", func(t *target.Target) { t.Endpoint.Database = "app" }, ""},
		{"new password", func(t *target.Target) { t.Endpoint.Password = secret.New("newer") }, "newer"},
		{"new host without the passwords", func(t *target.Target) { t.Endpoint.Host = "evil.example.org" }, ""},
		{"new port without the password", func(t *target.Target) { t.Endpoint.Port = 1 }, ""},
		{"new user without the password", func(t *target.Target) { t.Endpoint.User = "other" }, ""},
		{"weaker TLS without the password", func(t *target.Target) { t.Endpoint.TLS = target.TLSDisable }, ""},
		{"new SSH user without its password", func(t *target.Target) { t.Shell.User = "other" }, ""},
		{"new host with the SSH password missing", func(t *target.Target) {
			t.Endpoint.Host, t.Endpoint.Password = "new.example.org", secret.New("again")
		}, ""},
		{"tunnel without the password", func(t *target.Target) { t.Shell.Tunnel = true }, ""},
		{"tunnel with the password", func(t *target.Target) { t.Shell.Tunnel, t.Endpoint.Password = true, secret.New("again") }, "again"},
		{"SSH host without its password", func(t *target.Target) { t.Shell.Host = "evil.example.org" }, ""},
		{"SSH host with its password", func(t *target.Target) { t.Shell.Host, t.Shell.Password = "jump.example.org", secret.New("x") }, "s3cret-pg"},
		{"no SSH user any more, nor a password for one", func(t *target.Target) { t.Shell.User = "" }, "s3cret-pg"},
		{"the same SSH host, named", func(t *target.Target) { t.Shell.Host = t.Endpoint.Host }, "s3cret-pg"},
		{"new host with both", func(t *target.Target) {
			t.Endpoint.Host, t.Endpoint.Password, t.Shell.Password = "new.example.org", secret.New("again"), secret.New("again too")
		}, "again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := openCatalog(t)
			ctx := t.Context()
			old, err := c.CreateServer(ctx, exampleServer("a"))
			if err != nil {
				t.Fatal(err)
			}
			updated, err := c.UpdateServer(ctx, "a", func(n *target.Target) error {
				if !n.Endpoint.Password.IsZero() || !n.Shell.Password.IsZero() {
					t.Error("the change is shown a stored password")
				}
				tt.change(n)
				return nil
			})
			now, readErr := c.Server(ctx, "a")
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
			c, dsn := openCatalog(t)
			for _, n := range []string{"a", "b"} {
				if _, err := c.CreateServer(t.Context(), exampleServer(n)); err != nil {
					t.Fatal(err)
				}
			}
			pgtest.Exec(t, dsn, tamper)
			list, faults, err := c.ListServers(t.Context())
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
			healed, err := c.UpdateServer(t.Context(), "a", func(n *target.Target) error {
				n.Endpoint.Password, n.Shell.Password = secret.New("new"), secret.New("new")
				return nil
			})
			if err != nil || healed.Endpoint.Password.Reveal() != "new" {
				t.Errorf("set again: %v", err)
			}
			if _, err := c.Server(t.Context(), "a"); err != nil {
				t.Errorf("after a new password: %v", err)
			}
		})
	}
}

func TestSealedServers(t *testing.T) {
	t.Parallel()
	dsn, keys := pgtest.StatsDB(t), newKeyring(t)
	c := openCatalogAt(t, dsn, keys)
	key := newKey(t, c, "fleet")
	for _, n := range []string{"a", "b"} {
		server := exampleServer(n)
		server.Shell.Key.ID, server.Shell.HostKey, server.Shell.Host, server.Shell.Tunnel = key.ID, pin(n), "jump.example.org", true
		if _, err := c.CreateServer(t.Context(), server); err != nil {
			t.Fatal(err)
		}
	}
	data, revision, err := c.SealedServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := c.ServersRevision(t.Context()); revision != want {
		t.Errorf("revision %d, want %d", revision, want)
	}
	if bytes.Contains(data, []byte("s3cret")) {
		t.Error("the copy holds a secret")
	}
	list, faults, err := c.OpenServers(data)
	if err != nil || len(faults) != 0 || len(list) != 2 {
		t.Fatalf("%d servers, %v, %v", len(list), faults, err)
	}
	if list[0].Shell.Key.Private.Reveal() != "s3cret-pem" || list[0].Shell.Key.Passphrase.Reveal() != "s3cret-words" || list[0].Shell.HostKey == "" {
		t.Errorf("the copy opens to %+v", list[0].Shell)
	}
	stored, _, err := c.ListServers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if !sameServer(list[i], stored[i]) || list[i].ID != stored[i].ID || !list[i].CreatedAt.Equal(stored[i].CreatedAt) {
			t.Errorf("copy %+v, stored %+v", list[i], stored[i])
		}
	}
	stranger := openCatalogAt(t, dsn, newKeyring(t))
	if _, faults, err := stranger.OpenServers(data); err != nil || len(faults) != 2 {
		t.Errorf("with another key: %d faults, %v", len(faults), err)
	}
	if _, _, err := c.OpenServers(data[:len(data)/2]); err == nil {
		t.Error("half of a copy was accepted")
	}
	// A copy of a version that knew no SSH keys.
	old := []byte(`[{"id": 7, "name": "old", "host": "h", "port": 5432, "user_name": "u", "database_name": "postgres", "tls_mode": "prefer",
		"ssh_user": "", "ssh_port": 22, "pool_profile": "default", "enabled": true, "revision": 3}]`)
	if list, faults, err := c.OpenServers(old); err != nil || len(faults) != 0 || len(list) != 1 || list[0].Validate() != nil {
		t.Errorf("an old copy: %+v, %v, %v", list, faults, err)
	}
}

// A tunnel leads the password elsewhere: it is bound to where SSH goes.
func TestTunnelKeepsThePassword(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	server := exampleServer("a")
	server.Shell.Tunnel, server.Endpoint.Host, server.Shell.Host = true, "127.0.0.1", "db.example.org"
	if _, err := c.CreateServer(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*target.Target){
		"other SSH host": func(n *target.Target) { n.Shell.Host, n.Shell.Password = "evil.example.org", secret.New("mine") },
		"other SSH port": func(n *target.Target) { n.Shell.Port, n.Shell.Password = 2222, secret.New("mine") },
		"no tunnel":      func(n *target.Target) { n.Shell.Tunnel = false },
	} {
		_, err := c.UpdateServer(t.Context(), "a", func(n *target.Target) error { change(n); return nil })
		if !errors.Is(err, target.ErrInvalid) || !strings.Contains(err.Error(), "SSH tunnel") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.UpdateServer(t.Context(), "a", func(n *target.Target) error { n.StatsDB = ""; return nil }); err != nil {
		t.Error(err)
	}
	pgtest.Exec(t, dsn, "update pgam.server set ssh_host = 'evil.example.org'")
	if got, err := c.Server(t.Context(), "a"); !errors.Is(err, secret.ErrSealBroken) || !got.Endpoint.Password.IsZero() {
		t.Errorf("behind our back: %v", err)
	}
}

// A secret of SSH that is broken does not stop the watching of PostgreSQL.
func TestBrokenShellSecretLeavesThePassword(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	if _, err := c.CreateServer(t.Context(), exampleServer("a")); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, dsn, "update pgam.server set ssh_password_sealed = set_byte(ssh_password_sealed, 20, get_byte(ssh_password_sealed, 20) # 1)")
	got, err := c.Server(t.Context(), "a")
	broken, ok := errors.AsType[*target.SecretsError](err)
	if !ok || !errors.Is(err, secret.ErrSealBroken) || broken.Password != nil || broken.Shell == nil {
		t.Fatalf("the fault is %v", err)
	}
	if got.Endpoint.Password.Reveal() != "s3cret-pg" || !got.Shell.Password.IsZero() {
		t.Errorf("given %+v", got)
	}
}

func TestPinHostKey(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	made, err := c.CreateServer(ctx, exampleServer("a"))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what, key string) target.Target {
		t.Helper()
		got, err := c.Server(ctx, "a")
		if err != nil || got.Shell.HostKey != key {
			t.Errorf("%s: pinned %q, %v", what, got.Shell.HostKey, err)
		}
		return got
	}
	try := func(what string, n target.Target, key string, want bool) {
		t.Helper()
		if pinned, err := c.PinHostKey(ctx, n, key); err != nil || pinned != want {
			t.Errorf("%s: %t, %v", what, pinned, err)
		}
	}
	if _, err := c.PinHostKey(ctx, made, "ssh-ed25519 nonsense"); !errors.Is(err, target.ErrInvalid) {
		t.Errorf("what is no key: %v", err)
	}
	elsewhere, port := made, made
	elsewhere.Shell.Host, port.Shell.Port = "old.example.org", 2222
	try("shown by another host", elsewhere, pin("x"), false)
	try("shown at another port", port, pin("x"), false)
	expect("refused", "")
	try("first", made, pin("a"), true)
	if got := expect("first", pin("a")); got.Revision <= made.Revision {
		t.Error("nobody will see the pin")
	}
	try("second", made, pin("b"), false)
	expect("second", pin("a"))

	update := func(change func(*target.Target)) {
		t.Helper()
		if _, err := c.UpdateServer(ctx, "a", func(n *target.Target) error { change(n); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	update(func(n *target.Target) { n.StatsDB = ""; n.Shell.Host = n.Endpoint.Host })
	expect("the same way", pin("a"))
	update(func(n *target.Target) { n.Shell.Port, n.Shell.Password = 2222, secret.New("x") })
	expect("another port", "")
	update(func(n *target.Target) { n.Shell.HostKey, n.Shell.HostKeyVouched = pin("c"), true })
	expect("by hand", pin("c"))
	update(func(n *target.Target) {
		n.Shell.Host, n.Shell.Password, n.Shell.HostKey = "new.example.org", secret.New("x"), pin("d")
	})
	expect("another host and its key", pin("d"))
	update(func(n *target.Target) { n.Endpoint.Host, n.Endpoint.Password = "newer.example.org", secret.New("x") })
	expect("another host of PostgreSQL alone", pin("d"))
	if err := c.DeleteServer(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	try("deleted", made, pin("a"), false)
}

// What a change itself returns is the caller's, not a fault of stats_db.
func TestChangeErrors(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	if _, err := c.CreateServer(t.Context(), exampleServer("a")); err != nil {
		t.Fatal(err)
	}
	newKey(t, c, "fleet")
	refused := errors.New("refused")
	_, err1 := c.UpdateServer(t.Context(), "a", func(*target.Target) error { return refused })
	_, err2 := c.UpdateSSHKey(t.Context(), "fleet", func(*target.ManagedKey) error { return refused })
	for _, err := range []error{err1, err2} {
		if err != refused { //nolint:errorlint // as it is
			t.Errorf("%v", err)
		}
	}
}

// Whoever has seen a revision has seen every change before it.
func TestRevisionsAreVisibleInOrder(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	var writers sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := c.CreateServer(ctx, exampleServer(name)); err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for range 10 {
				if _, err := c.UpdateServer(ctx, name, func(n *target.Target) error { n.Enabled = !n.Enabled; return nil }); err != nil {
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
		newest, err := c.ServersRevision(ctx)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := c.ListServers(ctx)
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
