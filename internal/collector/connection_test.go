package collector

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// within counts the instants up to d after the first.
func within(instants []time.Time, d time.Duration) (n int) {
	for _, at := range instants {
		if at.Sub(instants[0]) <= d {
			n++
		}
	}
	return n
}

func longestGap(instants []time.Time) (gap time.Duration) {
	for i := 1; i < len(instants); i++ {
		gap = max(gap, instants[i].Sub(instants[i-1]))
	}
	return gap
}

func TestBreaker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// Takes the connection, never answers.
		w.fleet.server(1).dial = func(ctx context.Context, _ int) (sample.Reason, error) {
			select {
			case <-ctx.Done():
			case <-time.After(3 * time.Second):
			}
			return sample.Timeout, errDial
		}
		w.fleet.server(2).dial = func(context.Context, int) (sample.Reason, error) { return sample.Refused, errDial }
		w.fleet.server(3).dial = func(context.Context, int) (sample.Reason, error) { return sample.AuthFailed, errDial }
		w.start()
		w.pass(10 * time.Minute)
		w.stop()
		mute := w.fleet.server(1).did().dials
		if n := within(mute, 55*time.Second); n != muteLimit {
			t.Errorf("%d attempts in the first minute at a server that does not answer, want %d", n, muteLimit)
		}
		if n := len(mute); n < muteLimit+8 || n > muteLimit+10 {
			t.Errorf("%d attempts in ten minutes at a server that does not answer, want three and then one a minute", n)
		}
		refused := w.fleet.server(2).did().dials
		if gap := longestGap(refused); gap > quickPause+time.Second {
			t.Errorf("a server at which nobody listens is left alone for %s", gap)
		}
		if n := len(refused); n > 600/2 {
			t.Errorf("%d attempts in ten minutes at a server at which nobody listens", n)
		}
		locked := w.fleet.server(3).did().dials
		if gap := longestGap(locked); gap < 30*time.Second || gap > 92*time.Second {
			t.Errorf("pauses grow to %s at a server that lets nobody in", gap)
		}
		for id, want := range map[target.ID]sample.Reason{1: sample.Timeout, 2: sample.Refused, 3: sample.AuthFailed} {
			ticks := w.wantWhole(id, time.Second)
			if r := reasons(ticks); r[want] < len(ticks)-4 {
				t.Errorf("server %d: reasons %v", id, r)
			}
		}
	}, server(1), server(2), server(3))
}

func TestBackFromFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.server(1).dial = func(_ context.Context, n int) (sample.Reason, error) {
			if n < 8 {
				return sample.StartingUp, errDial
			}
			return sample.None, nil
		}
		w.start()
		w.pass(time.Minute)
		w.stop()
		ticks := w.wantWhole(1, time.Second)
		if last := ticks[len(ticks)-1]; last.Outcome != sample.OK {
			t.Errorf("after the server was up: %s", last.Reason)
		}
		if n := len(w.fleet.server(1).did().dials); n != 9 {
			t.Errorf("%d attempts, want 9", n)
		}
	}, server(1))
}

// TestLostConnection says that a connection that broke is made anew at once.
func TestLostConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.fleet.server(1)
		m.visit = func(_ context.Context, n int, v *sample.Visit) error {
			if n == 10 {
				v.Tick.Outcome, v.Tick.Reason, v.Tick.Sessions = sample.Failed, sample.ConnectionLost, nil
				l := func() *link {
					wt := w.c.schedule.watch(1)
					wt.connection.mu.Lock()
					defer wt.connection.mu.Unlock()
					return wt.connection.conn.(*link)
				}()
				l.Close()
				return errAway
			}
			return nil
		}
		w.start()
		w.pass(20 * time.Second)
		w.stop()
		r := reasons(w.wantWhole(1, time.Second))
		if r[sample.ConnectionLost] != 1 || len(r) != 2 || len(m.did().dials) != 2 || m.did().open != 0 {
			t.Errorf("reasons %v, %d attempts, %d open", r, len(m.did().dials), m.did().open)
		}
	}, server(1))
}

