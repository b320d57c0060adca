package collector

import (
	"cmp"
	"context"
	"fmt"
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
	expects  func() map[target.ID]time.Time

	wakes  chan struct{}
	ended  chan struct{}
	cancel context.CancelFunc

	// What is loaded and not yet written.
	seq     uint64
	newest  map[target.ID]time.Time // planned instant of the newest tick loaded
	windows map[windowKey]*openWindow
	records map[uint64]*loaded
	others  []*sample.Visit // parts of visits besides ticks
	sources []uint64        // the record of each of others

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

// loaded counts the windows that hold ticks of a record and are not written.
type loaded struct{ windows int }

const (
	// chunkBytes of the journal are loaded at a time; it bounds memory when a
	// long outage is drained.
	chunkBytes = 4 << 20
	// flushTimeout bounds one transaction.
	flushTimeout = 20 * time.Second
	// lateTick is how much later than a tick a record holding it may come.
	lateTick = 6 * time.Second
	// settle allows for a job that starts late where no schedule tells which
	// tick is next.
	settle    = 1500 * time.Millisecond
	minPause  = time.Second
	maxPauses = 15 * time.Second
)

func newPacker(cfg Config, expects func() map[target.ID]time.Time) *packer {
	p := &packer{
		journal: cfg.Journal, history: cfg.History, log: cfg.Log, meter: cfg.meter(), interval: cfg.Window, expects: expects,
		wakes: make(chan struct{}, 1), pause: minPause,
	}
	p.forget()
	return p
}

// forget drops what is loaded; the journal still has it.
func (p *packer) forget() {
	p.seq, p.newest, p.others, p.sources = 0, make(map[target.ID]time.Time), nil, nil
	p.windows, p.records = make(map[windowKey]*openWindow), make(map[uint64]*loaded)
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
			now := time.Now()
			if now.Before(p.nextFlush) || now.Before(p.retryAt) {
				continue
			}
			if err := p.flush(ctx, now, false); err != nil {
				if ctx.Err() == nil {
					p.later(now, err)
				}
				continue
			}
			if p.pause != minPause {
				p.log.Info("history is written again")
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
	if p.pause == minPause {
		p.log.Warn("history cannot be written; what is seen waits in the journal", "error", err)
	}
	p.forget()
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
	err := p.flush(ctx, time.Now(), true)
	if err != nil {
		p.forget()
	}
	return err
}

// flush loads the journal, a chunk at a time, and writes what is closed; all
// of it when last is set.
func (p *packer) flush(ctx context.Context, now time.Time, last bool) error {
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
		batch, keys := p.closed(expected, now, more, last)
		if len(batch.Windows) > 0 || (len(batch.Visits) > 0 && !more) {
			if err := p.write(ctx, batch); err != nil {
				return err
			}
			p.wrote(keys)
		}
		if !more {
			return nil
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
				rec.windows++
			}
			if t.Planned.After(p.newest[v.Server]) {
				p.newest[v.Server] = t.Planned
			}
			v.Tick = nil
		}
		if !v.Entries.Empty() || v.Identity != nil || v.Inventory != nil || len(v.Databases) > 0 || len(v.Sizes) > 0 || v.Disks != nil ||
			len(v.Events) > 0 || v.Settings != nil || len(v.Horizon) > 0 {
			p.others, p.sources = append(p.others, v), append(p.sources, r.Seq)
		}
	}
}

// closed gives the windows to which no tick can come any more. While more of
// the journal is to be loaded, a window is open until what is loaded of its
// server is well past its end.
func (p *packer) closed(expected map[target.ID]time.Time, now time.Time, more, last bool) (sample.Batch, []windowKey) {
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
	batch := sample.Batch{Windows: make([]sample.Window, 0, len(keys)), Visits: p.others}
	for _, key := range keys {
		batch.Windows = append(batch.Windows, sample.NewWindow(key.server, p.windows[key].ticks))
	}
	return batch, keys
}

// write puts a batch into the history. If something in it is refused for good
// the parts go one by one, and what is refused then is set aside.
func (p *packer) write(ctx context.Context, b sample.Batch) error {
	ctx, cancel := context.WithTimeoutCause(ctx, flushTimeout, fmt.Errorf("write history: deadline %s", flushTimeout))
	defer cancel()
	err := p.append(ctx, b)
	if err == nil {
		p.saved.Add(int64(len(b.Windows)))
		return nil
	}
	if p.history.Retryable(err) || ctx.Err() != nil {
		return err
	}
	p.log.Error("history refuses a batch; its parts are written one by one", "windows", len(b.Windows), "error", err)
	for i, v := range b.Visits {
		if err := p.one(ctx, v.Server, sample.Batch{Visits: []*sample.Visit{v}}, p.sources[i:i+1]); err != nil {
			return err
		}
	}
	for i := range b.Windows {
		server := b.Windows[i].Server
		from := p.windows[windowKey{server, b.Windows[i].T0.UnixMicro()}].seqs
		if err := p.one(ctx, server, sample.Batch{Windows: b.Windows[i : i+1]}, from); err != nil {
			return err
		}
	}
	return nil
}

// one writes one part of a batch, which came from these records.
func (p *packer) one(ctx context.Context, server target.ID, b sample.Batch, from []uint64) error {
	err := p.append(ctx, b)
	if err == nil {
		p.saved.Add(int64(len(b.Windows)))
		return nil
	}
	if p.history.Retryable(err) || ctx.Err() != nil {
		return err
	}
	p.failed.Add(1)
	p.log.Error("history refuses this for good; the journal's records of it are set aside", "server_id", server, "error", err)
	for _, seq := range from {
		if err := p.journal.Quarantine(seq); err != nil {
			return err
		}
	}
	return nil
}

// wrote lets records go that have nothing left to write.
func (p *packer) wrote(keys []windowKey) {
	p.others, p.sources = nil, nil
	for _, key := range keys {
		for _, seq := range p.windows[key].seqs {
			if rec := p.records[seq]; rec != nil {
				rec.windows--
			}
		}
		delete(p.windows, key)
	}
	var done []uint64
	for seq, rec := range p.records {
		if rec.windows == 0 {
			done = append(done, seq)
			delete(p.records, seq)
		}
	}
	p.journal.Done(done...)
}
