// Package browsertest owns a real browser for tests of pages: a headless Chromium
// that knows no other host than this machine, and writes down all that goes wrong
// in it. CI=true makes a missing Chromium a failure instead of a skip.
package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a page that is open in a Chromium of its own.
type Browser struct {
	ctx  context.Context //nolint:containedctx // the library's handle of the browser
	host string

	mu       sync.Mutex
	allowed  []string
	faults   []string
	requests []string
}

// Start opens an empty page, which may load from this host alone, such as
// 127.0.0.1:8000.
func Start(tb testing.TB, host string) *Browser {
	tb.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		program, err = exec.LookPath("chromium-browser")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			tb.Fatal("chromium is not installed: .ci/install-test-deps.sh installs it")
		}
		tb.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.WindowSize(1400, 1000), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	ctx, cancel := chromedp.NewExecAllocator(tb.Context(), options...)
	tb.Cleanup(cancel)
	b := &Browser{host: host}
	b.ctx, cancel = chromedp.NewContext(ctx)
	tb.Cleanup(cancel)
	chromedp.ListenTarget(b.ctx, b.heard)
	if err := chromedp.Run(b.ctx, network.Enable(), log.Enable(), runtime.Enable()); err != nil {
		tb.Fatal(err)
	}
	return b
}

// Allow says of faults that hold one of these texts that they belong to the test.
func (b *Browser) Allow(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, texts...)
}

// Requests gives method and path of what the page has asked for.
func (b *Browser) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

func (b *Browser) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(b.allowed, func(part string) bool { return strings.Contains(text, part) }) {
		b.faults = append(b.faults, text)
	}
}

func (b *Browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		switch {
		case err != nil:
			b.fault("request of %s", e.Request.URL)
		case u.Scheme == "data" || u.Scheme == "blob":
		case u.Host != b.host:
			b.fault("request of another host: %s", e.Request.URL)
		default:
			b.requests = append(b.requests, e.Request.Method+" "+u.Path)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			b.fault("a request failed: %s %s %s", e.Type, e.ErrorText, e.BlockedReason)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelWarning || e.Entry.Level == log.LevelError {
			b.fault("log: %s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			for _, arg := range e.Args {
				b.fault("console: %s: %s %s", e.Type, arg.Value, arg.Description)
			}
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: %s", e.ExceptionDetails.Error())
	}
}

// Run does what a person would, and fails the test for whatever went wrong, or
// has gone wrong since the last time.
func (b *Browser) Run(tb testing.TB, what string, actions ...chromedp.Action) {
	tb.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		err := chromedp.Run(ctx, action)
		cancel()
		if err != nil {
			var shot []byte
			if chromedp.Run(b.ctx, chromedp.CaptureScreenshot(&shot)) == nil {
				path := tb.ArtifactDir() + "/page.png"
				_ = os.WriteFile(path, shot, 0o600)
				tb.Logf("the page is in %s", path)
			}
			tb.Errorf("%s, step %d: %v", what, i, err)
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		tb.Errorf("%s: %s", what, fault)
	}
	b.faults = nil
	if tb.Failed() {
		tb.FailNow()
	}
}
