package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// answerWithin is longer than any answer may take.
const answerWithin = 30 * time.Second

// client asks one API process, and holds each answer against the document that
// this very process serves. The methods that take the test fail it.
type client struct {
	url      string
	token    string // sent with every request; empty: none
	document *openapi3.T
	routes   routers.Router
	seen     *record
}

// record is what was answered so far: to look for secrets in, and to see which
// answers of the document nobody has asked for.
type record struct {
	mu       sync.Mutex
	statuses map[string]map[int]int // by operation id
	text     bytes.Buffer
}

// answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration
}

// newClient reads the document of a process.
func newClient(t *testing.T, base string, seen *record) *client {
	t.Helper()
	c := &client{url: base, seen: seen}
	plain := c.do(t, c.request(t, http.MethodGet, "/openapi.json", "", ""))
	if plain.Status != http.StatusOK {
		t.Fatalf("GET /openapi.json: %d %s", plain.Status, plain.Body)
	}
	var err error
	if c.document, err = openapi3.NewLoader().LoadFromData(plain.Body); err != nil {
		t.Fatal(err)
	}
	if err = c.document.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not valid: %v", err)
	}
	if c.routes, err = legacy.NewRouter(c.document); err != nil {
		t.Fatal(err)
	}

	return c
}

// as gives a client that sends another token, or none.
func (c *client) as(token string) *client {
	other := *c
	other.token = token

	return &other
}

func (c *client) request(t *testing.T, method, path, contentType, body string) *http.Request {
	t.Helper()
	var content io.Reader = http.NoBody
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}

	return request
}

// do sends a request.
func (c *client) do(t *testing.T, request *http.Request) answer {
	t.Helper()
	got, err := c.try(request)
	if err != nil {
		t.Fatal(err)
	}
	c.check(t, request, got)

	return got
}

// plain is the HTTP client of all tests: redirects are answers to look at.
func plain() *http.Client {
	return &http.Client{
		Timeout:       answerWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// try is do for other goroutines than the test's own.
func (c *client) try(request *http.Request) (answer, error) {
	begun := time.Now()
	response, err := plain().Do(request)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return answer{}, err
	}

	return answer{response.StatusCode, response.Header, body, time.Since(begun)}, nil
}

// check holds the answer of an operation against the document, and keeps it.
func (c *client) check(t *testing.T, request *http.Request, got answer) {
	t.Helper()
	if c.routes == nil {
		return
	}
	for name, values := range got.Header {
		c.seen.add("", got.Status, []byte(name+": "+strings.Join(values, ", ")))
	}
	inner := request.Clone(t.Context())
	inner.URL = &url.URL{Path: request.URL.Path, RawPath: request.URL.RawPath, RawQuery: request.URL.RawQuery}
	route, params, err := c.routes.FindRoute(inner)
	if err != nil || got.Status == http.StatusMethodNotAllowed || request.Method == http.MethodOptions {
		c.seen.add("", got.Status, got.Body) // No operation.

		return
	}
	if kept := got.Body; request.Method == http.MethodPost && strings.HasSuffix(request.URL.Path, "/token") && got.Status == http.StatusOK {
		c.seen.add(route.Operation.OperationID, got.Status, nil) // A secret, where it belongs.
	} else {
		c.seen.add(route.Operation.OperationID, got.Status, kept)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: inner, PathParams: params, Route: route, Options: options},
		Status:                 got.Status, Header: got.Header, Body: io.NopCloser(bytes.NewReader(got.Body)), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s: the answer %d does not fit the document: %v\n%s", request.Method, request.URL.Path, got.Status, err, got.Body)
	}
}

func (r *record) add(operation string, status int, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if operation != "" {
		if r.statuses[operation] == nil {
			r.statuses[operation] = map[int]int{}
		}
		r.statuses[operation][status]++
	}
	r.text.Write(body)
	r.text.WriteByte('\n')
}

func (c *client) send(t *testing.T, method, path, contentType, body string) answer {
	t.Helper()

	return c.do(t, c.request(t, method, path, contentType, body))
}

func (c *client) get(t *testing.T, path string) answer {
	t.Helper()

	return c.send(t, http.MethodGet, path, "", "")
}

// json sends a value as JSON.
func (c *client) json(t *testing.T, method, path string, body any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}

	return c.send(t, method, path, "application/json", string(text))
}

// login gets a token; the form is as a browser sends it.
func (c *client) login(t *testing.T, login, password string) string {
	t.Helper()
	got := c.as("").send(t, http.MethodPost, "/token", formType, url.Values{"username": {login}, "password": {password}}.Encode())
	got.want(t, http.StatusOK)

	return got.object(t)["access_token"].(string)
}

// want fails the test unless the status is this.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}

	return a
}

// object is a body that is a JSON object.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(a.Body, &body); err != nil {
		t.Fatalf("body %s: %v", a.Body, err)
	}

	return body
}

// detail is the text of an error.
func (a answer) detail(t *testing.T) string {
	t.Helper()
	text, ok := a.object(t)["detail"].(string)
	if !ok {
		t.Fatalf("detail is not a string: %s", a.Body)
	}

	return text
}

// rows is a body that is an array of objects, by the field name.
func (a answer) rows(t *testing.T) map[string]map[string]any {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal(a.Body, &list); err != nil {
		t.Fatalf("body %s: %v", a.Body, err)
	}
	byName := map[string]map[string]any{}
	for _, row := range list {
		byName[row["name"].(string)] = row
	}

	return byName
}
