package collector

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// hostClock is a host's clock that can be set, beside a time that passes.
type hostClock struct{ off atomic.Int64 }

func (h *hostClock) now() time.Time { return time.Now().Round(0).Add(time.Duration(h.off.Load())) }

// clockEvents counts the events of clocks.
func clockEvents(w *world) (set, leapt int) {
	for _, e := range w.history.tell(sample.TheMonitor) {
		switch {
		case !strings.HasPrefix(e, string(sample.EventCollectorClock)):
		case strings.Contains(e, "was set by"):
			set++
		default:
			leapt++
		}
	}
	return set, leapt
}

// wantMinutes checks that no minute has more ticks than seconds, and no planned
// instant two.
func (w *world) wantMinutes(id target.ID) {
	w.t.Helper()
	minutes, instants := make(map[time.Time]int), make(map[time.Time]int)
	for _, tick := range w.journal.ticksOf(id) {
		minutes[tick.Planned.Truncate(time.Minute)]++
		if instants[tick.Planned]++; instants[tick.Planned] > 1 {
			w.t.Errorf("%s is planned twice", tick.Planned)
		}
	}
	for minute, n := range minutes {
		if n > 60 {
			w.t.Errorf("%s has %d ticks", minute, n)
		}
	}
}

// TestAClockThatIsSet: whatever is done to the host's clock, ticks go on as they
// were planned, each once, and it is told.
func TestAClockThatIsSet(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps []time.Duration // 20 s apart, then two minutes pass
		heard bool            // stats_db is on another host
		leaps int
	}{
		"two minutes back":             {steps: []time.Duration{-2 * time.Minute}},
		"an hour back and right again": {steps: []time.Duration{-time.Hour, time.Hour}},
		"an hour back":                 {steps: []time.Duration{-time.Hour}},
		"ahead and right again":        {steps: []time.Duration{time.Hour, -time.Hour}},
		"an hour ahead":                {steps: []time.Duration{time.Hour}, leaps: 1},
		"ahead, stats_db says not":     {steps: []time.Duration{time.Hour}, heard: true},
		"years back, stats_db not":     {steps: []time.Duration{-3 * 365 * 24 * time.Hour}, heard: true},
		"half a minute back":           {steps: []time.Duration{-30 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				host := new(hostClock)
				clock := newClock(host.now)
				w.change = func(cfg *Config) { cfg.Clock = clock }
				w.start()
				w.pass(25 * time.Second)
				for _, step := range tt.steps {
					host.off.Add(int64(step))
					for range 20 {
						w.pass(time.Second)
						if tt.heard {
							clock.Heard(time.Now())
						}
					}
				}
				for range 120 {
					w.pass(time.Second)
					if tt.heard {
						clock.Heard(time.Now())
					}
					if silent := time.Since(w.c.Beat()); silent > 2*time.Second {
						t.Fatalf("no tick is begun for %s", silent)
					}
				}
				w.stop()
				seconds := 25 + 20*len(tt.steps) + 120
				ticks := w.journal.ticksOf(1)
				if n := len(ticks); n < seconds-3 || n > seconds {
					t.Errorf("%d ticks in %d seconds", n, seconds)
				}
				w.wantMinutes(1)
				gaps := 0
				for i := 1; i < len(ticks); i++ {
					if ticks[i].Planned.Sub(ticks[i-1].Planned) != time.Second {
						gaps++
					}
				}
				if gaps != tt.leaps {
					t.Errorf("%d gaps between ticks, want %d", gaps, tt.leaps)
				}
				w.wantStored(1)
				if set, leapt := clockEvents(w); set != len(tt.steps) || leapt != tt.leaps || clock.Steps() != int64(len(tt.steps)) {
					t.Errorf("%d steps and %d leaps are told, want %d and %d", set, leapt, len(tt.steps), tt.leaps)
				}
			}, server(1))
		})
	}
}

// TestAClockGivesWay: planned seconds come to the reference by at most 10 ms a
// second, and begin at it.
func TestAClockGivesWay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		clock := newClock(new(hostClock).now)
		clock.Heard(time.Now().Add(-time.Hour))
		w.change = func(cfg *Config) { cfg.Clock = clock }
		w.start()
		if off := clock.Ahead(); off.Abs() > time.Millisecond {
			t.Errorf("it begins %s ahead of stats_db", off)
		}
		clock.Heard(clock.Now().Add(-2 * time.Second))
		for range 30 {
			w.pass(time.Second)
			clock.Heard(time.Now().Add(-time.Hour - 2*time.Second))
		}
		if off := clock.Ahead(); off < 1690*time.Millisecond || off > 1710*time.Millisecond {
			t.Errorf("after half a minute it is %s ahead", off)
		}
		for range 300 {
			w.pass(time.Second)
			clock.Heard(time.Now().Add(-time.Hour - 2*time.Second))
		}
		w.stop()
		if off := clock.Ahead(); off.Abs() > 2*time.Millisecond {
			t.Errorf("at the end it is %s ahead", off)
		}
		w.wantWhole(1, time.Second)
		w.wantStored(1)
	}, server(1))
}
