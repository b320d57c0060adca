package store

import (
	"errors"
	"testing"

	"github.com/pgam/pgam/internal/account"
)

func TestAccountLife(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	ctx := t.Context()
	if n, err := s.CountAccounts(ctx); err != nil || n != 0 {
		t.Fatalf("%d accounts, %v", n, err)
	}
	made, err := s.CreateAccount(ctx, account.User{Login: "jörg 'o", PasswordHash: "$2a$hash", Role: account.Operator, Active: true})
	if err != nil {
		t.Fatal(err)
	}
	if made.ID == 0 || made.Role != account.Operator || !made.Active || made.LastLoginAt != nil || made.CreatedAt.IsZero() {
		t.Errorf("made %+v", made)
	}
	if _, err := s.CreateAccount(ctx, made); !errors.Is(err, account.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	for _, bad := range []account.User{{Login: "", Role: account.Viewer}, {Login: "x", Role: "root"}, {Login: "nul\x00", Role: account.Viewer}} {
		if _, err := s.CreateAccount(ctx, bad); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%q as %q: %v", bad.Login, bad.Role, err)
		}
	}
	if err := s.TouchLogin(ctx, made.Login); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPassword(ctx, made.Login, "$2a$newer"); err != nil {
		t.Fatal(err)
	}
	read, err := s.Account(ctx, made.Login)
	if err != nil || read.PasswordHash != "$2a$newer" || read.TokenEpoch != made.TokenEpoch+1 || read.LastLoginAt == nil {
		t.Errorf("read %+v (hash %q), %v", read, read.PasswordHash, err)
	}
	if _, err := s.CreateAccount(ctx, account.User{Login: "alice", PasswordHash: "x", Role: account.Viewer}); err != nil {
		t.Fatal(err)
	}
	list, err := s.ListAccounts(ctx)
	if err != nil || len(list) != 2 || list[0].Login != "alice" || list[0].Active {
		t.Errorf("listed %v, %v", list, err)
	}
	if err := s.DeleteAccount(ctx, made.Login); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"delete":   s.DeleteAccount(ctx, made.Login),
		"password": s.SetPassword(ctx, "nobody", "x"),
		"login":    s.TouchLogin(ctx, "nul\x00"),
		"read":     func() error { _, err := s.Account(ctx, "bad\xff"); return err }(),
	} {
		if !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := s.CountAccounts(ctx); err != nil || n != 1 {
		t.Errorf("%d accounts, %v", n, err)
	}
}
