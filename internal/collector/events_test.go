package collector

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func (w *world) wantEvents(id target.ID, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.history.tell(id)); diff != "" {
		w.t.Errorf("events of %d (-want +got):\n%s", id, diff)
	}
}

const (
	started   = "collector_started"
	stoppedEv = "collector_stopped"
)

// TestEventsOfTheCollector: stops that were clean, long or none at all.
func TestEventsOfTheCollector(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.start()
		w.pass(30 * time.Second)
		w.stop()
		w.wantEvents(sample.TheMonitor, started, stoppedEv)
		// Soon again: no gap. Later: one, that begins with the stop.
		w.pass(20 * time.Second)
		w.start()
		w.pass(20 * time.Second)
		w.stop()
		w.pass(10 * time.Minute)
		w.start()
		w.pass(20 * time.Second)
		long := "collector_gap the collector was stopped: nothing was collected for 10m0s"
		if got := w.history.tell(sample.TheMonitor); len(got) != 6 || got[5] != long {
			w.t.Fatalf("events %q", got)
		}
		// Without a stop: from the last tick that was written.
		w.pass(20 * time.Second)
		w.kill()
		w.pass(5 * time.Second)
		w.start()
		w.pass(20 * time.Second)
		w.stop()
		got := w.history.tell(sample.TheMonitor)[6:]
		if len(got) != 3 || got[0] != started || !strings.HasPrefix(got[1], "collector_gap the collector ended without a clean stop") || got[2] != stoppedEv {
			w.t.Fatalf("events after a kill: %q", got)
		}
		gaps := 0
		for _, e := range w.history.events[sample.TheMonitor] {
			from, errFrom := time.Parse(time.RFC3339Nano, e.Old)
			to, errTo := time.Parse(time.RFC3339Nano, e.New)
			if e.Kind != sample.EventCollectorGap {
				continue
			}
			gaps++
			if errFrom != nil || errTo != nil || !e.At.Equal(from) || !to.After(from) {
				w.t.Errorf("gap at %s from %q to %q", e.At, e.Old, e.New)
			}
			if gaps == 2 && to.Sub(from) > 10*time.Second {
				w.t.Errorf("the kill's gap is %s: what the journal had is not taken for a sign of life", to.Sub(from))
			}
		}
	}, server(1))
}

// TestGapIsToldLater: while stats_db is away nobody knows how long the collector
// was; the journal knows what it still holds.
func TestGapIsToldLater(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.start()
		w.pass(30 * time.Second)
		w.kill()
		away := func(batch) error { return errAway }
		w.history.fail(away, nil)
		w.history.refuse(func(target.ID) error { return errAway })
		w.pass(2 * time.Minute)
		w.start()
		w.pass(30 * time.Second)
		w.wantEvents(sample.TheMonitor, started)
		w.history.fail(nil, nil)
		w.history.refuse(nil)
		w.pass(30 * time.Second)
		got := w.history.tell(sample.TheMonitor)
		if len(got) != 3 || !strings.HasPrefix(got[2], "collector_gap the collector ended without a clean stop: nothing was collected for 2m") {
			w.t.Errorf("events %q", got)
		}
		w.stop()
	}, server(1))
}

// changed is a server as of a later revision.
func changed(t target.Target, at time.Time, change func(*target.Target)) target.Target {
	change(&t)
	t.UpdatedAt = at
	return t
}

