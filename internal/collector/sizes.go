package collector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// A round of sizes is bounded, and so is each database in it.
const (
	maxRound   = 5 * time.Minute
	maxSize    = 30 * time.Second
	sizesBatch = 20
	// firstSizes spreads the first rounds of a run.
	firstSizes = 30 * time.Second
)

var errSizeDeadline = errors.New("size of a database: deadline 30s")

// beginSizes starts a round when it is due and the databases are known. The
// lock is held.
func (w *watch) beginSizes(iv target.Intervals) {
	at := w.tick.Planned
	if w.sizing || w.paused || len(w.databases) == 0 || !w.tick.Outcome.Answered() || w.c.run.Err() != nil {
		return
	}
	if w.due.sizes.IsZero() {
		w.due.sizes = w.next(at, min(iv.Sizes, firstSizes))
	}
	if !w.turn(&w.due.sizes, at, iv.Sizes) {
		return
	}
	w.sizing = true
	var round context.Context
	round, w.endSizes = context.WithCancel(w.c.run)
	w.c.visits.Add(1)
	go w.sizes(round, w.endSizes, w.t, slices.Clone(w.databases))
}

// sizes is a round, off the way of ticks.
func (w *watch) sizes(ctx context.Context, end context.CancelFunc, t target.Target, databases []sample.Database) {
	defer w.c.visits.Done()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.sizing = false
		end()
		w.missed(&w.due.sizes, w.intervals().Sizes)
	}()
	w.c.guard(ctx, "sizes", t.ID, func() { w.readSizes(ctx, t, databases) })
}

// readSizes asks for one database after the other on the second connection,
// which it opens and closes.
func (w *watch) readSizes(ctx context.Context, t target.Target, databases []sample.Database) {
	conn, reason, err := w.c.dial(ctx, t, ForSizes)
	if err != nil {
		w.c.cfg.Log.DebugContext(ctx, "sizes cannot be read", "server", t.Name, "reason", reason.String(), "error", err)
		return
	}
	defer conn.Close()
	// The wait for a server that does not finish a start is not part of it.
	ctx, cancel := context.WithTimeout(ctx, maxRound)
	defer cancel()
	w.connection.setSlow(conn.PID())
	defer w.connection.setSlow(0)
	v := sample.Visit{Server: t.ID}
	flush := func() {
		if len(v.Sizes) > 0 {
			w.c.cfg.Journal.Append(&v)
			v.Sizes = v.Sizes[:0]
		}
	}
	defer flush()
	for _, d := range databases {
		if ctx.Err() != nil || !conn.Alive() {
			return // what is left comes in the next round
		}
		start := time.Now()
		size := sample.DatabaseSize{At: w.c.clock.Now(), OID: d.OID}
		one, cancel := context.WithTimeoutCause(ctx, maxSize, errSizeDeadline)
		err := conn.Size(one, d.OID, &size)
		cancel()
		size.Duration = time.Since(start)
		if errors.Is(ctx.Err(), context.Canceled) {
			return // it was not the server that did not answer
		}
		v.Sizes = append(v.Sizes, size)
		if err != nil {
			w.c.cfg.Log.DebugContext(ctx, "size cannot be read", "server", t.Name, "error", err)
		}
		if len(v.Sizes) >= sizesBatch {
			flush()
		}
	}
}
