package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pgam/pgam/internal/collector"
)

const (
	// maxSilence is how long the schedule may stand still.
	maxSilence = 10 * time.Second
	// endAfter is how long it may before the process ends, for a supervisor to
	// start it anew; systemd's watchdog does it sooner.
	endAfter = time.Minute
)

// heartbeat says whether the schedule goes on, once there is one.
type heartbeat struct {
	of atomic.Pointer[collector.Collector]
}

func (h *heartbeat) follow(c *collector.Collector) { h.of.Store(c) }

// silence gives how long ago the schedule began a tick; 0: there is none, as
// where a collector stands by.
func (h *heartbeat) silence() time.Duration {
	c := h.of.Load()
	if c == nil {
		return 0
	}
	return time.Since(c.Beat())
}

// check fails while the schedule stands still.
func (h *heartbeat) check() error {
	if late := h.silence(); late > maxSilence {
		return fmt.Errorf("schedule: no tick was begun for %s", late.Round(time.Second))
	}
	return nil
}

// ready is check for readyz.
func (h *heartbeat) ready(context.Context) error { return h.check() }

// writes says whether stats_db takes what is seen.
func (h *heartbeat) writes(context.Context) error {
	if c := h.of.Load(); c != nil {
		return c.Writes()
	}
	return nil
}

// watch has the process fail when the schedule stands still for too long, until
// it is stopped. A schedule that stands still is never cured by waiting.
func (h *heartbeat) watch(ctx context.Context, fail func(error)) (stop func(context.Context) error) {
	ctx, end := context.WithCancel(ctx)
	go func() {
		for tick := time.NewTicker(maxSilence / 2); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			if h.silence() > endAfter {
				fail(h.check())
				return
			}
		}
	}()
	return func(context.Context) error { end(); return nil }
}
