package collector

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// flusher takes visits from the journal and writes them to the history when their
// slot is over: a server a transaction, a few servers at once. The journal is its
// only source, so that a normal minute, an outage and a restart go the same way.
// Nothing depends on what it writes together, or how often: the history merges
// ticks by their planned second.
type flusher struct {
	journal Journal
	history History
	log     logger
	meter   Meter
	now     func() time.Time // planned
	// offerAgain has all offered again that the history may not know, offerNames
	// only names.
	offerAgain, offerNames func()

	wakes  chan struct{}
	ended  chan struct{}
	cancel context.CancelFunc

	// Of the goroutine that flushes.
	seq       uint64 // loaded up to this record
	nextFlush time.Time
	retryAt   time.Time // nothing is tried before
	pause     time.Duration

	workers       sync.WaitGroup
	went          chan struct{} // a worker ended, or became one that nobody waits for
	lanes         chan struct{} // transactions under way
	suspectsLanes chan struct{} // of servers of which something failed

	mu      sync.Mutex
	queues  map[target.ID]*queue
	records map[uint64]*loaded
	held    int64 // bytes of pieces in memory
	stopped error // why nothing more is tried until all is loaded again
	refusals

	saved  atomic.Int64 // ticks
	failed atomic.Int64 // transactions
}

type logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
	Error(msg string, args ...any)
}

// queue is what is loaded of one server and not written.
type queue struct {
	server    target.ID
	open, due []piece // in slots that are not over; to be written
	busy      bool    // there is a worker, which takes what is due
	most      int     // pieces in one transaction: fewer after one that took too long
	trials
}

// piece is what one record has of one server: what can be written, or refused, by
// itself.
type piece struct {
	seq    uint64
	visits []*sample.Visit
	over   time.Time // the end of the last slot of its ticks; zero: it has none
	bytes  int64     // about what it takes in memory
}

// bucket gives the ten minutes that a piece belongs to, false where any will do.
func (one *piece) bucket() (time.Time, bool) {
	return one.over.Add(-1).Truncate(sample.BucketLength), !one.over.IsZero()
}

// loaded counts the pieces of a record that are in memory, and the servers of
// those that stay in the journal for later.
type loaded struct {
	held int
	left []target.ID
}

const (
	// chunkBytes of the journal's visits are in memory at a time, beside those of
	// slots that are not over and of servers that fail.
	chunkBytes = 16 << 20
	// What a visit and a session of its tick take, about.
	visitBytes   = 700
	sessionBytes = 72
	// flushTimeout bounds one transaction; one that takes longer is halved.
	flushTimeout = 20 * time.Second
	// atOnce is how many servers are written at once.
	atOnce = 4
	// settle is how long after its end a slot is flushed, for its last visits to end.
	// Later ones are merged into what is there.
	settle = 1500 * time.Millisecond
	// maxAhead is how far ahead of the clock a tick may be planned to be written: a
	// bucket of a wrong clock's future would be open until then.
	maxAhead  = 2 * time.Minute
	minPause  = time.Second
	maxPauses = 15 * time.Second
	// outage is the pause from which on a history that is away may be being restored.
	outage = 4 * time.Second
	// maxPieces is more than is loaded of a server.
	maxPieces = chunkBytes
)

func newFlusher(cfg Config, now func() time.Time) *flusher {
	return &flusher{
		journal: cfg.Journal, history: cfg.History, log: cfg.Log, meter: cfg.meter(), now: now, offerAgain: func() {}, offerNames: func() {},
		wakes: make(chan struct{}, 1), pause: minPause, went: make(chan struct{}, 1), lanes: make(chan struct{}, atOnce), suspectsLanes: make(chan struct{}, 1),
		queues: make(map[target.ID]*queue), records: make(map[uint64]*loaded),
	}
}

// start flushes in the background, whenever wake is called and something may be
// due.
func (f *flusher) start(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.ended = make(chan struct{})
	go func() {
		defer close(f.ended)
		defer f.workers.Wait()
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.wakes:
			}
			f.turn(ctx, f.now())
		}
	}()
}

// turn lets go of what was written, and flushes if it is time to.
func (f *flusher) turn(ctx context.Context, now time.Time) {
	err := f.release(now)
	if err == nil && !now.Before(f.nextFlush) && !now.Before(f.retryAt) {
		slot := now.Truncate(sample.SlotLength)
		if f.nextFlush = slot.Add(settle); !now.Before(f.nextFlush) {
			f.nextFlush = slot.Add(sample.SlotLength + settle)
		}
		err = f.flush(ctx, now, false)
	}
	if err != nil && ctx.Err() == nil {
		f.later(now, err)
	}
}

// later notes a failure that stops all, and when to try again.
func (f *flusher) later(now time.Time, err error) {
	f.stopAll(err, Refusal{})
	f.workers.Wait()
	f.tell(now, err, notWritten)
	f.forget()
	if f.pause == outage {
		f.offerNames() // it may come back as an older one, without those that are gone by then
	}
	f.nextFlush, f.retryAt = time.Time{}, now.Add(f.pause)
	f.pause = min(f.pause*2, maxPauses)
}

