package catalog

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// publicKey has the form of one, made from a seed.
func publicKey(seed string) (line, fingerprint string) {
	sum := sha256.Sum256([]byte(seed))
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), sum[:]...)
	print := sha256.Sum256(blob)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob), "SHA256:" + base64.RawStdEncoding.EncodeToString(print[:])
}

func pin(seed string) string {
	line, _ := publicKey(seed)
	return line
}

func exampleKey(name string) target.ManagedKey {
	line, fingerprint := publicKey(name)
	return target.ManagedKey{
		Name: name, Type: "ssh-ed25519", Bits: 256, PublicKey: line + " pgam " + name, Fingerprint: fingerprint,
		Description: "for tests", CreatedBy: "ann", Private: secret.New("s3cret-pem"), Passphrase: secret.New("s3cret-words"),
	}
}

func newKey(t *testing.T, c *Catalog, name string) target.ManagedKey {
	t.Helper()
	made, err := c.CreateSSHKey(t.Context(), exampleKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// shown is a key as it is read.
func shown(k target.ManagedKey, servers ...string) target.ManagedKey {
	k.HasPassphrase = !k.Passphrase.IsZero()
	k.Private, k.Passphrase, k.Servers = secret.Value{}, secret.Value{}, servers
	return k
}

func diffKeys(a, b target.ManagedKey) string {
	return cmp.Diff(a, b, cmpopts.IgnoreFields(target.ManagedKey{}, "ID", "CreatedAt", "UpdatedAt"), cmpopts.EquateEmpty())
}

func TestSSHKeyLife(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	ctx := t.Context()
	made := newKey(t, c, "größe 100%")
	if diff := diffKeys(shown(exampleKey("größe 100%")), made); diff != "" || made.ID == 0 || made.CreatedAt.IsZero() {
		t.Errorf("made %+v (-want +got):\n%s", made, diff)
	}
	bare := exampleKey("bare")
	bare.Passphrase = secret.Value{}
	if _, err := c.CreateSSHKey(ctx, bare); err != nil {
		t.Fatal(err)
	}
	server := exampleServer("a")
	server.Shell.Key.Name = made.Name
	if _, err := c.CreateServer(ctx, server); err != nil {
		t.Fatal(err)
	}
	list, err := c.SSHKeys(ctx)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d keys, %v", len(list), err)
	}
	for i, want := range []target.ManagedKey{shown(bare), shown(exampleKey("größe 100%"), "a")} {
		if diff := diffKeys(want, list[i]); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
	}
	if got, err := c.SSHKey(ctx, made.Name); err != nil || diffKeys(list[1], got) != "" {
		t.Errorf("read %+v, %v", got, err)
	}
	dump := pgtest.Value[string](t, dsn, "select string_agg(row_to_json(k)::text, '') from pgam.ssh_key k")
	for _, canary := range []string{"s3cret-pem", "s3cret-words"} {
		if strings.Contains(dump, canary) || strings.Contains(dump, hexOf(canary)) {
			t.Errorf("the rows hold %s in clear", canary)
		}
	}

	err = c.DeleteSSHKey(ctx, made.Name)
	inUse, ok := errors.AsType[*target.KeyInUseError](err)
	if !ok || !errors.Is(err, target.ErrKeyInUse) || !slices.Equal(inUse.Servers, []string{"a"}) {
		t.Errorf("deleted in use: %v", err)
	}
	if err := c.DeleteServer(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteSSHKey(ctx, made.Name); err != nil {
		t.Errorf("deleted when its server was: %v", err)
	}
	for _, name := range []string{made.Name, "", "a/b", "nul\x00"} {
		if _, err := c.SSHKey(ctx, name); !errors.Is(err, target.ErrKeyNotFound) {
			t.Errorf("read %q: %v", name, err)
		}
		if _, err := c.UpdateSSHKey(ctx, name, func(*target.ManagedKey) error { return nil }); !errors.Is(err, target.ErrKeyNotFound) {
			t.Errorf("updated %q: %v", name, err)
		}
		if err := c.DeleteSSHKey(ctx, name); !errors.Is(err, target.ErrKeyNotFound) {
			t.Errorf("deleted %q: %v", name, err)
		}
	}
}

func TestSSHKeyConflicts(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	newKey(t, c, "a")
	newKey(t, c, "b")
	twin := exampleKey("a")
	twin.Name = "c"
	for what, test := range map[string]struct {
		key  target.ManagedKey
		want error
		text string
	}{
		"same name":       {exampleKey("a"), target.ErrKeyConflict, "another one has this name"},
		"same key":        {twin, target.ErrKeyConflict, `this very key is kept as "a"`},
		"no private part": {shown(exampleKey("d")), target.ErrKeyInvalid, "private key is missing"},
		"no name":         {exampleKey(""), target.ErrKeyInvalid, "name is empty"},
	} {
		if _, err := c.CreateSSHKey(ctx, test.key); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, test := range map[string]struct {
		change func(*target.ManagedKey)
		want   error
	}{
		"taken name":                {func(k *target.ManagedKey) { k.Name = "a" }, target.ErrKeyConflict},
		"taken key":                 {func(k *target.ManagedKey) { name := k.Name; *k = exampleKey("a"); k.Name = name }, target.ErrKeyConflict},
		"public part alone":         {func(k *target.ManagedKey) { k.PublicKey, k.Fingerprint = publicKey("other") }, target.ErrKeyInvalid},
		"comment of the public key": {func(k *target.ManagedKey) { k.PublicKey += " more" }, target.ErrKeyInvalid},
		"passphrase alone":          {func(k *target.ManagedKey) { k.Passphrase = secret.New("x") }, target.ErrKeyInvalid},
		"bad name":                  {func(k *target.ManagedKey) { k.Name = "a/b" }, target.ErrKeyInvalid},
	} {
		before, err := c.SSHKey(ctx, "b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.UpdateSSHKey(ctx, "b", func(k *target.ManagedKey) error { test.change(k); return nil }); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", what, err)
		}
		if after, err := c.SSHKey(ctx, "b"); err != nil || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("%s left its mark: %+v, %v", what, after, err)
		}
	}
}

// Whoever follows revisions learns of every change of a bound key.
func TestServersFollowTheirKey(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	newKey(t, c, "fleet")
	bound, free := exampleServer("bound"), exampleServer("free")
	bound.Shell.Key.Name = "fleet"
	made, err := c.CreateServer(ctx, bound)
	if err != nil {
		t.Fatal(err)
	}
	if made.Shell.Key.Private.Reveal() != "s3cret-pem" {
		t.Error("a new server is given without its key")
	}
	other, err := c.CreateServer(ctx, free)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what                      string
		change                    func(*target.ManagedKey)
		name, private, passphrase string
		description               string
	}{
		{"renamed", func(k *target.ManagedKey) { k.Name = "all" }, "all", "s3cret-pem", "s3cret-words", "for tests"},
		{"described", func(k *target.ManagedKey) { k.Description = "" }, "all", "s3cret-pem", "s3cret-words", ""},
		{"replaced", func(k *target.ManagedKey) {
			*k = exampleKey("new")
			k.Name, k.Private, k.Passphrase = "all", secret.New("new pem"), secret.Value{}
		}, "all", "new pem", "", "for tests"},
		{"other passphrase", func(k *target.ManagedKey) {
			k.Private, k.Passphrase = secret.New("same, sealed"), secret.New("words")
		}, "all", "same, sealed", "words", "for tests"},
	} {
		name := made.Shell.Key.Name
		before, err := c.ServersRevision(ctx)
		if err != nil {
			t.Fatal(err)
		}
		updated, err := c.UpdateSSHKey(ctx, name, func(k *target.ManagedKey) error {
			if !k.Private.IsZero() || !k.Passphrase.IsZero() {
				t.Error("the change is shown the private part")
			}
			test.change(k)
			return nil
		})
		if err != nil || updated.Name != test.name || updated.Description != test.description || updated.HasPassphrase != (test.passphrase != "") || updated.CreatedBy != "ann" {
			t.Fatalf("%s: %+v, %v", test.what, updated, err)
		}
		if made, err = c.Server(ctx, "bound"); err != nil {
			t.Fatal(err)
		}
		if key := made.Shell.Key; key.Name != test.name || key.Private.Reveal() != test.private || key.Passphrase.Reveal() != test.passphrase {
			t.Errorf("%s: the server has %q, %q, %q", test.what, key.Name, key.Private.Reveal(), key.Passphrase.Reveal())
		}
		if made.Revision <= before {
			t.Errorf("%s: nobody will see it", test.what)
		}
	}
	if now, err := c.Server(ctx, "free"); err != nil || now.Revision != other.Revision {
		t.Errorf("a server without the key has changed: %v", err)
	}
}

