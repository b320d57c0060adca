package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/pgtest"
)

const form = "application/x-www-form-urlencoded"

func TestToken(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.token = ""
	encoded := url.Values{"username": {"viewer"}, "password": {password}, "scope": {""}}.Encode()
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	_ = w.WriteField("username", "viewer")
	_ = w.WriteField("password", password)
	_ = w.Close()
	tests := []struct {
		name, path, contentType, body string
		status                        int
		detail                        string
	}{
		{"encoded", "/token", form, encoded, 200, ""},
		{"under /api", "/api/token", form + "; charset=utf-8", encoded, 200, ""},
		{"no content type", "/token", "", encoded, 200, ""},
		{"not encoded", "/token", form, "grant_type=password&username=viewer&password=" + strings.ReplaceAll(password, "+", "%2b"), 200, ""},
		{"multipart", "/token", w.FormDataContentType(), multi.String(), 200, ""},
		{"wrong password", "/token", form, "username=viewer&password=wrong", 401, "Invalid credentials"},
		{"unknown user", "/token", form, "username=nobody&password=wrong", 401, "Invalid credentials"},
		{"empty", "/token", form, "username=&password=", 401, "Invalid credentials"},
		{"a NUL", "/token", form, "username=viewer&password=a%00b", 401, "Invalid credentials"},
		{"not text", "/token", form, "username=%ff%00&password=%ff", 401, "Invalid credentials"},
		{"very long", "/token", form, "username=viewer&password=" + strings.Repeat("x", 5000), 401, "Invalid credentials"},
		{"too long", "/token", form, "username=viewer&password=" + strings.Repeat("x", 20000), 413, ""},
		{"JSON", "/token", "application/json", `{"username":"viewer","password":"secret-canary"}`, 422, "Send username and password as a form (application/x-www-form-urlencoded or multipart/form-data)"},
		{"no password", "/token", form, "username=viewer", 422, "field required (password)"},
		{"no body", "/token", form, "", 422, "request body is required"},
		{"another grant", "/token", form, "username=viewer&password=x&grant_type=refresh", 422, "grant_type must be password"},
		{"broken multipart", "/token", "multipart/form-data; boundary=x", "--x\r\nbroken", 422, "Send username and password as a form (application/x-www-form-urlencoded or multipart/form-data)"},
	}
	for _, tt := range tests {
		t.Log(tt.name)
		r := a.want(tt.status, a.send(http.MethodPost, tt.path, tt.contentType, tt.body))
		if tt.status != http.StatusOK {
			if tt.detail != "" && r.detail(t) != tt.detail {
				t.Errorf("%s: detail %q, want %q", tt.name, r.detail(t), tt.detail)
			}
			continue
		}
		var body map[string]string
		r.into(t, &body)
		if len(body) != 2 || body["token_type"] != "bearer" {
			t.Fatalf("%s: body %s", tt.name, r.Body)
		}
		// Clients read exp from the token.
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(body["access_token"], ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Sub string `json:"sub"`
			Exp int64  `json:"exp"`
		}
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Sub != "viewer" || claims.Exp <= time.Now().Unix() {
			t.Errorf("%s: claims %s, %v", tt.name, payload, err)
		}
		a.token = body["access_token"]
		a.want(200, a.get("/servers"))
		a.token = ""
	}
	if r := a.want(405, a.get("/token")); r.detail(t) != "Method Not Allowed" || !strings.Contains(r.Header.Get("Allow"), "POST") {
		t.Errorf("GET /token: %s, Allow %q", r.Body, r.Header.Get("Allow"))
	}
	if n := pgtest.Value[int64](t, a.dsn, "select count(*) from pgam.account where login = 'viewer' and last_login_at is not null"); n != 1 {
		t.Error("the login was not noted")
	}
	for _, canary := range []string{"secret-canary", "correct horse", "correct%20horse"} {
		if strings.Contains(a.log.String(), canary) {
			t.Errorf("the log holds %q", canary)
		}
	}
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	user, err := a.stored.Account(t.Context(), "viewer")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(id int64, at time.Time) string {
		u := user
		u.ID = id
		token, _, err := a.tokens.Issue(u, at)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	stranger, err := auth.NewTokens(auth.TokensConfig{Key: []byte(strings.Repeat("another key ", 4)), Issuer: "pgam", Audience: "pgam-api", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := stranger.Issue(user, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, header, detail string
		challenge            bool
	}{
		{"nothing", "", "Not authenticated", true},
		{"another scheme", "Basic dXNlcjpwYXNz", "Not authenticated", true},
		{"no token", "Bearer ", "Not authenticated", true},
		{"junk", "Bearer junk", "Invalid token", false},
		{"another key", "Bearer " + forged, "Invalid token", false},
		{"expired", "Bearer " + issue(user.ID, time.Now().Add(-2*time.Hour)), "Token expired", false},
		{"user gone", "Bearer " + issue(1<<40, time.Now()), "Invalid credentials", false},
	}
	ask := func(path, header string) answer {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+path, http.NoBody))
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		return a.do(req)
	}
	for _, tt := range tests {
		for _, path := range []string{"/servers", "/api/servers", "/api/v1/servers", "/api/pools/status", "/server/x/stats?start_date=junk"} {
			r := a.want(401, ask(path, tt.header))
			if got := r.detail(t); got != tt.detail {
				t.Errorf("%s %s: detail %q, want %q", tt.name, path, got, tt.detail)
			}
			if got := r.Header.Get("WWW-Authenticate"); (got == "Bearer") != tt.challenge {
				t.Errorf("%s %s: WWW-Authenticate %q", tt.name, path, got)
			}
			problem := strings.HasPrefix(path, "/api/v1/")
			if media := r.Header.Get("Content-Type"); (media == "application/problem+json") != problem {
				t.Errorf("%s %s: Content-Type %q", tt.name, path, media)
			}
		}
	}
	a.want(200, ask("/servers", "bearer "+issue(user.ID, time.Now())))
	for _, open := range []string{"/", "/api/health", "/openapi.json", "/healthz", "/readyz", "/metrics"} {
		a.want(200, ask(open, ""))
	}
}

// Revocation takes effect in seconds, and a new login at once.
func TestRevocation(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.want(200, a.get("/servers"))
	old := a.token
	user, err := a.stored.Account(t.Context(), "operator")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.stored.SetPassword(t.Context(), "operator", user.PasswordHash); err != nil {
		t.Fatal(err)
	}
	a.token = a.tokenOf(account.Operator)
	a.want(200, a.get("/servers"))
	a.token = old
	if r := a.want(401, a.get("/servers")); r.detail(t) != "Invalid token" {
		t.Errorf("a revoked token: %s", r.Body)
	}
	a.token = a.tokenOf(account.Viewer)
	a.want(200, a.get("/servers"))
	pgtest.Exec(t, a.dsn, "update pgam.account set active = false where login = 'viewer'")
	pgtest.WaitFor(t, func() bool { return a.get("/servers").Status == 401 }, "the token of a disabled user to die")
}

// Whoever gets the login of somebody who is gone gets nothing of the old tokens,
// in no process, and nor do they of the new role.
func TestATokenOutlivesNoUser(t *testing.T) {
	t.Parallel()
	var cfg api.Config
	a := startAPI(t, func(c *api.Config) { cfg = *c })
	cfg.Registry = nil
	second := httptest.NewServer(must[http.Handler](t)(api.New(cfg)))
	t.Cleanup(second.Close)
	here := a.watched("here", pgtest.Target(t))
	ghost := func(role account.Role) string {
		u := must[account.User](t)(a.stored.CreateAccount(t.Context(), account.User{Login: "ghost", PasswordHash: "$2a$hash", Role: role, Active: true}))
		token, _, err := a.tokens.Issue(u, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	ask := func(base, path, token string) int {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody))
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := a.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	old := ghost(account.Viewer)
	bases := []string{a.URL, second.URL}
	for _, base := range bases {
		if got := ask(base, "/servers", old); got != http.StatusOK {
			t.Fatalf("while there: %d", got)
		}
	}
	streamed := make(chan int, 1)
	go func() { streamed <- ask(a.URL, "/api/v1/servers/"+here.Name+"/stream?every=1", old) }()
	if err := a.stored.DeleteAccount(t.Context(), "ghost", true); err != nil {
		t.Fatal(err)
	}
	fresh := ghost(account.Admin)
	for _, base := range bases {
		pgtest.WaitFor(t, func() bool {
			if got := ask(base, "/api/v1/ssh-keys", old); got != http.StatusForbidden && got != http.StatusUnauthorized {
				t.Fatalf("the old token: %d", got)
			}
			return ask(base, "/servers", old) == http.StatusUnauthorized
		}, "the old token to die")
		if got := ask(base, "/api/v1/ssh-keys", fresh); got != http.StatusOK {
			t.Errorf("the new token: %d", got)
		}
		if got := ask(base, "/api/v1/ssh-keys", old); got != http.StatusUnauthorized {
			t.Errorf("the old token beside the new one: %d", got)
		}
	}
	select { // the stream ends by itself
	case <-streamed:
	case <-time.After(time.Minute):
		t.Error("the stream goes on")
	}
}

// Every operation, asked by everybody.
func TestRoles(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	operator := map[string]bool{
		"POST /servers": true, "PUT /servers/x": true, "DELETE /servers/x": true,
		"POST /api/servers": true, "PUT /api/servers/x": true, "DELETE /api/servers/x": true,
		"POST /api/v1/servers": true, "PATCH /api/v1/servers/x": true, "DELETE /api/v1/servers/x": true, "POST /api/v1/servers/x/test": true,
		"POST /api/v1/servers/x/sessions/1/cancel": true, "POST /api/v1/servers/x/sessions/1/terminate": true,
	}
	for _, op := range []string{"GET", "POST"} {
		operator[op+" /api/v1/ssh-keys"] = true
	}
	for _, op := range []string{"GET", "PATCH", "DELETE"} {
		operator[op+" /api/v1/ssh-keys/x"] = true
	}
	for _, op := range []string{
		"POST /api/servers/x/test-pg", "POST /api/servers/x/test-ssh", "GET /api/ssh-keys", "POST /api/ssh-keys/generate", "POST /api/ssh-keys/import",
		"GET /api/ssh-keys/1", "PUT /api/ssh-keys/1", "DELETE /api/ssh-keys/1", "GET /api/ssh-keys/1/servers", "GET /api/ssh-keys/1/download-public",
	} {
		operator[op] = true
	}
	admin := map[string]bool{
		"PATCH /api/v1/settings": true, "GET /api/v1/audit": true, "GET /api/v1/users": true, "POST /api/v1/users": true, "PATCH /api/v1/users/x": true, "DELETE /api/v1/users/x": true,
	}
	open := map[string]bool{"GET /": true, "GET /api/health": true, "POST /token": true, "POST /api/token": true, "POST /api/v1/session": true}
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	a.want(200, a.get("/openapi.json")).into(t, &document)
	checked := 0
	for path, operations := range document.Paths {
		concrete := strings.NewReplacer("{server_name}", "x", "{db_name}", "x", "{name}", "x", "{username}", "x", "{key}", "x", "{key_id}", "1", "{pid}", "1").Replace(path)
		for method := range operations {
			method = strings.ToUpper(method)
			op := method + " " + concrete
			for _, who := range []account.Role{"", account.Viewer, account.Operator, account.Admin} {
				a.token = ""
				if who != "" {
					a.token = a.tokenOf(who)
				}
				r := a.send(method, concrete, "application/json", "")
				want := 0
				switch {
				case open[op]:
				case who == "":
					want = 401
				case operator[op] && who == account.Viewer, admin[op] && who != account.Admin:
					want = 403
				}
				if want != 0 && r.Status != want || want == 0 && (r.Status == 401 || r.Status == 403) {
					t.Errorf("%s as %q: %d, want %d", op, who, r.Status, want)
				}
				checked++
			}
			delete(operator, op)
			delete(admin, op)
			delete(open, op)
		}
	}
	if a.fitted < checked {
		t.Errorf("%d of %d answers were held against the document", a.fitted, checked)
	}
	if checked < 100 || len(operator)+len(admin)+len(open) != 0 {
		t.Errorf("%d checks, not found: %v %v %v", checked, operator, admin, open)
	}
}
