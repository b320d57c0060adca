package route

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/maypok86/otter/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
)

// userTTL is how long a user is believed to be as last read: a revoked token
// dies everywhere within it.
const userTTL = 3 * time.Second

// userCache reads each user at most once in userTTL.
type userCache struct {
	accounts *catalog.Catalog
	cache    *otter.Cache[int64, account.User]
}

func newUserCache(accounts *catalog.Catalog) (*userCache, error) {
	cache, err := otter.New(&otter.Options[int64, account.User]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[int64, account.User](userTTL), Logger: &otter.NoopLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of users: %w", err)
	}
	return &userCache{accounts, cache}, nil
}

func (u *userCache) get(ctx context.Context, id int64) (account.User, error) {
	return u.cache.Get(ctx, id, otter.LoaderFunc[int64, account.User](func(ctx context.Context, id int64) (account.User, error) {
		// Others may wait for this answer, so nobody's leaving ends it.
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), userReadTimeout, fmt.Errorf("read user: deadline %s", userReadTimeout))
		defer cancel()
		return u.accounts.AccountByID(ctx, id)
	}))
}

// userReadTimeout bounds one reading of a user.
const userReadTimeout = 5 * time.Second

type userKey struct{}

// User gives who asks; ok is false for an operation that anybody may call.
func User(ctx context.Context) (user account.User, ok bool) {
	user, ok = ctx.Value(userKey{}).(account.User)
	return user, ok
}

// Needs returns 403 unless who asks may do what least may; what says what needs
// it.
func Needs(ctx context.Context, least account.Role, what string) error {
	if user, _ := User(ctx); !user.Role.Allows(least) {
		return NewError(http.StatusForbidden, what+" needs the role "+string(least)+"; yours is "+string(user.Role))
	}
	return nil
}

// MayPurge returns 403 where a history is to be removed and not by an admin.
func MayPurge(ctx context.Context, purge bool) error {
	if !purge {
		return nil
	}
	return Needs(ctx, account.Admin, "Removing the history")
}

// authorize lets those pass who have a token in force and the operation's
// role.
func (g *Group) authorize(ctx huma.Context, next func(huma.Context)) {
	header := ctx.Header("Authorization")
	user, claims, err := g.identify(ctx.Context(), header)
	if err != nil {
		g.write(ctx, err)
		return
	}
	for _, requirement := range ctx.Operation().Security {
		for _, least := range requirement[scheme] {
			if !user.Role.Allows(account.Role(least)) {
				g.write(ctx, NewError(http.StatusForbidden, "This needs the role "+least+"; yours is "+string(user.Role)))
				return
			}
		}
	}
	ctx = huma.WithValue(huma.WithValue(ctx, userKey{}, user), claimsKey{}, claims)
	next(huma.WithValue(ctx, headerKey{}, header))
}

type (
	claimsKey struct{}
	headerKey struct{}
)

// RenewToken gives who asks another token of the same login.
func (g *Group) RenewToken(ctx context.Context) (token string, err error) {
	user, _ := User(ctx)
	claims, _ := ctx.Value(claimsKey{}).(auth.Claims)
	token, _, err = g.Tokens.Renew(claims, user, g.Now())
	if errors.Is(err, auth.ErrTokenExpired) {
		return "", NewError(http.StatusUnauthorized, "The login is too long ago: log in again")
	}
	return token, err
}

// EndSession ends every token of the login that who asks came with: here at
// once, in other processes within userTTL.
func (g *Group) EndSession(ctx context.Context) error {
	claims, _ := ctx.Value(claimsKey{}).(auth.Claims)
	if err := g.Catalog.EndSession(ctx, claims.UserID, claims.Session, claims.SessionEnd()); err != nil {
		return err
	}
	g.users.cache.Invalidate(claims.UserID)
	return nil
}

// Recheck says whether who asks may still ask: an answer that goes on for long
// asks it now and then. The error is as for a new request.
func (g *Group) Recheck(ctx context.Context) error {
	header, _ := ctx.Value(headerKey{}).(string)
	user, _, err := g.identify(ctx, header)
	if err != nil {
		return err
	}
	if before, ok := User(ctx); ok && user.Role != before.Role {
		return NewError(http.StatusForbidden, "Your role was changed: ask again")
	}
	return nil
}

// identify gives the user that the token in a header names, and the token. The texts of its statuses are
// the Python contract's.
func (g *Group) identify(ctx context.Context, header string) (account.User, auth.Claims, error) {
	kind, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(kind, "bearer") || token == "" {
		return account.User{}, auth.Claims{}, NewError(http.StatusUnauthorized, "Not authenticated").with("WWW-Authenticate", "Bearer")
	}
	claims, err := g.Tokens.Parse(token)
	switch {
	case errors.Is(err, auth.ErrTokenExpired):
		return account.User{}, auth.Claims{}, NewError(http.StatusUnauthorized, "Token expired")
	case err != nil:
		g.Log.DebugContext(ctx, "token refused", "request_id", RequestID(ctx), "error", err)
		return account.User{}, auth.Claims{}, NewError(http.StatusUnauthorized, "Invalid token")
	}
	user, err := g.users.get(ctx, claims.UserID)
	if err == nil && claims.Check(user) != nil {
		// It may be newer than what is remembered of the user: a login right
		// after a change of the password.
		g.users.cache.Invalidate(claims.UserID)
		user, err = g.users.get(ctx, claims.UserID)
	}
	switch {
	case errors.Is(err, account.ErrNotFound):
		return account.User{}, auth.Claims{}, NewError(http.StatusUnauthorized, "Invalid credentials")
	case err != nil:
		return account.User{}, auth.Claims{}, err
	}
	if claims.Check(user) != nil {
		return account.User{}, auth.Claims{}, NewError(http.StatusUnauthorized, "Invalid token")
	}
	return user, claims, nil
}
