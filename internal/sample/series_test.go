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

// previous is how many seconds before its row a row's look before was; 0: none.
func previous(d *DatabaseStat) int {
	if d.PreviousAt.IsZero() {
		return 0
	}
	return int(d.At.Sub(d.PreviousAt) / time.Second)
}

func TestSeriesKeepsWhatIsNew(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	v := advance(s, look(instance(0, start), stat(0, 100)))
	if v.Identity == nil || len(v.Databases) != 1 || previous(&v.Databases[0]) != 0 || v.Databases[0].Instance != v.Identity.Instance() {
		t.Fatalf("first look: identity %v, databases %v; want both, after none", v.Identity, v.Databases)
	}
	v = advance(s, look(instance(10, start), stat(10, 130)))
	if v.Identity != nil {
		t.Errorf("an identity that did not change is kept")
	}
	if len(v.Databases) != 1 || previous(&v.Databases[0]) != 10 || v.Look == nil || v.Look.Databases != 1 {
		t.Fatalf("second look: %+v", v.Databases)
	}
	for sec := 20; sec < 310; sec += 10 {
		if v := advance(s, look(instance(sec, start), stat(sec, 130))); len(v.Databases) != 0 || v.Look == nil {
			t.Fatalf("second %d: a quiet database is kept after %d s, or its look %v is not", sec, sec-10, v.Look)
		}
	}
	v = advance(s, look(instance(310, start), stat(310, 130)))
	if len(v.Databases) != 1 || previous(&v.Databases[0]) != 10 {
		t.Errorf("after five quiet minutes: %+v; want one row", v.Databases)
	}
	v = advance(s, look(instance(320, start), stat(320, 130, func(d *DatabaseStat) { d.Backends.V++ })))
	if len(v.Databases) != 1 {
		t.Errorf("a change of the number of backends is left out")
	}
	if v = advance(s, look(instance(330, start))); v.Look != nil {
		t.Errorf("a look that was not answered: %+v", v.Look)
	}
	v = advance(s, look(nil, stat(340, 131)))
	if previous(&v.Databases[0]) != 20 {
		t.Errorf("after a look that was not answered: %+v", v.Databases)
	}
}

// A row is of the second that was planned, whenever the look was taken.
func TestSeriesPlans(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	v := look(instance(0, start), stat(2, 100))
	v.Tick = &Tick{Planned: start}
	v.Horizon = []Horizon{{At: start.Add(time.Second), Holder: HoldsSlot, Name: "a", Age: 5}}
	advance(s, v)
	if d := v.Databases[0]; !d.Planned.Equal(start) || !d.At.Equal(start.Add(2*time.Second)) || !v.Look.Planned.Equal(start) || !v.Horizon[0].At.Equal(start) {
		t.Errorf("%+v, %+v, %+v", d, v.Look, v.Horizon)
	}
}

func TestSeriesRestart(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	first := advance(s, look(instance(0, start), stat(0, 100)))
	v := advance(s, look(instance(10, start.Add(5*time.Second)), stat(10, 130)))
	if v.Identity == nil || len(v.Databases) != 1 || previous(&v.Databases[0]) != 0 {
		t.Fatalf("restart: %+v", v)
	}
	if _, ok := v.Databases[0].Delta(&first.Databases[0]); ok {
		t.Error("a delta crosses a restart")
	}
}

// TestSeriesRestartBeforeCounters has the new identity answered in one visit
// and the counters only in the next: they must not be compared with those of
// before the restart, which a clean stop keeps and which then did not go back.
func TestSeriesRestartBeforeCounters(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	first := advance(s, look(instance(0, start), stat(0, 100)))
	restarted := start.Add(5 * time.Second)
	advance(s, look(instance(10, restarted)))
	v := advance(s, look(instance(20, restarted), stat(20, 130)))
	if len(v.Databases) != 1 || previous(&v.Databases[0]) != 0 {
		t.Fatalf("after a restart: %+v", v.Databases)
	}
	if _, ok := v.Databases[0].Delta(&first.Databases[0]); ok {
		t.Error("a delta crosses a restart")
	}
}

