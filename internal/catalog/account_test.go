package catalog

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/pgtest"
)

func TestAccountLife(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	if n, err := c.CountAccounts(ctx); err != nil || n != 0 {
		t.Fatalf("%d accounts, %v", n, err)
	}
	made, err := c.CreateAccount(ctx, account.User{Login: "jörg 'o", PasswordHash: "$2a$hash", Role: account.Operator, Active: true})
	if err != nil {
		t.Fatal(err)
	}
	if made.ID == 0 || made.Role != account.Operator || !made.Active || made.LastLoginAt != nil || made.CreatedAt.IsZero() {
		t.Errorf("made %+v", made)
	}
	if _, err := c.CreateAccount(ctx, made); !errors.Is(err, account.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	for _, bad := range []account.User{{Login: "", Role: account.Viewer}, {Login: "x", Role: "root"}, {Login: "nul\x00", Role: account.Viewer}} {
		if _, err := c.CreateAccount(ctx, bad); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%q as %q: %v", bad.Login, bad.Role, err)
		}
	}
	here := account.NewLoginAttempt(netip.MustParseAddr("192.0.2.7"), made.Login)
	if err := c.NoteLogin(ctx, made.ID, here, true); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPassword(ctx, made.Login, "$2a$newer"); err != nil {
		t.Fatal(err)
	}
	read, err := c.Account(ctx, made.Login)
	if err != nil || read.PasswordHash != "$2a$newer" || read.TokenEpoch == made.TokenEpoch || read.LastLoginAt == nil {
		t.Errorf("read %+v (hash %q), %v", read, read.PasswordHash, err)
	}
	if _, err := c.CreateAccount(ctx, account.User{Login: "alice", PasswordHash: "x", Role: account.Viewer}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListAccounts(ctx)
	if err != nil || len(list) != 2 || list[0].Login != "alice" || list[0].Active {
		t.Errorf("listed %v, %v", list, err)
	}
	if err := c.DeleteAccount(ctx, made.Login, true); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"delete":   c.DeleteAccount(ctx, made.Login, true),
		"password": c.SetPassword(ctx, "nobody", "x"),
		"login":    c.NoteLogin(ctx, made.ID, here, true),
		"read":     func() error { _, err := c.Account(ctx, "bad\xff"); return err }(),
	} {
		if !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := c.CountAccounts(ctx); err != nil || n != 1 {
		t.Errorf("%d accounts, %v", n, err)
	}
}

// An epoch is drawn at random, and drawn anew by whatever changes what an
// account may do, in SQL too.
func TestTokenEpochsAreDrawnAnew(t *testing.T) {
	t.Parallel()
	c, dsn := openCatalog(t)
	seen := map[int64]string{}
	look := func(what string) account.User {
		t.Helper()
		u, err := c.Account(t.Context(), "ghost")
		if err != nil {
			t.Fatal(err)
		}
		if other, again := seen[u.TokenEpoch]; again || u.TokenEpoch < 1<<20 {
			t.Errorf("%s: epoch %d, as after: %q", what, u.TokenEpoch, other)
		}
		seen[u.TokenEpoch] = what
		return u
	}
	create := func(role account.Role) {
		t.Helper()
		if _, err := c.CreateAccount(t.Context(), account.User{Login: "ghost", PasswordHash: "$2a$hash", Role: role, Active: true}); err != nil {
			t.Fatal(err)
		}
	}
	create(account.Viewer)
	first := look("made")
	if err := c.SetPassword(t.Context(), "ghost", "$2a$hash"); err != nil {
		t.Fatal(err)
	}
	look("the same password set again")
	for _, change := range []string{"password_hash = '$2a$other'", "role = 'admin'", "active = false", "active = true"} {
		pgtest.Exec(t, dsn, "update pgam.account set "+change+" where login = 'ghost'")
		look(change)
	}
	before, err := c.Account(t.Context(), "ghost")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.NoteLogin(t.Context(), before.ID, account.NewLoginAttempt(netip.Addr{}, "ghost"), false); err != nil {
		t.Fatal(err)
	}
	if after, err := c.AccountByID(t.Context(), before.ID); err != nil || after.TokenEpoch != before.TokenEpoch {
		t.Errorf("a login: %v, %v", after, err)
	}
	if err := c.DeleteAccount(t.Context(), "ghost", true); err != nil {
		t.Fatal(err)
	}
	create(account.Admin)
	if again := look("made again"); again.ID == first.ID {
		t.Errorf("the id %d is given twice", again.ID)
	}
	if _, err := c.AccountByID(t.Context(), first.ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("the account that is gone: %v", err)
	}
}
