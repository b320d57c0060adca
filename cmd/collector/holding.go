package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/journal"
)

// holding is the lease as the journal knows it: under which name it is held, and
// whether it was held last.
type holding struct {
	journal *journal.Journal
	log     *slog.Logger
	holder  string
	led     bool
}

func newHolding(j *journal.Journal, log *slog.Logger) *holding {
	h := &holding{journal: j, log: log}
	var err error
	if h.holder, h.led, err = j.Holder(); err != nil {
		// It samples all the same, under a name that no later run has.
		h.holder = fmt.Sprintf("pid %d", os.Getpid())
		log.Warn("lease is held under a name for this run only", "error", err)
	}
	return h
}

// take waits for the lease, or goes on without it where it was held last and
// stats_db is away. While it stands by, handIn hands in what the journal holds.
func (h *holding) take(ctx context.Context, lease *ingest.Lease, standBy func(), handIn func(context.Context)) error {
	handing, end := context.WithCancel(ctx)
	var hands sync.WaitGroup
	err := lease.Take(ctx, h.led, func() {
		h.note(ctx, false)
		standBy()
		hands.Go(func() { handIn(handing) })
	})
	end()
	hands.Wait() // the journal is read by one at a time
	if err != nil {
		return err
	}
	h.note(ctx, true)
	return nil
}

// keep renews the lease until ctx ends or another collector has it.
func (h *holding) keep(ctx context.Context, lease *ingest.Lease) error {
	err := lease.Keep(ctx)
	if errors.Is(err, ingest.ErrLeaseTaken) {
		h.note(ctx, false)
	}
	return err
}

func (h *holding) note(ctx context.Context, led bool) {
	if err := h.journal.Lead(led); err != nil {
		h.log.WarnContext(ctx, "journal cannot note who holds the lease; a start without stats_db may be refused", "error", err)
	}
}

// newLeaseHeld is a series from the start on, of who stands by too.
func newLeaseHeld(held func() bool) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pgam_lease_held",
		Help: "1 while this collector holds the lease on stats_db, so that no other samples.",
	}, func() float64 { return oneIf(held()) })
}

// clockSeries tell how planned seconds stand to the clocks.
func clockSeries(clock *collector.Clock) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pgam_clock_ahead_seconds",
			Help: "How far planned ticks are ahead of stats_db's clock or, while that is not heard, of this host's, in seconds.",
		}, func() float64 { return clock.Ahead().Seconds() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pgam_clock_steps_total",
			Help: "Times that this host's clock was set by a second or more while the collector ran.",
		}, func() float64 { return float64(clock.Steps()) }),
	}
}
