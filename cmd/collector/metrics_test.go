package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// records is a journal.
type records struct {
	stats  journal.Stats
	oldest time.Time
	err    error
}

func (w records) Stats() journal.Stats             { return w.stats }
func (w records) Oldest() (time.Time, bool, error) { return w.oldest, !w.oldest.IsZero(), w.err }

// care is stats_db.
type care struct {
	seen ingest.Upkeep
	err  error
}

func (c *care) Upkeep(context.Context, time.Time) (ingest.Upkeep, error) { return c.seen, c.err }

var at = time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC)

func clock() time.Time { return at }

func yes() bool { return true }

// wantMetrics compares the series that a collector shows of these names.
func wantMetrics(t *testing.T, c prometheus.Collector, want map[string]float64, names ...string) {
	t.Helper()
	got := gathered(t, c)
	for series := range got {
		name, _, _ := strings.Cut(series, "{")
		if !slices.Contains(names, name) {
			delete(got, series)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// gathered gives the series that a collector shows, by name and labels.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	return seriesOf(t, registry)
}

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

// everything is a registry as the program has it, over a fleet in which nothing
// is well.
func everything(t *testing.T, servers int) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	f := newFleet()
	m := newMeter(registry, f)
	list := make([]collector.Watched, 0, servers)
	for i := range servers {
		id := target.ID(i + 1)
		list = append(list, collector.Watched{ID: id, Name: fmt.Sprintf("db%d", id), Breaker: true})
		for hour := range 3 {
			look := at.Add(time.Duration(hour) * time.Hour)
			m.Disks(id, &sample.Disks{At: look, FileSystems: []sample.FileSystem{
				{MountPoint: "/data", Device: "canary-device", Total: sample.Int{V: 1000, Known: true}, Free: sample.Int{V: int64(500 - 100*hour), Known: true}},
				{MountPoint: "/wal", Total: sample.Int{V: 1000, Known: true}, Free: sample.Int{V: int64(900 - 10*hour), Known: true}},
			}})
		}
		for reason := sample.Timeout; reason <= sample.NotFound; reason++ {
			m.Tick(&sample.Visit{Server: id, Load: sample.Load{MaxConnections: 100}, Tick: &sample.Tick{
				Planned: at.Add(2 * time.Hour), Started: at.Add(2*time.Hour - 7*time.Millisecond), Backends: 3, NextXID: 5, Cadence: time.Second, Outcome: sample.Degraded, Reason: reason, Duration: 3 * time.Millisecond,
				Sessions: []sample.Session{{XactStart: at.Add(-time.Hour).UnixMicro()}, {XactStart: at.UnixMicro()}, {}},
			}})
		}
	}
	m.Flush(collector.Flush{Ticks: servers, Took: time.Second})
	f.watched, f.now = func() []collector.Watched { return list }, func() time.Time { return at.Add(2 * time.Hour) }
	counts := func() collector.Counts { return collector.Counts{Ticks: map[sample.Outcome]int64{}, Servers: servers} }
	l := newLag(&care{seen: ingest.Upkeep{PartitionsUntil: at.AddDate(0, 0, 4), Seen: at, Bytes: 1}}, clock)
	if err := l.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	registry.MustRegister(f, newTotals(counts, records{}), newLeaseHeld(yes), l)
	return registry
}

// TestMetrics_AreBounded: names and helps are by the rules, and a hundred
// servers have 21 series each, of which 16 tell their load; all else does not grow.
func TestMetrics_AreBounded(t *testing.T) {
	t.Parallel()
	series := func(servers int) int { return len(seriesOf(t, everything(t, servers))) }
	const each = 21
	none, few, many := series(1)-each, series(10), series(100)
	if few != none+10*each || many != none+100*each || none > 100 {
		t.Errorf("%d series of no server, %d of ten, %d of a hundred; want %d a server and at most a hundred beside", none, few, many, each)
	}
	families, err := everything(t, 1).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if text := family.String(); strings.Contains(text, "canary") {
			t.Errorf("more is told than is known to be harmless: %s", text)
		}
	}
}

