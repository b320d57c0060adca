package collector

import (
	"context"
	"slices"
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
		w.history.fail(func(sample.Batch) error { return errAway }, nil)
		before := len(w.history.keys(1))
		w.pass(5 * time.Minute)
		if n := len(w.history.keys(1)); n != before {
			t.Errorf("%d windows came while the history was away", n-before)
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
		w.history.fail(nil, func(sample.Batch) error {
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

// TestKilled kills collectors in all parts of a window: whatever was synced is
// in the history at last, once, and no two runs share a window.
func TestKilled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow := server(3)
		slow.Intervals.Activity = 5 * time.Second
		w.catalog.set(server(1), server(2), slow)
		known := make(map[target.ID]int)
		owner := make(map[windowKey]int) // the run that a window belongs to
		for run := range 12 {
			if run%4 >= 2 { // nothing of these runs gets away but by the next
				w.history.fail(func(sample.Batch) error { return errAway }, nil)
			}
			w.start()
			w.pass(time.Duration(17+7*run)*time.Second + time.Duration(run)*130*time.Millisecond)
			w.kill()
			for id := target.ID(1); id <= 3; id++ {
				all := w.journal.ticksOf(id)
				for _, tick := range all[known[id]:] {
					key := windowKey{id, tick.Window.UnixMicro()}
					if r, taken := owner[key]; taken && r != run {
						t.Errorf("server %d: runs %d and %d share the window of %s", id, r, run, tick.Window)
					}
					owner[key] = run
				}
				known[id] = len(all)
			}
		}
		w.start()
		w.pass(10 * time.Second)
		w.stop()
		for id := target.ID(1); id <= 3; id++ {
			seen, ids := make(map[time.Time]bool), make(map[int32]bool)
			for _, tick := range w.journal.ticksOf(id) {
				for _, s := range tick.Sessions {
					if ids[s.Session] {
						t.Errorf("server %d: the id %d has a second meaning", id, s.Session)
					}
					ids[s.Session] = true
				}
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

// TestSlowVisitAtTheEnd has visits end at any instant around the end of their
// window and the sync of the journal: no window is written without them.
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
		w.history.fail(func(sample.Batch) error { <-time.After(700 * time.Millisecond); return nil }, nil)
		w.start()
		w.pass(10 * time.Minute)
		w.stop()
		for id := target.ID(1); id <= 30; id++ {
			w.wantWhole(id, 10*time.Second)
			w.wantStored(id)
		}
	}, targets...)
}

// stopped gives a world whose collector has stopped, so that only the test
// writes to the journal, and visits of a server nobody schedules.
func stopped(w *world) (at time.Time, tick func(sec int) *sample.Visit) {
	w.start()
	w.pass(20 * time.Second)
	w.stop()
	at = time.Now().UTC().Truncate(15 * time.Second)
	return at, func(sec int) *sample.Visit {
		planned := at.Add(time.Duration(sec) * time.Second)
		return &sample.Visit{Server: 9, Tick: &sample.Tick{Window: at, Span: 15 * time.Second, Planned: planned, Started: planned, Cadence: time.Second}}
	}
}

// TestVisitEndsBetweenSyncAndFlush has a visit end after the journal was
// synced and before it is read: it is in no record, and under way no more.
func TestVisitEndsBetweenSyncAndFlush(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		at, tick := stopped(w)
		w.journal.Append(tick(13))
		if err := w.journal.Sync(); err != nil {
			t.Fatal(err)
		}
		w.journal.Append(tick(14)) // ended just now
		for sec := 20; sec < 22; sec++ {
			if err := w.c.packer.flush(t.Context(), at.Add(time.Duration(sec)*time.Second), false); err != nil {
				t.Fatal(err)
			}
			if err := w.journal.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.journal.ticksOf(9)); n != 2 {
			t.Errorf("%d ticks are in the journal, want 2", n)
		}
		w.wantStored(9)
	}, server(1))
}

// TestWindowsSettle says that a window stays open for a moment where no
// schedule tells which tick is next.
func TestWindowsSettle(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		at, tick := stopped(w)
		for i, c := range []struct {
			late    time.Duration
			windows int
		}{{-time.Second, 0}, {settle - time.Millisecond, 0}, {settle, 1}} {
			w.journal.Append(tick(12 + i))
			if err := w.c.packer.flush(t.Context(), at.Add(15*time.Second+c.late), false); err != nil {
				t.Fatal(err)
			}
			if n := len(w.history.keys(9)); n != c.windows {
				t.Errorf("%s after its end %d windows are stored, want %d", c.late, n, c.windows)
			}
		}
		if settle < time.Second {
			t.Errorf("settle is %s, less than a job may be late", settle)
		}
		w.wantStored(9)
	}, server(1))
}

