package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func newFrame(t *testing.T) (*Frame, context.Context, *buffer) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &buffer{}
	frame := &Frame{name: "pgam-test", stderr: out, stop: NewStopper(), cancel: cancel}
	frame.log.Store(NewLogger(out, Options{Level: slog.LevelDebug}))
	return frame, ctx, out
}

func get(t *testing.T, method, url string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestFrame_ServeHealth(t *testing.T) {
	t.Parallel()
	frame, ctx, out := newFrame(t)
	var fault atomic.Pointer[error]
	address, err := frame.ServeHealth(ctx, "127.0.0.1:0", "PGAM_HEALTH_LISTEN", NewRegistry("pgam-test"), nil, Check{
		Name: "stats_db", Run: func(context.Context) error {
			if err := fault.Load(); err != nil {
				return *err
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + address.String()
	if status, header, body := get(t, "GET", base+"/healthz"); status != 200 || header.Get("Content-Type") != "application/json" ||
		!strings.Contains(body, `"status":"ok"`) || !strings.Contains(body, `"name":"pgam-test"`) {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, _, body := get(t, "GET", base+"/readyz"); status != 200 || !json.Valid([]byte(body)) ||
		!strings.Contains(body, `"status":"ready","checks":[{"name":"stats_db","status":"ok"`) {
		t.Errorf("readyz: %d %s", status, body)
	}
	status, _, body := get(t, "GET", base+"/metrics")
	for _, want := range []string{"go_goroutines ", "process_open_fds ", `pgam_build_info{go_version="go`, `program="pgam-test"`} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, %q is missing", status, want)
		}
	}
	for path, want := range map[string]int{"/": 404, "/debug/pprof/": 404, "/healthz/x": 404} {
		if status, _, _ := get(t, "GET", base+path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, _ := get(t, "POST", base+"/healthz"); status != 405 {
		t.Errorf("POST: %d", status)
	}

	_, err = frame.ServeHealth(ctx, address.String(), "PGAM_HEALTH_LISTEN", NewRegistry("other"), nil)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Fatalf("an occupied port: %v", err)
	}
	for _, want := range []string{address.String(), "address already in use", "another process", "PGAM_HEALTH_LISTEN"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from: %v", want, err)
		}
	}

	if err := frame.stop.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	// The port may have been given to another by now, or to this very attempt.
	client := http.Client{Timeout: time.Second}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address.String()+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(req); err == nil {
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("still listening after the stop")
		}
	}
	if ctx.Err() != nil {
		t.Errorf("a stop counts as a failure: %v: %s", context.Cause(ctx), out)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		var runs int
		var fault error
		ready, err := NewReadiness(NewLogger(out, Options{}),
			Check{"stats_db", func(context.Context) error { runs++; return fault }},
			Check{"slow", func(ctx context.Context) error { <-time.After(time.Second); return ctx.Err() }},
		)
		if err != nil {
			t.Fatal(err)
		}
		ask := func() (int, string) {
			answer := httptest.NewRecorder()
			ready.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
			return answer.Code, answer.Body.String()
		}
		for range 10 {
			if status, body := ask(); status != 200 || !strings.Contains(body, `"name":"slow","status":"ok","duration_seconds":1}`) {
				t.Errorf("%d %s", status, body)
			}
		}
		if runs != 1 {
			t.Errorf("10 questions at once ran the checks %d times", runs)
		}
		fault = errors.New("canary of the driver")
		for range 3 {
			<-time.After(2 * time.Second)
			if status, body := ask(); status != 503 || !strings.Contains(body, `"not ready"`) || !strings.Contains(body, `"stats_db","status":"failed"`) ||
				strings.Contains(body, "canary") {
				t.Errorf("%d %s", status, body)
			}
		}
		fault = nil
		<-time.After(2 * time.Second)
		if status, _ := ask(); status != 200 {
			t.Errorf("%d after the fault", status)
		}
		if log := out.String(); strings.Count(log, "canary") != 1 || strings.Count(log, "ready again") != 1 {
			t.Errorf("log: %s", log)
		}
	})
}

func TestReadiness_ACheckIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ready, err := NewReadiness(slog.New(slog.DiscardHandler), Check{"hung", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if report := ready.Report(context.Background()); report.Ready || time.Since(begun) != checkTimeout {
			t.Errorf("%+v after %s", report, time.Since(begun))
		}
	})
}

func TestNewReadiness_Refuses(t *testing.T) {
	t.Parallel()
	fine := func(context.Context) error { return nil }
	for _, checks := range [][]Check{{{"", fine}}, {{"a", nil}}, {{"a", fine}, {"a", fine}}} {
		if _, err := NewReadiness(slog.New(slog.DiscardHandler), checks...); err == nil {
			t.Errorf("accepted %d checks", len(checks))
		}
	}
}

func TestServer_Refuses(t *testing.T) {
	t.Parallel()
	log, handler := slog.New(slog.DiscardHandler), http.NotFoundHandler()
	for _, options := range []ServerOptions{
		{Name: "x", Listen: "127.0.0.1:0", Log: log},
		{Name: "x", Listen: "127.0.0.1:0", Handler: handler},
		{Listen: "127.0.0.1:0", Handler: handler, Log: log},
		{Name: "x", Listen: "8000", Handler: handler, Log: log},
	} {
		if _, err := NewServer(options); err == nil {
			t.Errorf("accepted %+v", options)
		}
	}
	server, err := NewServer(ServerOptions{Name: "x", Listen: "192.0.2.1:0", Setting: "PGAM_LISTEN", Handler: handler, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "address of this host (PGAM_LISTEN)") {
		t.Errorf("a stranger's address: %v", err)
	}
	if err := server.Stop(t.Context()); err != nil {
		t.Errorf("stop of what never started: %v", err)
	}
}

func TestServer_StopCutsOffWhatHangs(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	server, err := NewServer(ServerOptions{
		Name: "x", Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-release }),
		Failed:  func(err error) { t.Errorf("failed: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	address, err := server.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := server.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("stop: %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is not closed: %v", err)
	}
	close(release)
}

func TestMetrics_RegistryIsItsOwn(t *testing.T) {
	t.Parallel()
	a, b := NewRegistry("a"), NewRegistry("b")
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "pgam_only_a_total", Help: "Test."})
	a.MustRegister(count)
	for name, test := range map[string]struct {
		registry *prometheus.Registry
		want     bool
	}{"a": {a, true}, "b": {b, false}} {
		answer := httptest.NewRecorder()
		Metrics(test.registry).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		if got := strings.Contains(answer.Body.String(), "pgam_only_a_total 0"); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
