package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestContract is the contract of the Python version, held by the programs as
// they are started, over real servers: what a client of it sees, byte by byte
// but for what differs from run to run. The parts go from an installation that
// watches nothing to one that is taken down, in this order.
func TestContract(t *testing.T) { //nolint:tparallel // The parts are one story.
	t.Parallel()
	s := startSite(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"outside", s.outside},
		{"CORS", s.cors},
		{"token", s.token},
		{"not authenticated", s.unauthenticated},
		{"roles", s.roles},
		{"servers", s.servers},
		{"now", s.now},
		{"past", s.past},
		{"fleet", s.fleet},
		{"caches", s.caches},
		{"side by side", s.sideBySide},
		{"restart", s.restart},
		{"keeping", s.keeping},
		{"nonsense", s.nonsense},
		{"logins", s.logins},
		{"rationed", s.rationed},
		{"settings", s.settingNames},
		{"last request", s.lastRequest},
		{"no secret", s.noSecret},
		{"end", s.end},
	} {
		if !t.Run(part.name, part.run) && t.Context().Err() != nil {
			return
		}
	}
	t.Run("every answer of the document was given", s.answered)
}

// sideBySide are parts that mind no other's servers, and mostly wait.
func (s *site) sideBySide(t *testing.T) {
	for name, run := range map[string]func(*testing.T){
		"disks": s.disks, "keyed": s.keyed, "tunnel to a socket": s.socketTunnel, "tunnel to loopback": s.loopTunnel,
		"cached shell": s.cachedShell, "local": s.local, "left": s.left, "purged": s.purged,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(t) })
	}
}

// outside is what needs no token, and what is no route.
func (s *site) outside(t *testing.T) {
	anyone := s.operator.as("")
	here := maps.Clone(s.names)
	here[anyone.get(t, "/api/health").object(t)["version"].(string)] = "version"
	talk := &transcript{t: t, c: anyone, masks: masks{"timestamp": anInstant, "pools_count": anInteger}, names: here}
	talk.ask("what this is", http.MethodGet, "/")
	talk.ask("health", http.MethodGet, "/api/health")
	talk.ask("health of the second face is the same route", http.MethodGet, "/health")
	talk.ask("a route that is none", http.MethodGet, "/nothing")
	talk.ask("a route that is none, under /api", http.MethodGet, "/api/nothing")
	talk.ask("the icon has an answer of its own", http.MethodGet, "/api/favicon.ico")
	talk.compare("outside")
	for _, page := range []string{"/docs", "/redoc"} {
		got := anyone.get(t, page).want(t, http.StatusOK)
		if media := got.Header.Get("Content-Type"); !strings.HasPrefix(media, "text/html") {
			t.Errorf("%s: Content-Type %q", page, media)
		}
		if foreign := foreignAddress(string(got.Body)); foreign != "" {
			t.Errorf("%s loads %s", page, foreign)
		}
	}
	s.talk(t, "methods", nil, func(talk *transcript) {
		talk.c = anyone
		talk.ask("a login is posted", http.MethodGet, "/token")
		talk.ask("one server is no route of its own", http.MethodGet, "/servers/x")
		talk.ask("servers cannot be patched", http.MethodPatch, "/servers")
		talk.ask("sessions are read", http.MethodPost, "/server_stats/x")
		talk.ask("history is read", http.MethodDelete, "/server/x/stats")
		talk.ask("a database is read", http.MethodPut, "/server/x/db/y")
		talk.ask("a database's history is read", http.MethodPost, "/server/x/db/y/stats")
		talk.ask("a slash too many", http.MethodGet, "/servers/")
		talk.ask("a slash too many behind what is posted", http.MethodPost, "/token/")
		talk.compare("methods")
	})
}

// foreignAddress finds an address of another host in a page.
func foreignAddress(page string) string {
	for _, attribute := range []string{`src="`, `href="`, `spec-url="`, `url: "`} {
		for _, rest := range strings.Split(page, attribute)[1:] {
			address, _, _ := strings.Cut(rest, `"`)
			if strings.Contains(address, "//") {
				return address
			}
		}
	}

	return ""
}

// cors is what a browser asks before it lets a page of another origin call.
func (s *site) cors(t *testing.T) {
	s.talk(t, "cors", masks{"[]": aText}, func(talk *transcript) {
		ask := func(name, method, origin string, headers ...string) {
			request := talk.c.request(t, method, talk.prefix+"/servers", "", "")
			request.Header.Set("Origin", origin)
			for _, header := range headers {
				field, value, _ := strings.Cut(header, ": ")
				request.Header.Set(field, value)
			}
			if method == http.MethodOptions {
				request.Header.Del("Authorization")
			}
			talk.note(name+" ("+origin+")", request, "", talk.c.do(t, request))
		}
		ask("may a page send a token?", http.MethodOptions, uiOrigin,
			"Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization,content-type")
		ask("may a page of nobody's send a token?", http.MethodOptions, "https://evil.example.org",
			"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")
		ask("a page asks", http.MethodGet, uiOrigin)
		ask("a page of nobody's asks", http.MethodGet, "https://evil.example.org")
		request := talk.c.as("").request(t, http.MethodGet, talk.prefix+"/servers", "", "")
		request.Header.Set("Origin", uiOrigin)
		talk.note("a page whose token has expired can read why", request, "", talk.c.do(t, request))
	})
}

