package collector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// mortal ends a process before one of its steps: nothing that it does from then on
// has an effect, nor does it learn the outcome of what it just did.
type mortal struct {
	*journal
	history *history

	mu    sync.Mutex
	steps int // left
}

// step reports whether the process still lives.
func (m *mortal) step() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.steps--; m.steps == 0 {
		m.die()
	}
	return m.steps > 0
}

func (m *mortal) alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steps > 0
}

func (m *mortal) Sync() error {
	if !m.step() {
		return errAway
	}
	return m.journal.Sync()
}

func (m *mortal) Next(seq uint64, maxBytes int64) ([]sample.Record, error) {
	if !m.step() {
		return nil, errAway
	}
	return m.journal.Next(seq, maxBytes)
}

func (m *mortal) Done(seqs ...uint64) {
	if m.step() {
		m.journal.Done(seqs...)
	}
}

func (m *mortal) Keep(left map[uint64][]target.ID) error {
	if !m.step() {
		return errAway
	}
	return m.journal.Keep(left)
}

// writing is the history as a process sees it.
type writing struct{ *mortal }

func (w writing) Append(ctx context.Context, server target.ID, visits []*sample.Visit) error {
	if !w.step() {
		return errAway
	}
	if err := w.history.Append(ctx, server, visits); err != nil {
		return err
	}
	if !w.step() {
		return errAway // it is written, and nobody knows
	}
	return nil
}

func (w writing) Explain(err error) Refusal { return w.history.Explain(err) }

func (w writing) Resume(context.Context, target.ID) (sample.Resume, error) {
	return sample.Resume{}, nil
}

func (w writing) LastLife(context.Context, time.Time) (at time.Time, stopped bool, err error) {
	return at, false, nil
}

// TestTwoCollectorsAreKilledAtAnyStep: two of them sample the same servers, each
// with a journal of its own, against a history that fails in every way, and are
// killed between any two steps. Every tick that was on disk is in the history, with
// the better of what they saw.
func TestTwoCollectorsAreKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	seeds := uint64(100)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { twoCollectors(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func twoCollectors(t *testing.T, dice *rand.Rand) {
	h, lock, faults := newHistory(), sync.Mutex{}, rand.New(rand.NewPCG(dice.Uint64(), 2))
	odds := func(n int) bool { // for several goroutines
		lock.Lock()
		defer lock.Unlock()
		return faults.IntN(n) == 0
	}
	h.stuck = func(batch) bool { return odds(60) }
	h.fail(func(b batch) error {
		switch {
		case odds(20):
			return errAway
		case odds(10):
			return errLocked
		case odds(15), b.server == 2 && odds(3):
			return errRefused
		}
		return nil
	}, func(batch) error { // it is written, and the answer is lost
		if odds(20) {
			return errAway
		}
		return nil
	})
	type process struct {
		*mortal
		f *flusher
	}
	begin := func(j *journal, steps int) process {
		m := &mortal{journal: j, history: h, steps: steps}
		f := newFlusher(Config{Journal: m, History: writing{m}, Log: discard()}, func() time.Time { return time.Now().UTC() })
		f.start(t.Context())
		return process{m, f}
	}
	processes := [2]process{begin(newJournal(), 1+dice.IntN(200)), begin(newJournal(), 1+dice.IntN(200))}
	deaths := 0
	for range 200 {
		for i := range processes {
			p := &processes[i]
			if !p.alive() {
				deaths++
				p.f.stop()
				*p = begin(p.survivor(), 1+dice.IntN(200))
			}
			for id := range target.ID(3) {
				if dice.IntN(10) == 0 {
					continue
				}
				planned := time.Now().UTC().Truncate(time.Second)
				p.Append(&sample.Visit{Server: id + 1, Tick: &sample.Tick{
					Planned: planned, Started: planned, Cadence: time.Second, Outcome: sample.Outcome(dice.IntN(4)),
				}})
			}
			_ = p.Sync() // a process that is dead has not seen it
			p.f.wake()
		}
		<-time.After(time.Second)
	}
	h.fail(nil, nil)
	h.mu.Lock()
	h.stuck = nil
	h.mu.Unlock()
	best := make(map[target.ID]map[int64]sample.Outcome)
	for _, p := range processes {
		p.f.stop()
		last := begin(p.survivor(), 1<<30)
		last.f.stop()
		if err := last.f.drain(t.Context()); err != nil {
			t.Error(err)
		}
		if n := last.waiting(); n > 0 {
			t.Errorf("%d records are left", n)
		}
		for id := target.ID(1); id <= 3; id++ {
			if best[id] == nil {
				best[id] = make(map[int64]sample.Outcome)
			}
			for _, tick := range last.ticksOf(id) {
				if was, seen := best[id][tick.Planned.Unix()]; !seen || tick.Outcome < was {
					best[id][tick.Planned.Unix()] = tick.Outcome
				}
			}
		}
	}
	for id, ticks := range best {
		if len(ticks) < 100 || h.count(id) != len(ticks) {
			t.Errorf("server %d: %d ticks are stored, want %d", id, h.count(id), len(ticks))
		}
		for _, tick := range h.ticksOf(id) {
			if want := ticks[tick.Planned.Unix()]; tick.Outcome != want {
				t.Errorf("server %d: the tick of %s is stored as %s, want %s", id, tick.Planned, tick.Outcome, want)
			}
		}
	}
	if deaths < 2 {
		t.Errorf("%d processes were killed", deaths)
	}
}