// TestPoison has the history refuse one server's windows, and another's
// entries, for good: everything else is stored, and copies are kept.
func TestPoison(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bad := func(b sample.Batch) bool {
			return slices.ContainsFunc(b.Windows, func(win sample.Window) bool { return win.Server == 2 }) ||
				slices.ContainsFunc(b.Visits, func(v *sample.Visit) bool { return v.Server == 3 })
		}
		w.start()
		w.pass(20 * time.Second)
		w.history.fail(func(b sample.Batch) error {
			if bad(b) {
				return errPoison
			}
			return nil
		}, nil)
		w.pass(40 * time.Second)
		stored := len(w.history.keys(2))
		w.history.fail(nil, nil)
		w.pass(40 * time.Second)
		w.stop()
		for _, id := range []target.ID{1, 3} {
			w.wantWhole(id, time.Second)
			w.wantStored(id)
		}
		if n := len(w.history.keys(2)); n <= stored || stored > 2 {
			t.Errorf("%d windows of the refused server while it was refused, %d at last", stored, n)
		}
		if n := len(w.journal.quarantined); n < 30 {
			t.Errorf("%d records are quarantined, want those of about 40 s", n)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	}, server(1), server(2), server(3))
}

// TestBacklog drains a long outage: a chunk at a time, with few windows in
// memory, and all of them whole.
func TestBacklog(t *testing.T) {
	var targets []target.Target
	for id := target.ID(1); id <= 40; id++ {
		targets = append(targets, server(id))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.history.fail(func(sample.Batch) error { return errAway }, nil)
		w.start()
		w.pass(20 * time.Minute) // 48 000 visits, of which a chunk has 4 096
		w.kill()
		total := 0
		for id := range target.ID(40) {
			total += len(w.journal.ticksOf(id + 1))
		}
		most := 0
		w.history.fail(func(sample.Batch) error {
			held := 0
			for _, win := range w.c.packer.windows {
				held += len(win.ticks)
			}
			most = max(most, held)
			return nil
		}, nil)
		c, err := New(w.config())
		if err != nil {
			t.Fatal(err)
		}
		w.c = c
		if err := c.packer.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id := range target.ID(40) {
			w.wantStored(id + 1)
		}
		if most == 0 || most > 3*4096 {
			t.Errorf("%d of %d ticks were in memory at once", most, total)
		}
		if n := w.journal.waiting(); n != 0 {
			t.Errorf("%d records are left", n)
		}
	}, targets...)
}

// remembering is a history that knows a server's last counters.
type remembering struct {
	*history
	resume sample.Resume
}

func (r remembering) Resume(context.Context, target.ID) (sample.Resume, error) { return r.resume, nil }

// TestCountersGoOn: deltas go on from the history's last sample, but not while
// the journal may hold newer ones, which would be counted twice.
func TestCountersGoOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before := time.Now().UTC()
		identity := sample.Identity{At: before, SystemIdentifier: 1, PostmasterStart: before}
		stat := func(at time.Time, commits int64) sample.DatabaseStat {
			d := sample.DatabaseStat{At: at, OID: 5, Epoch: before}
			d.Counters[sample.XactCommit] = sample.Int{V: commits, Known: true}
			return d
		}
		cfg := w.config()
		cfg.History = remembering{w.history, sample.Resume{Identity: &identity, Databases: []sample.DatabaseStat{stat(before, 100)}}}
		for _, drained := range []bool{true, false} {
			c, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			c.drained = drained
			watched, err := newWatch(t.Context(), c, server(1), true)
			if err != nil {
				t.Fatal(err)
			}
			same := identity
			v := sample.Visit{Identity: &same, Databases: []sample.DatabaseStat{stat(before.Add(10*time.Second), 130)}}
			watched.series.Advance(&v)
			got, want := v.Databases[0].CounterDeltas[sample.XactCommit], sample.Int{}
			if drained {
				want = sample.Int{V: 30, Known: true}
			}
			if got != want {
				t.Errorf("drained %v: delta %+v, want %+v", drained, got, want)
			}
		}
	}, server(1))
}

// TestSlowDrain: a journal that takes long to write does not hold up sampling.
func TestSlowDrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.history.fail(func(sample.Batch) error { return errAway }, nil)
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
		if late := all[known].Planned.Sub(began); late > firstDrain+2*time.Second {
			t.Errorf("the first tick came after %s", late)
		}
		w.pass(40 * time.Second)
		w.stop()
		w.wantStored(1)
	}, server(1))
}