// TestFlappingBacksOff: a connection that breaks at every visit is made anew
// after pauses that grow, until one has stood for a minute.
func TestFlappingBacksOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var well atomic.Bool
		m := w.fleet.server(1)
		m.visit = func(_ context.Context, _ int, v *sample.Visit) error {
			if well.Load() {
				return nil
			}
			v.Tick.Outcome, v.Tick.Reason, v.Tick.Sessions = sample.Failed, sample.ConnectionLost, nil
			wt := w.c.schedule.watch(1)
			wt.connection.mu.Lock()
			l := wt.connection.conn.(*link)
			wt.connection.mu.Unlock()
			l.Close()
			return errAway
		}
		w.start()
		w.pass(10 * time.Minute)
		dials := m.did().dials
		if n := len(dials); n < 10 || n > 25 {
			t.Errorf("%d connections in ten minutes, each of which broke at once", n)
		}
		if gap := longestGap(dials); gap < 30*time.Second || gap > maxPause*3/2+2*time.Second {
			t.Errorf("pauses grow to %s", gap)
		}
		well.Store(true)
		w.pass(maxPause*3/2 + proven + 5*time.Second)
		well.Store(false)
		before := len(m.did().dials)
		w.pass(5 * time.Second)
		well.Store(true)
		if n := len(m.did().dials) - before; n < 2 {
			t.Errorf("%d attempts after a connection that stood for a minute, want one at once and one soon", n)
		}
		w.pass(5 * time.Second)
		w.stop()
		w.wantWhole(1, time.Second)
	}, server(1))
}

// TestWhatBrokeAConnectionIsTold: while a server is left in peace that sent more
// than is read, its ticks say that, and not that a connection was lost.
func TestWhatBrokeAConnectionIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.fleet.server(1)
		m.visit = func(_ context.Context, _ int, v *sample.Visit) error {
			v.Tick.Outcome, v.Tick.Reason, v.Tick.Sessions = sample.Failed, sample.Oversized, nil
			wt := w.c.schedule.watch(1)
			wt.connection.mu.Lock()
			l := wt.connection.conn.(*link)
			wt.connection.mu.Unlock()
			l.Close()
			return errAway
		}
		w.start()
		w.pass(time.Minute)
		w.stop()
		ticks := w.wantWhole(1, time.Second)
		if r := reasons(ticks); r[sample.Oversized] < len(ticks)-1 || len(m.did().dials) > len(ticks)/2 {
			t.Errorf("%d ticks, %d connections, reasons %v", len(ticks), len(m.did().dials), r)
		}
	}, server(1))
}

// TestAHeldStartIsTheOnlyOne: a start that the server does not finish goes on,
// alone, takes no other server's turn, and is told as a timeout.
func TestAHeldStartIsTheOnlyOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.change = func(c *Config) { c.MaxConnecting = 1 }
		locked := make(chan struct{})
		m := w.fleet.server(1)
		m.dial = func(ctx context.Context, _ int) (sample.Reason, error) {
			select {
			case <-locked:
				return sample.None, nil
			case <-ctx.Done():
				return sample.NotRunning, ctx.Err()
			}
		}
		w.start()
		w.pass(20 * time.Minute)
		if n := len(m.did().dials); n != 1 || m.did().dialing != 1 {
			t.Errorf("%d starts, %d under way; want one that goes on", n, m.did().dialing)
		}
		for _, s := range w.c.Watched() {
			if s.Breaker != (s.ID == 1) || s.Connected != (s.ID == 2) {
				t.Errorf("server %d: breaker %v, connected %v", s.ID, s.Breaker, s.Connected)
			}
		}
		close(locked)
		w.pass(5 * time.Second)
		w.stop()
		ticks := w.wantWhole(1, time.Second)
		if r := reasons(ticks); r[sample.Timeout] < len(ticks)-20 || ticks[len(ticks)-1].Outcome != sample.OK {
			t.Errorf("reasons %v, then %s", r, ticks[len(ticks)-1].Outcome)
		}
		if n := len(m.did().dials); n != 1 {
			t.Errorf("%d starts after the lock is gone", n)
		}
	}, server(1), server(2))
}

