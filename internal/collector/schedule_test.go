package collector

import (
	"context"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestEveryTickHasOneOutcome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.server(2).visit = func(ctx context.Context, n int, v *sample.Visit) error {
			if n%10 == 5 {
				<-ctx.Done()
				<-time.After(2500 * time.Millisecond) // longer than it may
				v.Tick.Outcome, v.Tick.Reason, v.Tick.Sessions = sample.Failed, sample.Timeout, nil
				return context.Cause(ctx)
			}
			return nil
		}
		w.fleet.server(3).dial = func(context.Context, int) (sample.Reason, error) { return sample.AuthFailed, errDial }
		w.fleet.server(4).dial = func(context.Context, int) (sample.Reason, error) {
			<-time.After(3200 * time.Millisecond)
			return sample.None, nil
		}
		w.start()
		w.pass(90 * time.Second)
		w.stop()
		for id := target.ID(1); id <= 4; id++ {
			ticks := w.wantWhole(id, time.Second)
			if len(ticks) < 88 || len(ticks) > 91 {
				t.Errorf("server %d: %d ticks in 90 s", id, len(ticks))
			}
			for _, tick := range ticks {
				if (tick.Reason == sample.None) != (tick.Outcome == sample.OK) {
					t.Errorf("server %d: outcome %s for the reason %q", id, tick.Outcome, tick.Reason)
				}
				if (len(tick.Sessions) == 1) != tick.Outcome.Answered() {
					t.Errorf("server %d: %d sessions in a tick that is %s", id, len(tick.Sessions), tick.Outcome)
				}
			}
			w.wantStored(id)
		}
		if r := reasons(w.journal.ticksOf(1)); len(r) != 1 || r[sample.None] == 0 {
			t.Errorf("a server that is well: %v", r)
		}
		if r := reasons(w.journal.ticksOf(2)); r[sample.Timeout] < 5 || r[sample.Overrun] != 3*r[sample.Timeout] {
			t.Errorf("a server that hangs: %v; want three overruns after each timeout", r)
		}
		if r := reasons(w.journal.ticksOf(3)); len(r) != 1 || r[sample.AuthFailed] == 0 {
			t.Errorf("a server that lets nobody in: %v", r)
		}
		if r := reasons(w.journal.ticksOf(4)); r[sample.Connecting] < 3 || r[sample.Connecting] > 4 || r[sample.None] < 80 {
			t.Errorf("a server that is slow to let in: %v", r)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
		sum := int64(0)
		for _, n := range w.c.Counts().Ticks {
			sum += n
		}
		if want := len(w.journal.ticksOf(1)) * 4; sum < int64(want-4) || sum > int64(want+4) {
			t.Errorf("%d ticks are counted, about %d were planned", sum, want)
		}
	}, server(1), server(2), server(3), server(4))
}

// TestStall takes a server off the schedule for longer than a slot, as a
// machine that is suspended does: the ticks are written down afterwards.
func TestStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(40 * time.Second)
		r := &w.c.schedule
		hold := func() (held [tenths][]*watch) {
			r.mu.Lock()
			defer r.mu.Unlock()
			held, r.byTenth = r.byTenth, held
			return held
		}()
		w.pass(50 * time.Second)
		func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.byTenth = hold
		}()
		w.pass(60 * time.Second)
		w.stop()
		late := reasons(w.wantWhole(1, time.Second))[sample.Late]
		if late < 49 || late > 50 {
			t.Errorf("%d ticks are late after a hold-up of 50 s", late)
		}
		w.wantStored(1)
	}, server(1))
}

// TestLongStall says that a hold-up of more than ten minutes is a collector
// that does not run.
func TestLongStall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		r := &w.c.schedule
		r.mu.Lock()
		held := r.byTenth
		r.byTenth = [tenths][]*watch{}
		r.mu.Unlock()
		w.pass(maxLate + 5*time.Second)
		r.mu.Lock()
		r.byTenth = held
		r.mu.Unlock()
		w.pass(20 * time.Second)
		w.stop()
		if n := reasons(w.journal.ticksOf(1))[sample.Late]; n != 0 {
			t.Errorf("%d ticks are late", n)
		}
		w.wantStored(1)
	}, server(1))
}

