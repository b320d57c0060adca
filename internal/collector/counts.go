package collector

import (
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/pgam/pgam/internal/sample"
)

// gocronID is what gocron's listeners are given.
type gocronID = uuid.UUID

// counts are totals since the process started.
type counts struct {
	outcomes   [4]atomic.Int64
	sessions   atomic.Int64
	syncFailed atomic.Int64
	dials      atomic.Int64

	looksOK, looksFailed atomic.Int64
}

// Counts are totals since the process started.
type Counts struct {
	Ticks       map[sample.Outcome]int64
	Sessions    int64 // session samples
	Dials       int64 // attempts to connect
	LooksOK     int64 // looks at disks
	LooksFailed int64
	Servers     int      // watched now
	Connected   int      // of those, with a connection
	TicksSaved  int64    // in the history; some more than once, after a lost answer
	FlushErrors int64    // transactions that failed
	Trouble     *Trouble // nil while the history takes everything
}

// Counts tells what was done.
func (c *Collector) Counts() Counts {
	out := Counts{
		Ticks: make(map[sample.Outcome]int64), Sessions: c.counts.sessions.Load(), Dials: c.counts.dials.Load(),
		LooksOK: c.counts.looksOK.Load(), LooksFailed: c.counts.looksFailed.Load(),
		TicksSaved: c.flusher.saved.Load(), FlushErrors: c.flusher.failed.Load(), Trouble: c.Trouble(),
	}
	for o := range c.counts.outcomes {
		out.Ticks[sample.Outcome(o)] = c.counts.outcomes[o].Load()
	}
	out.Servers, out.Connected = c.schedule.count()
	return out
}
