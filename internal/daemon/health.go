package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pgam/pgam/internal/guard"
)

const (
	checkTimeout   = 2 * time.Second // longest time of one check
	readinessReuse = time.Second     // how long an answer of Readiness is given again
	scrapeTimeout  = 10 * time.Second
	scrapesAtOnce  = 4
)

// Check is one thing a process needs to be of use.
type Check struct {
	Name string                      // such as "stats_db"
	Run  func(context.Context) error // nil: fulfilled; bounded by its context
}

// Readiness asks a list of checks. It is safe for concurrent use; however many
// ask, the checks run at most once a second.
type Readiness struct {
	checks []Check
	log    *slog.Logger

	mu    sync.Mutex
	last  ReadinessReport
	until time.Time
}

// ReadinessReport is the answer to /readyz. It holds no error's text: that is
// in the log.
type ReadinessReport struct {
	Ready  bool
	Checks []CheckReport
}

// CheckReport is the outcome of one check.
type CheckReport struct {
	Name     string
	OK       bool
	Duration time.Duration
}

// NewReadiness returns a Readiness of checks; without any, a process is always
// ready.
func NewReadiness(log *slog.Logger, checks ...Check) (*Readiness, error) {
	seen := make(map[string]bool)
	for _, check := range checks {
		if check.Name == "" || check.Run == nil || seen[check.Name] {
			return nil, errors.New("check without a function or a name of its own")
		}
		seen[check.Name] = true
	}
	return &Readiness{checks: checks, log: log}, nil
}

// Report runs the checks together, each for two seconds at most, or gives the
// answer of less than a second ago. A check that fails, or works again, is
// logged once.
func (r *Readiness) Report(ctx context.Context) ReadinessReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.last
	}
	// One caller's leaving must not spoil the answer for the others.
	ctx, release := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer release()
	report := ReadinessReport{Ready: true, Checks: make([]CheckReport, len(r.checks))}
	faults := make([]error, len(r.checks))
	var running sync.WaitGroup
	for i, check := range r.checks {
		running.Go(func() {
			begun := time.Now()
			faults[i] = guard.Run(func() error { return check.Run(ctx) })
			report.Checks[i] = CheckReport{Name: check.Name, OK: faults[i] == nil, Duration: time.Since(begun)}
		})
	}
	running.Wait()
	for i, check := range report.Checks {
		report.Ready = report.Ready && check.OK
		wasOK := len(r.last.Checks) == 0 || r.last.Checks[i].OK
		switch {
		case wasOK && !check.OK:
			r.log.WarnContext(ctx, "not ready", "check", check.Name, "error", faults[i])
		case !wasOK && check.OK:
			r.log.InfoContext(ctx, "ready again", "check", check.Name)
		}
	}
	r.last, r.until = report, time.Now().Add(readinessReuse)
	return report
}

// ServeHTTP answers 200 when ready and 503 when not, with the checks in JSON.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	type check struct {
		Name            string  `json:"name"`
		Status          string  `json:"status"`
		DurationSeconds float64 `json:"duration_seconds"`
	}
	body := struct {
		Status string  `json:"status"`
		Checks []check `json:"checks"`
	}{"ready", []check{}}
	report, status := r.Report(req.Context()), http.StatusOK
	if !report.Ready {
		body.Status, status = "not ready", http.StatusServiceUnavailable
	}
	for _, c := range report.Checks {
		word := "ok"
		if !c.OK {
			word = "failed"
		}
		body.Checks = append(body.Checks, check{c.Name, word, c.Duration.Seconds()})
	}
	answer(w, status, body)
}

// Liveness answers /healthz: the process lives and can answer. It asks nothing
// of anybody. With alive, whose error says that the work itself stands still, it
// answers 503 then: a supervisor should start the process anew.
func Liveness(name string, alive func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		word, status := "ok", http.StatusOK
		if alive != nil && alive() != nil {
			word, status = "stands still", http.StatusServiceUnavailable
		}
		answer(w, status, struct {
			Status  string `json:"status"`
			Name    string `json:"name"`
			Version string `json:"version"`
		}{word, name, Build().Version})
	})
}

// Metrics answers /metrics from registry, a few scrapes at a time.
func Metrics(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTimeout, Registry: registry,
	})
}

// HealthHandler answers GET /healthz, /readyz and /metrics, and nothing else.
func HealthHandler(name string, alive func() error, ready *Readiness, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", Liveness(name, alive))
	mux.Handle("GET /readyz", ready)
	mux.Handle("GET /metrics", Metrics(registry))
	return mux
}

// ServeHealth serves HealthHandler on listen, which the variable setting gives,
// until the stop, and returns the address it is bound to. alive is Liveness's.
func (f *Frame) ServeHealth(
	ctx context.Context, listen, setting string, registry *prometheus.Registry, alive func() error, checks ...Check,
) (net.Addr, error) {
	ready, err := NewReadiness(f.Log(), checks...)
	if err != nil {
		return nil, err
	}
	return f.Serve(ctx, ServerOptions{
		Name: "health", Listen: listen, Setting: setting, Handler: HealthHandler(f.name, alive, ready, registry),
	})
}

// NewRegistry returns a registry of its own with the metrics of the Go runtime,
// of the process and pgam_build_info.
func NewRegistry(name string) *prometheus.Registry {
	build := Build()
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgam_build_info", Help: "What is running; the value is always 1.",
		ConstLabels: prometheus.Labels{
			"program": name, "version": build.Version, "revision": build.Revision, "go_version": build.GoVersion,
		},
	}, func() float64 { return 1 })
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return registry
}

// answer writes body as JSON. It is encoded first, so that a status is never
// followed by half a body.
func answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
