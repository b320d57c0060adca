package collector

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// A server that cannot be reached is told with what the attempt to connect said,
// once.
func TestLogSaysWhyNobodyConnects(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.server(1).dial = func(context.Context, int) (sample.Reason, error) {
			return sample.Other, errors.New("unsupported startup parameter")
		}
		log := w.record()
		w.start()
		w.pass(30 * time.Second)
		w.stop()
		said := log.with("visits are not whole")
		if len(said) != 1 || !strings.Contains(said[0], "unsupported startup parameter") {
			t.Errorf("said: %q", said)
		}
	}, server(1))
}

// sickJournal cannot be written for a while.
type sickJournal struct {
	*journal
	sick atomic.Bool
}

func (j *sickJournal) Sync() error {
	if j.sick.Load() {
		return errors.New("no space left on device")
	}
	return j.journal.Sync()
}

// A journal that cannot be written is not told of every second.
func TestLogOfASickJournal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		log, sick := w.record(), new(sickJournal)
		change := w.change
		w.change = func(c *Config) {
			change(c)
			sick.journal = w.journal
			c.Journal = sick
		}
		w.start()
		w.pass(5 * time.Second)
		sick.sick.Store(true)
		w.pass(150 * time.Second)
		if n := len(log.with("journal cannot be written")); n != 3 {
			t.Errorf("said %d times in two and a half minutes", n)
		}
		sick.sick.Store(false)
		w.pass(5 * time.Second)
		if n := len(log.with("journal is written again")); n != 1 {
			t.Errorf("said %d times that it is written again", n)
		}
		w.stop()
	}, server(1))
}

// A stats_db that hangs does not hold a start up longer than it takes to see it.
func TestStartBesideAHungHistory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.pass(20 * time.Second)
		w.kill()
		w.catalog.mu.Lock()
		w.catalog.away = true
		w.catalog.mu.Unlock()
		w.history.fail(func(batch) error { return errAway }, nil)
		w.history.refuse(func(target.ID) error {
			<-time.After(lifeTimeout)
			return errAway
		})
		begun := time.Now()
		w.start()
		if took := time.Since(begun); took >= lifeTimeout {
			t.Errorf("starting took %s", took)
		}
		w.catalog.mu.Lock()
		w.catalog.away = false
		w.catalog.mu.Unlock()
		w.history.fail(nil, nil)
		w.history.refuse(nil)
		w.pass(30 * time.Second)
		w.stop()
		if told := w.history.tell(sample.TheMonitor); !slices.ContainsFunc(told, func(e string) bool { return strings.Contains(e, string(sample.EventCollectorGap)) }) {
			t.Errorf("no gap is told: %q", told)
		}
	}, server(1))
}
