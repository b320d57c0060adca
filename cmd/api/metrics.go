package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/target"
)

// questions shows how questions to servers are doing: the pools, five series for
// each server that is asked, and the caches before them.
type questions struct {
	servers func() []target.Target
	pools   func() []live.PoolStatus
	counts  func() live.Counts

	watched, connections, limit, waits, waited, hits, loads, listeners *prometheus.Desc
}

func newQuestions(now *live.Live) *questions {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pgam_"+name, help, labels, nil)
	}
	return &questions{
		servers: now.Servers, pools: now.Pools, counts: now.Counts,
		watched:     d("servers", "Servers known, paused ones too."),
		connections: d("pool_connections", "Connections of the pool to a server by state: acquired or idle.", "server", "state"),
		limit:       d("pool_max_connections", "Most connections of the pool to a server.", "server"),
		waits:       d("pool_waits_total", "Questions that had to wait for a connection to a server.", "server"),
		waited:      d("pool_wait_seconds_total", "Seconds that questions waited for a connection to a server.", "server"),
		hits:        d("cache_hits_total", "Answers that were at hand, by cache.", "cache"),
		listeners:   d("stream_listeners", "Listeners of live streams (server-sent events) now."),
		loads:       d("cache_loads_total", "Answers that had to be asked for, by cache.", "cache"),
	}
}

// Describe implements prometheus.Collector.
func (q *questions) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.watched, q.connections, q.limit, q.waits, q.waited, q.hits, q.loads, q.listeners} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A pool that outlives its server is
// left out.
func (q *questions) Collect(ch chan<- prometheus.Metric) {
	metric := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	servers := q.servers()
	names := make(map[target.ID]string, len(servers))
	for _, t := range servers {
		names[t.ID] = t.Name
	}
	metric(q.watched, prometheus.GaugeValue, float64(len(servers)))
	for _, p := range q.pools() {
		name, ok := names[p.Server]
		if !ok {
			continue
		}
		metric(q.connections, prometheus.GaugeValue, float64(p.Acquired), name, "acquired")
		metric(q.connections, prometheus.GaugeValue, float64(p.Idle), name, "idle")
		metric(q.limit, prometheus.GaugeValue, float64(p.Size.Max), name)
		metric(q.waits, prometheus.CounterValue, float64(p.Waits), name)
		metric(q.waited, prometheus.CounterValue, p.WaitTime.Seconds(), name)
	}
	n := q.counts()
	metric(q.listeners, prometheus.GaugeValue, float64(n.Listeners))
	for cache, used := range map[string]live.CacheCounts{"statuses": n.Statuses, "disks": n.Disks} {
		metric(q.hits, prometheus.CounterValue, float64(used.Hits), cache)
		metric(q.loads, prometheus.CounterValue, float64(used.Loads), cache)
	}
}
