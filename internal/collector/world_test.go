package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a collector with everything around it made of memory, in a bubble
// of fake time.
type world struct {
	t       *testing.T
	fleet   *fleet
	catalog *catalog
	history *history
	journal *journal
	change  func(*Config)
	c       *Collector
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, f func(t *testing.T, w *world), targets ...target.Target) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f(t, &world{
			t: t, fleet: newFleet(), catalog: &catalog{targets: targets, revision: 1}, history: newHistory(), journal: newJournal(),
			change: func(*Config) {},
		})
	})
}

func server(id target.ID) target.Target {
	return target.Target{ID: id, Name: fmt.Sprint("db", id), Endpoint: target.Endpoint{Host: "a", Port: 5432}, Enabled: true, Revision: 1}
}

func (w *world) config() Config {
	cfg := Config{
		Dialer: w.fleet, Catalog: w.catalog, History: w.history, Journal: w.journal, Log: discard(),
		Intervals:     target.Intervals{Activity: time.Second, Databases: 10 * time.Second, Inventory: time.Minute, Sizes: 30 * time.Minute},
		MaxConnecting: 100,
	}
	w.change(&cfg)
	return cfg
}

func (w *world) start() {
	w.t.Helper()
	c, err := New(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.c = c
	if err := c.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	begun := time.Now()
	if err := w.c.Stop(ctx); err != nil {
		w.t.Error(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		w.t.Errorf("stopping took %s", took)
	}
	synctest.Wait()
}

// kill ends a run as a kill would: what is not synced is lost, and nothing
// more is written. Only the schedule has to end for the bubble's sake.
func (w *world) kill() {
	w.t.Helper()
	w.journal.die()
	w.history.die()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.c.Stop(ctx) // the journal is dead
	synctest.Wait()
	w.journal, w.history = w.journal.survivor(), w.history.survivor()
}

func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wantWhole checks that the journal got each tick of a server exactly once,
// and gives their outcomes.
func (w *world) wantWhole(id target.ID, cadence time.Duration) []sample.Tick {
	w.t.Helper()
	ticks := w.journal.ticksOf(id)
	for i := 1; i < len(ticks); i++ {
		if gap := ticks[i].Planned.Sub(ticks[i-1].Planned); gap != cadence {
			w.t.Errorf("server %d: tick of %s comes %s after the one before", id, ticks[i].Planned, gap)
		}
	}
	return ticks
}

// wantStored checks that the history has exactly the ticks that the journal
// was given.
func (w *world) wantStored(id target.ID) {
	w.t.Helper()
	want := w.journal.ticksOf(id)
	got := w.history.ticksOf(id)
	if len(want) != len(got) {
		w.t.Errorf("server %d: %d ticks are stored, want %d", id, len(got), len(want))
		return
	}
	for i := range want {
		if !want[i].Planned.Equal(got[i].Planned) || want[i].Outcome != got[i].Outcome || !slices.Equal(want[i].Sessions, got[i].Sessions) {
			w.t.Errorf("server %d: %+v is stored, want %+v", id, got[i], want[i])
			return
		}
	}
}

func reasons(ticks []sample.Tick) map[sample.Reason]int {
	out := make(map[sample.Reason]int)
	for _, tick := range ticks {
		out[tick.Reason]++
	}
	return out
}

// fleet is all servers.
type fleet struct {
	mu      sync.Mutex
	servers map[target.ID]*machine
}

// machine is one server, and what was done to it.
type machine struct {
	// dial and visit, if set, say how it answers; pids count connections.
	dial  func(ctx context.Context, n int) (sample.Reason, error)
	visit func(ctx context.Context, n int, v *sample.Visit) error
	size  func(ctx context.Context) error
	// waits says that each visit meets one and the same wait.
	waits bool
	// places is where it keeps its data; nil: it does not tell.
	places []sample.Location

	mu sync.Mutex
	deeds
	pids uint32
}

// deeds is what was done to a machine.
type deeds struct {
	dials     []time.Time
	hosts     []string
	dialing   int
	mostDials int
	visits    []time.Time
	asks      []sample.Ask
	excluded  []uint32
	sized     []uint32
	sizePIDs  []uint32
	rounds    []time.Time // of sizes
	located   []time.Time
	open      int
}

// did gives a copy of what was done so far.
func (m *machine) did() deeds {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.deeds
	d.dials, d.hosts, d.visits = slices.Clone(d.dials), slices.Clone(d.hosts), slices.Clone(d.visits)
	d.asks = slices.Clone(d.asks)
	d.located, d.rounds = slices.Clone(d.located), slices.Clone(d.rounds)
	d.excluded, d.sized, d.sizePIDs = slices.Clone(d.excluded), slices.Clone(d.sized), slices.Clone(d.sizePIDs)
	return d
}

func newFleet() *fleet { return &fleet{servers: make(map[target.ID]*machine)} }

func (f *fleet) server(id target.ID) *machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.servers[id] == nil {
		f.servers[id] = &machine{}
	}
	return f.servers[id]
}

var errDial = errors.New("cannot connect")

func (f *fleet) Dial(ctx context.Context, t target.Target, p Purpose) (Conn, sample.Reason, error) {
	m := f.server(t.ID)
	m.mu.Lock()
	n := len(m.dials)
	if p == ForTicks {
		m.dials, m.hosts = append(m.dials, time.Now()), append(m.hosts, t.Endpoint.Host)
		m.dialing++
		m.mostDials = max(m.mostDials, m.dialing)
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if p == ForTicks {
			m.dialing--
		}
	}()
	if m.dial != nil && p == ForTicks {
		if reason, err := m.dial(ctx, n); err != nil {
			return nil, reason, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open++
	m.pids++
	c := &link{m: m, pid: m.pids}
	if p == ForSizes {
		m.sizePIDs, m.rounds = append(m.sizePIDs, c.pid), append(m.rounds, time.Now())
	}
	return c, sample.None, nil
}

// link is a connection to a machine.
type link struct {
	m      *machine
	pid    uint32
	mu     sync.Mutex
	closed bool
}

func (l *link) Visit(ctx context.Context, ask sample.Ask, dict *sample.Dictionary, v *sample.Visit) error {
	l.m.mu.Lock()
	n := len(l.m.visits)
	l.m.visits, l.m.asks = append(l.m.visits, time.Now()), append(l.m.asks, ask)
	l.m.mu.Unlock()
	// Every tick has a session of its own, so that each can be told.
	id := dict.Session([]byte(v.Tick.Planned.String()), 1, func(*sample.SessionEntry) {})
	if l.m.waits {
		dict.Wait([]byte("active"), []byte("IO"), []byte("DataFileRead"), 1)
	}
	v.Entries = dict.Take()
	v.Tick.Sessions = append(v.Tick.Sessions, sample.Session{Session: id, Wait: 1})
	if ask.Inventory {
		v.Inventory = &sample.Inventory{At: v.Tick.Planned, Databases: []sample.Database{{OID: 5}, {OID: 6}}}
	}
	if ask.Locations {
		l.m.mu.Lock()
		v.Locations = l.m.places
		l.m.located = append(l.m.located, time.Now())
		l.m.mu.Unlock()
	}
	if l.m.visit != nil {
		return l.m.visit(ctx, n, v)
	}
	<-time.After(5 * time.Millisecond)
	return nil
}

func (l *link) Size(ctx context.Context, oid uint32, out *sample.DatabaseSize) error {
	if l.m.size != nil {
		return l.m.size(ctx)
	}
	<-time.After(1500 * time.Millisecond)
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.sized = append(l.m.sized, oid)
	out.Bytes = sample.Int{V: int64(oid), Known: true}
	return nil
}

func (l *link) PID() uint32 { return l.pid }

func (l *link) Exclude(pid uint32) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.excluded = append(l.m.excluded, pid)
}

func (l *link) Alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed
}

func (l *link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		l.m.open--
	}
}