// TestOneAttemptAtATime moves a server while an attempt is under way: that
// attempt is given up for the new one.
func TestOneAttemptAtATime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.fleet.server(1)
		m.dial = func(ctx context.Context, _ int) (sample.Reason, error) {
			<-ctx.Done()
			return sample.Unreachable, errDial
		}
		w.start()
		w.pass(10 * time.Second)
		if len(m.did().dials) != 1 || m.did().dialing != 1 {
			t.Fatalf("%d attempts, %d under way; want one that goes on", len(m.did().dials), m.did().dialing)
		}
		moved := server(1)
		moved.Endpoint.Host = "b"
		w.catalog.set(moved)
		w.pass(3 * time.Second)
		if !slices.Equal(m.did().hosts, []string{"a", "b"}) || m.did().dialing != 1 || m.did().mostDials != 1 {
			t.Errorf("attempts at %v, %d under way, %d at once", m.did().hosts, m.did().dialing, m.did().mostDials)
		}
		w.catalog.set()
		w.pass(2 * time.Second)
		if m.did().dialing != 0 {
			t.Error("an attempt goes on at a server that is not watched")
		}
		w.stop()
	}, server(1))
}

func TestMaxConnecting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.change = func(c *Config) { c.MaxConnecting = 1 }
		for _, id := range []target.ID{1, 2} {
			w.fleet.server(id).dial = func(context.Context, int) (sample.Reason, error) {
				if a, b := w.fleet.server(1), w.fleet.server(2); a.did().dialing+b.did().dialing > 1 {
					t.Error("two attempts at once")
				}
				<-time.After(3 * time.Second)
				return sample.None, nil
			}
		}
		w.start()
		w.pass(20 * time.Second)
		if n := w.c.Counts().Connected; n != 2 {
			t.Errorf("%d servers are connected, want 2", n)
		}
		w.stop()
	}, server(1), server(2))
}

func TestSizes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.change = func(c *Config) { c.Intervals.Sizes = time.Minute }
		w.start()
		w.pass(firstSizes + 150*time.Second)
		m := w.fleet.server(1)
		if m.did().open != 1 {
			t.Errorf("%d connections are open between rounds, want 1", m.did().open)
		}
		w.stop()
		rounds := len(m.did().sizePIDs)
		if !slices.Equal(m.did().sized, slices.Repeat([]uint32{5, 6}, rounds)) {
			t.Errorf("sizes were read of %v", m.did().sized)
		}
		if rounds < 3 || rounds > 4 || len(m.did().dials) != 1 {
			t.Errorf("%d second connections, %d first ones", len(m.did().sizePIDs), len(m.did().dials))
		}
		for _, pid := range m.did().sizePIDs {
			if !slices.Contains(m.did().excluded, pid) {
				t.Errorf("the second connection %d was not left out of any visit", pid)
			}
		}
		if m.did().excluded[len(m.did().excluded)-1] != 0 {
			t.Error("a pid is left out after its connection ended")
		}
		if n := len(w.history.sizes); n != 2*rounds {
			t.Errorf("%d sizes of %d rounds are stored", n, rounds)
		}
		w.wantWhole(1, time.Second)
		if r := reasons(w.journal.ticksOf(1)); len(r) != 1 {
			t.Errorf("ticks wait for sizes: %v", r)
		}
	}, server(1))
}

// TestSizesAfterRestart: a collector that is started often asks for sizes no
// more often than one that runs, and an interval that is shortened is in force
// at once.
func TestSizesAfterRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.fleet.server(1)
		for range 5 {
			w.start()
			w.pass(firstSizes + 10*time.Second)
			w.stop()
		}
		if n := len(m.did().sizePIDs); n != 1 {
			t.Errorf("%d rounds in five starts within half an hour", n)
		}
		w.start()
		w.pass(30 * time.Minute)
		if n := len(m.did().sizePIDs); n != 2 {
			t.Errorf("%d rounds half an hour later", n)
		}
		often := server(1)
		often.Intervals.Sizes = time.Minute
		w.catalog.set(often)
		w.pass(150 * time.Second)
		w.stop()
		if n := len(m.did().sizePIDs); n != 4 {
			t.Errorf("%d rounds, want two more in two minutes and a half", n)
		}
	}, server(1))
}