func TestBindSSHKey(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	a, b := newKey(t, c, "a"), newKey(t, c, "b")
	if _, err := c.CreateServer(ctx, exampleServer("db")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what   string
		change func(*target.ShellKey)
		want   string
	}{
		{"by name", func(k *target.ShellKey) { *k = target.ShellKey{Name: "a"} }, "a"},
		{"not at all", func(*target.ShellKey) {}, "a"},
		{"by the name alone changed", func(k *target.ShellKey) { k.Name = "b" }, "b"},
		{"by the id alone changed", func(k *target.ShellKey) { k.ID = a.ID }, "a"},
		{"by id", func(k *target.ShellKey) { *k = target.ShellKey{ID: b.ID} }, "b"},
		{"none", func(k *target.ShellKey) { *k = target.ShellKey{} }, ""},
	} {
		updated, err := c.UpdateServer(ctx, "db", func(n *target.Target) error { test.change(&n.Shell.Key); return nil })
		if err != nil || updated.Shell.Key.Name != test.want || updated.Shell.Key.Private.IsZero() != (test.want == "") {
			t.Errorf("bound %s: %+v, %v", test.what, updated.Shell.Key, err)
		}
		if now, err := c.Server(ctx, "db"); err != nil || !now.SameShell(updated) {
			t.Errorf("bound %s: stored %+v, %v", test.what, now.Shell, err)
		}
	}
	for what, key := range map[string]target.ShellKey{"name": {Name: "nobody's"}, "id": {ID: 1 << 40}} {
		_, err := c.UpdateServer(ctx, "db", func(n *target.Target) error { n.Shell.Key = key; return nil })
		if !errors.Is(err, target.ErrInvalid) || !strings.Contains(err.Error(), "ssh_key") {
			t.Errorf("an unknown %s: %v", what, err)
		}
	}
	missing := exampleServer("other")
	missing.Shell.Key.Name = "nobody's"
	if _, err := c.CreateServer(ctx, missing); !errors.Is(err, target.ErrInvalid) {
		t.Errorf("created with an unknown key: %v", err)
	}
}