// catalog is what is watched.
type catalog struct {
	mu       sync.Mutex
	targets  []target.Target
	revision int64
	away     bool
	sealed   []target.Target
	removed  map[target.ID]time.Time
}

var errAway = errors.New("stats_db is away")

func (c *catalog) set(targets ...target.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	for i := range targets {
		targets[i].Revision = c.revision
	}
	c.targets = targets
}

func (c *catalog) Revision(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return 0, errAway
	}
	return c.revision, nil
}

func (c *catalog) Targets(context.Context) ([]target.Target, []byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil, nil, errAway
	}
	c.sealed = slices.Clone(c.targets)
	return slices.Clone(c.targets), []byte("sealed"), nil
}

func (c *catalog) Unseal(sealed []byte) ([]target.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if string(sealed) != "sealed" {
		return nil, errors.New("not what was kept")
	}
	if c.sealed != nil {
		return slices.Clone(c.sealed), nil
	}
	return slices.Clone(c.targets), nil
}

func (c *catalog) Removed(_ context.Context, id target.ID) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return time.Time{}, errAway
	}
	at, there := c.removed[id]
	if !there {
		return time.Time{}, target.ErrNotFound
	}
	return at, nil
}

// batch is what is written in one transaction.
type batch struct {
	server target.ID
	visits []*sample.Visit
}