func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFleet()
	list := []collector.Watched{{ID: 1, Name: "a"}, {ID: 2, Name: "b", Breaker: true}, {ID: 3, Name: "not yet"}}
	f.watched, f.now = func() []collector.Watched { return list }, clock
	f.tick(&sample.Visit{Server: 1, Tick: &sample.Tick{Started: at, Outcome: sample.OK, Sessions: []sample.Session{{XactStart: at.Add(-90 * time.Second).UnixMicro()}, {}}}})
	f.tick(&sample.Visit{Server: 2, Tick: &sample.Tick{Started: at, Outcome: sample.Failed, Reason: sample.Timeout}})
	f.tick(&sample.Visit{Server: 9, Tick: &sample.Tick{Started: at}})
	wantMetrics(t, f, map[string]float64{
		"pgam_server_up{server=a}":                         1,
		"pgam_server_up{server=b}":                         0,
		"pgam_server_failing{reason=timeout,server=b}":     1,
		"pgam_server_breaker_open{server=a}":               0,
		"pgam_server_breaker_open{server=b}":               1,
		"pgam_server_oldest_transaction_seconds{server=a}": 90,
	}, "pgam_server_up", "pgam_server_failing", "pgam_server_breaker_open", "pgam_server_oldest_transaction_seconds", "pgam_server_disk_free_ratio")
	if len(f.seen) != 2 {
		t.Errorf("%d servers are remembered, want those that are watched", len(f.seen))
	}
	f.tick(&sample.Visit{Server: 1, Tick: &sample.Tick{Started: at, Outcome: sample.Degraded, Reason: sample.LockTimeout}})
	list = list[:1]
	wantMetrics(t, f, map[string]float64{
		"pgam_server_up{server=a}":                          1,
		"pgam_server_failing{reason=lock_timeout,server=a}": 1,
		"pgam_server_oldest_transaction_seconds{server=a}":  0,
	}, "pgam_server_up", "pgam_server_failing", "pgam_server_oldest_transaction_seconds")
}

// TestFleet_Load: the load is that of the last answered tick, and is not told once
// a tick failed or none came.
func TestFleet_Load(t *testing.T) {
	t.Parallel()
	f, now := newFleet(), at
	f.watched, f.now = func() []collector.Watched { return []collector.Watched{{ID: 1, Name: "a"}} }, func() time.Time { return now }
	answered := &sample.Visit{Server: 1, Load: sample.Load{MaxConnections: 100}, Tick: &sample.Tick{
		Started: at, Cadence: 10 * time.Second, Outcome: sample.OK, Backends: 42, NextXID: 1<<32 + 50,
		Sessions: []sample.Session{
			{Session: 1, Class: sample.ClassLock, Xmin: 40, XactStart: at.Add(-time.Minute).UnixMicro()},
			{Session: 2, Class: sample.ClassLock},
			{Session: 3, Class: sample.ClassIdleInTransaction, Xmin: 1<<32 - 50},
			{Session: 4, Class: sample.NumClasses},
		},
		Edges: []sample.Edge{{Blocked: 1, Blocker: 3}, {Blocked: 2, Blocker: 3}, {Blocked: 2, Blocker: 1}},
	}}
	names := []string{
		"pgam_server_active_sessions", "pgam_server_blocked_sessions", "pgam_server_connections", "pgam_server_max_connections",
		"pgam_server_oldest_transaction_seconds", "pgam_server_oldest_xmin_age_transactions",
	}
	want := map[string]float64{
		"pgam_server_blocked_sessions{server=a}": 2, "pgam_server_connections{server=a}": 42, "pgam_server_max_connections{server=a}": 100,
		"pgam_server_oldest_transaction_seconds{server=a}": 60, "pgam_server_oldest_xmin_age_transactions{server=a}": 100,
	}
	for class := range sample.NumClasses {
		want["pgam_server_active_sessions{server=a,wait_class="+class.String()+"}"] = 0
	}
	want["pgam_server_active_sessions{server=a,wait_class=lock}"] = 2
	want["pgam_server_active_sessions{server=a,wait_class=idle_in_transaction}"] = 1
	f.tick(answered)
	wantMetrics(t, f, want, names...)
	f.tick(&sample.Visit{Server: 1, Tick: &sample.Tick{Outcome: sample.Skipped}})
	now = at.Add(29 * time.Second)
	wantMetrics(t, f, want, names...)
	now = at.Add(30 * time.Second)
	wantMetrics(t, f, nil, names...)
	now = at
	f.tick(answered)
	f.tick(&sample.Visit{Server: 1, Tick: &sample.Tick{Outcome: sample.Failed, Reason: sample.Timeout}})
	wantMetrics(t, f, nil, names...)
}

// TestFleet_Disks: the least free share and the first to be full count, a file
// system that goes away does not.
func TestFleet_Disks(t *testing.T) {
	t.Parallel()
	f := newFleet()
	f.watched = func() []collector.Watched { return []collector.Watched{{ID: 1, Name: "a"}} }
	f.tick(&sample.Visit{Server: 1, Tick: &sample.Tick{Started: at}})
	known := func(v int64) sample.Int { return sample.Int{V: v, Known: true} }
	last := at
	for minute := 0; minute <= 8*60; minute++ {
		last = at.Add(time.Duration(minute) * time.Minute)
		d := sample.Disks{At: last, FileSystems: []sample.FileSystem{
			{MountPoint: "/filling", Total: known(1_000_000), Free: known(900_000 - int64(minute)*1000)},
			{MountPoint: "/full", Total: known(1000), Free: known(100)},
			{MountPoint: "/unknown", Total: known(1000)},
		}}
		if minute == 30 {
			d.FileSystems = append(d.FileSystems, sample.FileSystem{MountPoint: "/gone", Total: known(1000), Free: known(1)})
		}
		f.disks(1, &d)
		if n := len(f.seen[1].disks["/filling"].points); n > 42 {
			t.Fatalf("%d points are kept", n)
		}
		f.now = func() time.Time { return last }
		if minute == 45 {
			wantMetrics(t, f, map[string]float64{
				"pgam_server_disk_free_ratio{server=a}": 0.1,
			}, "pgam_server_disk_free_ratio", "pgam_server_disk_full_seconds")
		}
	}
	f.now = func() time.Time { return last.Add(time.Minute) }
	wantMetrics(t, f, map[string]float64{
		"pgam_server_disk_free_ratio{server=a}":   0.1,
		"pgam_server_disk_full_seconds{server=a}": 25140,
	}, "pgam_server_disk_free_ratio", "pgam_server_disk_full_seconds") // 420 minutes less one
}

