package collector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// TestARefusingHistoryLosesNothing: whatever a history that is there says, it is
// not taken for a fault of what it was given; it is told, and everything comes
// when the history takes it again.
func TestARefusingHistoryLosesNothing(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 5} {
		var targets []target.Target
		for id := range servers {
			targets = append(targets, server(target.ID(id+1)))
		}
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				log := w.record()
				w.start()
				w.pass(40 * time.Second)
				if err := w.c.Writes(); err != nil {
					t.Errorf("before: %v", err)
				}
				w.history.fail(func(batch) error { return errRefused }, nil)
				before := w.history.batches()
				w.pass(5 * time.Minute)
				if err := w.c.Writes(); !errors.Is(err, errRefused) || !errors.Is(err, ErrNotWritten) {
					t.Errorf("while refused: %v", err)
				}
				if trouble := w.c.Trouble(); trouble == nil || trouble.SQLSTATE != "42P01" || time.Since(trouble.Since) < 4*time.Minute {
					t.Errorf("trouble %+v", trouble)
				}
				if told := log.with(notWritten); len(told) < 4 || len(told) > 6 {
					t.Errorf("told %d times in five minutes: %v", len(told), told)
				}
				if n := w.history.batches() - before; n > 22*40 {
					t.Errorf("%d batches were tried in five minutes", n)
				}
				w.history.fail(nil, nil)
				w.pass(maxPauses + 20*time.Second)
				if err := w.c.Writes(); err != nil {
					t.Errorf("after: %v", err)
				}
				w.stop()
				for _, s := range targets {
					w.wantWhole(s.ID, time.Second)
					w.wantStored(s.ID)
				}
				if n := len(w.journal.quarantined); n != 0 {
					t.Errorf("%d records were set aside", n)
				}
			}, targets...)
		})
	}
}

// TestAPartThatIsNotTakenWaitsAlone: where the history takes everything but one
// server's visits, and nobody knows why, these wait in the journal, and nothing
// else does.
func TestAPartThatIsNotTakenWaitsAlone(t *testing.T) {
	t.Parallel()
	bad := func(b batch) bool { return b.server == 2 && b.ticks() > 0 }
	for name, begin := range map[string]func(h *history){
		"refused": func(h *history) {
			h.before = func(b batch) error {
				if bad(b) {
					return errRefused
				}
				return nil
			}
		},
		"slow": func(h *history) { h.stuck = bad },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.start()
				w.pass(20 * time.Second)
				w.history.mu.Lock()
				begin(w.history)
				w.history.mu.Unlock()
				w.pass(10 * time.Minute)
				if trouble := w.c.Trouble(); trouble == nil {
					t.Errorf("trouble %+v", trouble)
				}
				for _, id := range []target.ID{1, 3} {
					// The last two minutes may be under way: every try of a part that is slow takes its time.
					if n := w.history.count(id); n < 9*60 {
						t.Errorf("server %d: %d ticks came in ten minutes", id, n)
					}
				}
				w.journal.mu.Lock()
				others := 0
				for _, r := range w.journal.records {
					if r.Visits[0].Tick != nil && time.Since(r.Visits[0].Tick.Planned) > 5*time.Minute {
						for _, v := range r.Visits {
							if v.Server != 2 {
								others++
							}
						}
					}
				}
				w.journal.mu.Unlock()
				if others > 0 {
					t.Errorf("%d visits of other servers wait with it", others)
				}
				w.history.mu.Lock()
				w.history.before, w.history.stuck = nil, nil
				w.history.mu.Unlock()
				w.pass(leftForMost + 2*flushTimeout)
				if trouble := w.c.Trouble(); trouble != nil {
					t.Errorf("afterwards: trouble %+v", trouble)
				}
				w.stop()
				for _, id := range []target.ID{1, 2, 3} {
					w.wantWhole(id, time.Second)
					w.wantStored(id)
				}
				if n := len(w.journal.quarantined); n != 0 {
					t.Errorf("%d records were set aside", n)
				}
			}, server(1), server(2), server(3))
		})
	}
}

// TestAChunkThatMissesItsLimitIsHalved: a history that takes three seconds a tick
// gets all of them, although no chunk of an outage can be written at once.
func TestAChunkThatMissesItsLimitIsHalved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.history.fail(func(batch) error { return errAway }, nil)
		w.start()
		w.pass(5 * time.Minute)
		w.kill()
		w.history.fail(nil, nil)
		w.history.each.Store(int64(3 * time.Second))
		c, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		w.c = c
		if err := c.flusher.drain(t.Context()); err != nil {
			t.Error(err)
		}
		for _, id := range []target.ID{1, 2} {
			w.wantStored(id)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
		if most := w.history.most; most > 1+int(flushTimeout/(3*time.Second)) {
			t.Errorf("%d ticks were written at once", most)
		}
	}, server(1), server(2))
}

