package collector

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// packer takes visits from the journal, packs closed windows, and writes them
// to the history, all servers in one transaction. The journal is its only
// source, so that a normal minute, an outage and a restart go the same way.
type packer struct {
	journal  Journal
	history  History
	log      logger
	meter    Meter
	interval time.Duration
	now      func() time.Time // planned
	expects  func() map[target.ID]time.Time
	// offerAgain has all offered again that the history may not know, offerNames
	// only names.
	offerAgain, offerNames func()

	wakes  chan struct{}
	ended  chan struct{}
	cancel context.CancelFunc

	// What is loaded and not yet written.
	seq     uint64
	newest  map[target.ID]time.Time // planned instant of the newest tick loaded
	windows map[windowKey]*openWindow
	records map[uint64]*loaded
	others  []part // parts of visits besides ticks

	most int // parts in one transaction: fewer after one that took too long
	refusals
	nextFlush time.Time
	retryAt   time.Time
	pause     time.Duration
	saved     atomic.Int64
	failed    atomic.Int64
}

type logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

type windowKey struct {
	server target.ID
	t0     int64
}

type openWindow struct {
	end   time.Time
	ticks []sample.Tick
	seqs  []uint64
}

// part is what can be written or refused by itself: a closed window, or what a
// visit has besides its tick.
type part struct {
	server target.ID
	window *sample.Window
	visit  *sample.Visit
	seqs   []uint64 // the records that it came from
}

// loaded counts the parts of a record that are not written, windows that are open
// too, and the servers of those that are left for later.
type loaded struct {
	parts int
	left  []target.ID
}

const (
	// chunkBytes of the journal are loaded at a time; it bounds memory when a
	// long outage is drained.
	chunkBytes = 4 << 20
	// flushTimeout bounds one transaction; one that takes longer is halved.
	flushTimeout = 20 * time.Second
	// lateTick is how much later than a tick a record holding it may come.
	lateTick = 6 * time.Second
	// settle allows for a job that starts late where no schedule tells which
	// tick is next.
	settle    = 1500 * time.Millisecond
	minPause  = time.Second
	maxPauses = 15 * time.Second
	// outage is the pause from which on a history that is away may be being restored.
	outage = 4 * time.Second
	// maxParts is more than a chunk holds.
	maxParts = chunkBytes
)

func newPacker(cfg Config, now func() time.Time, expects func() map[target.ID]time.Time) *packer {
	p := &packer{
		journal: cfg.Journal, history: cfg.History, log: cfg.Log, meter: cfg.meter(), interval: cfg.Window, now: now, expects: expects,
		wakes: make(chan struct{}, 1), pause: minPause, most: maxParts, offerAgain: func() {}, offerNames: func() {},
	}
	p.forget()
	return p
}

// forget drops what is loaded; the journal still has it.
func (p *packer) forget() {
	p.seq, p.newest, p.others = 0, make(map[target.ID]time.Time), nil
	p.windows, p.records = make(map[windowKey]*openWindow), make(map[uint64]*loaded)
	p.refusals.forget()
}

// start packs in the background, whenever wake is called and something may be
// due.
func (p *packer) start(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.wakes:
			}
			now := p.now()
			if now.Before(p.nextFlush) || now.Before(p.retryAt) {
				continue
			}
			if err := p.flush(ctx, now, false); err != nil {
				if ctx.Err() == nil {
					p.later(now, err)
				}
				continue
			}
			p.pause = minPause
			p.nextFlush = now.Truncate(p.interval).Add(p.interval + settle)
			if now.Before(now.Truncate(p.interval).Add(settle)) {
				p.nextFlush = now.Truncate(p.interval).Add(settle)
			}
		}
	}()
}

// later notes a failure and when to try again.
func (p *packer) later(now time.Time, err error) {
	p.failed.Add(1)
	p.tell(now, err, notWritten)
	p.forget()
	if p.pause == outage {
		p.offerNames() // it may come back as an older one, without those that are gone by then
	}
	p.retryAt = now.Add(p.pause)
	p.pause = min(p.pause*2, maxPauses)
}

func (p *packer) wake() {
	select {
	case p.wakes <- struct{}{}:
	default:
	}
}

// stop ends the background work; what is loaded stays in the journal.
func (p *packer) stop() {
	if p.cancel != nil {
		p.cancel()
		<-p.ended
	}
}

// drain writes everything the journal holds, also windows that could go on:
// nobody adds to it.
func (p *packer) drain(ctx context.Context) error {
	p.forget()
	err := p.flush(ctx, p.now(), true)
	if err == nil {
		err = p.last // of what was left
	}
	if err != nil {
		if ctx.Err() == nil {
			p.tell(p.now(), err, notWritten)
		}
		p.forget()
	}
	return err
}

// flush loads the journal, a chunk at a time, and writes what is closed; all
// of it when last is set. What was left for later is loaded again with all the
// rest: writing twice stores once.
func (p *packer) flush(ctx context.Context, now time.Time, last bool) error {
	if p.timeToRetry(now) {
		p.forget()
	}
	p.refused = false
	// In this order: a visit that ends meanwhile is expected, and one that
	// ended before is in a record, on disk or, if that fails, in memory.
	expected := p.expects()
	_ = p.journal.Sync() // the schedule's own says so if it fails
	for {
		records, err := p.journal.Next(p.seq, chunkBytes)
		if err != nil {
			return err
		}
		for i := range records {
			p.load(&records[i])
		}
		more := len(records) > 0
		parts := p.closed(expected, now, more, last)
		if !more || slices.ContainsFunc(parts, func(one part) bool { return one.window != nil }) {
			if err := p.write(ctx, parts); err != nil {
				return err
			}
		}
		if !more {
			return p.verdict(now)
		}
	}
}