func (f *flusher) wake() {
	select {
	case f.wakes <- struct{}{}:
	default:
	}
}

// stop ends the background work; what is loaded stays in the journal.
func (f *flusher) stop() {
	if f.cancel != nil {
		f.cancel()
		<-f.ended
	}
}

// forget drops what is loaded; the journal still has it. No worker runs.
func (f *flusher) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq, f.records, f.held, f.stopped, f.replaced, f.inRow = 0, make(map[uint64]*loaded), 0, nil, false, 0
	for _, q := range f.queues {
		q.open, q.due = nil, nil
		q.anew()
	}
}

// drain writes everything the journal holds, also of slots that are not over.
func (f *flusher) drain(ctx context.Context) error {
	f.forget()
	err := f.flush(ctx, f.now(), true)
	if err == nil {
		err = f.behind(true)
	}
	if err != nil {
		if ctx.Err() == nil {
			f.tell(f.now(), err, notWritten)
		}
		f.forget()
	}
	return err
}

// flush loads the journal, a chunk at a time, and has written what is of slots that
// are over; all of it, and waits for that, when all is set.
func (f *flusher) flush(ctx context.Context, now time.Time, all bool) error {
	begun, at := time.Now(), now
	_ = f.journal.Sync() // the schedule's own says so if it fails
	if f.timeToRetry(now) {
		f.seq = 0 // what was left is loaded again, and nothing else: see load
	}
	for ; ; now = at.Add(time.Since(begun)) { // a backlog takes its time
		records, err := f.journal.Next(f.seq, chunkBytes)
		if err != nil {
			return err
		}
		for i := range records {
			f.load(&records[i], now)
		}
		f.begin(ctx, now, all)
		if len(records) > 0 && !f.crowded() {
			continue
		}
		if len(records) == 0 && !all {
			return nil
		}
		f.wait(ctx, all)
		if err := f.release(now); err != nil || len(records) == 0 {
			return err
		}
	}
}

// crowded reports whether what is in memory is to be written before more is loaded.
func (f *flusher) crowded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held > chunkBytes/2
}

// load takes what a record has of each server. Of one that is loaded already it
// takes what was left of it.
func (f *flusher) load(r *sample.Record, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq = r.Seq
	rec, again := f.records[r.Seq]
	if !again {
		rec = &loaded{}
		f.records[r.Seq] = rec
	}
	of := make(map[target.ID]*piece)
	for i := range r.Visits {
		v := &r.Visits[i]
		one := of[v.Server]
		if one == nil {
			one = &piece{seq: r.Seq}
			of[v.Server] = one
		}
		one.visits, one.bytes = append(one.visits, v), one.bytes+visitBytes
		if v.Tick != nil {
			one.bytes += int64(len(v.Tick.Sessions)) * sessionBytes
			if over := v.Tick.Planned.Truncate(sample.SlotLength).Add(sample.SlotLength); over.After(one.over) {
				one.over = over
			}
		}
	}
	for server, one := range of {
		if again {
			i := slices.Index(rec.left, server)
			if i < 0 {
				continue // it is in memory, or written
			}
			rec.left = slices.Delete(rec.left, i, i+1)
		}
		switch q := f.queue(server); {
		case one.over.After(now.Add(maxAhead)):
			f.last = errAhead
			rec.left = append(rec.left, server)
			q.leave(now, true)
		case q.givenUp(), q.suspect && q.busy: // it would pile up
			rec.left = append(rec.left, server)
			q.leave(now, q.givenUp())
		default:
			rec.held++
			f.held += one.bytes
			q.open = append(q.open, *one)
		}
	}
}

// queue gives that of a server. The lock is held.
func (f *flusher) queue(server target.ID) *queue {
	q := f.queues[server]
	if q == nil {
		q = &queue{server: server, most: maxPieces, trials: trials{patience: leftFor}}
		f.queues[server] = q
	}
	return q
}

// begin starts a worker for each server that has something due and no worker.
func (f *flusher) begin(ctx context.Context, now time.Time, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queues {
		q.open = slices.DeleteFunc(q.open, func(one piece) bool {
			due := all || !now.Before(one.over.Add(settle)) || one.over.IsZero()
			if due {
				q.due = append(q.due, one)
			}
			return due
		})
		if q.busy || len(q.due) == 0 {
			continue
		}
		slices.SortStableFunc(q.due, func(a, b piece) int { return cmp.Compare(a.seq, b.seq) })
		q.busy = true
		f.workers.Go(func() { f.work(ctx, q) })
	}
}

// wait waits until there is room for more, or no worker is busy but of servers that
// fail: these delay no other. If all is set it waits for all of them.
func (f *flusher) wait(ctx context.Context, all bool) {
	busy := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !all && f.held <= chunkBytes/2 {
			return false
		}
		for _, q := range f.queues {
			if q.busy && (all || !q.suspect) {
				return true
			}
		}
		return false
	}
	for busy() {
		select {
		case <-f.went:
		case <-ctx.Done(): // workers end by themselves
			f.workers.Wait()
			return
		}
	}
}

