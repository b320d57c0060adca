package collector

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// Fault says what an error of History.Append is about. An error is unknown until
// it is known.
type Fault uint8

const (
	// Away is a history that would take nothing now: no connection, no login, no
	// room, read only. Everything waits.
	Away Fault = iota
	// Slow is a batch that was not written within its limit: a smaller one may be.
	Slow
	// Refused is a statement that failed over a connection that works, by whatever
	// fault: of a table, a right, a disk, a page, or of something in the batch.
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
	// triesAlone is how many parts of a server fail alone before its others are not
	// tried any more for leftFor, and of how many servers parts fail with nothing
	// taken in between before the history is held to take nothing.
	triesAlone = 3
	// leftFor is when a part that failed alone is tried again; the pauses grow up to
	// leftForMost.
	leftFor     = time.Minute
	leftForMost = 5 * time.Minute
)

var errFlushDeadline = fmt.Errorf("write history: deadline %s", flushTimeout)

// refusals is what the history did not take since the journal was last loaded
// from its beginning, and what is told of it.
type refusals struct {
	left    map[target.ID]int // parts that failed alone, by server
	inRow   int               // servers whose parts began to fail alone since something was taken
	refused bool              // a part was left in this flush
	tookAt  time.Time         // when something was taken last
	last    error             // why the last part was left
	again   time.Time         // when what was left is tried again; zero: nothing was left
	// suspects are servers of which a part failed alone: theirs go last and alone,
	// until one is taken.
	suspects map[target.ID]bool
	patience time.Duration // before what is left is tried again
	told     time.Time
	trouble  atomic.Pointer[Trouble]
}

func (r *refusals) forget() {
	r.left, r.inRow, r.last, r.again = make(map[target.ID]int), 0, nil, time.Time{}
	if r.suspects == nil {
		r.suspects, r.patience = make(map[target.ID]bool), leftFor
	}
}

// timeToRetry reports whether what was left in the journal is to be tried again.
func (r *refusals) timeToRetry(now time.Time) bool {
	return !r.again.IsZero() && !now.Before(r.again)
}

// tried gives the parts that are worth a try: those of a server of which some were
// refused just now are left.
func (p *packer) tried(parts []part) []part {
	worth := parts[:0:0]
	for i := range parts {
		if p.left[parts[i].server] < triesAlone {
			worth = append(worth, parts[i])
			continue
		}
		p.leave(&parts[i])
	}
	return worth
}

// suspicion sorts servers of which a part failed alone behind the others.
func (r *refusals) suspicion(server target.ID) int {
	if r.suspects[server] {
		return 1
	}
	return 0
}

// alone judges a part that was refused with nothing beside it.
func (p *packer) alone(ctx context.Context, one *part, why Refusal, err error) error {
	if why.Fault == Invalid {
		if err = p.append(ctx, []part{*one}); err == nil {
			p.took([]part{*one})
			return nil
		}
		if why = p.history.Explain(err); ctx.Err() != nil || why.Fault == Away {
			return err
		}
	}
	p.failed.Add(1)
	if why.Fault == Invalid {
		p.log.Error("history refuses this for good; the journal's records of it are set aside: see pgam journal list",
			"server_id", one.server, "sqlstate", why.SQLSTATE, "error", err)
		if err := p.journal.Quarantine(one.server, err.Error(), one.seqs...); err != nil {
			return err
		}
		p.settle(one)
		return nil
	}
	p.leave(one)
	p.last, p.refused, p.suspects[one.server] = err, true, true
	if p.left[one.server]++; p.left[one.server] == 1 {
		p.inRow++
	}
	if why.Fault == Slow {
		p.left[one.server] = triesAlone // every try of another one takes as long
	}
	if p.inRow >= triesAlone {
		return err
	}
	return nil
}

// leave leaves a part in the journal, to be loaded again later.
func (p *packer) leave(one *part) {
	for _, seq := range one.seqs {
		if rec := p.records[seq]; rec != nil {
			rec.left = append(rec.left, one.server)
		}
	}
	p.close(one)
}

// offerAgain offers what the history may not know: what was written to it lately,
// and every name as it is next seen.
func (c *Collector) offerAgain() {
	c.cfg.Journal.Again()
	c.offerNames()
	r := &c.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = false // its list of servers may be another one, too
}

// offerNames has every server's names offered again as they are next seen.
func (c *Collector) offerNames() {
	r := &c.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watches {
		w.offerAgain.Store(true)
	}
}

// verdict says, when the journal was gone through, whether anything was left.
// Where nothing was taken for a while it is an error.
func (p *packer) verdict(now time.Time) error {
	if p.last == nil {
		p.well()
		return nil
	}
	if p.refused && now.Sub(p.tookAt) > leftFor {
		return p.last
	}
	if p.again.IsZero() {
		p.again = now.Add(p.patience)
		p.patience = min(2*p.patience, leftForMost)
	}
	p.tell(now, p.last, "part of the history cannot be written and waits in the journal")
	return nil
}

// notWritten is told while nothing is taken.
const notWritten = "history cannot be written; what is seen waits in the journal"

// tell says what is wrong: at once, and every minute as long as it lasts.
func (p *packer) tell(now time.Time, err error, message string) {
	t := Trouble{Refusal: p.history.Explain(err), Since: now, Err: err}
	if before := p.trouble.Load(); before != nil {
		t.Since = before.Since
	}
	p.trouble.Store(&t)
	if now.Sub(p.told) < tellAgain {
		return
	}
	p.told = now
	p.log.Warn(message, "sqlstate", t.SQLSTATE, "advice", t.Advice, "error", err)
}

// well says that everything is taken again.
func (p *packer) well() {
	if p.trouble.Swap(nil) != nil {
		p.told, p.patience = time.Time{}, leftFor
		p.log.Info("history is written again")
	}
}

// Trouble tells why the history does not take what is seen, or a part of it, nil
// while it does.
func (c *Collector) Trouble() *Trouble { return c.packer.trouble.Load() }

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
