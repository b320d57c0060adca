package collector

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// watch is one server's place in the schedule.
type watch struct {
	c     *Collector
	tenth int
	// phase says in which of its cadence's seconds the server is visited.
	phase int64

	// Of the visit under way only: there is one at a time.
	dict    *sample.Dictionary
	series  *sample.Series
	visit   sample.Visit
	tick    sample.Tick
	due     due
	burst   burst
	clock   serverClock
	failing sample.Reason

	// offerAgain says that the history may not know what it was told.
	offerAgain atomic.Bool

	mu          sync.Mutex
	t           target.Target
	paused      bool
	busy        bool
	lastPlanned time.Time
	databases   []sample.Database // as last listed
	sizing      bool
	endSizes    context.CancelFunc
	looks       looks
	connection  connection
}

// due is when the slower questions are asked next; zero is now. The lock guards
// sizes.
type due struct{ databases, inventory, sizes time.Time }

// maxLate is how long a hold-up of the collector is written down tick by
// tick; after a longer one it counts as not running.
const maxLate = 10 * time.Minute

// newWatch prepares a server's visits; online says that stats_db can be asked what
// it remembers, still is whether it could. Without that everything is new, which
// costs events.
func newWatch(ctx context.Context, c *Collector, t target.Target, online bool) (w *watch, still bool) {
	h := phaseOf(t.ID)
	w = &watch{c: c, t: t, tenth: int(h % tenths), phase: int64(h / tenths % 86400), dict: sample.NewDictionary(c.cfg.Hash)}
	var resume sample.Resume
	if online {
		ctx, cancel := context.WithTimeoutCause(ctx, catalogTimeout, fmt.Errorf("resume server: deadline %s", catalogTimeout))
		defer cancel()
		var err error
		if resume, err = c.cfg.History.Resume(ctx, t.ID); err != nil {
			c.cfg.Log.WarnContext(ctx, "history of the server cannot be read: what changed in it while nobody looked is not told", "server", t.Name, "error", err)
			online = false
		}
	}
	resume.Memory = c.remembered(t.ID, resume.Memory)
	w.series = resume.Series()
	w.visit.Server = t.ID
	if now := c.clock.Now(); resume.Sized.Before(now) {
		if turn := w.next(resume.Sized, w.intervals().Sizes); turn.After(now) {
			w.due.sizes = turn
		}
	}
	w.connection.init(c, t.ID)
	w.looks.reset()
	return w, online
}

// intervals gives the server's own or the collector's. The lock is held.
func (w *watch) intervals() target.Intervals {
	iv, d := w.t.Intervals, w.c.cfg.Intervals
	pick := func(own, other time.Duration) time.Duration {
		if own != 0 {
			return own
		}
		return other
	}
	return target.Intervals{
		Activity: pick(iv.Activity, d.Activity), Databases: pick(iv.Databases, d.Databases),
		Inventory: pick(iv.Inventory, d.Inventory), Sizes: pick(iv.Sizes, d.Sizes), Disks: pick(iv.Disks, d.Disks),
	}
}

func (w *watch) cadence() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.intervals().Activity
}

// update takes a changed server over, and reports whether anything did
// change.
func (w *watch) update(t target.Target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.paused || w.t.Revision != t.Revision
	if !w.t.SameEndpoint(t) {
		w.disconnect()
		w.databases = nil
	}
	if !w.t.SameEndpoint(t) || !w.t.SameShell(t) || w.t.Disks() != t.Disks() {
		w.looks.reset()
	}
	before := w.intervals().Activity
	if stricter(w.t.QueryTexts, t.QueryTexts) {
		w.c.forgetTexts(t)
	}
	w.t, w.paused = t, false
	if w.intervals().Activity != before {
		w.lastPlanned = time.Time{}
		w.disconnect() // a connection has the limits of its interval
	}
	return changed
}

