package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// meter measures what happens as it happens. Its labels are outcomes and
// reasons, of which there are few; what is known of each server goes to fleet.
type meter struct {
	fleet *fleet

	faults       *prometheus.CounterVec
	slip, visits prometheus.Histogram
	flushes      *prometheus.HistogramVec
	flushTicks   prometheus.Histogram
}

// newMeter registers what it measures.
func newMeter(registry prometheus.Registerer, f *fleet) *meter {
	m := &meter{
		fleet: f,
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgam_tick_faults_total",
			Help: "Planned ticks that are not ok, by outcome and reason.",
		}, []string{"outcome", "reason"}),
		slip: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pgam_tick_slip_seconds",
			Help:    "How much later than planned answered ticks were begun, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}),
		visits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pgam_visit_duration_seconds",
			Help:    "How long visits took that were answered, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		flushes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pgam_flush_duration_seconds",
			Help:    "How long transactions that write to stats_db took, in seconds, by result.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{"result"}),
		flushTicks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pgam_flush_ticks",
			Help:    "Ticks in one transaction that was written.",
			Buckets: []float64{1, 4, 16, 64, 256, 1024, 4096},
		}),
	}
	m.flushes.WithLabelValues("ok")
	m.flushes.WithLabelValues("failed")
	registry.MustRegister(m.faults, m.slip, m.visits, m.flushes, m.flushTicks)
	return m
}

// Tick implements collector.Meter.
func (m *meter) Tick(v *sample.Visit) {
	t := v.Tick
	if t.Outcome.Answered() {
		m.slip.Observe(max(t.Started.Sub(t.Planned).Seconds(), 0))
		m.visits.Observe(t.Duration.Seconds())
	}
	if t.Outcome != sample.OK {
		m.faults.WithLabelValues(t.Outcome.String(), t.Reason.String()).Inc()
	}
	m.fleet.tick(v)
}

// Disks implements collector.Meter.
func (m *meter) Disks(server target.ID, d *sample.Disks) { m.fleet.disks(server, d) }

// Flush implements collector.Meter.
func (m *meter) Flush(f collector.Flush) {
	if f.Failed {
		m.flushes.WithLabelValues("failed").Observe(f.Took.Seconds())
		return
	}
	m.flushes.WithLabelValues("ok").Observe(f.Took.Seconds())
	m.flushTicks.Observe(float64(f.Ticks))
}
