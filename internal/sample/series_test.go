package sample

import (
	"testing"
	"time"
)

// instance is an identity seen at start plus seconds.
func instance(seconds int, started time.Time) *Identity {
	return &Identity{At: start.Add(time.Duration(seconds) * time.Second), VersionNum: 150004, Version: "15.4", SystemIdentifier: 9, PostmasterStart: started}
}

// look is a visit that saw these databases.
func look(id *Identity, stats ...*DatabaseStat) *Visit {
	v := &Visit{Server: 1, Identity: id}
	for _, s := range stats {
		v.Databases = append(v.Databases, *s)
	}
	return v
}

func advance(s *Series, v *Visit) *Visit {
	s.Advance(v)
	return v
}

func TestSeriesKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	s := NewSeries(nil, nil, time.Time{})
	v := advance(s, look(instance(0, start), stat(0, 100)))
	if v.Identity == nil || len(v.Databases) != 1 || v.Databases[0].Interval != 0 {
		t.Fatalf("first sample: identity %v, databases %v; want both, without deltas", v.Identity, v.Databases)
	}
	v = advance(s, look(instance(10, start), stat(10, 130)))
	if v.Identity != nil {
		t.Errorf("an identity that did not change is kept")
	}
	if len(v.Databases) != 1 || v.Databases[0].CounterDeltas[XactCommit] != (Int{30, true}) {
		t.Fatalf("second sample: %+v", v.Databases)
	}
	for sec := 20; sec < 310; sec += 10 {
		if v := advance(s, look(instance(sec, start), stat(sec, 130))); len(v.Databases) != 0 {
			t.Fatalf("second %d: a quiet database is kept after %d s", sec, sec-10)
		}
	}
	v = advance(s, look(instance(310, start), stat(310, 130)))
	if len(v.Databases) != 1 || v.Databases[0].Interval != 10*time.Second {
		t.Errorf("after five quiet minutes: %+v; want one sample over 10 s", v.Databases)
	}
	v = advance(s, look(instance(320, start), stat(320, 130, func(d *DatabaseStat) { d.Backends.V++ })))
	if len(v.Databases) != 1 {
		t.Errorf("a change of the number of backends is left out")
	}
}

func TestSeriesRestart(t *testing.T) {
	t.Parallel()
	s := NewSeries(nil, nil, time.Time{})
	advance(s, look(instance(0, start), stat(0, 100)))
	v := advance(s, look(instance(10, start.Add(5*time.Second)), stat(10, 130)))
	if v.Identity == nil || len(v.Databases) != 1 || v.Databases[0].Interval != 0 {
		t.Errorf("restart: %+v", v)
	}
}

// TestSeriesRestartBeforeCounters has the new identity answered in one visit
// and the counters only in the next: they must not be compared with those of
// before the restart, which a clean stop keeps and which then did not go back.
func TestSeriesRestartBeforeCounters(t *testing.T) {
	t.Parallel()
	s := NewSeries(nil, nil, time.Time{})
	advance(s, look(instance(0, start), stat(0, 100)))
	restarted := start.Add(5 * time.Second)
	advance(s, look(instance(10, restarted)))
	v := advance(s, look(instance(20, restarted), stat(20, 130)))
	if len(v.Databases) != 1 || v.Databases[0].Interval != 0 || v.Databases[0].CounterDeltas[XactCommit].Known {
		t.Errorf("deltas cross a restart: %+v", v.Databases)
	}
}

func TestSeriesUpgradeIsNoRestart(t *testing.T) {
	t.Parallel()
	s := NewSeries(instance(0, start), []DatabaseStat{*stat(0, 100)}, time.Time{})
	id := instance(10, start)
	id.TimelineID = 2
	v := advance(s, look(id, stat(10, 130)))
	if v.Identity == nil {
		t.Error("another timeline is not kept")
	}
	if v.Databases[0].CounterDeltas[XactCommit] != (Int{30, true}) {
		t.Errorf("another timeline of the same instance starts an epoch: %+v", v.Databases[0])
	}
}

func TestSeriesDroppedAndCreatedAgain(t *testing.T) {
	t.Parallel()
	other := func(d *DatabaseStat) { d.OID = 6 }
	s := NewSeries(nil, nil, time.Time{})
	advance(s, look(instance(0, start), stat(0, 100), stat(0, 7, other)))
	advance(s, look(instance(10, start), stat(10, 101)))
	v := advance(s, look(instance(20, start), stat(20, 102), stat(20, 9, other)))
	if len(v.Databases) != 2 || v.Databases[1].Interval != 0 {
		t.Errorf("a database that was gone goes on where it ended: %+v", v.Databases)
	}
	if got := v.Databases[0].CounterDeltas[XactCommit]; got != (Int{1, true}) {
		t.Errorf("the database that stayed: delta %v, want 1", got)
	}
}

