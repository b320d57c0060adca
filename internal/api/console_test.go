package api_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// Every path below /ui/ is the one page, but those of its files; a browser comes
// there from the root, where programs get what they know.
func TestConsole(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.token = ""
	index := a.want(http.StatusOK, a.get("/ui/"))
	for _, path := range []string{"/ui/s/db1", "/ui/s/a%2Fb/at/2026-11-22T03:12:00Z", "/ui/s/db1/?last=1h", "/ui/nothing", "/ui/s/%25"} {
		if r := a.want(http.StatusOK, a.get(path)); !bytes.Equal(r.Body, index.Body) || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v %.80s", path, r.Header, r.Body)
		}
	}
	for _, part := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:", "frame-ancestors 'none'",
		"base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'",
	} {
		if !strings.Contains(index.Header.Get("Content-Security-Policy")+";", part+";") {
			t.Errorf("no %s in %q", part, index.Header.Get("Content-Security-Policy"))
		}
	}
	if got := index.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options: %q", got)
	}
	found := 0
	for text := range strings.SplitSeq(string(index.Body), `"`) {
		if !strings.HasPrefix(text, "/ui/assets/") {
			continue
		}
		found++
		r := a.want(http.StatusOK, a.get(text))
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" || len(r.Body) == 0 {
			t.Errorf("%s: Cache-Control %q, %d bytes", text, got, len(r.Body))
		}
	}
	if found != 2 {
		t.Errorf("the page refers to %d files, want a script and a style sheet", found)
	}
	a.want(http.StatusNotFound, a.get("/ui/assets/console-0.js"))
	a.want(http.StatusMethodNotAllowed, a.send(http.MethodPost, "/ui/", "", ""))

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, to := range map[string]string{"/": "/ui/", "/ui": "/ui/"} {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+path, http.NoBody))
		req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		r, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusFound || r.Header.Get("Location") != to {
			t.Errorf("a browser at %s: %d to %q", path, r.StatusCode, r.Header.Get("Location"))
		}
	}
	if r := a.want(http.StatusOK, a.get("/")); !strings.Contains(string(r.Body), `"message"`) || !strings.Contains(r.Header.Get("Vary"), "Accept") {
		t.Errorf("a program at /: %v %s", r.Header, r.Body)
	}
}
