package catalog

import (
	"errors"
	"testing"

	"github.com/pgam/pgam/internal/account"
)

func TestChangeAccount(t *testing.T) {
	t.Parallel()
	c, _ := openCatalog(t)
	ctx := t.Context()
	add := func(login string, role account.Role) account.User {
		t.Helper()
		u, err := c.CreateAccount(ctx, account.User{Login: login, PasswordHash: "hash", Role: role, Active: true})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	viewer, admin, off, other := account.Viewer, account.Admin, false, "other"
	first := add("first", account.Admin)
	for what, err := range map[string]error{
		"demoted": second(c.ChangeAccount(ctx, "first", account.Change{Role: &viewer})),
		"stopped": second(c.ChangeAccount(ctx, "first", account.Change{Active: &off})),
		"deleted": c.DeleteAccount(ctx, "first", false),
	} {
		if !errors.Is(err, account.ErrLastAdmin) {
			t.Errorf("the last administrator %s: %v", what, err)
		}
	}
	ann := add("ann", account.Viewer)
	changed, err := c.ChangeAccount(ctx, "ann", account.Change{Role: &admin})
	if err != nil || changed.Role != account.Admin || changed.TokenEpoch == ann.TokenEpoch || changed.PasswordHash != "hash" {
		t.Errorf("another role: %v %v, its tokens stay: %t", changed, err, changed.TokenEpoch == ann.TokenEpoch)
	}
	changed, err = c.ChangeAccount(ctx, "first", account.Change{Role: &viewer, PasswordHash: &other})
	if err != nil || changed.Role != account.Viewer || changed.TokenEpoch == first.TokenEpoch || changed.PasswordHash != "other" {
		t.Errorf("another password: %v %v, its tokens stay: %t", changed, err, changed.TokenEpoch == first.TokenEpoch)
	}
	stopped, err := c.ChangeAccount(ctx, "first", account.Change{Active: &off})
	if err != nil || stopped.Active || stopped.TokenEpoch == changed.TokenEpoch {
		t.Errorf("stopped: %v %v, its tokens stay: %t", stopped, err, stopped.TokenEpoch == changed.TokenEpoch)
	}
	no := account.Role("root")
	if _, err := c.ChangeAccount(ctx, "ann", account.Change{Role: &no}); !errors.Is(err, account.ErrInvalid) {
		t.Errorf("no role: %v", err)
	}
	for _, nobody := range []string{"nobody", "", "a\x00b"} {
		if _, err := c.ChangeAccount(ctx, nobody, account.Change{Role: &admin}); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("%q: %v", nobody, err)
		}
	}
	if err := c.DeleteAccount(ctx, "ann", true); err != nil {
		t.Errorf("even the last administrator: %v", err)
	}
	if err := c.DeleteAccount(ctx, "first", false); err != nil {
		t.Errorf("one who is none goes, though there is none: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
