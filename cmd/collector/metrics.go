package main

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/sample"
)

// totals shows the collector's and the journal's totals to Prometheus; no label
// grows with the number of servers.
type totals struct {
	counts  func() collector.Counts
	journal waiting
	now     func() time.Time

	ticks, sessions, dials, looks, written, flushErrors, dropped, quarantined *prometheus.Desc
	servers, connected, refused                                               *prometheus.Desc
	aside, asideBytes, asideDropped                                           *prometheus.Desc
	records, bytes, memory, limit, failing, oldest                            *prometheus.Desc
}

// waiting is what is measured of a journal.
type waiting interface {
	Stats() journal.Stats
	Oldest() (time.Time, bool, error)
}

func newTotals(counts func() collector.Counts, w waiting) *totals {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pgam_"+name, help, labels, nil)
	}
	return &totals{
		counts: counts, journal: w, now: time.Now,
		ticks:        d("ticks_total", "Planned ticks (visits to a server) by outcome; answered are ok and degraded.", "outcome"),
		sessions:     d("session_samples_total", "Session samples taken."),
		dials:        d("connection_attempts_total", "Attempts to connect to a server."),
		looks:        d("disk_looks_total", "Looks at the file systems of a server's host by outcome.", "outcome"),
		written:      d("ticks_written_total", "Ticks written to stats_db; some more than once, after a lost answer."),
		flushErrors:  d("write_errors_total", "Transactions that stats_db did not take."),
		dropped:      d("journal_dropped_visits_total", "Visits dropped because the journal was full."),
		quarantined:  d("journal_quarantined_records_total", "Journal records that could not be stored and were set aside."),
		refused:      d("write_refused", "1 while stats_db does not take what is seen, or a part of it, by SQLSTATE; none: there was no answer; no series while it does.", "sqlstate"),
		aside:        d("journal_quarantine_records", "Journal records that are set aside, until pgam journal replay."),
		asideBytes:   d("journal_quarantine_bytes", "Bytes of the journal records that are set aside."),
		asideDropped: d("journal_quarantine_dropped_records_total", "Records given up that were set aside, because there were too many."),
		servers:      d("servers", "Servers watched."),
		connected:    d("servers_connected", "Servers with a connection."),
		records:      d("journal_records", "Journal records that wait for stats_db."),
		bytes:        d("journal_bytes", "Bytes of the journal records that wait for stats_db."),
		memory:       d("journal_memory_bytes", "Bytes of the journal records that are not on disk."),
		limit:        d("journal_max_bytes", "Bytes beyond which the journal drops the oldest visits."),
		failing:      d("journal_failing", "1 while the journal cannot be written."),
		oldest:       d("journal_oldest_seconds", "Age in seconds of the oldest tick that waits for stats_db; 0: none waits."),
	}
}

// Describe implements prometheus.Collector.
func (m *totals) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.ticks, m.sessions, m.dials, m.looks, m.written, m.flushErrors, m.dropped, m.quarantined, m.servers, m.connected,
		m.refused, m.aside, m.asideBytes, m.asideDropped,
		m.records, m.bytes, m.memory, m.limit, m.failing, m.oldest,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *totals) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	n, st := m.counts(), m.journal.Stats()
	for _, o := range []sample.Outcome{sample.OK, sample.Degraded, sample.Failed, sample.Skipped} {
		counter(m.ticks, n.Ticks[o], o.String())
	}
	counter(m.sessions, n.Sessions)
	counter(m.dials, n.Dials)
	counter(m.looks, n.LooksOK, sample.OK.String())
	counter(m.looks, n.LooksFailed, sample.Failed.String())
	counter(m.written, n.TicksSaved)
	counter(m.flushErrors, n.FlushErrors)
	counter(m.dropped, st.DroppedVisits)
	counter(m.quarantined, st.Quarantined)
	counter(m.asideDropped, st.AsideDropped)
	gauge(m.aside, float64(st.Aside))
	gauge(m.asideBytes, float64(st.AsideBytes))
	if t := n.Trouble; t != nil {
		ch <- prometheus.MustNewConstMetric(m.refused, prometheus.GaugeValue, 1, cmp.Or(t.SQLSTATE, "none"))
	}
	gauge(m.servers, float64(n.Servers))
	gauge(m.connected, float64(n.Connected))
	gauge(m.records, float64(st.Records))
	gauge(m.bytes, float64(st.Bytes))
	gauge(m.memory, float64(st.MemoryBytes))
	gauge(m.limit, float64(st.MaxBytes))
	gauge(m.failing, oneIf(st.Failing))
	// A journal that cannot be read says so itself; its age is not known then.
	if oldest, ok, err := m.journal.Oldest(); err == nil {
		age := 0.0
		if ok {
			age = max(m.now().Sub(oldest).Seconds(), 0)
		}
		gauge(m.oldest, age)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// newExpired is a series of what was too old to be written.
func newExpired(count func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "pgam_ticks_expired_total",
		Help: "Ticks left out because samples of their time are not kept any more.",
	}, func() float64 { return float64(count()) })
}
