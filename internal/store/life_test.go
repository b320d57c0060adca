package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestLastLife(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	base := time.Now().UTC().Truncate(time.Hour).Add(-26 * time.Hour)
	partitionsAround(t, s, base, base.Add(24*time.Hour))
	at := func(sec int) time.Time { return base.Add(time.Duration(sec) * time.Second) }
	want := func(before int, sec int, stopped bool) {
		t.Helper()
		got, clean, err := s.LastLife(t.Context(), at(before))
		if err != nil || clean != stopped || (sec < 0) != got.IsZero() || sec >= 0 && !got.Equal(at(sec)) {
			t.Errorf("before %d: %s (%t), %v; want %s (%t)", before, got, clean, err, at(sec), stopped)
		}
	}
	own := func(sec int, kind sample.EventKind) sample.Batch {
		return sample.Batch{Visits: []*sample.Visit{{Server: sample.TheMonitor, Events: []sample.Event{{At: at(sec), Kind: kind}}}}}
	}
	want(100, -1, false)
	mustAppend(t, s, own(10, sample.EventCollectorStarted), own(11, sample.EventCollectorGap))
	want(100, 10, false)
	want(10, -1, false)
	one, two := newServer(t, s, "db1"), newServer(t, s, "db2")
	window := func(server target.ID, sec int) sample.Batch {
		ticks := make([]sample.Tick, 3)
		for i := range ticks {
			planned := at(sec + i)
			ticks[i] = sample.Tick{Planned: planned, Started: planned, Window: at(sec), Span: 15 * time.Second, Cadence: time.Second}
		}
		return sample.Batch{Windows: []sample.Window{sample.NewWindow(server, ticks)}}
	}
	mustAppend(t, s, window(one, 20), window(two, 35), window(two, 3600*20))
	want(100, 37, false)
	mustAppend(t, s, own(40, sample.EventCollectorStopped))
	want(100, 40, true)
	want(40, 37, false)
	want(3600*24, 3600*20+2, false)
	if err := catalogOf(t, s).DeleteServer(t.Context(), "db2", false); err != nil {
		t.Fatal(err)
	}
	want(3600*24, 3600*20+2, false)
}

func TestServerRemoved(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	id := newServer(t, s, "db1")
	if at, err := s.ServerRemoved(t.Context(), id); err != target.ErrNotFound { //nolint:errorlint // itself
		t.Errorf("of one that is there: %s, %v", at, err)
	}
	if err := catalogOf(t, s).DeleteServer(t.Context(), "db1", false); err != nil {
		t.Fatal(err)
	}
	at, err := s.ServerRemoved(t.Context(), id)
	if old := time.Since(at); err != nil || old < 0 || old > time.Minute {
		t.Errorf("removed at %s, %v", at, err)
	}
}

// TestResumeMemory gives back what events are told against, so that a second
// collector tells what the first would have, and nothing twice.
func TestResumeMemory(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server := newServer(t, s, "db1")
	base := time.Now().UTC().Truncate(time.Minute).Add(-time.Hour)
	at := func(sec int) time.Time { return base.Add(time.Duration(sec) * time.Second) }
	look := func(sec int, change func(*sample.Visit)) *sample.Visit {
		v := &sample.Visit{
			Server:    server,
			Identity:  &sample.Identity{At: at(sec), VersionNum: 150001, Version: "15.1", SystemIdentifier: 9, PostmasterStart: at(-9000), CheckpointerStart: at(-8000)},
			Inventory: &sample.Inventory{At: at(sec), Databases: []sample.Database{dbNamed(5, "a"), dbNamed(6, "b")}},
			Settings:  &sample.Settings{At: at(sec), Loaded: at(-9000), Set: []sample.Setting{{Name: "work_mem", Value: "4MB"}, {Name: "fsync", Value: "on"}}},
		}
		d := distinctStat(at(sec))
		d.OID, d.StatsReset = 5, at(-100).UnixMicro()
		v.Databases = []sample.DatabaseStat{d}
		if change != nil {
			change(v)
		}
		return v
	}
	next := func(v *sample.Visit) (kinds []string) {
		t.Helper()
		r, err := s.Resume(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		r.Series().Advance(v)
		mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{v}})
		for _, e := range v.Events {
			kinds = append(kinds, string(e.Kind)+" "+e.Subject)
		}
		return kinds
	}
	changed := func(v *sample.Visit) {
		v.Identity.CheckpointerStart = at(15)
		v.Inventory.Databases = []sample.Database{dbNamed(5, "renamed"), dbNamed(7, "c")}
		v.Settings.Set, v.Settings.Loaded = []sample.Setting{{Name: "work_mem", Value: "8MB"}}, at(16)
		v.Databases[0].StatsReset = at(17).UnixMicro() // with the crash
	}
	reset := func(v *sample.Visit) {
		changed(v)
		v.Databases[0].StatsReset = at(55).UnixMicro()
	}
	for i, tt := range []struct {
		v    *sample.Visit
		want []string
	}{
		{look(0, nil), nil},
		{look(10, nil), nil},
		{look(20, changed), []string{"crash ", "database_renamed renamed", "database_dropped b", "database_created c", "setting work_mem"}},
		{look(30, changed), nil},
		{look(60, reset), []string{"statistics_reset renamed"}},
		{look(70, reset), nil},
	} {
		if diff := cmp.Diff(tt.want, next(tt.v)); diff != "" {
			t.Errorf("look %d (-want +got):\n%s", i, diff)
		}
	}
}
