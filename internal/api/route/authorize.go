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

// userFor gives a user that check takes. One that it does not may be newer than
// what is remembered: a login right after a change of the password.
func (g *Group) userFor(ctx context.Context, id int64, check func(account.User) error) (account.User, error) {
	user, err := g.users.get(ctx, id)
	if err == nil && check(user) != nil {
		g.users.cache.Invalidate(id)
		user, err = g.users.get(ctx, id)
	}
	if err != nil {
		return user, err
	}
	return user, check(user)
}

// Caller is who asks, and what shows it.
type Caller struct {
	User    account.User
	Expires time.Time // when what shows it is over

	header  string      // as it was sent, of a token
	claims  auth.Claims // of a token
	session *account.Session
	token   auth.SessionToken // of the session
}

// ByCookie reports whether it is a browser that is logged in, and not a token.
func (c Caller) ByCookie() bool { return c.session != nil }

// CSRF is what the browser must send with changes.
func (c Caller) CSRF() string { return c.token.CSRF() }

type callerKey struct{}

// CallerOf gives who asks; the zero one for an operation that anybody may call.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// User gives who asks; ok is false for an operation that anybody may call.
func User(ctx context.Context) (user account.User, ok bool) {
	c := CallerOf(ctx)
	return c.User, c.User.ID != 0
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

// authorize lets those pass who have a token or a session in force, and the
// operation's role.
func (g *Group) authorize(ctx huma.Context, next func(huma.Context)) {
	caller, err := g.identify(ctx.Context(), ctx.Header("Authorization"), g.cookie(ctx))
	if err == nil && caller.ByCookie() && changes(ctx.Method()) && !caller.token.CheckCSRF(ctx.Header(CSRFHeader)) {
		err = NewError(http.StatusForbidden, "A change that is asked for by cookie needs the header "+CSRFHeader+" with the csrf_token of GET /api/v1/session")
	}
	if err != nil {
		g.write(ctx, err)
		return
	}
	g.touch(ctx.Context(), &caller)
	for _, requirement := range ctx.Operation().Security {
		for _, least := range requirement[scheme] {
			if !caller.User.Role.Allows(account.Role(least)) {
				err := error(NewError(http.StatusForbidden, "This needs the role "+least+"; yours is "+string(caller.User.Role)))
				if action, audited := ctx.Operation().Metadata[MetaAudit].(string); audited {
					err = g.auditRefusal(huma.WithValue(ctx, callerKey{}, caller), action, err)
				}
				g.write(ctx, err)
				return
			}
		}
	}
	next(huma.WithValue(ctx, callerKey{}, caller))
}

// changes says whether a method asks for more than an answer.
func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

// cookie gives the session's token that a request of v1 brings. The Python
// contract knows tokens only.
func (g *Group) cookie(ctx huma.Context) auth.SessionToken {
	if g.compat {
		return ""
	}
	cookies, _ := http.ParseCookie(ctx.Header("Cookie"))
	for _, c := range cookies {
		if c.Name == SessionCookie {
			return auth.SessionToken(c.Value)
		}
	}
	return ""
}

// RenewToken gives who asks another token of the same login.
func (g *Group) RenewToken(ctx context.Context) (token string, err error) {
	caller := CallerOf(ctx)
	token, _, err = g.Tokens.Renew(caller.claims, caller.User, g.Now())
	if errors.Is(err, auth.ErrTokenExpired) {
		return "", NewError(http.StatusUnauthorized, "The login is too long ago: log in again")
	}
	return token, err
}

// UserChanged forgets what is remembered of a user: here what was changed counts
// at once, in other processes within userTTL.
func (g *Group) UserChanged(id int64) { g.users.cache.Invalidate(id) }

// EndSession ends every token of the login that who asks came with: here at
// once, in other processes within userTTL.
func (g *Group) EndSession(ctx context.Context) error {
	claims := CallerOf(ctx).claims
	if err := g.Catalog.EndSession(ctx, claims.UserID, claims.Session, claims.SessionEnd()); err != nil {
		return err
	}
	g.users.cache.Invalidate(claims.UserID)
	return nil
}

// Recheck says whether who asks may still ask: an answer that goes on for long
// asks it now and then. The error is as for a new request.
func (g *Group) Recheck(ctx context.Context) error {
	before := CallerOf(ctx)
	now, err := g.identify(ctx, before.header, before.token)
	if err != nil {
		return err
	}
	if now.User.Role != before.User.Role {
		return NewError(http.StatusForbidden, "Your role was changed: ask again")
	}
	return nil
}

// identify gives who asks: by the token in a header, or where none is sent by a
// session. The texts of a token's statuses are the Python contract's.
func (g *Group) identify(ctx context.Context, header string, session auth.SessionToken) (Caller, error) {
	if header == "" && session != "" {
		return g.byCookie(ctx, session)
	}
	kind, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(kind, "bearer") || token == "" {
		return Caller{}, NewError(http.StatusUnauthorized, "Not authenticated").with("WWW-Authenticate", "Bearer")
	}
	claims, err := g.Tokens.Parse(token)
	switch {
	case errors.Is(err, auth.ErrTokenExpired):
		return Caller{}, NewError(http.StatusUnauthorized, "Token expired")
	case err != nil:
		g.Log.DebugContext(ctx, "token refused", "request_id", RequestID(ctx), "error", err)
		return Caller{}, NewError(http.StatusUnauthorized, "Invalid token")
	}
	user, err := g.userFor(ctx, claims.UserID, claims.Check)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return Caller{}, NewError(http.StatusUnauthorized, "Invalid credentials")
	case errors.Is(err, auth.ErrTokenRevoked):
		return Caller{}, NewError(http.StatusUnauthorized, "Invalid token")
	case err != nil:
		return Caller{}, err
	}
	return Caller{User: user, Expires: claims.ExpiresAt, header: header, claims: claims}, nil
}
