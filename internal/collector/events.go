package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

const (
	// longGap is from when on a time without a collector is an event although it
	// had stopped as it should.
	longGap = time.Minute
	// recallTimeout bounds the reading of a journal that an earlier run left.
	recallTimeout = 3 * time.Second
	// lifeTimeout bounds the search for the last sign of life.
	lifeTimeout = 10 * time.Second
)

// life is what is told of the collector itself. It is for one goroutine at a
// time.
type life struct {
	began time.Time
	// seen is the newest sign of life of an earlier run in the journal, clean
	// that it is the run's stop.
	seen  time.Time
	clean bool
	told  bool // whether there was a gap is known
}

// announce puts events into the journal, as everything that becomes history.
func (c *Collector) announce(id target.ID, events ...sample.Event) {
	if len(events) > 0 {
		c.cfg.Journal.Append(&sample.Visit{Server: id, Events: events})
	}
}

// begun tells that this run began.
func (c *Collector) begun() {
	c.announce(sample.TheMonitor, sample.Event{At: c.life.began, Kind: sample.EventCollectorStarted, New: c.cfg.Version})
}

// ended tells that it was stopped as it should.
func (c *Collector) ended() {
	c.announce(sample.TheMonitor, sample.Event{At: c.clock.Now(), Kind: sample.EventCollectorStopped, Old: c.cfg.Version})
}

var errLifeDeadline = errors.New("look for the last sign of life: deadline 10s")

// findGap tells, as soon as the history can be asked, for how long nobody
// collected before this run.
func (c *Collector) findGap(ctx context.Context) {
	l := &c.life
	if l.told {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lifeTimeout, errLifeDeadline)
	defer cancel()
	last, clean, err := c.cfg.History.LastLife(ctx, l.began)
	if err != nil {
		return // stats_db is away; Append reports it
	}
	l.told = true
	if !l.seen.Before(last) {
		last, clean = l.seen, l.clean
	}
	gap := l.began.Sub(last)
	if last.IsZero() || gap <= 0 || (clean && gap <= longGap) { // the clock may have been set back
		return
	}
	why := "the collector was stopped"
	if !clean {
		why = "the collector ended without a clean stop"
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	c.announce(sample.TheMonitor, sample.Event{
		At: last, Kind: sample.EventCollectorGap, Old: stamp(last), New: stamp(l.began),
		Detail: fmt.Sprintf("%s: nothing was collected for %s", why, gap.Round(time.Second)),
	})
	c.cfg.Log.InfoContext(ctx, "there is a gap before this run", "from", stamp(last), "to", stamp(l.began), "clean_stop", clean)
}

// recall learns what the journal of an earlier run says that the history does
// not know yet: without it, what was told once would be told again. It is false
// where that would take too long.
func (c *Collector) recall(ctx context.Context) (map[target.ID]*sample.Memory, bool) {
	known, deadline := make(map[target.ID]*sample.Memory), time.Now().Add(recallTimeout)
	for seq := uint64(0); ; {
		records, err := c.cfg.Journal.Next(seq, chunkBytes)
		if err != nil {
			c.cfg.Log.WarnContext(ctx, "journal of an earlier run cannot be read", "error", err)
			return nil, false
		}
		if len(records) == 0 {
			return known, true
		}
		if time.Now().After(deadline) {
			c.cfg.Log.WarnContext(ctx, "the journal is long: what changed while no collector ran is not told", "limit", recallTimeout.String())
			return nil, false
		}
		for i := range records {
			seq = records[i].Seq
			for j := range records[i].Visits {
				v := &records[i].Visits[j]
				if known[v.Server] == nil {
					known[v.Server] = new(sample.Memory)
				}
				known[v.Server].Learn(v)
				c.life.saw(v)
			}
		}
	}
}

// saw notes a sign of life of an earlier run.
func (l *life) saw(v *sample.Visit) {
	if v.Tick != nil && v.Tick.Planned.After(l.seen) {
		l.seen, l.clean = v.Tick.Planned, false
	}
	if v.Server != sample.TheMonitor {
		return
	}
	for _, e := range v.Events {
		switch e.Kind {
		case sample.EventCollectorStarted, sample.EventCollectorStopped:
			if !e.At.Before(l.seen) {
				l.seen, l.clean = e.At, e.Kind == sample.EventCollectorStopped
			}
		default:
		}
	}
}

// remembered gives what is known of a server: what the history has and, at the
// start of this run, what only the journal has.
func (c *Collector) remembered(id target.ID, history sample.Memory) sample.Memory {
	switch later, there := c.recalled[id]; {
	case c.forgot:
		return sample.Memory{}
	case there:
		history.Then(*later)
	}
	return history
}
