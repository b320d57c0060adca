package collector

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// Packing begins a window after the start and every ten minutes, one turn at a
// time.
// One that fails is gone on with at the next; one that takes for ever holds up
// nothing and ends with the collector.
func TestPack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var turns, running atomic.Int32
		w.change = func(c *Config) {
			c.Pack = func(ctx context.Context) error {
				if running.Add(1) > 1 {
					t.Error("two turns at once")
				}
				defer running.Add(-1)
				if turns.Add(1) == 1 {
					return errors.New("no")
				}
				<-ctx.Done()
				return ctx.Err()
			}
		}
		w.start()
		w.pass(14 * time.Second)
		if n := turns.Load(); n != 0 {
			t.Errorf("%d turns before the first window is over", n)
		}
		w.pass(4 * time.Second)
		if n := turns.Load(); n != 1 {
			t.Errorf("%d turns after a window, want 1", n)
		}
		w.pass(2 * time.Hour)
		if n, m := turns.Load(), running.Load(); n != 2 || m != 1 {
			t.Errorf("%d turns in two hours of which %d run, want 2 and 1", n, m)
		}
		w.stop()
		if running.Load() != 0 {
			t.Error("a turn outlives the collector")
		}
		for _, tick := range w.wantWhole(1, time.Second) {
			if !tick.Outcome.Answered() {
				t.Errorf("the tick of %s is %s", tick.Planned, tick.Outcome)
			}
		}
		w.wantStored(1)
	}, server(1))
}