// TestBadDataIsTriedTwiceAlone: one refusal of a part is not the last word.
func TestBadDataIsTriedTwiceAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		alone := 0
		w.start()
		w.pass(20 * time.Second)
		w.history.fail(func(b batch) error {
			switch {
			case b.server != 2:
				return nil
			case b.ticks() > 2:
				return errPoison
			}
			if alone++; alone%2 == 1 {
				return errPoison
			}
			return nil
		}, nil)
		w.pass(time.Minute)
		w.stop()
		if alone < 6 {
			t.Errorf("only %d tries", alone)
		}
		w.wantStored(1)
		w.wantStored(2)
		if n := len(w.journal.quarantined); n != 0 {
			t.Errorf("%d records were set aside", n)
		}
	}, server(1), server(2))
}

// TestDroppedNamesAreOfferedAgain: visits that the journal drops, and a history
// that is replaced, take names with them that later visits rely on.
func TestDroppedNamesAreOfferedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		entries := make(chan int, 1000)
		w.fleet.server(1).visit = func(_ context.Context, _ int, v *sample.Visit) error {
			entries <- len(v.Entries.Waits)
			return nil
		}
		w.fleet.server(1).waits = true
		offered := func() (n int) {
			for {
				select {
				case one := <-entries:
					n += one
				default:
					return n
				}
			}
		}
		w.start()
		w.pass(20 * time.Second)
		if n := offered(); n != 1 {
			t.Errorf("the wait was offered %d times", n)
		}
		w.journal.dropped.Add(5)
		w.pass(3 * time.Second)
		w.journal.dropped.Add(5) // told with the next minute
		w.pass(30 * time.Second)
		if n := offered(); n != 1 {
			t.Errorf("after a drop it was offered %d times", n)
		}
		w.pass(time.Minute)
		if n := offered(); n != 1 {
			t.Errorf("a minute later it was offered %d times", n)
		}
		replaced := true
		w.history.fail(func(batch) error {
			if was := replaced; was {
				replaced = false
				return errReplaced
			}
			return nil
		}, nil)
		w.pass(40 * time.Second)
		if n := offered(); n != 1 {
			t.Errorf("to another history it was offered %d times", n)
		}
		w.stop()
		w.wantStored(1)
	}, server(1))
}

// TestAReplacedHistoryIsOfferedAll: one that lost what it had gets everything again,
// also what was written to it while nobody had noticed.
func TestAReplacedHistoryIsOfferedAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(2 * time.Minute)
		w.history.mu.Lock()
		clear(w.history.ticks) // as after a restore
		w.history.mu.Unlock()
		told := false
		w.history.fail(func(b batch) error {
			if b.server == 4 && !told { // others are written before and meanwhile
				told = true
				return errReplaced
			}
			return nil
		}, nil)
		w.pass(time.Minute)
		w.stop()
		for id := target.ID(1); id <= 6; id++ {
			w.wantStored(id)
		}
	}, server(1), server(2), server(3), server(4), server(5), server(6))
}

// TestABusyServerHasAnotherTurn: one that somebody else writes for a while is no
// trouble, and is not taken apart; for minutes, it is.
func TestABusyServerHasAnotherTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		least := 1000
		w.start()
		w.pass(20 * time.Second)
		w.history.fail(func(b batch) error {
			if b.server != 1 {
				return nil
			}
			least = min(least, b.ticks())
			return errLocked
		}, nil)
		w.pass(30 * time.Second)
		if trouble := w.c.Trouble(); trouble != nil || least < 15 {
			t.Errorf("trouble %+v, %d ticks were tried alone", trouble, least)
		}
		w.pass(2 * time.Minute)
		if trouble := w.c.Trouble(); trouble == nil || !errors.Is(trouble.Err, errLocked) {
			t.Errorf("after minutes: trouble %+v", trouble)
		}
		w.history.fail(nil, nil)
		w.pass(3 * time.Minute)
		if trouble := w.c.Trouble(); trouble != nil {
			t.Errorf("afterwards: trouble %+v", trouble)
		}
		w.stop()
		w.wantStored(1)
		w.wantStored(2)
	}, server(1), server(2))
}