// pause stops visits and ends the connection; it reports whether that was
// new.
func (w *watch) pause() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.paused
	w.paused, w.lastPlanned = true, time.Time{}
	w.disconnect()
	w.looks.reset()
	if disks := w.c.cfg.Disks; disks != nil && !was {
		id := w.t.ID
		w.c.closes.Go(func() { w.c.guard(w.c.run, "forget", id, func() { disks.Forget(id) }) })
	}
	return !was
}

// disconnect ends both connections. The lock is held.
func (w *watch) disconnect() {
	w.connection.reset()
	if w.sizing {
		w.endSizes()
	}
}

func (w *watch) connected() bool { return w.connection.connected() }

// plan begins the tick of this instant if the server has one then, or writes
// down why there is none.
func (w *watch) plan(planned time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	iv := w.intervals()
	if w.paused || (planned.Unix()+w.phase)%int64(iv.Activity/time.Second) != 0 || !planned.After(w.lastPlanned) {
		return
	}
	if late := planned.Sub(w.lastPlanned); !w.lastPlanned.IsZero() && late > iv.Activity && late <= maxLate {
		for p := w.lastPlanned.Add(iv.Activity); p.Before(planned); p = p.Add(iv.Activity) {
			w.skip(p, iv.Activity, sample.Late)
		}
	}
	w.lastPlanned = planned
	if w.busy {
		w.skip(planned, iv.Activity, sample.Overrun)
		return
	}
	w.busy = true
	w.tick = sample.Tick{Sessions: w.tick.Sessions[:0], Planned: planned, Started: planned, Cadence: iv.Activity, Backends: sample.Unset}
	w.c.visits.Add(1)
	go w.run(w.t, iv, w.tick)
}

// skip writes a tick down that is not asked. The lock is held.
func (w *watch) skip(planned time.Time, cadence time.Duration, why sample.Reason) {
	t := sample.Tick{Planned: planned, Started: planned, Cadence: cadence, Outcome: sample.Skipped, Reason: why, Backends: sample.Unset}
	w.record(&sample.Visit{Server: w.t.ID, Tick: &t})
}

func (w *watch) record(v *sample.Visit) {
	if v.Tick != nil {
		w.c.counts.outcomes[v.Tick.Outcome].Add(1)
		w.c.counts.sessions.Add(int64(len(v.Tick.Sessions)))
		w.c.meter.Tick(v)
	}
	w.c.cfg.Journal.Append(v)
}

