package httpapi

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requestMetrics counts requests. Its labels are bounded: routes are those of
// the router, methods those that are known.
type requestMetrics struct {
	seconds *prometheus.HistogramVec
}

// newRequestMetrics registers the metrics; a nil registry keeps none.
func newRequestMetrics(registry prometheus.Registerer) (*requestMetrics, error) {
	if registry == nil {
		return &requestMetrics{}, nil
	}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "pgam_http_request_duration_seconds",
		Help:    "How long requests took, by route and status.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
	}, []string{"method", "route", "status"})
	if err := registry.Register(seconds); err != nil {
		return nil, fmt.Errorf("register metrics of requests: %w", err)
	}
	return &requestMetrics{seconds}, nil
}

func (m *requestMetrics) observe(method, route string, status int, took time.Duration) {
	if m.seconds != nil {
		m.seconds.WithLabelValues(safeMethod(method), route, strconv.Itoa(status)).Observe(took.Seconds())
	}
}