func TestTotals_Journal(t *testing.T) {
	t.Parallel()
	counts := func() collector.Counts { return collector.Counts{} }
	refused := func(state string) func() collector.Counts {
		return func() collector.Counts {
			return collector.Counts{Trouble: &collector.Trouble{Refusal: collector.Refusal{SQLSTATE: state}}}
		}
	}
	wantMetrics(t, newTotals(refused("28P01"), records{}), map[string]float64{"pgam_write_refused{sqlstate=28P01}": 1}, "pgam_write_refused")
	wantMetrics(t, newTotals(refused(""), records{}), map[string]float64{"pgam_write_refused{sqlstate=none}": 1}, "pgam_write_refused")
	wantMetrics(t, newTotals(counts, records{stats: journal.Stats{Aside: 2, AsideBytes: 9, AsideDropped: 1}}), map[string]float64{
		"pgam_journal_quarantine_records{}": 2, "pgam_journal_quarantine_bytes{}": 9, "pgam_journal_quarantine_dropped_records_total{}": 1,
	}, "pgam_write_refused", "pgam_journal_quarantine_records", "pgam_journal_quarantine_bytes", "pgam_journal_quarantine_dropped_records_total")
	names := []string{"pgam_journal_oldest_seconds", "pgam_journal_bytes", "pgam_journal_max_bytes", "pgam_journal_failing"}
	w := records{stats: journal.Stats{Bytes: 5, MaxBytes: 10, Failing: true}, oldest: at.Add(-time.Minute)}
	m := newTotals(counts, w)
	m.now = clock
	wantMetrics(t, m, map[string]float64{
		"pgam_journal_oldest_seconds{}": 60,
		"pgam_journal_bytes{}":          5,
		"pgam_journal_max_bytes{}":      10,
		"pgam_journal_failing{}":        1,
	}, names...)
	m = newTotals(counts, records{})
	wantMetrics(t, m, map[string]float64{
		"pgam_journal_oldest_seconds{}": 0,
	}, "pgam_journal_oldest_seconds")
	m = newTotals(counts, records{err: errors.New("disk")})
	wantMetrics(t, m, nil, "pgam_journal_oldest_seconds")
}

// TestLag: what is not known for long is not shown.
func TestLag(t *testing.T) {
	t.Parallel()
	names := []string{
		"pgam_partitions_ahead_seconds", "pgam_history_lag_seconds", "pgam_compaction_lag_seconds", "pgam_recent_dead_rows", "pgam_stats_db_bytes",
	}
	source, now := &care{err: errors.New("away")}, at
	l := newLag(source, func() time.Time { return now })
	if err := l.look(t.Context()); err == nil {
		t.Error("a look that failed says nothing")
	}
	wantMetrics(t, l, nil, names...)
	look := func(seen ingest.Upkeep) {
		t.Helper()
		source.seen, source.err = seen, nil
		if err := l.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look(ingest.Upkeep{PartitionsUntil: at.Add(time.Hour), Seen: at.Add(-20 * time.Second), CompactionDue: at.Add(-time.Minute), DeadRows: 3, Bytes: 7})
	now = at.Add(time.Minute)
	wantMetrics(t, l, map[string]float64{
		"pgam_partitions_ahead_seconds{}": 3540,
		"pgam_history_lag_seconds{}":      20,
		"pgam_compaction_lag_seconds{}":   120,
		"pgam_recent_dead_rows{}":         3,
		"pgam_stats_db_bytes{}":           7,
	}, names...)
	look(ingest.Upkeep{})
	wantMetrics(t, l, map[string]float64{
		"pgam_partitions_ahead_seconds{}": 0,
		"pgam_compaction_lag_seconds{}":   0,
		"pgam_recent_dead_rows{}":         0,
		"pgam_stats_db_bytes{}":           0,
	}, names...)
	now = now.Add(lagStale + time.Second)
	wantMetrics(t, l, nil, names...)
}
