package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/spool"
)

// metrics shows the collector's and the journal's totals to Prometheus; no
// label grows with the number of servers.
type metrics struct {
	c       *collector.Collector
	journal *spool.Spool

	ticks, sessions, dials, looks, windows, flushErrors, dropped, quarantined *prometheus.Desc
	servers, connected, records, bytes, memory, failing                       *prometheus.Desc
}

func newMetrics(c *collector.Collector, journal *spool.Spool) *metrics {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pgam_"+name, help, labels, nil)
	}
	return &metrics{
		c: c, journal: journal,
		ticks:       d("ticks_total", "Planned ticks by outcome.", "outcome"),
		sessions:    d("session_samples_total", "Session samples taken."),
		dials:       d("connection_attempts_total", "Attempts to connect to a server."),
		looks:       d("disk_looks_total", "Looks at the file systems of a server's host by outcome.", "outcome"),
		windows:     d("windows_written_total", "Windows written to stats_db."),
		flushErrors: d("write_errors_total", "Batches that stats_db did not take."),
		dropped:     d("journal_dropped_visits_total", "Visits dropped because the journal was full."),
		quarantined: d("journal_quarantined_records_total", "Journal records that could not be stored and were set aside."),
		servers:     d("servers", "Servers watched."),
		connected:   d("servers_connected", "Servers with a connection."),
		records:     d("journal_records", "Journal records that wait for stats_db."),
		bytes:       d("journal_bytes", "Bytes of them."),
		memory:      d("journal_memory_bytes", "Bytes of them that are not on disk."),
		failing:     d("journal_failing", "1 while the journal cannot be written."),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	n, st := m.c.Counts(), m.journal.Stats()
	for _, o := range []sample.Outcome{sample.OK, sample.Degraded, sample.Failed, sample.Skipped} {
		counter(m.ticks, n.Ticks[o], o.String())
	}
	counter(m.sessions, n.Sessions)
	counter(m.dials, n.Dials)
	counter(m.looks, n.LooksOK, sample.OK.String())
	counter(m.looks, n.LooksFailed, sample.Failed.String())
	counter(m.windows, n.WindowsSaved)
	counter(m.flushErrors, n.FlushErrors)
	counter(m.dropped, st.DroppedVisits)
	counter(m.quarantined, st.Quarantined)
	gauge(m.servers, float64(n.Servers))
	gauge(m.connected, float64(n.Connected))
	gauge(m.records, float64(st.Records))
	gauge(m.bytes, float64(st.Bytes))
	gauge(m.memory, float64(st.MemoryBytes))
	failing := 0.0
	if st.Failing {
		failing = 1
	}
	gauge(m.failing, failing)
}
