package collector

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/pgam/pgam/internal/sample"
)

const (
	// slew is how much of a second the planned seconds may give way in a second.
	slew = 10 * time.Millisecond
	// tellStep is from when on a step of this host's clock is told.
	tellStep = time.Second
	// jumpFrom is how far behind the reference planned seconds must be, and
	// jumpAfter for how long, to leap to it.
	jumpFrom  = time.Minute
	jumpAfter = time.Minute
	// heardFor is how long what stats_db's clock said is gone by.
	heardFor = time.Minute
)

// Clock counts planned seconds: on the monotonic clock, so that nothing that is
// done to the time of day ends or doubles a tick. It begins at the reference,
// which is stats_db's clock while that is heard and this host's otherwise, and
// gives way to it by at most 10 ms a second. It never goes back, for a second
// that was planned is in the ledger; it leaps ahead where the reference has been
// ahead by more than a minute for a minute. It is safe for concurrent use.
type Clock struct {
	clockwork.Clock // the timers are the runtime's, which are monotonic
	host            func() time.Time

	mu       sync.Mutex
	planned  time.Time // at looked
	looked   time.Time // with a monotonic reading
	hostSaid time.Time // at looked
	said     time.Time // by stats_db's clock, at heard
	heard    time.Time // zero: never
	behind   time.Time // since when the reference is far ahead; zero: it is not
	steps    int64
}

// NewClock begins at this host's time.
func NewClock() *Clock { return newClock(func() time.Time { return time.Now().Round(0) }) }

func newClock(host func() time.Time) *Clock {
	now := host().UTC()
	return &Clock{Clock: clockwork.NewRealClock(), host: host, planned: now, looked: time.Now(), hostSaid: now}
}

// Now gives the planned time. It has no monotonic reading: differences of planned
// times are differences of what they say.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(time.Now())
}

// Since implements clockwork.Clock.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Until implements clockwork.Clock.
func (c *Clock) Until(t time.Time) time.Duration { return t.Sub(c.Now()) }

// at gives the planned time at a reading. The lock is held.
func (c *Clock) at(now time.Time) time.Time { return c.planned.Add(now.Sub(c.looked)) }

// Heard takes what stats_db's clock says now.
func (c *Clock) Heard(said time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said, c.heard = said.UTC().Round(0), time.Now()
}

// reference gives what the planned time should be at a reading. The lock is held.
func (c *Clock) reference(now time.Time) time.Time {
	if since := now.Sub(c.heard); !c.heard.IsZero() && since <= heardFor {
		return c.said.Add(since)
	}
	return c.host().UTC()
}

// Ahead says how far the planned time is ahead of the reference.
func (c *Clock) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return c.at(now).Sub(c.reference(now))
}

// Steps counts how often this host's clock was set while this process ran.
func (c *Clock) Steps() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steps
}

// begin sets the planned time to the reference: nothing is planned yet.
func (c *Clock) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.planned, c.looked, c.hostSaid = c.reference(now), now, c.host().UTC()
}

// follow gives way to the reference, and reports how far this host's clock was
// set since the last call, and the planned time leapt.
func (c *Clock) follow() (set, leapt time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, host := time.Now(), c.host().UTC()
	passed := now.Sub(c.looked)
	if set = host.Sub(c.hostSaid) - passed; set.Abs() < tellStep {
		set = 0
	} else {
		c.steps++
	}
	c.planned = c.at(now)
	off := c.reference(now).Sub(c.planned)
	most := time.Duration(float64(slew) * passed.Seconds())
	switch {
	case off <= jumpFrom:
		c.behind = time.Time{}
	case c.behind.IsZero():
		c.behind = now
	case now.Sub(c.behind) >= jumpAfter:
		leapt, c.behind = off, time.Time{}
	}
	if leapt > 0 {
		c.planned = c.planned.Add(leapt)
	} else {
		c.planned = c.planned.Add(max(-most, min(off, most)))
	}
	c.looked, c.hostSaid = now, host
	return set, leapt
}

// followClock tells when this host's clock was set, or planned seconds leap.
func (c *Collector) followClock() {
	set, leapt := c.clock.follow()
	if set == 0 && leapt == 0 {
		return
	}
	ctx, now, ahead := context.Background(), c.clock.Now(), c.clock.Ahead().Round(time.Second)
	e := sample.Event{At: now.Truncate(time.Microsecond), Kind: sample.EventCollectorClock}
	if set != 0 {
		e.New = fmt.Sprintf("%+.3fs", set.Seconds())
		e.Detail = fmt.Sprintf("the clock of the collector's host was set by %s; ticks are planned on its monotonic clock, which is %s ahead of stats_db's or, while that is not heard, of the host's", e.New, ahead)
		c.cfg.Log.WarnContext(ctx, "the clock of this host was set; ticks go on as planned", "by", set.String(), "planned_ahead", ahead.String())
	} else {
		e.New = fmt.Sprintf("%+.3fs", leapt.Seconds())
		e.Detail = fmt.Sprintf("planned seconds leapt ahead by %s to the clock of stats_db or of the host: what lies between was not looked at", e.New)
		c.cfg.Log.WarnContext(ctx, "planned seconds leapt ahead", "by", leapt.String())
	}
	c.announce(sample.TheMonitor, e)
}
