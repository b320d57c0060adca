package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
)

// maxLoginBytes bounds the body of a login.
const maxLoginBytes = 16 << 10

// registerSession adds /session, for web pages, and /me.
func (r routes) registerSession(op func(id, method, path, summary, tag string) huma.Operation) {
	const path, tag = "/session", "who asks"
	begin := op("begin-session", http.MethodPost, path, "Log a browser in: gives it a cookie", tag)
	begin.MaxBodyBytes = maxLoginBytes
	route.Register(r.Group, begin, "", []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable,
	}, r.beginSession)
	route.Register(r.Group, op("session", http.MethodGet, path, "The session of the cookie", tag), account.Viewer, []int{http.StatusNotFound}, r.session)
	end := op("end-session", http.MethodDelete, path, "Log the browser out: the cookie counts nowhere any more, within three seconds", tag)
	route.Register(r.Group, end, account.Viewer, []int{http.StatusNotFound}, r.endSession)
	route.Register(r.Group, op("me", http.MethodGet, "/me", "Who asks", tag), account.Viewer, nil, r.me)
}

type loginInput struct {
	FetchSite string `header:"Sec-Fetch-Site" hidden:"true"`
	Body      struct {
		Username string `json:"username"`
		Password string `json:"password" format:"password"`
	}
}

type sessionBody struct {
	Username  string    `json:"username"`
	Role      string    `json:"role" enum:"viewer,operator,admin"`
	CSRFToken string    `json:"csrf_token" doc:"To be sent as X-CSRF-Token with whatever changes something."`
	ExpiresAt time.Time `json:"expires_at" doc:"If nothing more is asked until then."`
}

type sessionOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      sessionBody
}

func loginOf(c route.Caller) sessionBody {
	return sessionBody{Username: c.User.Login, Role: string(c.User.Role), CSRFToken: c.CSRF(), ExpiresAt: utc(c.Expires)}
}

func (r routes) beginSession(ctx context.Context, in *loginInput) (*sessionOutput, error) {
	// Another site's page must not log its visitors in as somebody of its own.
	if in.FetchSite == "cross-site" {
		return nil, route.NewError(http.StatusForbidden, "Another site's page may not log in")
	}
	caller, cookie, err := r.BeginSession(ctx, in.Body.Username, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return &sessionOutput{*cookie, loginOf(caller)}, nil
}

// byCookie gives the browser that asks.
func byCookie(ctx context.Context) (route.Caller, error) {
	caller := route.CallerOf(ctx)
	if !caller.ByCookie() {
		return caller, route.NewError(http.StatusNotFound, "There is no session: a token came with the request")
	}
	return caller, nil
}

func (routes) session(ctx context.Context, _ *struct{}) (*output[sessionBody], error) {
	caller, err := byCookie(ctx)
	if err != nil {
		return nil, err
	}
	return say(loginOf(caller)), nil
}

type sessionEnd struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (r routes) endSession(ctx context.Context, _ *struct{}) (*sessionEnd, error) {
	if _, err := byCookie(ctx); err != nil {
		return nil, err
	}
	gone, err := r.CloseSession(ctx)
	if err != nil {
		return nil, err
	}
	return &sessionEnd{*gone}, nil
}

type meBody struct {
	Username    string     `json:"username"`
	Role        string     `json:"role" enum:"viewer,operator,admin"`
	CreatedAt   time.Time  `json:"created_at"`
	LastLoginAt *time.Time `json:"last_login_at" doc:"As last read: the login that this request came with may not be in it."`
	Via         string     `json:"via" enum:"cookie,token" doc:"What the request came with."`
	ExpiresAt   time.Time  `json:"expires_at" doc:"When that is over."`
}

func (routes) me(ctx context.Context, _ *struct{}) (*output[meBody], error) {
	caller := route.CallerOf(ctx)
	u := caller.User
	via := "token"
	if caller.ByCookie() {
		via = "cookie"
	}
	return say(meBody{
		Username: u.Login, Role: string(u.Role), CreatedAt: utc(u.CreatedAt), LastLoginAt: utcOrNull(u.LastLoginAt), Via: via, ExpiresAt: utc(caller.Expires),
	}), nil
}