// token is the login, in every form that clients send it.
func (s *site) token(t *testing.T) {
	encoded := url.Values{"username": {"viewer"}, "password": {userPassword}}.Encode()
	s.talk(t, "token", masks{"access_token": aToken}, func(talk *transcript) {
		talk.c = talk.c.as("")
		post := func(name, contentType, body string) answer {
			return talk.send(name, http.MethodPost, "/token", contentType, body)
		}
		for name, got := range map[string]answer{
			"urlencoded": post("a form", formType, encoded),
			"not encoded, but for what must be": post("a form that is not encoded, but for + and &", formType,
				"grant_type=password&username=viewer&password="+strings.NewReplacer("+", "%2B", "&", "%26").Replace(userPassword)),
			"all fields":           post("with the fields that are ignored", formType+"; charset=utf-8", encoded+"&grant_type=password&scope=&client_id=x&client_secret=y"),
			"without a media type": post("without a content type", "", encoded),
		} {
			checkToken(t, name, got)
		}
		post("a wrong password", formType, "username=viewer&password=wrong")
		post("nobody", formType, "username=nobody&password=wrong")
		post("a NUL", formType, "username=viewer&password=a%00b")
		post("JSON", "application/json", `{"username":"viewer","password":"canary-in-json"}`)
		post("without a password", formType, "username=viewer")
		post("without anything", formType, "")
		post("another grant", formType, "username=viewer&password=x&grant_type=refresh_token")
		post("a multipart form that is broken", "multipart/form-data; boundary=x", "--x\r\nbroken")
		post("longer than any form", formType, "username=viewer&password="+strings.Repeat("x", 20_000))
	})
	for _, path := range []string{"/token", "/api/token"} {
		var body strings.Builder
		form := multipart.NewWriter(&body)
		for field, value := range map[string]string{"username": "viewer", "password": userPassword} {
			if err := form.WriteField(field, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		checkToken(t, "multipart", s.operator.as("").send(t, http.MethodPost, path, form.FormDataContentType(), body.String()))
	}
}

// checkToken reads a token as clients do, who take its end from it.
func checkToken(t *testing.T, name string, got answer) {
	t.Helper()
	got.want(t, http.StatusOK)
	token, _ := got.object(t)["access_token"].(string)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%s: token %q", name, token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var claims struct {
		Sub string `json:"sub"`
		Exp int64  `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatalf("%s: %v: %s", name, err, payload)
	}
	if left := time.Until(time.Unix(claims.Exp, 0)); claims.Sub != "viewer" || left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("%s: the token is of %q and good for %s, want viewer and an hour", name, claims.Sub, left)
	}
}

// unchanged: who has an answer already is told so, and a long one is packed.
func (s *site) unchanged(t *testing.T) {
	for _, op := range s.operations() {
		if op.method != http.MethodGet || op.Responses.Value("304") == nil {
			continue
		}
		path := strings.NewReplacer("server_stats/{server_name}", "server_stats/t1", "{server_name}", "past", "{db_name}", "shop").Replace(op.path)
		same := false
		for range 20 { // Sessions come and go meanwhile.
			tag := s.viewer.get(t, path).want(t, http.StatusOK).Header.Get("ETag")
			request := s.viewer.request(t, http.MethodGet, path, "", "")
			request.Header.Set("If-None-Match", tag)
			got := s.viewer.do(t, request)
			if same = got.Status == http.StatusNotModified; same {
				if len(got.Body) > 0 || got.Header.Get("ETag") != tag {
					t.Errorf("GET %s, not modified: %v %q", path, got.Header, got.Body)
				}

				break
			}
			if path == "/api/health" {
				same = true

				break
			}
		}
		if !same {
			t.Errorf("GET %s is never the same", path)
		}
		request := s.viewer.as("").request(t, http.MethodGet, path, "", "")
		request.Header.Set("If-None-Match", "*")
		if got := s.viewer.do(t, request); op.Security != nil && len(*op.Security) > 0 && got.Status != http.StatusUnauthorized {
			t.Errorf("GET %s without a token: %d", path, got.Status)
		}
	}
	const long = "/server/past/stats?start_date=2026-06-07&end_date=2026-06-09"
	whole := s.viewer.get(t, long).want(t, http.StatusOK)
	request := s.viewer.request(t, http.MethodGet, long, "", "")
	request.Header.Set("Accept-Encoding", "gzip")
	packed, err := s.viewer.try(request)
	if err != nil {
		t.Fatal(err)
	}
	unpacker, err := gzip.NewReader(bytes.NewReader(packed.Body))
	if err != nil || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("an answer of %d bytes is not packed: %v %v", len(whole.Body), packed.Header, err)
	}
	unpacked, err := io.ReadAll(unpacker)
	if err != nil || !bytes.Equal(unpacked, whole.Body) {
		t.Errorf("packed an answer is another: %v\n%s\n%s", err, unpacked, whole.Body)
	}
}

// secured are the operations of the contract that need a token.
func (s *site) secured() []operation {
	return slices.DeleteFunc(s.operations(), func(o operation) bool { return o.Security == nil || len(*o.Security) == 0 })
}

// operation is one of the contract.
type operation struct {
	*openapi3.Operation
	method, path string
}

// concrete is the path for a server that does not exist.
func (o operation) concrete() string {
	return strings.NewReplacer("{server_name}", "nobody", "{db_name}", "nothing").Replace(o.path)
}

// operations are those outside /api/v1.
func (s *site) operations() []operation {
	var list []operation
	for path, item := range s.operator.document.Paths.Map() {
		for method, op := range item.Operations() {
			later := slices.Contains(op.Tags, "Later Python version") // internal/api asks for them: one of them ends the token
			if !strings.HasPrefix(path, "/api/v1/") && !later {
				list = append(list, operation{op, method, path})
			}
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })

	return list
}

// unauthenticated is every operation without a token that is good for it.
func (s *site) unauthenticated(t *testing.T) {
	signature := strings.Split(s.viewer.token, ".")
	forged := strings.Join(append(signature[:2:2], strings.Repeat("A", len(signature[2]))), ".")
	headers := map[string][3]string{
		"no header":                     {"", "Not authenticated", "Bearer"},
		"another scheme":                {"Basic dXNlcjpwYXNz", "Not authenticated", "Bearer"},
		"no token":                      {"Bearer", "Not authenticated", "Bearer"},
		"junk":                          {"Bearer junk", "Invalid token", ""},
		"another signature":             {"Bearer " + forged, "Invalid token", ""},
		"another key":                   {"Bearer " + forge(t, strings.Repeat("another key ", 4), "admin", time.Now()), "Invalid token", ""},
		"the key of the Python version": {"Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZG1pbiJ9.", "Invalid token", ""},
		"expired":                       {"Bearer " + forge(t, tokenKey, "viewer", time.Now().Add(-2*time.Hour)), "Token expired", ""},
		"a user who is gone":            {"Bearer " + forge(t, tokenKey, "gone", time.Now()), "Invalid credentials", ""},
	}
	secured := s.secured()
	if len(secured) < 17 {
		t.Errorf("only %d operations need a token", len(secured))
	}
	for _, op := range secured {
		for name, want := range headers {
			request := s.operator.as("").request(t, op.method, op.concrete(), "", "")
			if want[0] != "" {
				request.Header.Set("Authorization", want[0])
			}
			got := s.operator.do(t, request).want(t, http.StatusUnauthorized)
			if text := strings.TrimSpace(string(got.Body)); text != fmt.Sprintf(`{"detail":%q}`, want[1]) {
				t.Errorf("%s %s with %s: %s", op.method, op.path, name, text)
			}
			if challenge, media := got.Header.Get("WWW-Authenticate"), got.Header.Get("Content-Type"); challenge != want[2] || media != "application/json" {
				t.Errorf("%s %s with %s: WWW-Authenticate %q, Content-Type %q", op.method, op.path, name, challenge, media)
			}
		}
	}
	// The scheme is not case-sensitive.
	request := s.operator.as("").request(t, http.MethodGet, "/servers", "", "")
	request.Header.Set("Authorization", "bEaReR "+s.viewer.token)
	s.operator.do(t, request).want(t, http.StatusOK)
}

// roles: a viewer reads, and changes nothing.
func (s *site) roles(t *testing.T) {
	for _, op := range s.secured() {
		got := s.viewer.json(t, op.method, op.concrete(), s.row("nobody"))
		if reads := op.method == http.MethodGet; (got.Status == http.StatusForbidden) == reads {
			t.Errorf("%s %s as a viewer: %d %s", op.method, op.path, got.Status, got.Body)
		}
		if got := s.admin.json(t, op.method, op.concrete(), map[string]any{}); got.Status == http.StatusForbidden {
			t.Errorf("%s %s as an admin: %s", op.method, op.path, got.Body)
		}
	}
	if n := len(s.operator.get(t, "/servers").rows(t)); n != 0 {
		t.Errorf("%d servers were made", n)
	}
}

// answered: what the document promises of the contract, somebody has seen.
func (s *site) answered(t *testing.T) {
	for _, op := range s.operations() {
		for status := range op.Responses.Map() {
			switch status {
			case "default", "500", "503", "504":
				continue
			case "304":
				if op.path == "/api/health" { // It tells the time.
					continue
				}
			}
			var number int
			if _, err := fmt.Sscan(status, &number); err != nil {
				t.Fatal(err)
			}
			if s.seen.statuses[op.OperationID][number] == 0 {
				t.Errorf("%s %s: nobody has seen the answer %s", op.method, op.path, status)
			}
		}
	}
}
