package collector

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func bursts(w *world) {
	w.change = func(c *Config) {
		c.Burst = Burst{Active: 50, LockWaits: 5, ConnectionsPercent: 90, Length: 10 * time.Second, Pause: 20 * time.Second}
	}
}

// reports makes a machine report this load, which is read at each visit.
func reports(m *machine, load *atomic.Pointer[sample.Load]) {
	m.visit = func(_ context.Context, _ int, v *sample.Visit) error {
		v.Load = *load.Load()
		v.Tick.Started = v.Tick.Planned
		return nil
	}
}

// told gives what the journal was told about a server's bursts.
func told(w *world, id target.ID) (kinds []sample.EventKind, events []sample.Event) {
	for _, e := range w.journal.eventsOf(id) {
		if strings.HasPrefix(string(e.Kind), "burst") {
			kinds, events = append(kinds, e.Kind), append(events, e)
		}
	}
	return kinds, events
}

// TestBurst: full detail begins after the tick that passed a threshold, lasts
// its length, and does not begin again before the pause is over.
func TestBurst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bursts(w)
		var load atomic.Pointer[sample.Load]
		load.Store(&sample.Load{Active: 3, MaxConnections: 100})
		reports(w.fleet.server(1), &load)
		w.start()
		w.pass(5 * time.Second)
		load.Store(&sample.Load{Active: 3, LockWaits: 7, MaxConnections: 100})
		w.pass(50 * time.Second)
		load.Store(&sample.Load{MaxConnections: 100})
		w.pass(30 * time.Second)
		w.stop()
		ticks := w.wantWhole(1, time.Second)
		var runs []int // of ticks in full detail, and between
		for i, tick := range ticks {
			if i == 0 || tick.Burst != ticks[i-1].Burst {
				runs = append(runs, 0)
			}
			runs[len(runs)-1]++
		}
		if len(runs) != 5 || runs[1] != 10 || runs[2] != 20 || runs[3] != 10 {
			t.Errorf("ticks without and with full detail, in turn: %v; want some, 10, 20, 10, some", runs)
		}
		kinds, events := told(w, 1)
		want := []sample.EventKind{sample.EventBurstStarted, sample.EventBurstEnded, sample.EventBurstStarted, sample.EventBurstEnded}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Fatalf("events (-want +got):\n%s", diff)
		}
		if e := events[0]; e.Subject != "lock_waits" || e.New != "7" || e.Detail != "7 sessions wait for a lock, limit 5; full detail for 10s" {
			t.Errorf("event %+v", e)
		}
		if e := events[1]; e.New != "10" || !e.At.Equal(events[0].At.Add(10*time.Second)) {
			t.Errorf("event %+v after %+v", e, events[0])
		}
		for i, ask := range w.fleet.server(1).did().asks {
			if i < len(ticks) && ask.Full != ticks[i].Burst {
				t.Errorf("tick %d: full detail asked %v, marked %v", i, ask.Full, ticks[i].Burst)
			}
		}
	}, server(1))
}

// TestBurst_thresholds: a server's own come first, and 0 is never.
func TestBurst_thresholds(t *testing.T) {
	t.Parallel()
	limits := Burst{Active: 50, LockWaits: 5, ConnectionsPercent: 90, Length: time.Minute}
	n := func(v int) *int { return &v }
	for name, tc := range map[string]struct {
		own     target.Burst
		load    sample.Load
		subject string
		detail  string
	}{
		"nothing":        {load: sample.Load{Active: 49, LockWaits: 4, Connections: 89, MaxConnections: 100}},
		"active":         {load: sample.Load{Active: 50}, subject: "active_sessions", detail: "50 active sessions, limit 50; full detail for 1m0s"},
		"own active":     {own: target.Burst{Active: n(3)}, load: sample.Load{Active: 3}, subject: "active_sessions", detail: "3 active sessions, limit 3; full detail for 1m0s"},
		"never":          {own: target.Burst{Active: n(0), LockWaits: n(0), ConnectionsPercent: n(0)}, load: sample.Load{Active: 500, LockWaits: 500, Connections: 100, MaxConnections: 100}},
		"not known":      {load: sample.Load{Connections: sample.Unset, MaxConnections: 100}},
		"no limit known": {load: sample.Load{Connections: 5000}},
		"two at a time":  {load: sample.Load{Active: 60, LockWaits: 6}, subject: "lock_waits", detail: "6 sessions wait for a lock, limit 5; 60 active sessions, limit 50; full detail for 1m0s"},
		"connections":    {load: sample.Load{Connections: 90, MaxConnections: 100}, subject: "connections", detail: "90 of 100 connections, limit 90 %; full detail for 1m0s"},
		"connections whose": {
			load:    sample.Load{Connections: 95, MaxConnections: 100, Crowd: []sample.Crowd{{User: "web", Application: "shop", Connections: 80}, {Connections: 3}}},
			subject: "connections", detail: "95 of 100 connections, limit 90 %, most: 80 user web application shop, 3 user ? application ?; full detail for 1m0s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b burst
			v := sample.Visit{Tick: &sample.Tick{}, Load: tc.load}
			events := b.follow(&v, limits.of(tc.own), time.Now())
			switch {
			case tc.subject == "" && len(events) > 0:
				t.Errorf("events %+v", events)
			case tc.subject != "" && (len(events) != 1 || events[0].Subject != tc.subject || events[0].Detail != tc.detail):
				t.Errorf("events %+v; want %s: %s", events, tc.subject, tc.detail)
			}
		})
	}
}