func TestSeriesUpgradeIsNoRestart(t *testing.T) {
	t.Parallel()
	r := Resume{Identity: instance(0, start), Memory: Memory{Identity: instance(0, start)}}
	s := r.Series()
	id := instance(10, start)
	id.TimelineID = 2
	v := advance(s, look(id, stat(10, 130)))
	if v.Identity == nil {
		t.Error("another timeline is not kept")
	}
	if v.Databases[0].Instance != r.Identity.Instance() {
		t.Errorf("another timeline of the same instance is another instance: %+v", v.Databases[0])
	}
}

// Every field of an identity that parts counters makes another instance, and who
// looks makes none.
func TestInstance(t *testing.T) {
	t.Parallel()
	seen := map[int64]string{0: "nothing"}
	for name, change := range map[string]func(*Identity){
		"as it is": func(*Identity) {}, "system": func(i *Identity) { i.SystemIdentifier++ }, "restart": func(i *Identity) { i.PostmasterStart = start.Add(time.Microsecond) },
		"crash": func(i *Identity) { i.CheckpointerStart = start }, "recovery": func(i *Identity) { i.InRecovery = true },
	} {
		i := instance(0, start)
		change(i)
		if other, there := seen[i.Instance()]; there {
			t.Errorf("%s is the same instance as %s", name, other)
		}
		seen[i.Instance()] = name
	}
	if instance(10, start.In(time.FixedZone("", 3600))).Instance() != instance(0, start).Instance() {
		t.Error("when, or where, it is looked at makes another instance")
	}
	if (*Identity)(nil).Instance() != 0 {
		t.Error("nobody has an instance")
	}
}

func TestSeriesDroppedAndCreatedAgain(t *testing.T) {
	t.Parallel()
	other := func(d *DatabaseStat) { d.OID = 6 }
	s := new(Resume).Series()
	advance(s, look(instance(0, start), stat(0, 100), stat(0, 7, other)))
	advance(s, look(instance(10, start), stat(10, 101)))
	v := advance(s, look(instance(20, start), stat(20, 102), stat(20, 9, other)))
	if len(v.Databases) != 2 || previous(&v.Databases[0]) != 10 || previous(&v.Databases[1]) != 0 {
		t.Errorf("a database that was gone goes on where it ended: %+v", v.Databases)
	}
}

// TestSeriesResumes has a collector that is started again: it keeps a row of
// everything once more, of the same instance.
func TestSeriesResumes(t *testing.T) {
	t.Parallel()
	resume := Resume{Identity: instance(0, start.Add(-time.Hour)), Listed: start.Add(-time.Minute)}
	before := *stat(0, 100, func(d *DatabaseStat) { d.Instance = resume.Identity.Instance() })
	v := look(instance(30, start.Add(-time.Hour)), stat(30, 160))
	v.Inventory = &Inventory{At: start.Add(30 * time.Second)}
	advance(resume.Series(), v)
	delta, ok := v.Databases[0].Delta(&before)
	if v.Identity != nil || !ok || delta.Counters[XactCommit] != (Int{60, true}) || delta.Until.Sub(delta.From) != 30*time.Second {
		t.Errorf("after a restart of the collector counting does not go on: %+v", v.Databases[0])
	}
	if !v.Inventory.Since.Equal(resume.Listed) {
		t.Errorf("inventory since %s, want %s", v.Inventory.Since, resume.Listed)
	}
}

func TestSeriesInventory(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
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

// What the history may have lost is kept once more.
func TestSeriesOffersAgain(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	advance(s, look(instance(0, start), stat(0, 100)))
	s.OfferAgain()
	v := advance(s, look(instance(10, start), stat(10, 100)))
	if v.Identity == nil || len(v.Databases) != 1 || previous(&v.Databases[0]) != 0 || len(v.Events) != 0 {
		t.Errorf("%+v", v)
	}
}
