package live

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// take gives the next tick of a stream.
func take(t *testing.T, s *Listener) Tick {
	t.Helper()
	select {
	case tick, ok := <-s.Ticks():
		if !ok {
			t.Fatalf("the stream is over: %v", s.Err())
		}
		return tick
	case <-time.After(20 * time.Second):
		t.Fatal("no tick")
	}
	return Tick{}
}

// ended waits for the end of a stream and gives the reason.
func ended(t *testing.T, s *Listener) error {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case _, ok := <-s.Ticks():
			if !ok {
				return s.Err()
			}
		case <-late:
			t.Fatal("the stream does not end")
		}
	}
}

func listen(t *testing.T, l *Live, name string, every time.Duration) *Listener {
	t.Helper()
	server, err := l.Server(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Listen(t.Context(), server, rand.Text(), every)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStream(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create table held (id int)", "insert into held values (1)")
	c := &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}
	l := startLive(t, c, 5*time.Second, func(cfg *Config) { cfg.Listeners = 4 })
	holder := session(t, server.SuperuserDSN())
	exec(t, holder, "begin; update held set id = 2")
	waiting(t, server, "update held set id = 3")

	first, second, stuck := listen(t, l, "db1", time.Second), listen(t, l, "db1", time.Second), listen(t, l, "db1", time.Second)
	slow := listen(t, l, "db1", time.Hour)
	db1, err := l.Server("db1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(t.Context(), db1, "somebody", time.Second); !errors.Is(err, ErrTooManyListeners) {
		t.Errorf("one too many: %v", err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range second.Ticks() { // whoever takes nothing is let go
		}
	}()
	pgtest.WaitFor(t, func() bool { tick := take(t, first); return len(tick.Locks.Waits) == 1 }, "the waiter to be seen")
	tick := take(t, first)
	if tick.Err != nil || tick.Classes[sample.ClassLock] != 1 || tick.Classes[sample.ClassIdleInTransaction] != 1 || tick.Connections["active"] < 1 ||
		len(tick.Locks.Sessions) != 2 || tick.Locks.Waits[0].Blocker != int32(holder.PgConn().PID()) {
		t.Errorf("tick %+v", tick)
	}
	pgtest.WaitFor(t, func() bool {
		take(t, first)
		l.feeds.mu.Lock()
		defer l.feeds.mu.Unlock()
		return !stuck.feed.listeners[stuck]
	}, "one that takes nothing to be let go")
	if err := ended(t, stuck); !errors.Is(err, ErrTooSlow) {
		t.Errorf("one that takes nothing: %v", err)
	}
	stuck.Close() // again
	// All listeners share a question a second.
	l.pools.mu.Lock()
	pool := l.pools.byID[1]
	l.pools.mu.Unlock()
	before, begun := pool.Stat().AcquireCount(), time.Now()
	for range 3 {
		take(t, first)
	}
	if asked, most := pool.Stat().AcquireCount()-before, int64(time.Since(begun)/time.Second)+2; asked > most {
		t.Errorf("%d questions in %s", asked, time.Since(begun))
	}
	take(t, slow)
	if len(slow.ticks) > 1 { // it may have begun at the end of an hour
		t.Error("one who asked for an hourly tick got three")
	}

	// While the server is away ticks say so.
	server.Stop(t)
	pgtest.WaitFor(t, func() bool { tick := take(t, first); return tick.Err != nil && tick.Err.Explain() != "" }, "a tick that tells of it")
	second.Close()
	if <-drained; !errors.Is(second.Err(), ErrStreamEnded) {
		t.Errorf("closed: %v", second.Err())
	}
	// It is removed.
	c.remove(1)
	if err := ended(t, first); !errors.Is(err, ErrStreamEnded) {
		t.Errorf("removed: %v", err)
	}
	if err := ended(t, slow); !errors.Is(err, ErrStreamEnded) {
		t.Errorf("removed, hourly: %v", err)
	}
	pgtest.WaitFor(t, func() bool {
		l.feeds.mu.Lock()
		defer l.feeds.mu.Unlock()
		return l.feeds.count == 0 && len(l.feeds.byID) == 0
	}, "nothing to be left")
}

func TestEndStreams(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 5*time.Second)
	one, other := listen(t, l, "db1", time.Second), listen(t, l, "db1", time.Second)
	take(t, one)
	if err := l.EndStreams(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Listener{one, other} {
		if err := ended(t, s); !errors.Is(err, ErrStreamEnded) {
			t.Errorf("ended: %v", err)
		}
	}
	db1, err := l.Server("db1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(t.Context(), db1, "somebody", time.Second); !errors.Is(err, ErrStreamEnded) {
		t.Errorf("afterwards: %v", err)
	}
}

// Stop ends streams that nobody has ended.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	l := startLive(t, &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}, 5*time.Second)
	s := listen(t, l, "db1", time.Second)
	take(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, s); !errors.Is(err, ErrStreamEnded) {
		t.Errorf("ended: %v", err)
	}
}

// A clock that is set back leaves nobody waiting until it has caught up.
func TestDueWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	l := &Live{}
	s := &Listener{every: 10}
	f := &feed{listeners: map[*Listener]bool{s: true}}
	for _, tt := range []struct {
		second int64
		due    int
	}{{1003, 1}, {1004, 0}, {1009, 0}, {1010, 1}, {1011, 0}, {500, 1}, {505, 0}, {510, 1}} {
		if due, _ := l.dueTo(f, tt.second); len(due) != tt.due {
			t.Errorf("at %d: %d are due", tt.second, len(due))
		}
	}
}

// One who asks for more and more streams leaves room for the others, and has
// room again when one of his is over.
func TestOneUserLeavesStreamsToOthers(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	c := &catalog{servers: []target.Target{serverOf(1, "db1", server)}, revision: 1}
	l := startLive(t, c, 5*time.Second, func(cfg *Config) { cfg.Listeners = 8 })
	db1, err := l.Server("db1")
	if err != nil {
		t.Fatal(err)
	}
	var greedy []*Listener
	for {
		s, err := l.Listen(t.Context(), db1, "greedy", time.Second)
		if err != nil {
			if !errors.Is(err, ErrTooManyOfOne) {
				t.Error(err)
			}
			break
		}
		greedy = append(greedy, s)
	}
	if len(greedy) != 2 {
		t.Errorf("one has %d of 8 streams", len(greedy))
	}
	if _, err := l.Listen(t.Context(), db1, "modest", time.Second); err != nil {
		t.Errorf("another: %v", err)
	}
	greedy[0].Close()
	greedy[0].Close()
	if _, err := l.Listen(t.Context(), db1, "greedy", time.Second); err != nil {
		t.Errorf("after one was ended: %v", err)
	}
}
