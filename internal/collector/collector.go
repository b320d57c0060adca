package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-co-op/gocron/v2"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Conn asks one server over one connection, one call at a time.
type Conn interface {
	// Visit asks what is due, fills v and leaves an outcome in v.Tick.
	Visit(ctx context.Context, ask sample.Ask, dict *sample.Dictionary, v *sample.Visit) error
	// Size asks for the size of one database; an error means the connection
	// is gone.
	Size(ctx context.Context, oid uint32, out *sample.DatabaseSize) error
	PID() uint32
	// Exclude leaves the session with this pid out of the samples.
	Exclude(pid uint32)
	Alive() bool
	Close()
}

// Purpose says what a connection is for.
type Purpose int

// The purposes; each has its own limits.
const (
	ForTicks Purpose = iota
	ForSizes
)

// Dialer makes connections, bounded in time by itself, and says why not.
type Dialer interface {
	Dial(ctx context.Context, t target.Target, p Purpose) (Conn, sample.Reason, error)
}

// Catalog tells what is watched.
type Catalog interface {
	// Revision changes whenever any server does.
	Revision(ctx context.Context) (int64, error)
	// Targets gives the servers, and a sealed form of them to keep.
	Targets(ctx context.Context) (targets []target.Target, sealed []byte, err error)
	// Unseal reads that form without stats_db.
	Unseal(sealed []byte) ([]target.Target, error)
	// Removed tells when a server that is not there any more was removed; the
	// error is target.ErrNotFound where nobody knows.
	Removed(ctx context.Context, id target.ID) (time.Time, error)
}

// History is where visits end up.
type History interface {
	// Append writes visits of one server, of any time and in any order, all of them
	// or none. Writing them twice stores them once. It may be called for several
	// servers at once.
	Append(ctx context.Context, server target.ID, visits []*sample.Visit) error
	// Explain says what an error of Append is about.
	Explain(err error) Refusal
	// Resume gives what is remembered of a server.
	Resume(ctx context.Context, server target.ID) (sample.Resume, error)
	// LastLife gives the newest sign of life of a collector before an instant,
	// zero for none, and whether that is a clean stop.
	LastLife(ctx context.Context, before time.Time) (at time.Time, stopped bool, err error)
}

// Journal is where visits wait until the history has them. A record is the visits
// of one Sync.
type Journal interface {
	Append(v *sample.Visit)
	Sync() error
	// Next gives the records after seq in their order, until they take about
	// maxBytes of memory.
	Next(seq uint64, maxBytes int64) ([]sample.Record, error)
	// Done lets records go.
	Done(seqs ...uint64)
	// Again brings back what was Done in the last minutes.
	Again()
	// Dropped counts the visits that were given up because there was no room.
	Dropped() int64
	// Keep lets everything in these records go that is not of these servers.
	Keep(left map[uint64][]target.ID) error
	// Quarantine keeps copies of what is of a server in these records, to be
	// looked at and replayed.
	Quarantine(server target.ID, why string, seqs ...uint64) error
	PutTargets(sealed []byte) error
	Targets() ([]byte, error)
}

// Config is what New needs. Intervals are the defaults for servers that have
// none of their own.
type Config struct {
	Dialer  Dialer
	Catalog Catalog
	History History
	Journal Journal
	// Disks is nil where nobody looks at disks.
	Disks Disks
	Log   *slog.Logger
	// Meter is nil where nobody measures.
	Meter     Meter
	Intervals target.Intervals
	// Hash names what servers show; it is that of all collectors.
	Hash sample.Hash
	// MaxConnecting bounds the attempts to connect under way at once.
	MaxConnecting int
	// Burst is when servers are looked at in full detail, until Settings says
	// otherwise.
	Burst Burst
	// Settings reads what was changed while running, at the start and whenever
	// the catalog's revision moves; nil for never.
	Settings func(ctx context.Context) (Settings, error)
	// Version is the program's, for the event of its start.
	Version string
	// ForgetTexts takes away the texts that servers' histories may not hold any
	// more; called when a server becomes stricter. Nil for never.
	ForgetTexts func(ctx context.Context) (texts int64, err error)
	// Clock counts planned seconds; nil for one of its own.
	Clock *Clock
	// Away says that stats_db is known to be away: what is watched comes from the
	// journal at once.
	Away bool
}