// A key that is broken, swapped or gone is a fault of the servers bound to it and
// hides neither them nor their passwords.
func TestBrokenSSHKey(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"a byte":              `update pgam.ssh_key set private_sealed = set_byte(private_sealed, 20, get_byte(private_sealed, 20) # 1) where name = 'a'`,
		"another row":         `update pgam.ssh_key set private_sealed = (select private_sealed from pgam.ssh_key where name = 'b') where name = 'a'`,
		"another cell":        `update pgam.ssh_key set private_sealed = passphrase_sealed where name = 'a'`,
		"passphrase's byte":   `update pgam.ssh_key set passphrase_sealed = set_byte(passphrase_sealed, 20, get_byte(passphrase_sealed, 20) # 1) where name = 'a'`,
		"row without its key": `alter table pgam.server drop constraint server_ssh_key_id_fkey; delete from pgam.ssh_key where name = 'a'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dsn := openCatalog(t)
			for _, n := range []string{"a", "b"} {
				newKey(t, c, n)
				server := exampleServer(n)
				server.Shell.Key.Name = n
				if _, err := c.CreateServer(t.Context(), server); err != nil {
					t.Fatal(err)
				}
			}
			pgtest.Exec(t, dsn, tamper)
			list, faults, err := c.ListServers(t.Context())
			if err != nil || len(list) != 2 {
				t.Fatalf("%d servers, %v", len(list), err)
			}
			broken, whole := list[0], list[1]
			fault, ok := errors.AsType[*target.SecretsError](faults[broken.ID])
			if !ok || !errors.Is(fault, secret.ErrSealBroken) || fault.Password != nil || fault.Shell == nil {
				t.Errorf("the fault is %v", faults[broken.ID])
			}
			if !broken.Shell.Key.Private.IsZero() || !broken.Shell.Key.Passphrase.IsZero() || broken.Shell.Key.ID == 0 {
				t.Errorf("given %+v", broken.Shell.Key)
			}
			if broken.Endpoint.Password.Reveal() != "s3cret-pg" {
				t.Error("the password of PostgreSQL suffers")
			}
			if whole.Shell.Key.Private.Reveal() != "s3cret-pem" || faults[whole.ID] != nil {
				t.Errorf("the other server suffers: %v", faults[whole.ID])
			}
			// Another key heals it.
			if _, err := c.UpdateServer(t.Context(), "a", func(n *target.Target) error { n.Shell.Key = target.ShellKey{Name: "b"}; return nil }); err != nil {
				t.Error(err)
			}
			if _, err := c.Server(t.Context(), "a"); err != nil {
				t.Errorf("after another key: %v", err)
			}
		})
	}
}
