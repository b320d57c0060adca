package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Errors of streams.
var (
	// ErrTooManyListeners says that no more streams are served now.
	ErrTooManyListeners = errors.New("too many live streams at once")
	// ErrTooManyOfOne says that who asks has all the streams one may have.
	ErrTooManyOfOne = errors.New("too many live streams of one user at once")
	// ErrStreamEnded says that a stream is over because the server was removed,
	// or the program stops.
	ErrStreamEnded = errors.New("live stream has ended")
	// ErrTooSlow says that a listener did not take what it was sent.
	ErrTooSlow = errors.New("listener of a live stream is too slow")
)

const (
	// tickEvery is the shortest time between two ticks of a stream.
	tickEvery = time.Second
	// backlog is how many ticks a listener may fall behind.
	backlog = 3
	// defaultListeners bounds the listeners where nothing else is set.
	defaultListeners = 100
)

// Tick is one look at a server, for those who listen.
type Tick struct {
	At time.Time
	// Classes are the sessions that are load by wait class.
	Classes [sample.NumClasses]int
	// Connections are client backends by state, as in Status.
	Connections map[string]int64
	// Sessions are those that are not idle, by pid.
	Sessions []Session
	Locks    Locks
	Unseen
	// Err is why the server was not seen; then nothing but At is known.
	Err *Error
}

// Listener gets the ticks of one server until it is closed.
type Listener struct {
	ticks chan Tick
	every int64 // seconds
	next  int64 // Unix time of the next tick that is due
	err   error // why ticks is closed
	who   string
	feed  *feed
	live  *Live
}

// Ticks gives the ticks; it is closed when the stream is over: see Err.
func (s *Listener) Ticks() <-chan Tick { return s.ticks }

// Err says why the stream is over, once Ticks is closed: it is ErrStreamEnded or
// ErrTooSlow.
func (s *Listener) Err() error { return s.err }

// Close ends listening. It may be called when the stream is over, and again.
func (s *Listener) Close() {
	s.live.feeds.mu.Lock()
	defer s.live.feeds.mu.Unlock()
	s.live.feeds.end(s, ErrStreamEnded)
}

// feeds are the servers that somebody listens to.
type feeds struct {
	mu     sync.Mutex
	byID   map[target.ID]*feed
	count  int // listeners
	byWho  map[string]int
	most   int
	closed bool
}

// feed asks one server for all who listen to it.
type feed struct {
	id        target.ID
	listeners map[*Listener]bool
}

// end closes a listener. The mutex is held.
func (f *feeds) end(s *Listener, why error) {
	if !s.feed.listeners[s] {
		return
	}
	delete(s.feed.listeners, s)
	f.count--
	if f.byWho[s.who]--; f.byWho[s.who] == 0 {
		delete(f.byWho, s.who)
	}
	s.err = why
	close(s.ticks)
}

// Listen begins a stream of a server's ticks, one every so many seconds, at
// least one. All who listen to a server share what it is asked. who may have a
// quarter of all the streams there may be: the others are for the others. The
// error is ErrTooManyListeners, ErrTooManyOfOne, or ErrStreamEnded after
// EndStreams.
func (l *Live) Listen(ctx context.Context, t target.Target, who string, every time.Duration) (*Listener, error) {
	l.feeds.mu.Lock()
	defer l.feeds.mu.Unlock()
	switch {
	case l.feeds.closed:
		return nil, ErrStreamEnded
	case l.feeds.count >= l.feeds.most:
		return nil, ErrTooManyListeners
	case l.feeds.byWho[who] >= max(l.feeds.most/4, 1):
		return nil, ErrTooManyOfOne
	}
	running := l.feeds.byID[t.ID]
	if running == nil {
		behind, end, ok := l.behind(ctx, 0, "stream of "+t.Name)
		if !ok {
			return nil, ErrStreamEnded
		}
		running = &feed{id: t.ID, listeners: make(map[*Listener]bool)}
		if l.feeds.byID == nil {
			l.feeds.byID = make(map[target.ID]*feed)
		}
		l.feeds.byID[t.ID] = running
		go func() {
			defer end()
			l.run(behind, running)
		}()
	}
	s := &Listener{ticks: make(chan Tick, backlog), every: max(int64(every/time.Second), 1), who: who, feed: running, live: l}
	running.listeners[s] = true
	l.feeds.count++
	if l.feeds.byWho == nil {
		l.feeds.byWho = make(map[string]int)
	}
	l.feeds.byWho[who]++
	return s, nil
}