func (p *packer) load(r *sample.Record) {
	p.seq = r.Seq
	rec := &loaded{}
	p.records[r.Seq] = rec
	for i := range r.Visits {
		v := &r.Visits[i]
		if t := v.Tick; t != nil {
			key := windowKey{v.Server, t.Window.UnixMicro()}
			win := p.windows[key]
			if win == nil {
				win = &openWindow{end: t.Window.Add(t.Span)}
				p.windows[key] = win
			}
			win.ticks = append(win.ticks, *t)
			if n := len(win.seqs); n == 0 || win.seqs[n-1] != r.Seq {
				win.seqs = append(win.seqs, r.Seq)
				rec.parts++
			}
			if t.Planned.After(p.newest[v.Server]) {
				p.newest[v.Server] = t.Planned
			}
			v.Tick = nil
		}
		if !v.Entries.Empty() || v.Identity != nil || v.Inventory != nil || len(v.Databases) > 0 || len(v.Sizes) > 0 || v.Disks != nil ||
			len(v.Events) > 0 || v.Settings != nil || len(v.Horizon) > 0 {
			p.others = append(p.others, part{server: v.Server, visit: v, seqs: []uint64{r.Seq}})
			rec.parts++
		}
	}
}

// closed gives what can be written: parts of visits, and the windows to which no
// tick can come any more. While more of the journal is to be loaded, a window is
// open until what is loaded of its server is well past its end.
func (p *packer) closed(expected map[target.ID]time.Time, now time.Time, more, last bool) []part {
	var keys []windowKey
	for key, win := range p.windows {
		next, known := expected[key.server]
		if !known {
			next = now.Add(-settle)
		}
		open := !last && win.end.After(next)
		if more {
			open = open || win.end.After(p.newest[key.server].Add(-lateTick))
		}
		if !open {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(a.server, b.server), cmp.Compare(a.t0, b.t0))
	})
	parts := make([]part, 0, len(p.others)+len(keys))
	parts = append(parts, p.others...)
	for _, key := range keys {
		w := sample.NewWindow(key.server, p.windows[key].ticks)
		parts = append(parts, part{server: key.server, window: &w, seqs: p.windows[key].seqs})
	}
	return parts
}

// write puts parts into the history, as many in a transaction as it takes in
// time, and lets the records go that have nothing left to write.
func (p *packer) write(ctx context.Context, parts []part) error {
	p.others = nil
	slices.SortStableFunc(parts, func(a, b part) int {
		return cmp.Compare(p.suspicion(a.server), p.suspicion(b.server))
	})
	for len(parts) > 0 {
		n := min(len(parts), p.most)
		if last := slices.IndexFunc(parts, func(one part) bool { return p.suspects[one.server] }); last >= 0 {
			n = min(n, max(last, 1))
		}
		if err := p.together(ctx, p.tried(parts[:n])); err != nil {
			return err
		}
		parts = parts[n:]
	}
	var done []uint64
	keep := make(map[uint64][]target.ID)
	for seq, rec := range p.records {
		switch {
		case rec.parts == 0:
			done = append(done, seq)
			delete(p.records, seq)
		case rec.parts == len(rec.left):
			keep[seq] = rec.left
			delete(p.records, seq)
		}
	}
	p.journal.Done(done...)
	if len(keep) == 0 {
		return nil
	}
	return p.journal.Keep(keep)
}

// together writes parts in one transaction. If the history has none of it, the
// halves go one after the other, down to the part that it will not have: that one
// is set aside where it is known to be bad, and left in the journal where it is
// not. Where nothing would be taken, the error is returned.
func (p *packer) together(ctx context.Context, parts []part) error {
	if len(parts) == 0 {
		return nil
	}
	begun := time.Now()
	err := p.append(ctx, parts)
	if err == nil {
		p.took(parts)
		if time.Since(begun) < flushTimeout/4 {
			p.most = min(2*p.most, maxParts)
		}
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	why := p.history.Explain(err)
	switch {
	case why.Fault == Replaced:
		p.offerAgain()
		return err
	case why.Fault == Away:
		return err
	case len(parts) == 1:
		return p.alone(ctx, &parts[0], why, err)
	case why.Fault == Slow:
		p.most = max(len(parts)/2, 1)
		p.tell(p.now(), err, notWritten)
	default:
	}
	for _, half := range [][]part{parts[:len(parts)/2], parts[len(parts)/2:]} {
		if err := p.together(ctx, p.tried(half)); err != nil {
			return err
		}
	}
	return nil
}

// took notes that the history has these parts.
func (p *packer) took(parts []part) {
	p.tookAt, p.inRow = p.now(), 0
	for i := range parts {
		if parts[i].window != nil {
			p.saved.Add(1)
		}
		delete(p.suspects, parts[i].server)
		p.settle(&parts[i])
	}
}

// settle notes that a part needs nothing more.
func (p *packer) settle(one *part) {
	for _, seq := range one.seqs {
		if rec := p.records[seq]; rec != nil {
			rec.parts--
		}
	}
	p.close(one)
}

// close forgets a window.
func (p *packer) close(one *part) {
	if one.window != nil {
		delete(p.windows, windowKey{one.server, one.window.T0.UnixMicro()})
	}
}