// TestSizesAreSpread: a start is no reason to ask all servers at once.
func TestSizesAreSpread(t *testing.T) {
	var targets []target.Target
	for id := target.ID(1); id <= 60; id++ {
		targets = append(targets, server(id))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(firstSizes + 5*time.Second)
		w.stop()
		seconds := make(map[time.Time]int)
		for id := target.ID(1); id <= 60; id++ {
			rounds := w.fleet.server(id).did().rounds
			if len(rounds) == 0 {
				t.Fatalf("the sizes of server %d were not asked for", id)
			}
			seconds[rounds[0].Truncate(time.Second)]++
		}
		if len(seconds) < 20 {
			t.Errorf("first rounds by second: %v", seconds)
		}
	}, targets...)
}

// TestSizesEnd says that nothing goes on at a server that is not watched, and
// that a size that was given up is not written down.
func TestSizesEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := w.fleet.server(1)
		m.size = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		w.start()
		w.pass(firstSizes + 2*time.Second)
		if m.did().open != 2 {
			t.Fatalf("%d connections are open while sizes are read, want 2", m.did().open)
		}
		w.catalog.set()
		w.pass(2 * time.Second)
		if m.did().open != 0 {
			t.Errorf("%d connections are open to a server that is not watched", m.did().open)
		}
		w.stop()
		if n := len(w.history.sizes); n != 0 {
			t.Errorf("%d sizes are stored that were never told", n)
		}
	}, server(1))
}

// TestStop stops with everything under way: visits that hang, attempts, and sizes.
func TestStop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hang := func(ctx context.Context) { <-ctx.Done() }
		w.change = func(c *Config) {
			c.Intervals.Activity = 10 * time.Second // visits may take 5 s
		}
		w.fleet.server(2).visit = func(ctx context.Context, _ int, v *sample.Visit) error {
			hang(ctx)
			v.Tick.Outcome, v.Tick.Reason, v.Tick.Sessions = sample.Failed, sample.Timeout, nil
			return context.Cause(ctx)
		}
		w.fleet.server(3).dial = func(ctx context.Context, _ int) (sample.Reason, error) { hang(ctx); return sample.Timeout, errDial }
		w.fleet.server(1).size = func(ctx context.Context) error { hang(ctx); return ctx.Err() }
		w.start()
		for len(w.fleet.server(2).did().visits) < 2 || w.fleet.server(1).did().open < 2 {
			w.pass(100 * time.Millisecond)
		}
		begun := time.Now()
		w.stop()
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("stopping took %s", took)
		}
		if err := w.c.Stop(t.Context()); err != nil {
			t.Errorf("stopping again: %v", err)
		}
		ticks := w.wantWhole(2, 10*time.Second)
		if last := ticks[len(ticks)-1]; last.Outcome != sample.Skipped || last.Reason != sample.NotRunning {
			t.Errorf("a visit that was broken off is %s, %s", last.Outcome, last.Reason)
		}
		for id := range target.ID(3) {
			w.wantStored(id + 1) // also of a slot that is not over
			if m := w.fleet.server(id + 1); m.did().open != 0 || m.did().dialing != 0 {
				t.Errorf("server %d: %d open, %d dialing", id+1, m.did().open, m.did().dialing)
			}
		}
	}, server(1), server(2), server(3))
}

// TestStopWithoutHistory says that Stop is bounded by its context, and that
// what cannot be written stays.
func TestStopWithoutHistory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		w.history.fail(func(batch) error { return errAway }, nil)
		w.pass(5 * time.Second)
		w.stop()
		if w.journal.waiting() == 0 {
			t.Error("nothing waits for the next start")
		}
		w.history.fail(nil, nil)
		w.start()
		w.pass(5 * time.Second)
		w.stop()
		w.wantStored(1)
	}, server(1))
}
