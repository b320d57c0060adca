package api_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pgam/pgam/internal/api/docs"
	"github.com/pgam/pgam/internal/browsertest"
)

// The pages and what they load come as they are kept, with the headers that
// keep them in their place.
func TestPages(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	a.token = ""
	for _, f := range must[[]docs.File](t)(docs.Files()) {
		plain := must[[]byte](t)(io.ReadAll(must[io.Reader](t)(f.Plain())))
		for _, accept := range []string{"gzip, br", "identity"} {
			req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL+f.Path, http.NoBody))
			req.Header.Set("Accept-Encoding", accept)
			r := a.want(200, a.do(req))
			got := r.Body
			if packed := accept != "identity"; packed != (r.Header.Get("Content-Encoding") == "gzip") {
				t.Fatalf("%s: accepts %s, gets %q", f.Path, accept, r.Header.Get("Content-Encoding"))
			} else if packed {
				got = must[[]byte](t)(io.ReadAll(must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(got)))))
			}
			if !bytes.Equal(got, plain) {
				t.Errorf("%s: %d bytes, want %d", f.Path, len(got), len(plain))
			}
			fixed := r.Header.Get("Cache-Control") == "public, max-age=31536000, immutable"
			policy := r.Header.Get("Content-Security-Policy")
			if fixed != f.Fixed || r.Header.Get("Content-Type") != f.Media || r.Header.Get("Vary") != "Accept-Encoding" ||
				!strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "script-src 'self'") != strings.HasPrefix(f.Media, "text/html") {
				t.Errorf("%s: %v", f.Path, r.Header)
			}
		}
	}
	if r := a.get("/docs/"); r.Status != 200 || !bytes.Contains(r.Body, []byte("swagger-ui")) {
		t.Errorf("/docs/: %d %.100s", r.Status, r.Body)
	}
	a.want(404, a.get("/docs/assets/0/swagger-ui.css"))
}

// Both pages show the document, without an error and without another host; and
// a person can log in and try an operation.
func TestPagesInBrowser(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	host := strings.TrimPrefix(a.URL, "http://")

	b := browsertest.Start(t, host)
	var title string
	b.Run(t, "ReDoc", chromedp.Navigate(a.URL+"/redoc"),
		chromedp.WaitVisible(`//h1[contains(., "pgam, the PostgreSQL Activity Monitor")]`, chromedp.BySearch),
		chromedp.WaitVisible(`//h2[contains(., "Log in")]`, chromedp.BySearch),
		chromedp.Click(`//li[@role="menuitem"]//span[@title="health"]`, chromedp.BySearch),
		chromedp.Click(`//li[@role="menuitem"]//span[contains(., "Whether it works")]`, chromedp.BySearch),
		chromedp.Title(&title))
	if title == "" {
		t.Error("ReDoc shows no title")
	}

	var status, body string
	b.Run(t, "Swagger UI", chromedp.Navigate(a.URL+"/docs"),
		chromedp.WaitVisible(`#operations-Python_contract-list-servers`, chromedp.ByQuery),
		chromedp.Click(`button.authorize`, chromedp.ByQuery),
		chromedp.SendKeys(`#oauth_username`, "operator", chromedp.ByQuery),
		chromedp.SendKeys(`#oauth_password`, password, chromedp.ByQuery),
		chromedp.Click(`.auth-btn-wrapper button.authorize`, chromedp.ByQuery),
		chromedp.WaitVisible(`//button[contains(., "Logout")]`, chromedp.BySearch),
		chromedp.Click(`button.btn-done`, chromedp.ByQuery),
		chromedp.Click(`#operations-Python_contract-list-servers .opblock-summary-control`, chromedp.ByQuery),
		chromedp.Click(`#operations-Python_contract-list-servers button.execute`, chromedp.ByQuery),
		chromedp.Text(`#operations-Python_contract-list-servers .live-responses-table tr.response td.response-col_status`, &status, chromedp.ByQuery),
		chromedp.Text(`#operations-Python_contract-list-servers .live-responses-table tr.response td.response-col_description`, &body, chromedp.ByQuery))
	if !strings.Contains(status, "200") || !strings.Contains(body, "[]") {
		t.Errorf("GET /servers from the page: %q, %q", status, body)
	}
	all := strings.Join(b.Requests(), "\n")
	for _, want := range []string{"POST /token", "GET /servers", "GET /openapi.json"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s among\n%s", want, all)
		}
	}
}
