package history

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// Coverage says how much of a range was seen. Planned is always the sum of OK,
// Degraded, Failed and Skipped.
type Coverage struct {
	// Range is what was judged: the part of the question since the server was
	// added, up to the newest window that is stored while a collector runs.
	Range                                  Range
	Planned, OK, Degraded, Failed, Skipped int64
	// FailedBy and SkippedBy add up to Failed and Skipped. Ticks that no
	// collector planned are skipped by sample.NotRunning; sample.None stands for
	// a reason that is no longer kept.
	FailedBy, SkippedBy map[sample.Reason]int64
	// LongestGap is the longest time without an answered tick; zero when no
	// tick is missing.
	LongestGap time.Duration
}

// Answered is the number of ticks whose sessions were read.
func (c Coverage) Answered() int64 { return c.OK + c.Degraded }

// Ledger adds ticks up to a Coverage. Ticks are given in the order of time;
// what lies between them and was promised by the cadence, but is not there,
// counts as skipped because no collector was running.
type Ledger struct {
	c       Coverage
	cadence time.Duration // of the tick before; of the server before the first
	// reached is where the ledger stands: a tick, or an edge (the start, or the
	// end of a block) that no tick stands at.
	reached time.Time
	edge    bool
	seen    time.Time // the last answered tick, or the start
	// open: what is missing between an edge, from, and the first tick after it is
	// not counted yet, for all ticks since failed, and may have begun late.
	open        bool
	from, first time.Time
}

// NewLedger begins a Coverage of r. cadence is what holds where no tick says
// otherwise.
func NewLedger(r Range, cadence time.Duration) *Ledger {
	if cadence <= 0 {
		cadence = time.Second
	}
	return &Ledger{
		c:       Coverage{Range: r, FailedBy: map[sample.Reason]int64{}, SkippedBy: map[sample.Reason]int64{}},
		cadence: cadence,
		reached: r.From,
		edge:    true,
		seen:    r.From,
	}
}

// Tick adds one tick. One outside the range, or not after the tick before, is
// left out.
func (l *Ledger) Tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason) {
	if !l.admits(at) {
		return
	}
	if cadence <= 0 {
		cadence = l.cadence
	}
	if l.edge {
		l.open, l.from, l.first = true, l.reached, at
		l.reached, l.edge, l.cadence = at, false, cadence
	} else {
		l.follow(at, outcome == sample.Failed)
	}
	if outcome != sample.Failed || cadence != l.cadence {
		l.close()
	}
	l.cadence = cadence
	l.c.Planned++
	switch outcome {
	case sample.OK:
		l.c.OK++
	case sample.Degraded:
		l.c.Degraded++
	case sample.Failed:
		l.c.Failed++
		l.c.FailedBy[reason]++
	default:
		l.c.Skipped++
		l.c.SkippedBy[reason]++
	}
	if outcome.Answered() {
		l.answered(at)
	}
}

// follow accounts for what is missing between two ticks. One that failed began
// when it was given up, up to a whole cadence after it was planned; so what the
// ticks before tell of that counts more.
func (l *Ledger) follow(at time.Time, failed bool) {
	early := l.cadence / 2
	if failed {
		early = l.cadence / slack
	}
	n := max(int64((at.Sub(l.reached)+early)/l.cadence), 1)
	l.skip(n - 1)
	planned := l.reached.Add(time.Duration(n) * l.cadence)
	if planned.After(at) { // so did those before begin late
		l.first = l.first.Add(at.Sub(planned))
		planned = at
	}
	if l.reached = at; failed {
		l.reached = planned
	}
}

// close accounts for what is missing between an edge and the first tick after
// it.
func (l *Ledger) close() {
	if l.open {
		l.skip(int64((l.first.Sub(l.from) - l.cadence/slack) / l.cadence))
	}
	l.open = false
}

// Tally is the outcome of ticks of which only the numbers are known.
type Tally struct {
	OK, Degraded, Failed, Skipped int64
}

// Block adds the ticks of a stretch of time of which only the numbers are
// known, and why some failed is not. What the cadence promised beyond them is
// missing. It is left out like a tick.
func (l *Ledger) Block(start time.Time, length, cadence time.Duration, t Tally) {
	n := t.OK + t.Degraded + t.Failed + t.Skipped
	if n == 0 || !l.admits(start) {
		return
	}
	l.skipToEdge(start)
	end := start.Add(length)
	l.reached, l.edge = end, true
	if cadence > 0 {
		l.cadence = cadence
	}
	l.c.Planned += n
	l.c.OK += t.OK
	l.c.Degraded += t.Degraded
	l.c.Failed += t.Failed
	l.c.Skipped += t.Skipped
	if t.Failed > 0 {
		l.c.FailedBy[sample.None] += t.Failed
	}
	if t.Skipped > 0 {
		l.c.SkippedBy[sample.None] += t.Skipped
	}
	l.skip(int64((length+l.cadence/2)/l.cadence) - n)
	if t.OK+t.Degraded > 0 {
		l.answered(start)
		l.seen = end
	}
}

// Coverage ends the ledger.
func (l *Ledger) Coverage() Coverage {
	if end := l.c.Range.To; l.reached.Before(end) {
		l.skipToEdge(end)
		l.answered(end)
		l.reached, l.edge = end, true
	}
	return l.c
}

func (l *Ledger) admits(at time.Time) bool {
	return !at.Before(l.c.Range.From) && at.Before(l.c.Range.To) && (at.After(l.reached) || l.edge && at.Equal(l.reached))
}

// slack is the part of a cadence by which a tick may be late at an edge.
const slack = 10

// skipToEdge accounts for what is missing before an edge.
func (l *Ledger) skipToEdge(edge time.Time) {
	missing := edge.Sub(l.reached)
	if l.edge {
		l.skip(int64((missing + l.cadence/2) / l.cadence))
		return
	}
	l.close()
	// The last tick's phase is not known: it stands for all but a full cadence.
	l.skip(int64((missing - l.cadence/slack) / l.cadence))
}

func (l *Ledger) skip(n int64) {
	if n <= 0 {
		return
	}
	l.c.Planned += n
	l.c.Skipped += n
	l.c.SkippedBy[sample.NotRunning] += n
}

// answered notes that sessions were read at an instant, or that the range
// ended there.
func (l *Ledger) answered(at time.Time) {
	if gap := at.Sub(l.seen); gap > l.cadence+l.cadence/2 {
		l.c.LongestGap = max(l.c.LongestGap, gap)
	}
	l.seen = at
}
