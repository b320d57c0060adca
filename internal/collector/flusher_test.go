package collector

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// TestHistoryAway has the history refuse everything for a while.
func TestHistoryAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(40 * time.Second)
		w.history.fail(func(batch) error { return errAway }, nil)
		before := w.history.count(1)
		w.pass(5 * time.Minute)
		if n := w.history.count(1); n != before {
			t.Errorf("%d ticks came while the history was away", n-before)
		}
		if n := w.history.batches(); n > 60 {
			t.Errorf("%d attempts to write in five minutes", n)
		}
		w.history.fail(nil, nil)
		w.pass(maxPauses + 20*time.Second)
		if n := w.journal.waiting(); n > 40 {
			t.Errorf("%d records wait though the history is back", n)
		}
		w.stop()
		for _, id := range []target.ID{1, 2} {
			w.wantWhole(id, time.Second)
			w.wantStored(id)
		}
		if w.c.Counts().FlushErrors == 0 {
			t.Error("no error was counted")
		}
	}, server(1), server(2))
}

// TestLostReplies has the history keep a batch and say that it did not.
func TestLostReplies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := 0
		w.history.fail(nil, func(batch) error {
			if n++; n%3 != 0 {
				return errAway
			}
			return nil
		})
		w.start()
		w.pass(3 * time.Minute)
		w.history.fail(nil, nil)
		w.stop()
		for _, id := range []target.ID{1, 2} {
			w.wantWhole(id, time.Second)
			w.wantStored(id)
		}
		if w.history.batches() < 20 {
			t.Errorf("only %d batches: no reply was lost", w.history.batches())
		}
	}, server(1), server(2))
}

// TestKilled kills collectors at any time: whatever was synced is in the history at
// last, once.
func TestKilled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow := server(3)
		slow.Intervals.Activity = 5 * time.Second
		w.catalog.set(server(1), server(2), slow)
		for run := range 12 {
			if run%4 >= 2 { // nothing of these runs gets away but by the next
				w.history.fail(func(batch) error { return errAway }, nil)
			}
			w.start()
			w.pass(time.Duration(17+7*run)*time.Second + time.Duration(run)*130*time.Millisecond)
			w.kill()
		}
		w.start()
		w.pass(10 * time.Second)
		w.stop()
		for id := target.ID(1); id <= 3; id++ {
			seen := make(map[time.Time]bool)
			for _, tick := range w.journal.ticksOf(id) {
				if seen[tick.Planned] {
					t.Errorf("server %d: two ticks of %s", id, tick.Planned)
				}
				seen[tick.Planned] = true
			}
			w.wantStored(id)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	}, server(1), server(2))
}

// TestSlowVisitAtTheEnd has visits end at any instant around the end of their slot
// and the sync of the journal: all of them are written, whenever they come.
func TestSlowVisitAtTheEnd(t *testing.T) {
	var targets []target.Target
	for id := target.ID(1); id <= 30; id++ {
		s := server(id)
		s.Intervals.Activity = 10 * time.Second
		targets = append(targets, s)
	}
	inWorld(t, func(t *testing.T, w *world) {
		for id := target.ID(1); id <= 30; id++ {
			w.fleet.server(id).visit = func(ctx context.Context, n int, v *sample.Visit) error {
				select {
				case <-time.After(time.Duration((n*371+int(id)*137)%4900) * time.Millisecond):
					return nil
				case <-ctx.Done():
					v.Tick.Outcome, v.Tick.Reason, v.Tick.Sessions = sample.Failed, sample.Timeout, nil
					return context.Cause(ctx)
				}
			}
		}
		// Writing takes long, and visits end meanwhile.
		w.history.fail(func(batch) error { <-time.After(100 * time.Millisecond); return nil }, nil)
		w.start()
		w.pass(10 * time.Minute)
		w.stop()
		for id := target.ID(1); id <= 30; id++ {
			w.wantWhole(id, 10*time.Second)
			w.wantStored(id)
		}
	}, targets...)
}

// TestSlotsSettle: a slot is written a moment after its end, for its last visits to
// end; one that comes later is written with the next.
func TestSlotsSettle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		w.stop() // so that only the test writes to the journal
		at := time.Now().UTC().Truncate(sample.SlotLength)
		stored := 0
		for _, c := range []struct {
			second int // of the tick that comes
			at     time.Duration
			adds   int
		}{
			{0, 16 * time.Second, 0},
			{1, sample.SlotLength + settle - time.Millisecond, 0},
			{2, sample.SlotLength + settle, 3},
			{3, 20 * time.Second, 1},
			{15, 20 * time.Second, 0},
			{16, 2*sample.SlotLength + settle, 2},
		} {
			planned := at.Add(time.Duration(c.second) * time.Second)
			w.journal.Append(&sample.Visit{Server: 9, Tick: &sample.Tick{Planned: planned, Started: planned, Cadence: time.Second}})
			if err := w.c.flusher.flush(t.Context(), at.Add(c.at), false); err != nil {
				t.Fatal(err)
			}
			w.c.flusher.workers.Wait()
			if stored += c.adds; w.history.count(9) != stored {
				t.Errorf("%s after the start of the slot %d ticks are stored, want %d", c.at, w.history.count(9), stored)
			}
		}
		w.wantStored(9)
	}, server(1))
}

