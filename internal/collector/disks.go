package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Disks looks at the file systems of a server's host, over SSH or here.
type Disks interface {
	// Read looks at the file systems that hold these locations, as t.Disks()
	// says. It ends when ctx does, and says why not.
	Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, sample.Reason, error)
	// Forget lets go of what is kept for a server that is not watched any more.
	Forget(server target.ID)
}

const (
	// maxLook bounds a look; its steps have limits of their own.
	maxLook = time.Minute
	// maxLooks bounds the looks under way at once.
	maxLooks = 20
	// firstLooks spreads the first looks of a run.
	firstLooks = 10 * time.Second
	// The pauses after looks that fail. Where a host does not let anybody in,
	// each attempt is the longest pause after the one before.
	firstLookPause = 5 * time.Second
	maxLookPause   = 5 * time.Minute
)

// looks is how a server's disks are looked at; the watch's lock guards it.
type looks struct {
	askAt     time.Time         // locations are not asked for before
	locations []sample.Location // nil: not told yet
	due       time.Time         // of the next look; zero: none was planned yet
	notBefore time.Time         // of the next look after one that failed
	pauses    backoff.ExponentialBackOff
	state     lookState
	series    *sample.DiskSeries
	end       context.CancelFunc // ends the look under way; nil: there is none
}

// lookState is what is logged when it changes.
type lookState struct {
	failed bool
	reason sample.Reason // also why a look is not whole
	uses   string        // what it misses then
}

var errNoLocations = errors.New("PostgreSQL does not tell where its data are: grant pg_monitor to the monitoring user (before PostgreSQL 10 only a superuser is told)")

// reset forgets all but what was logged, and ends a look under way. The lock
// is held.
func (l *looks) reset() {
	if l.end != nil {
		l.end()
	}
	*l = looks{end: l.end, state: l.state, series: sample.NewDiskSeries(), pauses: backoff.ExponentialBackOff{
		InitialInterval: firstLookPause, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: maxLookPause,
	}}
	l.pauses.Reset()
}

// looksAt reports whether anybody looks at a server's disks.
func (c *Collector) looksAt(t target.Target) bool {
	return c.cfg.Disks != nil && t.Disks() != target.DiskNone
}

// asksLocations tells whether to ask where data are; it is asked as often as
// for the databases, from the first visit on.
func (w *watch) asksLocations(t target.Target, iv target.Intervals) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.c.looksAt(t) && w.turn(&w.looks.askAt, w.tick.Planned, iv.Inventory)
}

// learn takes over where data are. The lock is held.
func (l *looks) learn(locations []sample.Location) {
	if locations == nil || (l.locations != nil && slices.Equal(l.locations, locations)) {
		return
	}
	l.locations, l.notBefore = locations, time.Time{}
	l.pauses.Reset()
}

// beginLook starts a look when it is due, whatever the visit came to: a server
// may be down because its disk is full. The lock is held.
func (w *watch) beginLook() {
	l, at := &w.looks, w.tick.Planned
	if l.end != nil || l.locations == nil || w.paused || !w.c.looksAt(w.t) || w.c.run.Err() != nil {
		return
	}
	interval := w.intervals().Disks
	if l.due.IsZero() {
		l.due = w.next(at, min(interval, firstLooks))
	}
	if at.Before(l.notBefore) || !w.turn(&l.due, at, interval) {
		return
	}
	var ctx context.Context
	ctx, l.end = context.WithCancel(w.c.run)
	w.c.visits.Add(1)
	go w.look(ctx, w.t, l.locations)
}

