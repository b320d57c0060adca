package collector

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Fault says what an error of History.Append is about. An error is unknown until
// it is known.
type Fault uint8

const (
	// Away is a history that would take nothing now: no connection, no login, no
	// room, read only. Everything waits.
	Away Fault = iota
	// Slow is a transaction that was not done within its limit: a smaller one may be.
	Slow
	// Busy is a server that somebody else writes just now: another collector, or who
	// sums up.
	Busy
	// Refused is a statement that failed over a connection that works, by whatever
	// fault: of a table, a right, a disk, a page, or of something in what is written.
	Refused
	// Invalid is what no history would take: it breaks a constraint, or is no value
	// of its type (SQLSTATE classes 22 and 23).
	Invalid
	// Replaced is a history that is another or an older one than before, and was
	// given nothing: what it may not know is offered again.
	Replaced
)

// Refusal is why the history did not take something, and what to do.
type Refusal struct {
	Fault    Fault
	SQLSTATE string // "" where there was no answer
	Advice   string
}

// Trouble is that the history does not take what is seen, or not all of it.
type Trouble struct {
	Refusal
	Since time.Time
	Err   error
}

const (
	// triesAlone is how many pieces of a server fail alone before its others are not
	// tried any more for leftFor, and of how many servers pieces fail with nothing
	// taken in between before the history is held to take nothing.
	triesAlone = 3
	// leftFor is when what failed alone is tried again; the pauses grow up to
	// leftForMost.
	leftFor     = time.Minute
	leftForMost = 5 * time.Minute
	// busyTurns is how many flushes in a row may find a server busy before that is a
	// failure.
	busyTurns = 4
)

var (
	errFlushDeadline = fmt.Errorf("write history: deadline %s", flushTimeout)
	errStopped       = errors.New("nothing more is tried for now")
	errAhead         = fmt.Errorf("ticks are planned more than %s ahead of the clock, which was wrong then or is now: they wait for it", maxAhead)
)

// trials is how it went with a server since its visits were loaded from the
// journal's beginning.
type trials struct {
	failed   int           // pieces that failed alone
	turns    int           // flushes that found it busy, since something was taken
	left     bool          // some stay in the journal for later
	waits    bool          // until retryAt, because they failed
	retryAt  time.Time     // when what was left is loaded again
	patience time.Duration // until then, the next time
	// suspect says that something failed since something was taken: it is written
	// beside the other servers, so as not to delay them.
	suspect bool
}

// leave notes that something of the server stays in the journal. The lock is held.
func (t *trials) leave(now time.Time, failing bool) {
	t.left = true
	if failing && !t.waits {
		t.waits, t.retryAt = true, now.Add(t.patience)
		t.patience = min(2*t.patience, leftForMost)
	}
}

// anew begins again. The lock is held.
func (t *trials) anew() { t.failed, t.left, t.waits, t.retryAt = 0, false, false, time.Time{} }

// givenUp reports whether no more of the server is tried for now. The lock is held.
func (t *trials) givenUp() bool { return t.failed >= triesAlone }

// refusals is what the history did not take, and what is told of it.
type refusals struct {
	inRow     int // servers that began to fail alone since something was taken
	replaced  bool
	refusedAt time.Time // when something failed alone last
	badAt     time.Time // when something was last told to be wrong
	tookAt    time.Time // when something was taken last
	last      error     // why something was left
	told      time.Time
	trouble   atomic.Pointer[Trouble]
}

// timeToRetry reports whether something that was left in the journal is to be tried
// again.
func (f *flusher) timeToRetry(now time.Time) (again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queues {
		if q.left && !q.busy && !now.Before(q.retryAt) {
			q.anew()
			again = true
		}
	}
	return again
}

// stopAll has nothing more tried until all is loaded again.
func (f *flusher) stopAll(err error, why Refusal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replaced = f.replaced || why.Fault == Replaced
	if f.stopped == nil {
		f.stopped = err
	}
}

// judge says what an error is about, and whether that was all with the pieces for
// now: the history takes nothing, or the server is busy.
func (f *flusher) judge(ctx context.Context, q *queue, pieces []piece, err error) (why Refusal, over bool) {
	if errors.Is(err, errStopped) {
		return why, true
	}
	switch why = f.history.Explain(err); {
	case ctx.Err() != nil || why.Fault == Away || why.Fault == Replaced:
		f.stopAll(err, why)
	case why.Fault == Busy:
		f.postpone(q, pieces, err)
	default:
		return why, false
	}
	return why, true
}

// suspect notes that n pieces of a server failed together.
func (f *flusher) suspect(q *queue, why Refusal, err error, n int) {
	if why.Fault == Invalid {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q.suspect, f.last = true, err
	if why.Fault == Slow {
		q.most = max(n/2, 1)
	}
	f.gone()
}

// postpone leaves pieces of a server that is busy for the next flush.
func (f *flusher) postpone(q *queue, pieces []piece, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q.turns++
	long := q.turns >= busyTurns
	q.suspect, f.last = q.suspect || long, err
	f.leave(q, pieces, long)
}

// leavesAll leaves pieces of a server of which some were refused just now.
func (f *flusher) leavesAll(q *queue, pieces []piece) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.givenUp() {
		f.leave(q, pieces, true)
	}
	return q.givenUp()
}