// TestTicksOfTheFutureWait: what a clock that was wrong planned far ahead stays in
// the journal until then, and is told.
func TestTicksOfTheFutureWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		planned := time.Now().UTC().Add(10 * time.Minute)
		w.journal.Append(&sample.Visit{Server: 9, Tick: &sample.Tick{Planned: planned, Started: planned, Cadence: time.Second}})
		w.pass(5 * time.Minute)
		if n := w.history.count(9); n != 0 {
			t.Errorf("%d ticks of the future are stored", n)
		}
		if trouble := w.c.Trouble(); trouble == nil || !errors.Is(trouble.Err, errAhead) {
			t.Errorf("trouble %+v", trouble)
		}
		w.pass(10 * time.Minute)
		if trouble := w.c.Trouble(); trouble != nil {
			t.Errorf("afterwards: trouble %+v", trouble)
		}
		w.stop()
		w.wantStored(1)
		w.wantStored(9)
	}, server(1))
}

// TestServersAreWrittenAtOnce: a few of them, so that a far history keeps up; and one
// that hangs delays no other.
func TestServersAreWrittenAtOnce(t *testing.T) {
	var targets []target.Target
	for id := target.ID(1); id <= 20; id++ {
		targets = append(targets, server(id))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.history.slow.Store(int64(2 * time.Second)) // 20 of them one by one would take 40 s
		w.pass(5 * time.Minute)
		if n := w.history.widest; n != atOnce {
			t.Errorf("%d servers were written at once", n)
		}
		w.history.slow.Store(0)
		w.history.mu.Lock()
		w.history.stuck = func(b batch) bool { return b.server == 7 }
		w.history.mu.Unlock()
		for range 100 {
			w.pass(3 * time.Second)
			for id := target.ID(1); id <= 20; id++ {
				ticks := w.history.ticksOf(id)
				if lag := time.Since(ticks[len(ticks)-1].Planned); id != 7 && lag > 20*time.Second {
					t.Errorf("server %d: the newest tick is %s old", id, lag)
				}
			}
		}
		w.history.mu.Lock()
		w.history.stuck = nil
		w.history.mu.Unlock()
		w.pass(leftForMost + 2*flushTimeout)
		w.stop()
		for id := target.ID(1); id <= 20; id++ {
			w.wantStored(id)
		}
	}, targets...)
}

// TestPoison has the history refuse two servers' visits for good: everything else is
// stored, and copies are kept.
func TestPoison(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		w.history.fail(func(b batch) error {
			if b.server > 1 {
				return errPoison
			}
			return nil
		}, nil)
		w.pass(40 * time.Second)
		stored := w.history.count(2)
		w.history.fail(nil, nil)
		w.pass(40 * time.Second)
		w.stop()
		w.wantWhole(1, time.Second)
		w.wantStored(1)
		if n := w.history.count(2); n <= stored || stored > 20 {
			t.Errorf("%d ticks of the refused server while it was refused, %d at last", stored, n)
		}
		if n := len(w.journal.quarantined); n < 60 {
			t.Errorf("%d records are quarantined, want those of two servers and about 40 s", n)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	}, server(1), server(2), server(3))
}

// TestBacklog drains a long outage: a chunk at a time, with few ticks in memory, in
// transactions of at most ten minutes of a server.
func TestBacklog(t *testing.T) {
	var targets []target.Target
	for id := target.ID(1); id <= 40; id++ {
		targets = append(targets, server(id))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.history.fail(func(batch) error { return errAway }, nil)
		w.start()
		w.pass(20 * time.Minute) // 48 000 visits, of which a chunk has 16 384
		w.kill()
		total := 0
		for id := range target.ID(40) {
			total += len(w.journal.ticksOf(id + 1))
		}
		most := 0
		w.history.fail(func(b batch) error {
			w.c.flusher.mu.Lock()
			defer w.c.flusher.mu.Unlock()
			held := b.ticks()
			for _, q := range w.c.flusher.queues {
				held += len(q.open) + len(q.due)
			}
			most = max(most, held)
			buckets := make(map[time.Time]bool)
			for _, v := range b.visits {
				if v.Tick != nil {
					buckets[v.Tick.Planned.Truncate(sample.BucketLength)] = true
				}
			}
			if len(buckets) > 1 {
				t.Errorf("%d buckets are written in one transaction", len(buckets))
			}
			return nil
		}, nil)
		c, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		w.c = c
		if err := c.flusher.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id := range target.ID(40) {
			w.wantStored(id + 1)
		}
		if most == 0 || most > 3*chunkBytes/1024/2 {
			t.Errorf("%d of %d ticks were in memory at once", most, total)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	}, targets...)
}

// TestSlowDrain: a journal that takes long to write does not hold up sampling.
func TestSlowDrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.history.fail(func(batch) error { return errAway }, nil)
		w.start()
		w.pass(20 * time.Second)
		w.kill()
		known := len(w.journal.ticksOf(1))
		w.history.fail(nil, nil)
		w.history.slow.Store(int64(10 * time.Second))
		began := time.Now()
		w.start()
		w.pass(6 * time.Second)
		w.history.slow.Store(0)
		all := w.journal.ticksOf(1)
		if len(all) <= known {
			t.Fatal("nothing was sampled")
		}
		if late := all[known].Planned.Sub(began); late > 2*time.Second {
			t.Errorf("the first tick came after %s", late)
		}
		w.pass(40 * time.Second)
		w.stop()
		w.wantStored(1)
	}, server(1))
}