func TestSeriesResumes(t *testing.T) {
	t.Parallel()
	last := *stat(0, 100)
	last.Epoch = start.Add(-time.Hour)
	resume := Resume{Identity: instance(0, start.Add(-time.Hour)), Databases: []DatabaseStat{last}, Listed: start.Add(-time.Minute)}
	v := look(instance(30, start.Add(-time.Hour)), stat(30, 160))
	v.Inventory = &Inventory{At: start.Add(30 * time.Second)}
	advance(resume.Series(), v)
	d := v.Databases[0]
	if v.Identity != nil || !d.Epoch.Equal(last.Epoch) || d.Interval != 30*time.Second || d.CounterDeltas[XactCommit] != (Int{60, true}) {
		t.Errorf("after a restart of the collector the epoch does not go on: %+v", d)
	}
	if !v.Inventory.Since.Equal(resume.Listed) {
		t.Errorf("inventory since %s, want %s", v.Inventory.Since, resume.Listed)
	}
}

func TestSeriesInventory(t *testing.T) {
	t.Parallel()
	s := NewSeries(nil, nil, time.Time{})
	list := func(sec int, started time.Time) time.Time {
		v := look(instance(sec, started), stat(sec, 1))
		v.Inventory = &Inventory{At: start.Add(time.Duration(sec) * time.Second)}
		return advance(s, v).Inventory.Since
	}
	if since := list(0, start); !since.IsZero() {
		t.Errorf("the first inventory follows one of %s", since)
	}
	if since := list(60, start); !since.Equal(start) {
		t.Errorf("the second inventory follows %s, want %s", since, start)
	}
	if since := list(120, start.Add(70*time.Second)); !since.IsZero() {
		t.Errorf("the inventory of another instance follows one of %s", since)
	}
}

// TestSeriesHolds says for how long, and with how many backends, a stored
// sample stands: until the next stored one, whatever was left out in between.
func TestSeriesHolds(t *testing.T) {
	t.Parallel()
	backends := func(n int64) func(*DatabaseStat) { return func(d *DatabaseStat) { d.Backends = Int{n, true} } }
	shared := func(d *DatabaseStat) { d.OID, d.Backends = 0, Int{} }
	started, s := start, NewSeries(nil, nil, time.Time{})
	for _, tt := range []struct {
		name  string
		look  func(s *Series) *Visit
		held  time.Duration // -1: not stored
		total float64
	}{
		{"first", func(*Series) *Visit { return look(instance(0, started), stat(0, 1, backends(4))) }, 0, 0},
		{"changed", func(*Series) *Visit { return look(nil, stat(10, 2, backends(6))) }, 10 * time.Second, 40},
		{"quiet", func(*Series) *Visit { return look(nil, stat(20, 2, backends(6))) }, -1, 0},
		{"quiet still", func(*Series) *Visit { return look(nil, stat(300, 2, backends(6))) }, -1, 0},
		{"quiet for five minutes", func(*Series) *Visit { return look(nil, stat(310, 2, backends(6))) }, 300 * time.Second, 1800},
		{"after a pause", func(*Series) *Visit { return look(nil, stat(5000, 2, backends(1))) }, 4690 * time.Second, 330 * 6},
		{"reset", func(*Series) *Visit { return look(nil, stat(5010, 1, backends(1))) }, 0, 0},
		{"after a reset", func(*Series) *Visit { return look(nil, stat(5020, 2, backends(9))) }, 10 * time.Second, 10},
		{"restart", func(*Series) *Visit { return look(instance(5030, started.Add(time.Hour)), stat(5030, 3, backends(9))) }, 0, 0},
		{"unknown backends", func(*Series) *Visit { return look(nil, stat(5040, 4, func(d *DatabaseStat) { d.Backends = Int{} })) }, 10 * time.Second, 90},
		{"after unknown backends", func(*Series) *Visit { return look(nil, stat(5050, 5, backends(9))) }, 0, 0},
		{"resumed", func(s *Series) *Visit {
			last := *stat(5050, 5, backends(7))
			*s = *NewSeries(instance(5050, started), []DatabaseStat{last}, time.Time{})
			return look(instance(5090, started), stat(5090, 6, backends(9)))
		}, 40 * time.Second, 280},
		{"shared objects", func(*Series) *Visit { return look(nil, stat(5100, 6, shared)) }, 0, 0},
		{"shared objects again", func(*Series) *Visit { return look(nil, stat(5110, 7, shared)) }, 0, 0},
	} {
		v := advance(s, tt.look(s))
		switch {
		case tt.held < 0:
			if len(v.Databases) != 0 {
				t.Errorf("%s: stored", tt.name)
			}
		case len(v.Databases) != 1:
			t.Errorf("%s: %d samples are stored", tt.name, len(v.Databases))
		case v.Databases[0].Held != tt.held || v.Databases[0].BackendSeconds != tt.total:
			t.Errorf("%s: held %s, %g backend seconds; want %s, %g", tt.name, v.Databases[0].Held, v.Databases[0].BackendSeconds, tt.held, tt.total)
		}
	}
}