func (f *flusher) gone() {
	select {
	case f.went <- struct{}{}:
	default:
	}
}

// release lets the records go of which nothing is left to write, and says why
// nothing more is tried, if that is so.
func (f *flusher) release(now time.Time) error {
	f.mu.Lock()
	if f.replaced {
		err := f.stopped
		f.mu.Unlock()
		f.workers.Wait()
		f.offerAgain() // and nothing of what was written just now is let go
		return err
	}
	var done []uint64
	keep := make(map[uint64][]target.ID)
	for seq, rec := range f.records {
		switch {
		case rec.held > 0:
			continue
		case len(rec.left) == 0:
			done = append(done, seq)
		default:
			keep[seq] = rec.left
		}
		delete(f.records, seq)
	}
	stopped := f.stopped
	f.mu.Unlock()
	f.journal.Done(done...)
	if len(keep) > 0 {
		if err := f.journal.Keep(keep); err != nil {
			return err
		}
	}
	if stopped != nil {
		return stopped
	}
	return f.verdict(now)
}

// work writes what is due of a server.
func (f *flusher) work(ctx context.Context, q *queue) {
	for {
		f.mu.Lock()
		n := q.next()
		if n == 0 || f.stopped != nil {
			q.busy = false
			f.mu.Unlock()
			f.gone()
			f.wake()
			return
		}
		pieces := slices.Clone(q.due[:n])
		q.due = slices.Delete(q.due, 0, n)
		f.mu.Unlock()
		f.together(ctx, q, pieces)
	}
}

// next gives how many pieces are written in the next transaction: those of ten
// minutes at most. The lock is held.
func (q *queue) next() (n int) {
	var of time.Time
	for ; n < min(len(q.due), q.most); n++ {
		switch bucket, has := q.due[n].bucket(); {
		case !has:
		case of.IsZero():
			of = bucket
		case !of.Equal(bucket):
			return n
		}
	}
	return n
}

// together writes pieces of a server in one transaction. If the history has none of
// it, the halves go one after the other, down to the piece that it will not have:
// that one is set aside where it is known to be bad, and left in the journal where
// it is not. Where nothing would be taken, nothing more is tried.
func (f *flusher) together(ctx context.Context, q *queue, pieces []piece) {
	if f.leavesAll(q, pieces) {
		return
	}
	begun := time.Now()
	err := f.append(ctx, q, pieces)
	if err == nil {
		f.took(q, pieces, time.Since(begun))
		return
	}
	why, over := f.judge(ctx, q, pieces, err)
	switch {
	case over:
		return
	case len(pieces) == 1:
		f.alone(ctx, q, pieces, why, err)
		return
	case why.Fault == Slow:
		f.tell(f.now(), err, notWritten)
	default:
	}
	f.suspect(q, why, err, len(pieces))
	for _, half := range [][]piece{pieces[:len(pieces)/2], pieces[len(pieces)/2:]} {
		f.together(ctx, q, half)
	}
}

// append writes pieces of a server when there is a lane, measured.
func (f *flusher) append(ctx context.Context, q *queue, pieces []piece) error {
	f.mu.Lock()
	lanes := f.lanes
	if q.suspect {
		lanes = f.suspectsLanes
	}
	f.mu.Unlock()
	select {
	case lanes <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-lanes }()
	f.mu.Lock()
	stopped := f.stopped
	f.mu.Unlock()
	if stopped != nil {
		return errStopped
	}
	ctx, cancel := context.WithTimeoutCause(ctx, flushTimeout, errFlushDeadline)
	defer cancel()
	var (
		visits []*sample.Visit
		flush  = Flush{Server: q.server}
	)
	for i := range pieces {
		visits = append(visits, pieces[i].visits...)
	}
	for _, v := range visits {
		if v.Tick != nil {
			flush.Ticks++
		} else {
			flush.Visits++
		}
	}
	begun := time.Now()
	err := f.history.Append(ctx, q.server, visits)
	flush.Took, flush.Failed = time.Since(begun), err != nil
	f.meter.Flush(flush)
	if err == nil {
		f.saved.Add(int64(flush.Ticks))
	} else {
		f.failed.Add(1)
	}
	return err
}

// took notes that the history has these pieces.
func (f *flusher) took(q *queue, pieces []piece, in time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in < flushTimeout/4 {
		q.most = min(2*q.most, maxPieces)
	}
	f.tookAt, f.inRow, q.suspect, q.turns = f.now(), 0, false, 0
	f.settled(pieces)
}

// settled notes that pieces need nothing more. The lock is held.
func (f *flusher) settled(pieces []piece) {
	for i := range pieces {
		f.held -= pieces[i].bytes
		if rec := f.records[pieces[i].seq]; rec != nil {
			rec.held--
		}
	}
}