func (c Config) validate() error {
	var faults []error
	if c.Dialer == nil || c.Catalog == nil || c.History == nil || c.Journal == nil || c.Log == nil {
		faults = append(faults, errors.New("collector: a part is missing"))
	}
	intervals := []time.Duration{c.Intervals.Activity, c.Intervals.Databases, c.Intervals.Inventory, c.Intervals.Sizes}
	if c.Disks != nil {
		intervals = append(intervals, c.Intervals.Disks)
	}
	for _, d := range intervals {
		if d < time.Second || d%time.Second != 0 {
			faults = append(faults, fmt.Errorf("collector: interval %s is not a whole number of seconds", d))
		}
	}
	if err := c.Burst.validate(); err != nil {
		faults = append(faults, err)
	}
	if c.MaxConnecting < 1 {
		faults = append(faults, errors.New("collector: MaxConnecting is less than 1"))
	}
	return errors.Join(faults...)
}

// Tenths of a second, by which visits are spread.
const (
	tenths = 10
	tenth  = time.Second / tenths
	// syncPhase is when, in a second, the journal goes to disk.
	syncPhase = 950 * time.Millisecond
	// early is how far a job may run ahead of its nominal instant.
	early = 30 * time.Millisecond
	// tellAgain is how often a fault that lasts is logged.
	tellAgain = time.Minute
	// startAhead is how long making the jobs may take.
	startAhead = 200 * time.Millisecond
)

// Collector visits servers on schedule.
type Collector struct {
	cfg       Config
	scheduler gocron.Scheduler
	clock     *Clock
	flusher   *flusher
	// recalled is what the journal knew at the start, forgot that it could not all be
	// read.
	recalled  map[target.ID]*sample.Memory
	forgot    bool
	life      life
	settings  atomic.Pointer[Settings]
	began     time.Time
	beat      atomic.Int64    // nanoseconds from began to the last tick, for the watchdog
	run       context.Context //nolint:containedctx // ends visits when stopping
	cancel    context.CancelFunc
	upkeep    context.Context //nolint:containedctx // ends the slow jobs when stopping
	endUpkeep context.CancelFunc
	visits    sync.WaitGroup
	closes    sync.WaitGroup // connections that are being closed
	dialing   chan struct{}
	looking   chan struct{}
	schedule  schedule
	stopped   atomic.Bool
	counts    counts
	meter     Meter
	dropped   int64     // visits, when names were offered again for it; of sync only
	offered   time.Time // when that was; of sync only
	unwritten time.Time // when it was last told that the journal cannot be written; of sync only
}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Collector, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Collector{cfg: cfg, meter: cfg.meter(), began: time.Now(), dialing: make(chan struct{}, cfg.MaxConnecting), looking: make(chan struct{}, maxLooks)}
	c.run, c.cancel = context.WithCancel(context.Background())
	c.upkeep, c.endUpkeep = context.WithCancel(c.run)
	c.settings.Store(&Settings{Burst: cfg.Burst})
	c.schedule.watches = make(map[target.ID]*watch)
	if c.clock = cfg.Clock; c.clock == nil {
		c.clock = NewClock()
	}
	c.flusher = newFlusher(cfg, c.clock.Now)
	c.flusher.offerAgain, c.flusher.offerNames = c.offerAgain, c.offerNames
	return c, nil
}

// Start learns what is watched, from stats_db or, while that is away, from
// the journal, and begins to visit. What an earlier run left is written beside.
func (c *Collector) Start(ctx context.Context) error {
	c.clock.begin()
	c.life.began = c.clock.Now().Truncate(time.Microsecond)
	var whole bool
	c.recalled, whole = c.recall(ctx)
	c.forgot = !whole
	if err := c.schedule.begin(ctx, c); err != nil {
		return err
	}
	c.recalled, c.forgot = nil, false
	// From here on ticks are planned: learning may have taken its time.
	c.life.began = c.clock.Now().Truncate(time.Microsecond)
	c.begun()
	if c.schedule.isLoaded() { // else when stats_db is back
		c.findGap(ctx)
	}
	s, err := gocron.NewScheduler(gocron.WithLocation(time.UTC), gocron.WithClock(c.clock), gocron.WithStopTimeout(2*time.Second),
		gocron.WithGlobalJobOptions(gocron.WithEventListeners(gocron.AfterJobRunsWithPanic(c.panicked))))
	if err != nil {
		return fmt.Errorf("make scheduler: %w", err)
	}
	c.scheduler = s
	// Jobs must not begin in the past, and making them takes a moment.
	second := c.clock.Now().Add(startAhead).Truncate(time.Second).Add(time.Second)
	for n := range tenths {
		phase := time.Duration(n) * tenth
		if err := c.every(time.Second, second.Add(phase), fmt.Sprintf("tenth %d", n), func() { c.tenth(n) }); err != nil {
			return err
		}
	}
	for _, j := range []struct {
		name  string
		every time.Duration
		at    time.Time
		run   func()
	}{
		{"journal", time.Second, second.Add(syncPhase), c.sync},
		{"clock", time.Second, second.Add(syncPhase / 4), c.followClock},
		{"servers", time.Second, second.Add(syncPhase / 2), func() { c.schedule.refresh(c.upkeep, c) }},
	} {
		if err := c.every(j.every, j.at, j.name, j.run); err != nil {
			return err
		}
	}
	c.beat.Store(int64(time.Since(c.began)))
	c.flusher.start(c.run)
	s.Start()
	return nil
}

