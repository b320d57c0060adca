package ingest

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestLastLife(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	base := time.Now().UTC().Truncate(time.Hour).Add(-26 * time.Hour)
	ensure(t, w, base, base.Add(24*time.Hour))
	at := func(sec int) time.Time { return base.Add(time.Duration(sec) * time.Second) }
	want := func(before int, sec int, stopped bool) {
		t.Helper()
		got, clean, err := w.LastLife(t.Context(), at(before))
		if err != nil || clean != stopped || (sec < 0) != got.IsZero() || sec >= 0 && !got.Equal(at(sec)) {
			t.Errorf("before %d: %s (%t), %v; want %s (%t)", before, got, clean, err, at(sec), stopped)
		}
	}
	own := func(sec int, kind sample.EventKind) {
		t.Helper()
		mustAppend(t, w, sample.TheMonitor, &sample.Visit{Events: []sample.Event{{At: at(sec), Kind: kind}}})
	}
	want(100, -1, false)
	own(10, sample.EventCollectorStarted)
	own(11, sample.EventCollectorGap)
	want(100, 10, false)
	want(10, -1, false)
	one, two := newServer(t, dsn, "db1"), newServer(t, dsn, "db2")
	ticks := func(id target.ID, sec int) {
		t.Helper()
		for i := range 3 {
			mustAppend(t, w, id, &sample.Visit{Tick: &sample.Tick{Planned: at(sec + i), Started: at(sec + i), Cadence: time.Second}})
		}
	}
	ticks(one, 20)
	ticks(two, 35)
	ticks(two, 3600*20)
	want(100, 37, false)
	if err := w.compactDue(t.Context(), due{two, at(0)}); err != nil {
		t.Fatal(err)
	}
	want(100, 37, false)
	own(40, sample.EventCollectorStopped)
	want(100, 40, true)
	want(40, 37, false)
	want(3600*24, 3600*20+2, false)
	remove(t, dsn, "db2", false)
	want(3600*24, 3600*20+2, false)
}

func TestServerRemoved(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	id := newServer(t, dsn, "db1")
	if at, err := w.ServerRemoved(t.Context(), id); err != target.ErrNotFound { //nolint:errorlint // itself
		t.Errorf("of one that is there: %s, %v", at, err)
	}
	remove(t, dsn, "db1", false)
	at, err := w.ServerRemoved(t.Context(), id)
	if old := time.Since(at); err != nil || old < 0 || old > time.Minute {
		t.Errorf("removed at %s, %v", at, err)
	}
}