// TestEventsOfServers: seen at work, or by the next run, each told once.
func TestEventsOfServers(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		t.Run(fmt.Sprintf("away=%t", away), func(t *testing.T) {
			inWorld(t, func(_ *testing.T, w *world) {
				created := time.Now().Add(-time.Hour).UTC()
				one, two := server(1), server(2)
				one.CreatedAt, two.CreatedAt, one.UpdatedAt, two.UpdatedAt = created, created, created, created
				w.catalog.targets = []target.Target{one, two}
				w.start()
				next := func(targets ...target.Target) {
					if away {
						w.stop()
					}
					w.pass(time.Second)
					w.catalog.set(targets...)
					if away {
						w.pass(time.Hour)
						w.start()
					}
					w.pass(20 * time.Second)
				}
				next(changed(one, time.Now(), func(t *target.Target) {
					t.Endpoint.Password, t.Endpoint.Host = secret.New("canary"), "elsewhere"
				}), two)
				one = w.catalog.targets[0]
				next(one, changed(two, time.Now(), func(t *target.Target) { t.Enabled, t.Name = false, "db2 old" }))
				two = w.catalog.targets[1]
				next(one, two)
				next(one, changed(two, time.Now(), func(t *target.Target) { t.Enabled = true }))
				two = w.catalog.targets[1]
				gone := time.Now().Add(-time.Minute).UTC()
				w.catalog.mu.Lock()
				w.catalog.removed = map[target.ID]time.Time{1: gone}
				w.catalog.mu.Unlock()
				three := server(3)
				three.CreatedAt = time.Now().UTC()
				next(two, three)
				w.stop()
				w.wantEvents(1, "server_added", "server_changed host, password", "server_removed")
				w.wantEvents(2, "server_added", "server_paused name, enabled", "server_changed enabled, resumed")
				w.wantEvents(3, "server_added")
				if e := w.history.events[1]; len(e) == 3 && (!e[0].At.Equal(created) || !e[2].At.Equal(gone) || e[2].Old != "db1") {
					w.t.Errorf("events of the first server: %+v", e)
				}
				if text := fmt.Sprint(w.history.events); strings.Contains(text, "canary") {
					w.t.Errorf("an event holds a secret: %s", text)
				}
			})
		})
	}
}

// TestChangedFieldsAreAll says that no field of a server is forgotten.
func TestChangedFieldsAreAll(t *testing.T) {
	t.Parallel()
	n := 5
	all := target.Target{
		Name: "n", Endpoint: target.Endpoint{Host: "h", Port: 1, User: "u", Database: "d", TLS: "t", Password: secret.New("p")},
		Shell: target.Shell{
			Host: "h", User: "u", Port: 1, Password: secret.New("p"), Key: target.ShellKey{ID: 1}, HostKey: "k", Tunnel: true,
		},
		StatsDB: "s", Intervals: target.Intervals{Sizes: 1}, Pool: "p", DiskSource: "d", QueryTexts: "q",
		Burst: target.Burst{Active: &n, LockWaits: &n, ConnectionsPercent: &n}, Enabled: true,
	}
	if got := changedFields(target.Target{}, all); len(got) != 23 {
		t.Errorf("%d fields: %v", len(got), got)
	}
	if got := changedFields(all, all); len(got) != 0 {
		t.Errorf("nothing changed, but: %v", got)
	}
}

// tellingServer answers with an identity that a test changes, and a setting.
func tellingServer(w *world, id target.ID) (change func(func(*sample.Identity))) {
	var mu sync.Mutex
	who := sample.Identity{SystemIdentifier: 9, VersionNum: 150001, Version: "15.1", PostmasterStart: time.Now().Add(-time.Hour).UTC()}
	w.fleet.server(id).visit = func(_ context.Context, _ int, v *sample.Visit) error {
		mu.Lock()
		defer mu.Unlock()
		i := who
		i.At = v.Tick.Started
		v.Identity = &i
		v.Settings = &sample.Settings{At: v.Tick.Started, Set: []sample.Setting{{Name: "work_mem", Value: fmt.Sprint(i.TimelineID)}}}
		return nil
	}
	return func(edit func(*sample.Identity)) {
		mu.Lock()
		defer mu.Unlock()
		edit(&who)
	}
}

