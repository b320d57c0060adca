package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pgam/pgam/internal/api/docs"
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

// browser is a headless Chromium that writes down what a page does.
type browser struct {
	ctx  context.Context //nolint:containedctx // the library's handle of the browser
	host string

	mu       sync.Mutex
	faults   []string
	requests []string
}

func startBrowser(t *testing.T, host string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" { //nolint:forbidigo // the test's own
			t.Fatal("chromium is not installed: .ci/install-test-deps.sh installs it")
		}
		t.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1400, 1000), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &browser{host: host}
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(b.ctx, b.heard)
	if err := chromedp.Run(b.ctx, network.Enable(), log.Enable(), runtime.Enable()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		switch {
		case err != nil:
			b.faults = append(b.faults, "request of "+e.Request.URL)
		case u.Scheme == "data" || u.Scheme == "blob":
		case u.Host != b.host:
			b.faults = append(b.faults, "request of another host: "+e.Request.URL)
		default:
			b.requests = append(b.requests, e.Request.Method+" "+u.Path)
		}
	case *network.EventLoadingFailed:
		b.faults = append(b.faults, fmt.Sprintf("a request failed: %s %s %s", e.Type, e.ErrorText, e.BlockedReason))
	case *log.EventEntryAdded:
		if e.Entry.Level != log.LevelWarning && e.Entry.Level != log.LevelError {
			return
		}
		b.faults = append(b.faults, fmt.Sprintf("log: %s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, arg := range e.Args {
				b.faults = append(b.faults, fmt.Sprintf("console: %s: %s %s", e.Type, arg.Value, arg.Description))
			}
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Error())
	}
}

// run does what a person would, and fails the test for whatever went wrong.
func (b *browser) run(t *testing.T, what string, actions ...chromedp.Action) {
	t.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		err := chromedp.Run(ctx, action)
		cancel()
		if err != nil {
			var shot []byte
			if chromedp.Run(b.ctx, chromedp.CaptureScreenshot(&shot)) == nil {
				path := t.ArtifactDir() + "/page.png"
				_ = os.WriteFile(path, shot, 0o600)
				t.Logf("the page is in %s", path)
			}
			t.Errorf("%s, step %d: %v", what, i, err)
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		t.Errorf("%s: %s", what, fault)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// Both pages show the document, without an error and without another host; and
// a person can log in and try an operation.
func TestPagesInBrowser(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	host := strings.TrimPrefix(a.URL, "http://")

	b := startBrowser(t, host)
	var title string
	b.run(t, "ReDoc", chromedp.Navigate(a.URL+"/redoc"),
		chromedp.WaitVisible(`//h1[contains(., "pgam, the PostgreSQL Activity Monitor")]`, chromedp.BySearch),
		chromedp.WaitVisible(`//h2[contains(., "Log in")]`, chromedp.BySearch),
		chromedp.Click(`//li[@role="menuitem"]//span[@title="health"]`, chromedp.BySearch),
		chromedp.Click(`//li[@role="menuitem"]//span[contains(., "Whether it works")]`, chromedp.BySearch),
		chromedp.Title(&title))
	if title == "" {
		t.Error("ReDoc shows no title")
	}

	var status, body string
	b.run(t, "Swagger UI", chromedp.Navigate(a.URL+"/docs"),
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
	all := strings.Join(b.requests, "\n")
	for _, want := range []string{"POST /token", "GET /servers", "GET /openapi.json"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s among\n%s", want, all)
		}
	}
}
