package api

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requestMetrics measures requests. Their labels are bounded: routes are those
// of the router, methods those that are known, and of a status only its class
// counts.
type requestMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	logins   *prometheus.CounterVec
	inFlight prometheus.Gauge
}

// The results of a login.
const (
	loginOK        = "ok"
	loginRefused   = "refused"   // wrong password, no such user, or one that may not
	loginLimited   = "limited"   // too many from one address
	loginMalformed = "malformed" // not a login at all
	loginFailed    = "failed"    // our fault, or that of stats_db
	loginLeft      = "left"      // the client did not wait
)

// clientLeft is the status that stands for a client that has gone.
const clientLeft = 499

// newRequestMetrics registers the metrics; a nil registry keeps them to itself.
func newRequestMetrics(registry prometheus.Registerer) (*requestMetrics, error) {
	m := &requestMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgam_http_requests_total",
			Help: "Requests answered, by route and class of status; 499: the client did not wait.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pgam_http_request_duration_seconds",
			Help:    "How long requests took, in seconds, by route.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
		}, []string{"method", "route"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgam_logins_total", Help: "Logins by result.",
		}, []string{"result"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pgam_http_requests_in_flight", Help: "Requests being answered now, streams too.",
		}),
	}
	// A rate needs the zero before the first.
	for _, result := range []string{loginOK, loginRefused, loginLimited, loginMalformed, loginFailed, loginLeft} {
		m.logins.WithLabelValues(result)
	}
	if registry == nil {
		return m, nil
	}
	err := errors.Join(registry.Register(m.requests), registry.Register(m.seconds), registry.Register(m.logins), registry.Register(m.inFlight))
	if err != nil {
		return nil, fmt.Errorf("register metrics of requests: %w", err)
	}
	return m, nil
}

// observe measures a request that is answered.
func (m *requestMetrics) observe(method, route string, status int, took time.Duration) {
	method = safeMethod(method)
	m.requests.WithLabelValues(method, route, statusClass(status)).Inc()
	m.seconds.WithLabelValues(method, route).Observe(took.Seconds())
	if method == http.MethodPost && isLogin(route) {
		m.logins.WithLabelValues(loginResult(status)).Inc()
	}
}

// statusClass gives 2xx for 204; a client that has gone is a class of its own.
func statusClass(status int) string {
	switch {
	case status == clientLeft:
		return "499"
	case status < 100 || status > 599:
		return "other"
	}
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[status/100-1]
}

// isLogin says whether a route takes passwords.
func isLogin(route string) bool {
	return route == "/token" || route == "/api/token" || route == "/api/v1/session"
}

func loginResult(status int) string {
	switch {
	case status < 300:
		return loginOK
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return loginRefused
	case status == http.StatusTooManyRequests:
		return loginLimited
	case status == clientLeft:
		return loginLeft
	case status >= 500:
		return loginFailed
	}
	return loginMalformed
}