func (b batch) ticks() (n int) {
	for _, v := range b.visits {
		if v.Tick != nil {
			n++
		}
	}
	return n
}

// history keeps ticks by their planned second: writing one twice stores it once,
// with the better outcome.
type history struct {
	slow atomic.Int64 // nanoseconds that an Append takes
	each atomic.Int64 // nanoseconds that a tick of an Append takes

	mu      sync.Mutex
	ticks   map[target.ID]map[int64]sample.Tick
	sizes   []sample.DatabaseSize
	sized   map[target.ID]time.Time
	disks   map[lookKey]sample.FileSystem
	events  map[target.ID][]sample.Event // by their key
	memory  map[target.ID]*sample.Memory
	entries int
	appends int
	under   int // Appends under way
	widest  int // the most of them at once
	most    int // ticks in one transaction
	dead    bool
	// before, if set, may refuse what is written; after may lose the reply.
	before, after func(b batch) error
	// stuck, if set, tells what is never written within its limit.
	stuck  func(b batch) bool
	resume func(target.ID) error
}

var (
	errPoison  = errors.New("this is not for me")
	errRefused = errors.New("there is no such table")

	errReplaced = errors.New("this is another history")
	errLocked   = errors.New("somebody else writes this server")
)

func newHistory() *history {
	return &history{ticks: make(map[target.ID]map[int64]sample.Tick), disks: make(map[lookKey]sample.FileSystem), sized: make(map[target.ID]time.Time)}
}

func (h *history) die() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = true
}

func (h *history) survivor() *history {
	return &history{ticks: h.ticks, disks: h.disks, sized: h.sized, events: h.events, memory: h.memory}
}

func (h *history) fail(before, after func(batch) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

// refuse has questions about the past refused; nil: not any more.
func (h *history) refuse(resume func(target.ID) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resume = resume
}

func (h *history) Append(ctx context.Context, server target.ID, visits []*sample.Visit) error {
	b := batch{server, visits}
	h.mu.Lock()
	h.appends++
	h.under++
	h.widest = max(h.widest, h.under)
	before, after, stuck := h.before, h.after, h.stuck
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.under--
	}()
	if slow := time.Duration(h.slow.Load() + int64(b.ticks())*h.each.Load()); slow > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(slow):
		}
	}
	if stuck != nil && stuck(b) {
		<-ctx.Done()
		return ctx.Err()
	}
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	if err := h.keep(b); err != nil {
		return err
	}
	if after != nil {
		return after(b)
	}
	return nil
}

