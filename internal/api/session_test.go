package api_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/pgtest"
)

const sessionPath = "/api/v1/session"

// visitor is a browser with a cookie and no token.
type visitor struct {
	*site

	cookie, csrf string
}

// ask sends what a page in it would.
func (b *visitor) ask(method, path, body string, header ...string) answer {
	b.t.Helper()
	req := must[*http.Request](b.t)(http.NewRequestWithContext(b.t.Context(), method, b.URL+path, strings.NewReader(body)))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", "other=1; pgam_session="+b.cookie)
	}
	if b.csrf != "" {
		req.Header.Set("X-CSRF-Token", b.csrf)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return b.do(req)
}

// browse logs a browser in.
func (a *site) browse(role account.Role) *visitor {
	a.t.Helper()
	b := &visitor{site: a}
	r := a.want(200, b.ask(http.MethodPost, sessionPath, `{"username":"`+string(role)+`","password":"`+password+`"}`))
	cookies := must[[]*http.Cookie](a.t)(http.ParseCookie(strings.Split(r.Header.Get("Set-Cookie"), ";")[0]))
	b.cookie, b.csrf = cookies[0].Value, a.row(r)["csrf_token"].(string)
	return b
}

// A browser logs in, finds its token again after a reload, changes something
// with it and not without, and is out everywhere after it has logged out.
func TestBrowserSession(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	b := a.browse(account.Operator)
	me := a.row(a.want(200, b.ask(http.MethodGet, sessionPath, "")))
	ends, err := time.Parse(time.RFC3339, me["expires_at"].(string))
	if me["username"] != "operator" || me["role"] != "operator" || me["csrf_token"] != b.csrf || err != nil || time.Until(ends) > 12*time.Hour || time.Until(ends) < 11*time.Hour {
		t.Errorf("the session after a reload: %v", me)
	}
	if who := a.row(a.want(200, b.ask(http.MethodGet, "/api/v1/me", ""))); who["via"] != "cookie" || who["username"] != "operator" || who["last_login_at"] == nil {
		t.Errorf("who asks: %v", who)
	}
	if who := a.row(a.want(200, a.get("/api/v1/me"))); who["via"] != "token" {
		t.Errorf("who asks with a token: %v", who)
	}
	const server = `{"name":"x","host":"127.0.0.1","port":1,"user":"u"}`
	for _, wrong := range []string{"", "wrong", b.cookie, auth.SessionToken("another").CSRF()} {
		other := *b
		other.csrf = wrong
		if r := a.want(403, other.ask(http.MethodPost, "/api/v1/servers", server)); !strings.Contains(r.detail(t), "X-CSRF-Token") {
			t.Errorf("without the token: %s", r.Body)
		}
		a.want(403, other.ask(http.MethodDelete, sessionPath, ""))
	}
	a.want(201, b.ask(http.MethodPost, "/api/v1/servers", server))
	a.want(403, a.browse(account.Viewer).ask(http.MethodDelete, "/api/v1/servers/x", ""))
	// The Python contract knows tokens only, and a token counts before a cookie.
	a.want(401, b.ask(http.MethodGet, "/servers", ""))
	a.want(401, b.ask(http.MethodGet, "/api/v1/servers", "", "Authorization", "Bearer junk"))
	a.want(404, a.get(sessionPath))
	a.want(404, a.send(http.MethodDelete, sessionPath, "", ""))
	viewer := a.tokenOf(account.Viewer)
	if who := a.row(a.want(200, b.ask(http.MethodGet, "/api/v1/me", "", "Authorization", "Bearer "+viewer))); who["username"] != "viewer" || who["via"] != "token" {
		t.Errorf("both were sent: %v", who)
	}

	r := a.want(204, b.ask(http.MethodDelete, sessionPath, ""))
	if set := r.Header.Get("Set-Cookie"); !strings.HasPrefix(set, "pgam_session=;") || !strings.Contains(set, "Max-Age=0") {
		t.Errorf("the cookie is not taken away: %q", set)
	}
	a.want(401, b.ask(http.MethodGet, sessionPath, ""))
	for _, none := range []string{"", "junk", strings.Repeat("A", 43), strings.Repeat("A", 4000)} {
		a.want(401, (&visitor{site: a, cookie: none}).ask(http.MethodGet, sessionPath, ""))
	}
	if n := pgtest.Value[int](t, a.dsn, "select count(*) from pgam.session where token_hash::text like '%' || encode(convert_to($1, 'utf8'), 'hex') || '%'", b.cookie); n != 0 {
		t.Error("the token itself is stored")
	}
	for _, canary := range []string{b.cookie, b.csrf} {
		if strings.Contains(a.log.String(), canary) {
			t.Error("the log holds a session's secret")
		}
	}
}

