package collector

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// What is over is summed up every half minute, one turn at a time; one that
// fails is tried again, one that hangs ends with the collector.
func TestRoll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var turns, running, hung atomic.Int32
		w.change = func(c *Config) {
			c.Roll = func(ctx context.Context) error {
				if running.Add(1) > 1 {
					t.Error("two turns at once")
				}
				defer running.Add(-1)
				switch turns.Add(1) {
				case 2:
					return errors.New("no")
				case 4:
					hung.Add(1)
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
		}
		w.start()
		w.pass(105 * time.Second)
		if n := turns.Load(); n != 4 || hung.Load() != 1 {
			t.Errorf("%d turns in 105 s", n)
		}
		w.pass(2 * time.Minute)
		if n := turns.Load(); n != 4 {
			t.Errorf("%d turns while one runs", n)
		}
		w.stop()
		if running.Load() != 0 {
			t.Error("a turn outlives the collector")
		}
	}, server(1))
}