// TestBurst_crowd: whose connections they are is asked only where that may
// matter.
func TestBurst_crowd(t *testing.T) {
	t.Parallel()
	limits := Burst{ConnectionsPercent: 90, Length: time.Minute, Pause: time.Minute}
	now := time.Now()
	var b burst
	if from := b.crowdFrom(limits, now); from != 0 {
		t.Errorf("asked from %d connections on, though the limit is not known", from)
	}
	v := sample.Visit{Tick: &sample.Tick{}, Load: sample.Load{Connections: 3, MaxConnections: 97}}
	b.follow(&v, limits, now)
	if from := b.crowdFrom(limits, now); from != 88 {
		t.Errorf("asked from %d connections on; 90 %% of 97 is 87.3", from)
	}
	v.Load.Connections = 88
	if events := b.follow(&v, limits, now); len(events) != 1 {
		t.Errorf("events %+v", events)
	}
	if from := b.crowdFrom(limits, now); from != 0 {
		t.Errorf("asked from %d connections on in a burst", from)
	}
	b.follow(&v, limits, now.Add(time.Minute))
	if from := b.crowdFrom(limits, now.Add(90*time.Second)); from != 0 {
		t.Errorf("asked from %d connections on in the pause", from)
	}
	if events := b.follow(&v, limits, now.Add(119*time.Second)); len(events) != 0 {
		t.Errorf("events in the pause: %+v", events)
	}
	if from := b.crowdFrom(limits, now.Add(2*time.Minute)); from != 88 {
		t.Errorf("asked from %d connections on after the pause", from)
	}
}

// TestBurst_failing: a burst ends in time though the server stopped answering,
// and ticks that yielded nothing are not said to be in full detail.
func TestBurst_failing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bursts(w)
		w.fleet.server(1).visit = func(_ context.Context, n int, v *sample.Visit) error {
			v.Load = sample.Load{Active: 60}
			if n > 2 {
				v.Tick.Outcome, v.Tick.Reason = sample.Failed, sample.Timeout
				return errors.New("no answer")
			}
			return nil
		}
		w.start()
		w.pass(30 * time.Second)
		w.stop()
		full := 0
		for _, tick := range w.wantWhole(1, time.Second) {
			if tick.Burst {
				full++
			}
		}
		if full != 2 {
			t.Errorf("%d ticks are said to be in full detail, 2 were", full)
		}
		if kinds, _ := told(w, 1); len(kinds) != 2 {
			t.Errorf("events %v", kinds)
		}
	}, server(1))
}

// TestForgetTexts: stored texts are taken away when a server becomes stricter,
// again after what was on its way, and not when it becomes laxer.
func TestForgetTexts(t *testing.T) {
	full := server(1)
	full.QueryTexts = target.TextsFull
	inWorld(t, func(t *testing.T, w *world) {
		var calls atomic.Int32
		w.change = func(c *Config) {
			c.ForgetTexts = func(context.Context) (int64, error) {
				if calls.Add(1) == 1 {
					return 0, errAway
				}
				return 5, nil
			}
		}
		w.start()
		w.pass(3 * time.Second)
		set := func(texts target.QueryTexts) {
			changed := server(1)
			changed.QueryTexts = texts
			w.catalog.set(changed)
			w.pass(time.Minute)
		}
		for _, step := range []struct {
			texts target.QueryTexts
			calls int32
		}{{target.TextsFull, 0}, {target.TextsNormalized, 2}, {target.TextsNone, 4}, {target.TextsNormalized, 4}, {target.TextsFull, 4}, {target.TextsNone, 6}} {
			set(step.texts)
			if got := calls.Load(); got != step.calls {
				t.Errorf("texts %s: taken away %d times so far, want %d", step.texts, got, step.calls)
			}
			asks := w.fleet.server(1).did().asks
			if got := asks[len(asks)-1].Texts; got != step.texts {
				t.Errorf("asked for texts %s, want %s", got, step.texts)
			}
		}
		w.catalog.set(server(1))
		w.stop()
	}, full)
}

func TestBurst_validate(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]Burst{
		"negative": {Active: -1, Length: time.Second}, "more than all": {ConnectionsPercent: 101, Length: time.Second}, "no length": {LockWaits: 1},
	} {
		if b.validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := (Burst{}).validate(); err != nil {
		t.Errorf("no bursts: %v", err)
	}
}
