package account_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/account"
)

func TestRole_Allows(t *testing.T) {
	t.Parallel()
	roles := account.Roles()
	for i, role := range roles {
		for j, least := range roles {
			if got, want := role.Allows(least), i >= j; got != want {
				t.Errorf("%s allows %s: %t, want %t", role, least, got, want)
			}
		}
		for _, unknown := range []account.Role{"", "root", "Admin"} {
			if role.Allows(unknown) || unknown.Allows(role) || unknown.Allows(unknown) {
				t.Errorf("the unknown role %q takes part with %s", unknown, role)
			}
		}
	}
}

func TestParseRole(t *testing.T) {
	t.Parallel()
	for _, role := range account.Roles() {
		if got, err := account.ParseRole(string(role)); err != nil || got != role {
			t.Errorf("ParseRole(%q) = %q, %v", role, got, err)
		}
	}
	for _, name := range []string{"", "ADMIN", " admin", "admin ", "superuser", "admin\x00"} {
		if got, err := account.ParseRole(name); !errors.Is(err, account.ErrInvalid) || got != "" {
			t.Errorf("ParseRole(%q) = %q, %v", name, got, err)
		}
	}
}

func TestValidateLogin(t *testing.T) {
	t.Parallel()
	for _, login := range []string{"a", "admin", "дежурный", "o'brien", "first last", "x@example.org", strings.Repeat("x", account.MaxLoginBytes)} {
		if err := account.ValidateLogin(login); err != nil {
			t.Errorf("%q: %v", login, err)
		}
	}
	for _, login := range []string{
		"", " ", " a", "a ", "a\n", "a\nb", "a\x00b", "\xff", "a\tb", "a\u202eb", "a\u200bb", "a\u00a0b", "\ufeffadmin",
		strings.Repeat("x", account.MaxLoginBytes+1), strings.Repeat("д", account.MaxLoginBytes/2+1),
	} {
		if err := account.ValidateLogin(login); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", login, err)
		}
	}
}

func TestUser_PrintsNoHash(t *testing.T) {
	t.Parallel()
	user := account.User{ID: 7, Login: "ann", PasswordHash: "canary", Role: account.Operator}
	var out strings.Builder
	fmt.Fprintf(&out, "%v %+v %#v %s %v", user, user, user, user, &user)
	slog.New(slog.NewTextHandler(&out, nil)).Info("logged", "user", user)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("logged", "user", &user)
	if strings.Contains(out.String(), "canary") || strings.Count(out.String(), "ann") != 7 {
		t.Errorf("printed: %s", out.String())
	}
}