// run is one visit, from waiting for the connection to the journal.
func (w *watch) run(t target.Target, iv target.Intervals, tick sample.Tick) {
	defer w.c.visits.Done()
	limit, begun := VisitDeadline(iv.Activity), time.Now()
	ctx, cancel := context.WithTimeoutCause(w.c.run, limit, visitDeadlineError{t.Name, limit})
	defer cancel()
	w.tick = tick
	w.visit = sample.Visit{Server: t.ID, Tick: &w.tick}
	conn, reason := w.connection.acquire(ctx, t)
	if conn != nil && time.Since(begun) > limit/2 {
		// Connecting took most of the time. A visit that runs into its limit
		// would cost the new connection; the next tick has time enough.
		w.connection.release(conn, sample.None, nil)
		conn, reason = nil, sample.Connecting
	}
	var err error
	if conn == nil {
		w.tick.Started, w.tick.Outcome, w.tick.Reason = w.c.clock.Now(), sample.Failed, reason
	} else {
		err = w.ask(ctx, conn, t, iv)
		w.connection.release(conn, w.tick.Reason, err)
	}
	if w.c.run.Err() != nil && !w.tick.Outcome.Answered() {
		w.tick.Outcome, w.tick.Reason = sample.Skipped, sample.NotRunning
	}
	w.followBurst(ctx, t)
	w.visit.Events = append(w.visit.Events, w.clock.follow(&w.visit)...)
	w.record(&w.visit)
	w.tell(ctx, t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	if w.t.SameEndpoint(t) {
		if inv := w.visit.Inventory; inv != nil {
			w.databases = inv.Databases
		}
		w.looks.learn(w.visit.Locations)
		w.beginSizes(iv)
	}
	w.beginLook()
}

// ask visits over conn and follows the counters.
func (w *watch) ask(ctx context.Context, conn Conn, t target.Target, iv target.Intervals) error {
	at := w.tick.Planned
	ask := sample.Ask{
		Databases: w.turn(&w.due.databases, at, iv.Databases),
		Inventory: w.turn(&w.due.inventory, at, iv.Inventory),
		Locations: w.asksLocations(t, iv),
		Texts:     t.QueryTexts,
		Full:      w.burst.on,
		CrowdFrom: w.burst.crowdFrom(w.c.burstLimits().of(t.Burst), time.Now()),
	}
	if w.offerAgain.Swap(false) {
		w.dict.OfferAgain()
		w.series.OfferAgain()
		w.due.inventory = time.Time{}
	}
	conn.Exclude(w.connection.slowPID())
	w.tick.Started = w.c.clock.Now()
	err := w.guarded(ctx, conn, ask)
	w.series.Advance(&w.visit)
	return err
}

// guarded visits over conn. A panic costs the server its tick and its
// connection.
func (w *watch) guarded(ctx context.Context, conn Conn, ask sample.Ask) (err error) {
	if w.c.guard(ctx, "visit", w.visit.Server, func() { err = conn.Visit(ctx, ask, w.dict, &w.visit) }) {
		return err
	}
	w.c.guard(ctx, "close", w.visit.Server, conn.Close)
	// Dictionary entries that were met stay for the next visit to give.
	w.tick.Outcome, w.tick.Reason = sample.Failed, sample.Malformed
	w.tick.Sessions, w.tick.Backends = w.tick.Sessions[:0], sample.Unset
	w.visit = sample.Visit{Server: w.visit.Server, Tick: &w.tick, Entries: w.visit.Entries}
	return errPanicked
}

// turn reports whether it is time for what is done every interval, and plans
// the next one.
func (w *watch) turn(due *time.Time, at time.Time, interval time.Duration) bool {
	next := w.next(at, interval)
	if !at.Before(*due) {
		*due = next
		return true
	}
	if due.After(next) { // the interval was longer
		*due = next
	}
	return false
}

// missed leaves out the turns that came while the one before took its time.
func (w *watch) missed(due *time.Time, interval time.Duration) {
	if now := w.c.clock.Now(); !now.Before(*due) {
		*due = w.next(now, interval)
	}
}

// next gives the instant of the server's next turn after at.
func (w *watch) next(at time.Time, interval time.Duration) time.Time {
	step := int64(interval / time.Second)
	past := (at.Unix() + w.phase) % step
	return time.Unix(at.Unix()+step-past, 0).UTC()
}

// tell logs a change from well to failing and back, and every failure at
// debug.
func (w *watch) tell(ctx context.Context, t target.Target, err error) {
	now := w.tick.Reason
	log := w.c.cfg.Log
	switch {
	case now == w.failing:
		if err != nil {
			log.DebugContext(ctx, "visit is still not whole", "server", t.Name, "reason", now.String(), "error", err)
		}
		return
	case now == sample.None:
		log.InfoContext(ctx, "visits are whole again", "server", t.Name, "after", w.failing.String())
	case now == sample.Connecting && w.failing == sample.None:
	default:
		if err == nil {
			err = w.connection.why() // there was no connection to visit over
		}
		about := []any{"server", t.Name, "outcome", w.tick.Outcome.String(), "reason", now.String()}
		if err != nil {
			about = append(about, "error", err)
		}
		log.WarnContext(ctx, "visits are not whole", about...)
	}
	w.failing = now
}

// VisitDeadline gives how long a visit may take: less than its interval, and
// five seconds at most.
func VisitDeadline(interval time.Duration) time.Duration {
	return min(interval*8/10, 5*time.Second)
}

// visitDeadlineError says whose limit passed.
type visitDeadlineError struct {
	server string
	limit  time.Duration
}

// Error names the visit and its limit.
func (e visitDeadlineError) Error() string {
	return fmt.Sprintf("visit %s: deadline %s", e.server, e.limit)
}