// TestEventsAreToldOnce: what was told goes on being told, over clean stops,
// kills and journals that could not be drained, and never twice.
func TestEventsAreToldOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		tell := tellingServer(w, 1)
		away := func(batch) error { return errAway }
		change := func() {
			tell(func(who *sample.Identity) {
				who.PostmasterStart = who.PostmasterStart.Add(time.Second)
				who.TimelineID++
				who.InRecovery = !who.InRecovery
			})
		}
		w.start()
		w.pass(20 * time.Second)
		rounds := 0
		told := func() map[sample.EventKind]int {
			out := make(map[sample.EventKind]int)
			w.history.mu.Lock()
			defer w.history.mu.Unlock()
			for _, e := range w.history.events[1] {
				out[e.Kind]++
			}
			return out
		}
		for _, round := range []struct {
			name string
			do   func()
		}{
			{"at work", change},
			{"clean stop", func() { w.stop(); change(); w.start() }},
			{"kill", func() { w.kill(); change(); w.start() }},
			{"kill after it was told", func() { change(); w.pass(5 * time.Second); w.kill(); w.start() }},
			{"not drained", func() {
				w.history.fail(away, nil)
				change()
				w.pass(20 * time.Second)
				w.stop()
				w.start()
				w.pass(20 * time.Second)
				w.history.fail(nil, nil)
			}},
			{"not drained, and changed meanwhile", func() {
				w.history.fail(away, nil)
				w.pass(20 * time.Second)
				w.stop()
				change()
				w.start()
				w.pass(20 * time.Second)
				w.history.fail(nil, nil)
			}},
		} {
			rounds++
			round.do()
			w.pass(40 * time.Second)
			want := map[sample.EventKind]int{
				sample.EventServerAdded: 1, sample.EventRestart: rounds, sample.EventSetting: rounds,
				sample.EventDemotion: (rounds + 1) / 2, sample.EventPromotion: rounds / 2,
			}
			maps.DeleteFunc(want, func(_ sample.EventKind, n int) bool { return n == 0 })
			if diff := cmp.Diff(want, told()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", round.name, diff)
			}
		}
		w.stop()
	}, server(1))
}

// TestSettingsAtRunTime are taken over within two seconds.
func TestSettingsAtRunTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		now, fault := Burst{Active: 10, Length: time.Minute}, error(nil)
		say := func(active int, err error) {
			mu.Lock()
			defer mu.Unlock()
			now.Active, fault = active, err
		}
		w.change = func(c *Config) {
			c.Burst = Burst{Active: 1, Length: time.Minute}
			c.Settings = func(context.Context) (Settings, error) {
				mu.Lock()
				defer mu.Unlock()
				return Settings{now}, fault
			}
		}
		w.start()
		defer w.stop()
		if got := w.c.burstLimits(); got.Active != 10 {
			t.Errorf("at the start: %+v", got)
		}
		say(20, nil)
		w.pass(5 * time.Second)
		if got := w.c.burstLimits(); got.Active != 10 {
			t.Errorf("without another revision: %+v", got)
		}
		w.catalog.set(w.catalog.targets...)
		w.pass(2 * time.Second)
		if got := w.c.burstLimits(); got.Active != 20 {
			t.Errorf("after a change: %+v", got)
		}
		say(-1, nil)
		w.catalog.set(w.catalog.targets...)
		w.pass(2 * time.Second)
		say(30, errAway)
		w.catalog.set(w.catalog.targets...)
		w.pass(2 * time.Second)
		if got := w.c.burstLimits(); got.Active != 20 {
			t.Errorf("what is wrong was taken over: %+v", got)
		}
		synctest.Wait()
	}, server(1))
}

func TestSawKnowsTheNewest(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	tick := func(sec int64) *sample.Visit {
		return &sample.Visit{Server: 1, Tick: &sample.Tick{Planned: at.Add(time.Duration(sec) * time.Second)}}
	}
	own := func(sec int64, kind sample.EventKind) *sample.Visit {
		return &sample.Visit{Events: []sample.Event{{At: at.Add(time.Duration(sec) * time.Second), Kind: kind}}}
	}
	visits := []*sample.Visit{own(0, sample.EventCollectorStarted), tick(3), tick(5), own(5, sample.EventCollectorStopped), own(1, sample.EventCollectorGap)}
	for range 2 {
		var l life
		for _, v := range visits {
			l.saw(v)
		}
		if !l.clean || !l.seen.Equal(at.Add(5*time.Second)) {
			t.Errorf("%+v", l)
		}
		slices.Reverse(visits[:3])
	}
}

// teller keeps what is told.
type teller struct {
	Journal

	events []sample.Event
}

func (j *teller) Append(v *sample.Visit) { j.events = append(j.events, v.Events...) }

// A sign of life from after the start says that the clock was set back: how long
// nobody collected is not known.
func TestNoGapWhereTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for seen, want := range map[time.Duration]int{-time.Hour: 1, 0: 0, time.Hour: 0} {
		journal := new(teller)
		c := &Collector{cfg: Config{Journal: journal, History: new(history), Log: slog.New(slog.DiscardHandler)}}
		c.life.began, c.life.seen = now, now.Add(seen)
		c.findGap(t.Context())
		if len(journal.events) != want || !c.life.told {
			t.Errorf("seen %s after: %+v", seen, journal.events)
		}
	}
}
