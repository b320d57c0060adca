package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/ingest"
)

const (
	// lagEvery is how often it is looked at what waits in stats_db, and lagLimit
	// how long a look may take.
	lagEvery = time.Minute
	lagLimit = 10 * time.Second
	// lagStale is how long a look is shown.
	lagStale = 5 * time.Minute
)

// lagSource tells how far the care for the history has come.
type lagSource interface {
	Upkeep(ctx context.Context, now time.Time) (ingest.Upkeep, error)
}

// lag shows how far the care for the history has come. It looks by itself, so
// that a scrape asks stats_db nothing.
type lag struct {
	source lagSource
	now    func() time.Time

	mu   sync.Mutex
	last ingest.Upkeep
	at   time.Time // of last

	partitions, seen, compaction, dead, bytes *prometheus.Desc
}

func newLag(source lagSource, now func() time.Time) *lag {
	d := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("pgam_"+name, help, nil, nil) }
	return &lag{
		source: source, now: now,
		partitions: d("partitions_ahead_seconds", "Seconds until the first table of stats_db has no partition to write to."),
		seen:       d("history_lag_seconds", "Seconds since the end of the newest slot of samples that is in stats_db; no series where there is none."),
		compaction: d("compaction_lag_seconds", "Seconds since the oldest ten minutes were over that are not compacted; 0: none wait."),
		dead:       d("recent_dead_rows", "Rows of history.activity_recent that wait for a vacuum: they pile up while a session of stats_db holds an old snapshot."),
		bytes:      d("stats_db_bytes", "Bytes of stats_db on disk."),
	}
}

// service looks again and again.
func (l *lag) service(usable func(context.Context) error, log *slog.Logger) (*daemon.Service, error) {
	return daemon.NewService(daemon.ServiceConfig{
		Name: "upkeep", Log: log, Run: once(l.look), Every: lagEvery, Again: lagEvery, Timeout: lagLimit, Usable: usable,
	})
}

func (l *lag) look(ctx context.Context) error {
	now := l.now()
	seen, err := l.source.Upkeep(ctx, now)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.at = seen, now
	return nil
}

// Describe implements prometheus.Collector.
func (l *lag) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.partitions, l.seen, l.compaction, l.dead, l.bytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What is not known has no series.
func (l *lag) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	seen, at := l.last, l.at
	l.mu.Unlock()
	now := l.now()
	if at.IsZero() || now.Sub(at) > lagStale {
		return
	}
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	since := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return max(now.Sub(t).Seconds(), 0)
	}
	ahead := 0.0
	if !seen.PartitionsUntil.IsZero() {
		ahead = max(seen.PartitionsUntil.Sub(now).Seconds(), 0)
	}
	gauge(l.partitions, ahead)
	if !seen.Seen.IsZero() {
		gauge(l.seen, max(at.Sub(seen.Seen).Seconds(), 0)) // as of the look: newer slots may have come
	}
	gauge(l.compaction, since(seen.CompactionDue))
	gauge(l.dead, float64(seen.DeadRows))
	gauge(l.bytes, float64(seen.Bytes))
}