func (c *Collector) every(d time.Duration, at time.Time, name string, run func()) error {
	_, err := c.scheduler.NewJob(gocron.DurationJob(d), gocron.NewTask(run), gocron.WithName(name),
		gocron.WithStartAt(gocron.WithStartDateTime(at)), gocron.WithSingletonMode(gocron.LimitModeReschedule))
	if err != nil {
		return fmt.Errorf("schedule %s: %w", name, err)
	}
	return nil
}

func (c *Collector) panicked(_ gocronID, name string, recovered any) {
	c.cfg.Log.Error("job panicked", "job", name, "panic", fmt.Sprint(recovered))
}

// tenth starts the visits of one tenth of a second.
func (c *Collector) tenth(n int) {
	now := c.clock.Now()
	phase := time.Duration(n) * tenth
	planned := now.Add(early - phase).Truncate(time.Second).Add(phase)
	c.beat.Store(int64(time.Since(c.began)))
	for _, w := range c.schedule.tenth(n) {
		w.plan(planned)
	}
}

// sync puts what was seen on disk. One that fails is told at once and every
// minute, not every second.
func (c *Collector) sync() {
	err := c.cfg.Journal.Sync()
	switch {
	case err != nil:
		c.counts.syncFailed.Add(1)
		if time.Since(c.unwritten) >= tellAgain {
			c.cfg.Log.Error("journal cannot be written: what is seen waits in memory; free some disk space", "error", err)
			c.unwritten = time.Now()
		}
	case !c.unwritten.IsZero():
		c.cfg.Log.Info("journal is written again")
		c.unwritten = time.Time{}
	}
	// Dropped visits took names with them that later ones rely on.
	if n := c.cfg.Journal.Dropped(); n != c.dropped && time.Since(c.offered) >= tellAgain {
		c.dropped, c.offered = n, time.Now()
		c.offerNames()
	}
	c.flusher.wake()
}

// Beat gives the instant of the last tick of the schedule, which stands still
// when the collector hangs. It has a monotonic reading: a clock that is set
// neither hides a schedule that stands still nor feigns one.
func (c *Collector) Beat() time.Time { return c.began.Add(time.Duration(c.beat.Load())) }

// Stop ends the schedule, lets visits under way end, and writes what was seen
// within the context's deadline; what cannot be written stays in the journal.
// It may be called twice.
func (c *Collector) Stop(ctx context.Context) error {
	if c.stopped.Swap(true) {
		return nil
	}
	var errs []error
	c.endUpkeep()
	if c.scheduler != nil {
		errs = append(errs, c.scheduler.Shutdown())
	}
	ended := make(chan struct{})
	go func() { c.visits.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(stopGrace):
		c.cancel() // visits leave with an outcome
		<-ended
	case <-ctx.Done():
		c.cancel()
		<-ended
	}
	c.cancel()
	c.flusher.stop()
	if c.scheduler != nil {
		c.ended()
	}
	errs = append(errs, c.cfg.Journal.Sync())
	if err := c.flusher.drain(ctx); err != nil {
		c.cfg.Log.WarnContext(ctx, "the last visits stay in the journal until the next start", "error", err)
	}
	c.schedule.close()
	closed := make(chan struct{})
	go func() { c.closes.Wait(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(stopGrace): // the servers will notice
	}
	return errors.Join(errs...)
}

// stopGrace is how long a visit under way may go on when stopping, and how
// long connections may take to say goodbye.
const stopGrace = time.Second