// keep stores what is written.
func (h *history) keep(b batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return errAway
	}
	h.most = max(h.most, b.ticks())
	for _, v := range b.visits {
		if v.Server != b.server {
			return errors.New("a visit of another server")
		}
		if t := v.Tick; t != nil {
			if h.ticks[b.server] == nil {
				h.ticks[b.server] = make(map[int64]sample.Tick)
			}
			if old, there := h.ticks[b.server][t.Planned.Unix()]; !there || t.Outcome < old.Outcome {
				h.ticks[b.server][t.Planned.Unix()] = *t
			}
		}
		h.sizes = append(h.sizes, v.Sizes...)
		for _, s := range v.Sizes {
			h.sized[v.Server] = s.At
		}
		lookKeys(v, h.disks)
		h.learn(v)
		h.entries += len(v.Entries.Sessions)
	}
	return nil
}

// learn keeps events by their key, and what is remembered at the next start.
func (h *history) learn(v *sample.Visit) {
	if h.events == nil {
		h.events, h.memory = make(map[target.ID][]sample.Event), make(map[target.ID]*sample.Memory)
	}
	for _, e := range v.Events {
		if !slices.ContainsFunc(h.events[v.Server], func(o sample.Event) bool {
			return o.At.Equal(e.At) && o.Kind == e.Kind && o.Subject == e.Subject
		}) {
			h.events[v.Server] = append(h.events[v.Server], e)
		}
	}
	if h.memory[v.Server] == nil {
		h.memory[v.Server] = new(sample.Memory)
	}
	h.memory[v.Server].Learn(v)
}

func (h *history) Explain(err error) Refusal {
	switch {
	case errors.Is(err, errPoison):
		return Refusal{Fault: Invalid, SQLSTATE: "23514"}
	case errors.Is(err, errLocked):
		return Refusal{Fault: Busy}
	case errors.Is(err, errReplaced):
		return Refusal{Fault: Replaced}
	case errors.Is(err, errRefused):
		return Refusal{Fault: Refused, SQLSTATE: "42P01"}
	case errors.Is(err, context.DeadlineExceeded):
		return Refusal{Fault: Slow}
	}
	return Refusal{Fault: Away}
}

func (h *history) Resume(_ context.Context, id target.ID) (sample.Resume, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.resume != nil {
		if err := h.resume(id); err != nil {
			return sample.Resume{}, err
		}
	}
	r := sample.Resume{Sized: h.sized[id]}
	if m := h.memory[id]; m != nil {
		r.Memory.Then(*m)
	}
	return r, nil
}

// LastLife looks at ticks and events, as stats_db does.
func (h *history) LastLife(_ context.Context, before time.Time) (at time.Time, stopped bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return at, false, errAway
	}
	if h.resume != nil {
		if err := h.resume(sample.TheMonitor); err != nil {
			return at, false, err
		}
	}
	for _, ticks := range h.ticks {
		for _, t := range ticks {
			if t.Planned.Before(before) && t.Planned.After(at) {
				at = t.Planned
			}
		}
	}
	for _, e := range h.events[sample.TheMonitor] {
		if own := e.Kind == sample.EventCollectorStarted || e.Kind == sample.EventCollectorStopped; own && e.At.Before(before) && !e.At.Before(at) {
			at, stopped = e.At, e.Kind == sample.EventCollectorStopped
		}
	}
	return at, stopped, nil
}

// tell gives the events of a server, without instants, in the order of their
// writing.
func (h *history) tell(id target.ID) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []string{}
	for _, e := range h.events[id] {
		out = append(out, strings.Join(strings.Fields(strings.Join([]string{string(e.Kind), e.Subject, e.Detail}, " ")), " "))
	}
	return out
}

// ticksOf gives the ticks of a server that are stored, in the order of time.
func (h *history) ticksOf(id target.ID) []sample.Tick {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.ticks[id]), func(a, b sample.Tick) int { return a.Planned.Compare(b.Planned) })
}

// count counts the ticks of a server that are stored.
func (h *history) count(id target.ID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ticks[id])
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// batches counts the attempts to write.
func (h *history) batches() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.appends
}
