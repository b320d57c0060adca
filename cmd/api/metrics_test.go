package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/target"
)

// TestQuestions: a thousand servers have five series each, and what outlives its
// server has none.
func TestQuestions(t *testing.T) {
	t.Parallel()
	const servers, each, others = 1000, 5, 6
	q := newQuestions(new(live.Live))
	var list []target.Target
	pools := []live.PoolStatus{{Server: 5000, Acquired: 1}}
	for i := range servers {
		list = append(list, target.Target{
			ID: target.ID(i + 1), Name: fmt.Sprintf("db%d", i+1), Endpoint: target.Endpoint{Host: "host-canary", User: "user-canary"},
		})
		pools = append(pools, live.PoolStatus{
			Server: target.ID(i + 1), Key: "host-canary:5432:user-canary:postgres", Size: live.Size{Min: 1, Max: 5},
			Acquired: 2, Idle: 1, Waits: 3, WaitTime: 1500 * time.Millisecond,
		})
	}
	q.servers, q.pools = func() []target.Target { return list }, func() []live.PoolStatus { return pools }
	q.counts = func() live.Counts { return live.Counts{Statuses: live.CacheCounts{Hits: 7, Loads: 2}, Listeners: 4} }
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(q)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %+v", err, problems)
	}
	series, want := 0, map[string]float64{
		"pgam_servers": servers, "pgam_pool_connections": 3 * servers, "pgam_pool_max_connections": 5 * servers,
		"pgam_pool_waits_total": 3 * servers, "pgam_pool_wait_seconds_total": 1.5 * servers,
		"pgam_cache_hits_total": 7, "pgam_cache_loads_total": 2, "pgam_stream_listeners": 4,
	}
	for _, family := range families {
		series += len(family.GetMetric())
		sum := 0.0
		for _, m := range family.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			for _, label := range m.GetLabel() {
				if label.GetName() != "server" && label.GetName() != "state" && label.GetName() != "cache" {
					t.Errorf("%s has a label %s", family.GetName(), label.GetName())
				}
			}
		}
		if sum != want[family.GetName()] {
			t.Errorf("%s: %g, want %g", family.GetName(), sum, want[family.GetName()])
		}
		delete(want, family.GetName())
	}
	if series != servers*each+others || len(want) > 0 {
		t.Errorf("%d series, want %d; missing %v", series, servers*each+others, want)
	}
}
