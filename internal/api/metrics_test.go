package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// seriesOf gives the series of gauges and counters, and the number of
// observations of histograms. What is not named by the rules is an error.
func seriesOf(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %+v", err, problems)
	}
	out := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

// TestRequestMetrics: statuses come by class and methods that clients made up as
// one, so that nobody can make series.
func TestRequestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	m, err := newRequestMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	for status := range 1000 {
		m.observe("GET", "/servers/:name", status, time.Second)
	}
	for i := range 100 {
		m.observe("M"+string(rune('a'+i)), "/servers/:name", 200, time.Second)
	}
	const requests, seconds = "pgam_http_requests_total{method=", "pgam_http_request_duration_seconds{method="
	want := map[string]float64{
		requests + "GET,route=/servers/:name,status=1xx}": 100, requests + "GET,route=/servers/:name,status=2xx}": 100,
		requests + "GET,route=/servers/:name,status=3xx}": 100, requests + "GET,route=/servers/:name,status=4xx}": 99,
		requests + "GET,route=/servers/:name,status=499}": 1, requests + "GET,route=/servers/:name,status=5xx}": 100,
		requests + "GET,route=/servers/:name,status=other}": 500, requests + "other,route=/servers/:name,status=2xx}": 100,
		seconds + "GET,route=/servers/:name}": 1000, seconds + "other,route=/servers/:name}": 100,
		"pgam_http_requests_in_flight{}": 0,
	}
	for _, result := range []string{"ok", "refused", "limited", "malformed", "failed", "left"} {
		want["pgam_logins_total{result="+result+"}"] = 0
	}
	if diff := cmp.Diff(want, seriesOf(t, registry)); diff != "" {
		t.Error(diff)
	}
	if _, err := newRequestMetrics(registry); !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		t.Errorf("registered twice: %v", err)
	}
}

func TestLoginMetrics(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "ok", 400: "malformed", 422: "malformed", 401: "refused", 403: "refused", 429: "limited", 499: "left", 500: "failed", 503: "failed",
	} {
		registry := prometheus.NewPedanticRegistry()
		m, err := newRequestMetrics(registry)
		if err != nil {
			t.Fatal(err)
		}
		m.observe(http.MethodPost, "/token", status, time.Second)
		m.observe(http.MethodPost, "/api/token", status, time.Second)
		m.observe(http.MethodGet, "/token", status, time.Second)
		m.observe(http.MethodPost, "/servers", status, time.Second)
		for series, n := range seriesOf(t, registry) {
			result, login := strings.CutPrefix(series, "pgam_logins_total{result=")
			if login && (n == 2) != (result == want+"}") {
				t.Errorf("status %d: %g logins are %s, want two %s", status, n, result, want)
			}
		}
	}
}