// The cookie is only for pages of the origin, and for encrypted connections where
// the browser's is one.
func TestSessionCookie(t *testing.T) {
	t.Parallel()
	login := `{"username":"viewer","password":"` + password + `"}`
	cookie := func(a *site, header ...string) http.Cookie {
		r := a.want(200, (&visitor{site: a}).ask(http.MethodPost, sessionPath, login, header...))
		return *must[*http.Cookie](t)(http.ParseSetCookie(r.Header.Get("Set-Cookie")))
	}
	a := startAPI(t)
	c := cookie(a)
	if c.Name != "pgam_session" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure || c.Domain != "" || c.MaxAge != 7*24*3600 {
		t.Errorf("cookie %+v", c)
	}
	if cookie(a, "X-Forwarded-Proto", "https").Secure {
		t.Error("a client's word was taken for a proxy's")
	}
	proxied := startAPI(t, func(c *api.Config) { c.TrustedProxies = []string{"127.0.0.0/8", "::1"} })
	if !cookie(proxied, "X-Forwarded-Proto", "https").Secure || cookie(proxied, "X-Forwarded-Proto", "http").Secure {
		t.Error("a trusted proxy's word was not taken")
	}
	encrypted := httptest.NewUnstartedServer(a.Config.Handler)
	encrypted.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	client := encrypted.Client()
	client.Jar = must[*cookiejar.Jar](t)(cookiejar.New(nil))
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, encrypted.URL+sessionPath, strings.NewReader(login)))
	req.Header.Set("Content-Type", "application/json")
	res := must[*http.Response](t)(client.Do(req)) //nolint:bodyclose // below
	_ = res.Body.Close()
	if set := res.Cookies(); len(set) != 1 || !set[0].Secure {
		t.Errorf("over TLS: %v", set)
	}
	// What a browser's page of another site would send.
	a.want(403, (&visitor{site: a}).ask(http.MethodPost, sessionPath, login, "Sec-Fetch-Site", "cross-site"))
	a.want(415, (&visitor{site: a}).ask(http.MethodPost, sessionPath, login, "Content-Type", "text/plain"))
	for body, status := range map[string]int{
		`{"username":"viewer","password":"wrong-canary"}`: 401, `{"username":"nobody","password":"x"}`: 401, `{"username":"viewer"}`: 422, `{`: 400,
	} {
		if r := a.want(status, (&visitor{site: a}).ask(http.MethodPost, sessionPath, body)); r.Header.Get("Set-Cookie") != "" || strings.Contains(string(r.Body), "canary") {
			t.Errorf("refused with %s, cookie %q", r.Body, r.Header.Get("Set-Cookie"))
		}
	}
}

// Whatever ends an account's tokens ends its sessions, and so does time.
func TestWhatEndsSessions(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	a := startAPI(t, func(c *api.Config) {
		c.Services.Now = now
		c.Services.Sessions = auth.Lifetimes{Idle: time.Hour, Absolute: 3 * time.Hour}
	})
	// Each API asks stats_db anew, as another process would.
	elsewhere := func(b *visitor) int {
		other := httptest.NewServer(must[http.Handler](t)(api.New(api.Config{Services: a.services})))
		defer other.Close()
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, other.URL+sessionPath, http.NoBody))
		req.Header.Set("Cookie", "pgam_session="+b.cookie)
		res := must[*http.Response](t)(http.DefaultClient.Do(req)) //nolint:bodyclose // below
		_ = res.Body.Close()
		return res.StatusCode
	}
	for what, sql := range map[string]string{
		"another password": "update pgam.account set password_hash = password_hash || ' ' where login = 'viewer'",
		"another role":     "update pgam.account set role = 'admin' where login = 'viewer'",
		"disabled":         "update pgam.account set active = false where login = 'admin'",
		"deleted":          "delete from pgam.account where login = 'operator'",
	} {
		role := map[string]account.Role{"disabled": account.Admin, "deleted": account.Operator}[what]
		b := a.browse(max(role, "viewer"))
		if role != "" {
			b = a.browse(role)
		}
		if got := elsewhere(b); got != 200 {
			t.Fatalf("%s: %d before", what, got)
		}
		pgtest.Exec(t, a.dsn, sql)
		if got := elsewhere(b); got != 401 {
			t.Errorf("%s: %d, want 401", what, got)
		}
		pgtest.Exec(t, a.dsn, "update pgam.account set password_hash = trim(password_hash), role = 'viewer' where login = 'viewer'")
	}
	b := a.browse(account.Viewer)
	// Used every 50 minutes it goes on, up to its whole life.
	for range 3 {
		ahead.Add(int64(50 * time.Minute))
		a.want(200, b.ask(http.MethodGet, sessionPath, ""))
		pgtest.Exec(t, a.dsn, "update pgam.session set used_at = '"+now().Format(time.RFC3339Nano)+"'") // by its own clock it is a moment
		if got := elsewhere(b); got != 200 {
			t.Fatalf("%d while it is used", got)
		}
	}
	ahead.Add(int64(31 * time.Minute))
	if got := elsewhere(b); got != 401 {
		t.Errorf("%d after its whole life", got)
	}
	ahead.Store(0)
	idle := a.browse(account.Viewer)
	ahead.Store(int64(61 * time.Minute))
	if got := elsewhere(idle); got != 401 {
		t.Errorf("%d after an idle hour", got)
	}
}

// An EventSource sends nothing but the cookie; the stream ends with the session.
func TestStreamByCookie(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.watched("pg", pgtest.Target(t))
	b := a.browse(account.Viewer)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req := must[*http.Request](t)(http.NewRequestWithContext(ctx, http.MethodGet, a.URL+"/api/v1/servers/pg/stream", http.NoBody))
	req.Header.Set("Cookie", "pgam_session="+b.cookie)
	res := must[*http.Response](t)(a.Client().Do(req)) //nolint:bodyclose // below
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	ended := false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		switch lines.Text() {
		case "event: tick":
			if !ended {
				ended = true
				a.want(204, b.ask(http.MethodDelete, sessionPath, ""))
			}
		case "event: end":
			return
		}
	}
	t.Error("the stream did not end with the session")
}