// look is one look, off the way of ticks.
func (w *watch) look(ctx context.Context, t target.Target, locations []sample.Location) {
	defer w.c.visits.Done()
	disks, reason, err := w.c.look(ctx, t, locations)
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &w.looks
	unwanted := ctx.Err() != nil // the server changed, or the collector stops
	l.end()
	l.end = nil
	if unwanted {
		return
	}
	w.missed(&l.due, w.intervals().Disks)
	now := lookState{failed: err != nil, reason: reason}
	if err != nil {
		w.c.counts.looksFailed.Add(1)
		l.notBefore = w.c.clock.Now().Add(l.pause(reason))
	} else {
		w.c.counts.looksOK.Add(1)
		l.pauses.Reset()
		now.reason, now.uses = missing(disks, locations)
		w.c.meter.Disks(t.ID, &disks)
		l.series.Advance(&disks)
		if len(disks.FileSystems) > 0 {
			w.c.cfg.Journal.Append(&sample.Visit{Server: t.ID, Disks: &disks})
		}
	}
	w.tellLook(ctx, now, err)
	l.state = now
}

// look waits for its turn and looks, guarded and within its limit.
func (c *Collector) look(ctx context.Context, t target.Target, locations []sample.Location) (disks sample.Disks, reason sample.Reason, err error) {
	if len(locations) == 0 {
		return disks, sample.NoPrivilege, errNoLocations
	}
	select {
	case c.looking <- struct{}{}:
	case <-ctx.Done():
		return disks, sample.NotRunning, ctx.Err()
	}
	defer func() { <-c.looking }()
	ctx, cancel := context.WithTimeoutCause(ctx, maxLook, fmt.Errorf("disks of %s: deadline %s", t.Name, maxLook))
	defer cancel()
	begun := c.clock.Now()
	if !c.guard(ctx, "disks", t.ID, func() { disks, reason, err = c.cfg.Disks.Read(ctx, t, locations) }) {
		return sample.Disks{}, sample.Malformed, errPanicked
	}
	if !disks.At.IsZero() {
		disks.At = begun // by the clock that ticks are planned by
	}
	if err == nil && len(disks.FileSystems) == 0 && len(disks.Missing) > 0 {
		m := disks.Missing[0]
		return disks, m.Reason, fmt.Errorf("no file system can be seen, not that of %s at %s: %s", m.Use, m.Path, cmp.Or(m.Detail, m.Reason.String()))
	}
	return disks, reason, err
}

// pause gives how long to leave a host alone after a failure.
func (l *looks) pause(reason sample.Reason) time.Duration {
	pause := l.pauses.NextBackOff()
	switch reason {
	case sample.HostKeyUnknown, sample.HostKeyChanged, sample.AuthFailed:
		return maxLookPause // somebody has to do something
	default:
		return min(pause, maxLookPause)
	}
}

// missing says why a look is not whole, and of what; None if it is.
func missing(d sample.Disks, locations []sample.Location) (why sample.Reason, uses string) {
	if !slices.ContainsFunc(locations, func(l sample.Location) bool { return l.Use == "data" }) {
		return sample.NoPrivilege, "data"
	}
	if len(d.Missing) == 0 {
		return sample.None, ""
	}
	names := make([]string, 0, len(d.Missing))
	for _, m := range d.Missing {
		names = append(names, m.Use)
	}
	return d.Missing[0].Reason, strings.Join(names, ", ")
}

// tellLook logs a change from well to failing and back, and every failure at
// debug. The lock is held.
func (w *watch) tellLook(ctx context.Context, now lookState, err error) {
	log, before := w.c.cfg.Log.With("server", w.t.Name, "source", string(w.t.Disks())), w.looks.state
	switch {
	case now == before && err != nil:
		log.DebugContext(ctx, "disks can still not be seen", "reason", now.reason.String(), "error", err)
	case now == before:
	case now.failed:
		log.WarnContext(ctx, "disks cannot be seen", "reason", now.reason.String(), "error", err)
	case now.reason != sample.None:
		log.InfoContext(ctx, "not all disks can be seen", "reason", now.reason.String(), "missing", now.uses)
	default:
		log.InfoContext(ctx, "disks are seen again", "after", before.reason.String())
	}
}
