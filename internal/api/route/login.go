package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
)

// Login gives the user of this login and password, and counts and notes the
// attempt. Whatever is wrong with either, the answer is the same, and takes the
// same time.
func (g *Group) Login(ctx context.Context, login, password string) (account.User, error) {
	attempt := account.NewLoginAttempt(Client(ctx), login)
	from, err := g.Logins.Admit(ctx, attempt)
	if err != nil {
		return account.User{}, g.refuse(ctx, attempt, err)
	}
	user, err := g.Catalog.Account(ctx, attempt.Login)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return account.User{}, err
	}
	// A user that does not exist costs the same work.
	err = g.Passwords.Verify(ctx, from, user.PasswordHash, password)
	if err == nil && !user.Active {
		err = errDisabled
	}
	if err != nil {
		return account.User{}, g.refuse(ctx, attempt, err)
	}
	if err := g.Catalog.NoteLogin(ctx, user.ID, attempt, from.Known); err != nil {
		g.Log.WarnContext(ctx, "login was not noted", "login", user.Login, "error", err)
	}
	return user, nil
}

var errDisabled = fmt.Errorf("%w: the account is disabled", auth.ErrInvalidCredentials)

// refuse logs why somebody was not let in, and gives what they are told.
func (g *Group) refuse(ctx context.Context, attempt account.LoginAttempt, err error) error {
	reason := ""
	switch {
	case errors.Is(err, auth.ErrHashUnusable):
		reason = "the stored password hash is unusable: set the password again"
	case errors.Is(err, errDisabled):
		reason = "the account is disabled"
	case errors.Is(err, auth.ErrInvalidCredentials):
		reason = "no such login, or another password"
	case errors.Is(err, auth.ErrTooManyAttempts):
		reason = "too many from this address"
	case errors.Is(err, auth.ErrBusy):
		reason = "too many at once"
	default:
		return err
	}
	g.Logins.Refused(ctx, Client(ctx), attempt, reason, slog.String("request_id", RequestID(ctx)))
	if errors.Is(err, auth.ErrInvalidCredentials) {
		return NewError(http.StatusUnauthorized, "Invalid credentials")
	}
	return err
}
