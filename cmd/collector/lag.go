package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/store"
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
	Upkeep(ctx context.Context, now time.Time) (store.Upkeep, error)
}

// lag shows how far the care for the history has come. It looks by itself, so
// that a scrape asks stats_db nothing.
type lag struct {
	source lagSource
	packs  func() bool // days are packed at all
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	last store.Upkeep
	at   time.Time // of last

	partitions, rollups, pack, bytes *prometheus.Desc
}

func newLag(source lagSource, packs func() bool, log *slog.Logger) *lag {
	d := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("pgam_"+name, help, nil, nil) }
	return &lag{
		source: source, packs: packs, log: log, now: time.Now,
		partitions: d("partitions_ahead_seconds", "Seconds until the first table of stats_db has no partition to write to."),
		rollups:    d("rollup_lag_seconds", "Seconds since the oldest bucket of activity was over that is not rolled up; 0: none waits."),
		pack:       d("repack_lag_seconds", "Seconds since the oldest day was over that is not packed; 0: none waits. No series where days are not packed."),
		bytes:      d("stats_db_bytes", "Bytes of stats_db on disk."),
	}
}

// start looks until ctx ends or it is stopped.
func (l *lag) start(ctx context.Context) (stop func(context.Context) error) {
	ctx, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(lagEvery)
		defer ticker.Stop()
		for {
			l.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return func(ctx context.Context) error {
		end()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *lag) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lagLimit)
	defer cancel()
	now := l.now()
	seen, err := l.source.Upkeep(ctx, now)
	if err != nil {
		l.log.DebugContext(ctx, "what waits in stats_db is not known", "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.at = seen, now
}

// Describe implements prometheus.Collector.
func (l *lag) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.partitions, l.rollups, l.pack, l.bytes} {
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
	gauge(l.rollups, since(seen.RollupDue))
	if l.packs() {
		due := seen.PackDue
		if !due.IsZero() {
			due = due.AddDate(0, 0, 1)
		}
		gauge(l.pack, since(due))
	}
	gauge(l.bytes, float64(seen.Bytes))
}
