package route

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
)

const (
	// SessionCookie is the cookie of a browser that is logged in.
	SessionCookie = "pgam_session"
	// CSRFHeader is sent with every change that is asked for by cookie.
	CSRFHeader = "X-CSRF-Token"
	// touchEvery is how exactly it is known when a session was last used.
	touchEvery = time.Minute
	// touchTimeout bounds the noting of it.
	touchTimeout = 2 * time.Second
)

// sessionCache reads each session at most once in userTTL: one that is ended is
// dead everywhere after it.
type sessionCache struct {
	stored *catalog.Catalog
	cache  *otter.Cache[[sha256.Size]byte, account.Session]
}

func newSessionCache(stored *catalog.Catalog) (*sessionCache, error) {
	cache, err := otter.New(&otter.Options[[sha256.Size]byte, account.Session]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[[sha256.Size]byte, account.Session](userTTL), Logger: &otter.NoopLogger{},
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of sessions: %w", err)
	}
	return &sessionCache{stored, cache}, nil
}

func (c *sessionCache) get(ctx context.Context, hash [sha256.Size]byte) (account.Session, error) {
	return c.cache.Get(ctx, hash, otter.LoaderFunc[[sha256.Size]byte, account.Session](func(ctx context.Context, hash [sha256.Size]byte) (account.Session, error) {
		// Others may wait for this answer, so nobody's leaving ends it.
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), userReadTimeout, fmt.Errorf("read session: deadline %s", userReadTimeout))
		defer cancel()
		return c.stored.Session(ctx, hash)
	}))
}

// byCookie gives who a session is of.
func (g *Group) byCookie(ctx context.Context, token auth.SessionToken) (Caller, error) {
	unknown := NewError(http.StatusUnauthorized, "Not logged in, or no longer: log in again")
	hash, ok := token.Hash()
	if !ok {
		return Caller{}, unknown
	}
	session, err := g.sessions.get(ctx, hash)
	if errors.Is(err, account.ErrNoSession) {
		return Caller{}, unknown
	}
	if err != nil {
		return Caller{}, err
	}
	user, err := g.userFor(ctx, session.UserID, func(u account.User) error { return g.Sessions.Check(session, u, g.Now()) })
	switch {
	case errors.Is(err, auth.ErrTokenExpired), errors.Is(err, auth.ErrTokenRevoked), errors.Is(err, account.ErrNotFound):
		return Caller{}, unknown
	case err != nil:
		return Caller{}, err
	}
	return Caller{User: user, Expires: g.Sessions.End(session), session: &session, token: token}, nil
}

// touch notes that a session is used. What cannot be noted costs nobody an
// answer, nor much of its time.
func (g *Group) touch(ctx context.Context, c *Caller) {
	now := g.Now()
	if c.session == nil || now.Sub(c.session.UsedAt) < touchEvery {
		return
	}
	hash, _ := c.token.Hash()
	noting, cancel := context.WithTimeoutCause(ctx, touchTimeout, fmt.Errorf("note use of session: deadline %s", touchTimeout))
	defer cancel()
	if err := g.Catalog.TouchSession(noting, hash); err != nil {
		g.Log.WarnContext(ctx, "use of a session was not noted", "request_id", RequestID(ctx), "error", err)
		return
	}
	used := *c.session
	used.UsedAt = now.UTC()
	c.session, c.Expires = &used, g.Sessions.End(used)
	g.sessions.cache.Invalidate(hash)
}

// BeginSession logs a browser in. It gives who asks, and the cookie to send.
func (g *Group) BeginSession(ctx context.Context, login, password string) (Caller, *http.Cookie, error) {
	user, err := g.Login(ctx, login, password)
	if err != nil {
		return Caller{}, nil, err
	}
	token := auth.NewSessionToken()
	hash, _ := token.Hash()
	session, err := g.Catalog.CreateSession(ctx, hash, user, g.Sessions.Absolute)
	if err != nil {
		return Caller{}, nil, err
	}
	cookie := sessionCookie(ctx, string(token)) //nolint:gosec // Secure where the connection is
	cookie.MaxAge = int(g.Sessions.Absolute / time.Second)
	return Caller{User: user, Expires: g.Sessions.End(session), session: &session, token: token}, cookie, nil
}

// CloseSession ends the session of who asks: here at once, in other processes
// within userTTL. It gives a cookie that takes the browser's away.
func (g *Group) CloseSession(ctx context.Context) (*http.Cookie, error) {
	c := CallerOf(ctx)
	hash, _ := c.token.Hash()
	if err := g.Catalog.DeleteSession(ctx, hash); err != nil {
		return nil, err
	}
	g.sessions.cache.Invalidate(hash)
	gone := sessionCookie(ctx, "") //nolint:gosec // as above
	gone.MaxAge = -1
	return gone, nil
}

func sessionCookie(ctx context.Context, value string) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // as above
		Name: SessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: isSecure(ctx),
	}
}

type secureKey struct{}

// WithSecure notes that the browser's connection is encrypted.
func WithSecure(ctx context.Context) context.Context {
	return context.WithValue(ctx, secureKey{}, true)
}

func isSecure(ctx context.Context) bool {
	secure, _ := ctx.Value(secureKey{}).(bool)
	return secure
}