// leave leaves pieces in the journal, to be loaded again later. The lock is held.
func (f *flusher) leave(q *queue, pieces []piece, failing bool) {
	q.leave(f.now(), failing)
	for i := range pieces {
		f.held -= pieces[i].bytes
		if rec := f.records[pieces[i].seq]; rec != nil {
			rec.held--
			rec.left = append(rec.left, q.server)
		}
	}
}

// alone judges a piece that was refused with nothing beside it.
func (f *flusher) alone(ctx context.Context, q *queue, one []piece, why Refusal, err error) {
	if why.Fault == Invalid {
		if err = f.append(ctx, q, one); err == nil {
			f.took(q, one, 0)
			return
		}
		var over bool
		if why, over = f.judge(ctx, q, one, err); over {
			return
		}
	}
	if why.Fault == Invalid {
		f.log.Error("history refuses this for good; the journal's records of it are set aside: see pgam journal list",
			"server_id", q.server, "sqlstate", why.SQLSTATE, "error", err)
		if err := f.journal.Quarantine(q.server, err.Error(), one[0].seq); err != nil {
			f.stopAll(err, Refusal{})
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.settled(one)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	q.suspect, f.last, f.refusedAt = true, err, f.now()
	if q.failed++; q.failed == 1 {
		f.inRow++
	}
	if why.Fault == Slow {
		q.failed = triesAlone // every try of another one takes as long
	}
	f.leave(q, one, true)
	f.gone()
	if f.inRow >= triesAlone && f.stopped == nil {
		f.stopped = err
	}
}

// offerAgain offers what the history may not know: what was written to it lately,
// and every name as it is next seen.
func (c *Collector) offerAgain() {
	c.cfg.Journal.Again()
	c.offerNames()
	r := &c.schedule
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = false // its list of servers may be another one, too
}

// offerNames has every server's names offered again as they are next seen.
func (c *Collector) offerNames() {
	r := &c.schedule
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watches {
		w.offerAgain.Store(true)
	}
}

// behind says why something that failed waits in the journal, nil if nothing does.
// At the end, what is left to the next flush counts too.
func (f *flusher) behind(end bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queues {
		if q.waits || q.busy && q.suspect || end && q.left {
			return f.last
		}
	}
	return nil
}

// verdict tells what is left in the journal. Where nothing was taken for a while it
// is an error.
func (f *flusher) verdict(now time.Time) error {
	err := f.behind(false)
	f.mu.Lock()
	if f.tookAt.IsZero() {
		f.tookAt = now
	}
	nothing := f.refusedAt.After(f.tookAt) && now.Sub(f.tookAt) > leftFor
	if f.tookAt.After(f.badAt) {
		f.pause = minPause
	}
	f.mu.Unlock()
	switch {
	case err == nil:
		f.well()
	case nothing:
		return err
	default:
		f.tell(now, err, "part of the history cannot be written and waits in the journal")
	}
	return nil
}

// notWritten is told while nothing is taken.
const notWritten = "history cannot be written; what is seen waits in the journal"

// tell says what is wrong: at once, and every minute as long as it lasts.
func (f *flusher) tell(now time.Time, err error, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := Trouble{Refusal: f.history.Explain(err), Since: now, Err: err}
	if before := f.trouble.Load(); before != nil {
		t.Since = before.Since
	}
	f.trouble.Store(&t)
	f.badAt = now
	if now.Sub(f.told) < tellAgain {
		return
	}
	f.told = now
	f.log.Warn(message, "sqlstate", t.SQLSTATE, "advice", t.Advice, "error", err)
}

// well says that everything is taken again, once something was.
func (f *flusher) well() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trouble.Load() == nil || !f.tookAt.After(f.badAt) {
		return
	}
	f.trouble.Store(nil)
	f.told = time.Time{}
	for _, q := range f.queues {
		q.patience = leftFor
	}
	f.log.Info("history is written again")
}

// Trouble tells why the history does not take what is seen, or a part of it, nil
// while it does.
func (c *Collector) Trouble() *Trouble { return c.flusher.trouble.Load() }

// ErrNotWritten says that what is seen waits in the journal.
var ErrNotWritten = errors.New("history is not written: what is seen waits in the journal")

// Writes is nil while the history takes everything; else the error says why not,
// since when, and what to do.
func (c *Collector) Writes() error {
	t := c.Trouble()
	if t == nil {
		return nil
	}
	return fmt.Errorf("%w since %s: %w: %s", ErrNotWritten, t.Since.UTC().Format(time.RFC3339), t.Err, t.Advice)
}
