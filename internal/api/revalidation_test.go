package api_test

import (
	"net/http"
	"testing"

	"github.com/pgam/pgam/internal/account"
)

// A client that has an answer is told that it is still good, until it is not;
// and only if it may see it.
func TestRevalidationOfOperations(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	again := func(path, tag string) answer {
		t.Helper()
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+path, http.NoBody))
		req.Header.Set("If-None-Match", tag)
		if a.token != "" {
			req.Header.Set("Authorization", "Bearer "+a.token)
		}
		return a.do(req)
	}
	fitted := a.fitted
	tags := map[string]string{}
	for _, path := range []string{"/servers", "/api/servers", "/api/v1/servers", "/api/pools/status", "/openapi.json", "/"} {
		tags[path] = a.want(200, a.get(path)).Header.Get("ETag")
		if r := a.want(304, again(path, tags[path])); len(r.Body) != 0 || r.Header.Get("ETag") != tags[path] {
			t.Errorf("%s: %s %v", path, r.Body, r.Header)
		}
	}
	if a.fitted < fitted+10 {
		t.Errorf("%d answers were held against the document", a.fitted-fitted)
	}
	a.want(200, a.json(http.MethodPost, "/servers", map[string]any{"name": "new", "host": "127.0.0.1", "port": 1, "user": "u", "password": "p"}))
	for _, path := range []string{"/servers", "/api/servers", "/api/v1/servers"} {
		if r := a.want(200, again(path, tags[path])); r.Header.Get("ETag") == tags[path] {
			t.Errorf("%s: another answer has the same tag", path)
		}
	}
	a.want(404, again("/server_stats/none", "*"))
	a.want(422, again("/api/v1/servers?limit=x", "*"))
	a.token = a.tokenOf(account.Viewer)
	a.want(200, again("/servers", tags["/servers"]))
	a.token = ""
	if r := a.want(401, again("/servers", "*")); r.Header.Get("ETag") != "" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("without a token: %v", r.Header)
	}
}