// EndStreams ends all streams and begins no more, and ends questions to servers
// after half of the time that ctx gives: it is for the time before the listener
// of HTTP waits for its requests, which a server that hangs would hold up.
func (l *Live) EndStreams(ctx context.Context) error {
	if until, ok := ctx.Deadline(); ok {
		time.AfterFunc(time.Until(until)/2, func() { l.hurried.Do(func() { close(l.hurry) }) })
	}
	l.feeds.mu.Lock()
	defer l.feeds.mu.Unlock()
	l.feeds.closed = true
	for _, f := range l.feeds.byID {
		for s := range f.listeners {
			l.feeds.end(s, ErrStreamEnded)
		}
	}
	return nil
}

// run asks a server every second at which a tick is due to somebody, until
// nobody listens.
func (l *Live) run(ctx context.Context, f *feed) {
	defer l.finish(f)
	for {
		t, watched := l.byNumber(f.id)
		if !watched {
			return
		}
		due, anybody := l.dueTo(f, time.Now().Unix())
		if !anybody {
			return
		}
		if len(due) > 0 {
			l.deliver(f, l.tick(ctx, t), due)
		}
		if !l.nextSecond(ctx) {
			return
		}
	}
}

// nextSecond waits for the next full second; ok is false when all ends.
func (l *Live) nextSecond(ctx context.Context) (ok bool) {
	now := time.Now()
	wait := time.NewTimer(now.Truncate(tickEvery).Add(tickEvery).Sub(now))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wait.C:
		return true
	}
}

func (l *Live) byNumber(id target.ID) (target.Target, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	t, ok := l.byID[id]
	return t, ok
}

// dueTo gives the listeners to whom a tick is due: at once to a new one, then at
// multiples of the time between. anybody is false, and the feed over, where
// nobody listens.
func (l *Live) dueTo(f *feed, second int64) (due []*Listener, anybody bool) {
	l.feeds.mu.Lock()
	defer l.feeds.mu.Unlock()
	if len(f.listeners) == 0 {
		delete(l.feeds.byID, f.id)
		return nil, false
	}
	for s := range f.listeners {
		if second >= s.next || s.next-second > s.every { // or the clock was set back
			s.next = second - second%s.every + s.every
			due = append(due, s)
		}
	}
	return due, true
}

// deliver gives a tick to those it is due to. Who has not taken those before is
// let go: nobody waits for him.
func (l *Live) deliver(f *feed, tick Tick, due []*Listener) {
	l.feeds.mu.Lock()
	defer l.feeds.mu.Unlock()
	for _, s := range due {
		if !f.listeners[s] {
			continue
		}
		select {
		case s.ticks <- tick:
		default:
			l.feeds.end(s, ErrTooSlow)
		}
	}
}

// finish ends a feed and its listeners.
func (l *Live) finish(f *feed) {
	l.feeds.mu.Lock()
	defer l.feeds.mu.Unlock()
	if l.feeds.byID[f.id] == f {
		delete(l.feeds.byID, f.id)
	}
	for s := range f.listeners {
		l.feeds.end(s, ErrStreamEnded)
	}
}

// tick looks at a server once.
func (l *Live) tick(ctx context.Context, t target.Target) Tick {
	tick := Tick{At: time.Now().UTC()}
	err := l.ask(ctx, t, "stream", func(ctx context.Context, conn *pgxpool.Conn) error {
		sessions, unseen, err := sessionsOn(ctx, conn, false)
		if err != nil {
			return err
		}
		counted, err := rowsOf[connectionsRow](ctx, conn.Conn(), "connections")
		if err != nil {
			return err
		}
		tick.Unseen, tick.Sessions, tick.Classes, tick.Connections = unseen, sessions, classesOf(sessions), make(map[string]int64, len(counted))
		for _, row := range counted {
			tick.Connections[row.State] = row.Connections
		}
		tick.Locks, err = locksOn(ctx, conn, sessions)
		tick.Locks.At = tick.At
		return err
	})
	if err != nil {
		failed, ok := errors.AsType[*Error](err)
		if !ok {
			failed = failure(err)
		}
		return Tick{At: tick.At, Err: failed}
	}
	return tick
}

// classesOf counts sessions that are load by wait class.
func classesOf(sessions []Session) (classes [sample.NumClasses]int) {
	for i := range sessions {
		if class := sessions[i].Class; class.Load() {
			classes[class]++
		}
	}
	return classes
}
