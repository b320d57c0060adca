package collector

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// ledger is a meter that counts.
type ledger struct {
	mu      sync.Mutex
	ticks   map[target.ID]int
	saved   int
	flushes map[bool]int // by failed
}

func (l *ledger) Tick(v *sample.Visit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks[v.Server]++
}

func (*ledger) Disks(target.ID, *sample.Disks) {}

func (l *ledger) Flush(f Flush) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushes[f.Failed]++
	if !f.Failed {
		l.saved += f.Ticks
	}
}

// TestMeter: what is measured is what is in the journal and in the history, and
// a server that does not answer shows its open breaker.
func TestMeter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := &ledger{ticks: make(map[target.ID]int), flushes: make(map[bool]int)}
		w.change = func(c *Config) { c.Meter = l }
		w.fleet.server(2).dial = func(ctx context.Context, _ int) (sample.Reason, error) { return sample.Timeout, errDial }
		w.start()
		w.pass(40 * time.Second)
		list := w.c.Watched()
		slices.SortFunc(list, func(a, b Watched) int { return cmp.Compare(a.ID, b.ID) })
		want := []Watched{{ID: 1, Name: "db1", Connected: true}, {ID: 2, Name: "db2", Breaker: true}}
		if !slices.Equal(list, want) {
			t.Errorf("watched: %+v, want %+v", list, want)
		}
		w.history.fail(func(batch) error { return errAway }, nil)
		w.pass(time.Minute)
		w.history.fail(nil, nil)
		w.pass(time.Minute)
		w.stop()
		for _, id := range []target.ID{1, 2} {
			if got, want := l.ticks[id], len(w.wantWhole(id, time.Second)); got != want {
				t.Errorf("server %d: %d ticks are measured, want %d", id, got, want)
			}
		}
		n := w.c.Counts()
		if int64(l.saved) != n.TicksSaved || int64(l.flushes[true]) != n.FlushErrors || l.flushes[true] == 0 || l.flushes[false] == 0 {
			t.Errorf("%d ticks and %v flushes are measured, want %d, %d failed", l.saved, l.flushes, n.TicksSaved, n.FlushErrors)
		}
	}, server(1), server(2))
}