func TestPhases(t *testing.T) {
	t.Parallel()
	var load [tenths]int
	var second [5]int
	const n = 500
	for id := target.ID(1); id <= n; id++ {
		h := phaseOf(id)
		if h != phaseOf(id) {
			t.Fatalf("the phase of %d changes", id)
		}
		load[h%tenths]++
		second[h/tenths%5]++
	}
	for i, got := range load {
		if got == 0 || got > 3*n/tenths {
			t.Errorf("tenth %d has %d of %d servers", i, got, n)
		}
	}
	for i, got := range second {
		if got == 0 || got > 3*n/len(second) {
			t.Errorf("second %d has %d of %d servers", i, got, n)
		}
	}
	// These stay as they are over releases: visits of all servers at other
	// instants are what a change costs.
	for id, want := range map[target.ID]uint64{1: 0x34e9f27a2a0e313f, 2: 0x5b0f07cd2a4c6e21, 1 << 40: 0x8f5261a67a24ed98} {
		if got := phaseOf(id); got != want {
			t.Errorf("phase of %d is %#x, want %#x", id, got, want)
		}
	}
}

func TestStartsAreSpreadAndStay(t *testing.T) {
	var targets []target.Target
	for id := target.ID(1); id <= 200; id++ {
		targets = append(targets, server(id))
	}
	inWorld(t, func(t *testing.T, w *world) {
		at := func(id target.ID) time.Duration {
			m := w.fleet.server(id)
			visits := m.did().visits
			last := visits[len(visits)-1]
			return last.Sub(last.Truncate(time.Second))
		}
		var first [201]time.Duration
		for run := range 2 {
			w.start()
			w.pass(4700 * time.Millisecond)
			w.stop()
			load := make(map[time.Duration]int)
			for id := target.ID(1); id <= 200; id++ {
				phase := at(id)
				load[phase]++
				if run == 0 {
					first[id] = phase
				} else if phase != first[id] {
					t.Errorf("server %d moved from %s to %s", id, first[id], phase)
				}
			}
			if len(load) != tenths {
				t.Errorf("visits start at %d instants of a second: %v", len(load), load)
			}
			for phase, n := range load {
				if n > 3*200/tenths {
					t.Errorf("%d of 200 visits start at %s", n, phase)
				}
			}
		}
	}, targets...)
}

func TestCadence(t *testing.T) {
	slow := server(1)
	slow.Intervals.Activity = 5 * time.Second
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(61 * time.Second)
		w.stop()
		ticks := w.wantWhole(1, 5*time.Second)
		if len(ticks) < 11 || len(ticks) > 13 {
			t.Errorf("%d ticks of 5 s in a minute", len(ticks))
		}
		for _, tick := range ticks {
			if tick.Cadence != 5*time.Second || (tick.Planned.Unix()+w.c.schedule.watch(1).phase)%5 != 0 {
				t.Errorf("tick of %s, cadence %s, is not in its second", tick.Planned, tick.Cadence)
			}
		}
		w.wantStored(1)
		if n := len(w.wantWhole(2, time.Second)); n < 59 || n > 62 {
			t.Errorf("%d ticks of 1 s in a minute", n)
		}
		w.wantStored(2)
	}, slow, server(2))
}

func TestIntervalChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		slow := server(1)
		slow.Intervals.Activity = 5 * time.Second
		w.catalog.set(slow)
		w.pass(30 * time.Second)
		w.stop()
		n := make(map[time.Duration]int)
		for _, tick := range w.journal.ticksOf(1) {
			n[tick.Cadence]++
		}
		if n[time.Second] < 19 || n[time.Second] > 22 || n[5*time.Second] < 5 || n[5*time.Second] > 7 {
			t.Errorf("ticks by cadence: %v", n)
		}
		if r := reasons(w.journal.ticksOf(1)); len(r) != 1 {
			t.Errorf("reasons: %v", r)
		}
		if m := w.fleet.server(1); len(m.did().dials) != 2 || m.did().open != 0 {
			t.Errorf("%d connections were made, %d are open; want a new one with the new limits", len(m.did().dials), m.did().open)
		}
		w.wantStored(1)
	}, server(1))
}

func TestServersChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)
		moved := server(1)
		moved.Endpoint.Host = "b"
		renamed := server(2)
		renamed.Name = "other"
		paused := server(3)
		paused.Enabled = false
		w.catalog.set(moved, renamed, paused, server(5)) // 4 is removed
		w.pass(2 * time.Second)
		three, four := w.fleet.server(3), w.fleet.server(4)
		n3, n4 := len(three.did().visits), len(four.did().visits)
		if three.did().open != 0 || four.did().open != 0 {
			t.Errorf("connections to servers not watched: %d, %d", three.did().open, four.did().open)
		}
		if got := w.c.Counts().Servers; got != 3 {
			t.Errorf("%d servers are watched, want 3", got)
		}
		w.pass(10 * time.Second)
		if len(three.did().visits) != n3 || len(four.did().visits) != n4 {
			t.Errorf("visits of a paused server %d, of a removed one %d", len(three.did().visits)-n3, len(four.did().visits)-n4)
		}
		if m := w.fleet.server(1); len(m.did().hosts) != 2 || m.did().hosts[1] != "b" || m.did().open != 1 {
			t.Errorf("a server that moved: hosts %v, %d open", m.did().hosts, m.did().open)
		}
		if m := w.fleet.server(2); len(m.did().hosts) != 1 {
			t.Errorf("a server that got another name was connected to %d times", len(m.did().hosts))
		}
		if m := w.fleet.server(5); len(m.did().visits) < 9 {
			t.Errorf("a new server had %d visits in 12 s", len(m.did().visits))
		}
		w.catalog.set(moved, renamed, server(3), server(5))
		w.pass(4 * time.Second)
		if len(three.did().visits) <= n3 {
			t.Error("a server that is no longer paused is not visited")
		}
		w.stop()
		for _, id := range []target.ID{1, 2, 3, 4, 5} {
			seen := make(map[sample.Key]bool)
			for _, tick := range w.journal.ticksOf(id) {
				for _, s := range tick.Sessions {
					if seen[s.Session] {
						t.Errorf("server %d: the key %d has a second meaning", id, s.Session)
					}
					seen[s.Session] = true
				}
			}
			w.wantStored(id)
			if m := w.fleet.server(id); m.did().open != 0 {
				t.Errorf("server %d: %d connections are left open", id, m.did().open)
			}
		}
		w.wantWhole(1, time.Second)
	}, server(1), server(2), server(3), server(4))
}

// TestUnreadableHistory: servers whose past cannot be read are watched all the same,
// and a history that hangs is waited for once.
func TestUnreadableHistory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.history.resume = func(id target.ID) error {
			if id != sample.TheMonitor {
				<-time.After(catalogTimeout)
			}
			return errAway
		}
		w.start()
		w.pass(5 * time.Second)
		w.stop()
		for id := target.ID(1); id <= 3; id++ {
			if n := len(w.fleet.server(id).did().visits); n < 3 {
				t.Errorf("server %d had %d visits", id, n)
			}
			w.wantStored(id)
		}
	}, server(1), server(2), server(3))
}

func TestStartWithoutStatsDB(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.catalog.away = true
		c, err := New(Config{
			Dialer: w.fleet, Catalog: w.catalog, History: w.history, Journal: w.journal, Log: discard(),
			Intervals:     target.Intervals{Activity: time.Second, Databases: time.Second, Inventory: time.Second, Sizes: time.Second},
			MaxConnecting: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err == nil {
			t.Error("a first start without stats_db went well")
		}
		w.journal.sealed = []byte("sealed")
		w.history.fail(func(batch) error { return errAway }, nil)
		w.start()
		w.pass(20 * time.Second)
		if n := w.history.count(1); n != 0 {
			t.Errorf("%d ticks were stored", n)
		}
		w.catalog.mu.Lock()
		w.catalog.away = false
		w.catalog.mu.Unlock()
		w.history.fail(nil, nil)
		w.pass(40 * time.Second)
		w.stop()
		w.wantWhole(1, time.Second)
		w.wantStored(1)
	}, server(1))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{
		Dialer: newFleet(), Catalog: &catalog{}, History: newHistory(), Journal: newJournal(), Log: discard(),
		Intervals:     target.Intervals{Activity: time.Second, Databases: time.Second, Inventory: time.Second, Sizes: time.Second},
		MaxConnecting: 1,
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"no dialer":     func(c *Config) { c.Dialer = nil },
		"no log":        func(c *Config) { c.Log = nil },
		"odd interval":  func(c *Config) { c.Intervals.Sizes = 1500 * time.Millisecond },
		"no interval":   func(c *Config) { c.Intervals.Activity = 0 },
		"no connecting": func(c *Config) { c.MaxConnecting = 0 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestPanic: a fault that one server's answer brings to light costs that
// server its tick, and nobody else anything.
func TestPanic(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.server(1).visit = func(_ context.Context, n int, _ *sample.Visit) error {
			if n == 3 {
				panic("an answer nobody thought of")
			}
			return nil
		}
		w.start()
		w.pass(20 * time.Second)
		w.stop()
		if got := reasons(w.wantWhole(1, time.Second)); got[sample.Malformed] != 1 {
			t.Errorf("reasons of the server: %v", got)
		}
		if got := reasons(w.wantWhole(2, time.Second)); got[sample.Malformed] != 0 {
			t.Errorf("reasons of another: %v", got)
		}
		w.wantStored(1)
		w.wantStored(2)
		if dials := len(w.fleet.server(1).did().dials); dials < 2 {
			t.Errorf("the connection was kept: %d dials", dials)
		}
	}, server(1), server(2))
}
