package sample

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told gives events as "kind subject old>new @seconds after start".
func told(v *Visit) []string {
	out := []string{}
	for _, e := range v.Events {
		text := string(e.Kind)
		if e.Subject != "" {
			text += " " + e.Subject
		}
		if e.Kind != EventRestart && e.Kind != EventCrash && e.Kind != EventStatisticsReset && e.Old+e.New != "" {
			text += " " + e.Old + ">" + e.New
		}
		out = append(out, fmt.Sprintf("%s @%g", text, e.At.Sub(start).Seconds()))
	}
	return out
}

// life drives a Series through a life of a server, and through collectors that
// are started again: what a look tells must not depend on them.
type life struct {
	t *testing.T
	s *Series
	// kept is what the history would give back, as store.Resume does.
	kept Memory
}

func (l *life) look(v *Visit, want ...string) {
	l.t.Helper()
	l.s.Advance(v)
	l.kept.Learn(v)
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, told(v)); diff != "" {
		l.t.Errorf("events (-want +got):\n%s", diff)
	}
}

// again starts the collector anew; nothing happened meanwhile.
func (l *life) again() {
	r := Resume{Memory: l.kept}
	l.s = r.Series()
}

func at(sec float64) time.Time { return start.Add(time.Duration(sec * float64(time.Second))) }

func seen(sec float64, change ...func(*Identity)) *Visit {
	i := instance(0, start.Add(-time.Hour))
	i.At, i.CheckpointerStart = at(sec), start.Add(-time.Hour)
	for _, c := range change {
		c(i)
	}
	return &Visit{Server: 1, Identity: i}
}

func listed(sec float64, names ...string) *Visit {
	inv := &Inventory{At: at(sec)}
	for _, n := range names {
		var oid uint32
		var name string
		if _, err := fmt.Sscanf(n, "%d=%s", &oid, &name); err != nil {
			panic(err)
		}
		inv.Databases = append(inv.Databases, Database{OID: oid, Name: name})
	}
	return &Visit{Server: 1, Inventory: inv}
}

func set(sec, loaded float64, values ...string) *Visit {
	s := &Settings{At: at(sec), Loaded: at(loaded)}
	for _, v := range values {
		name, value, found := strings.Cut(v, "=")
		if !found {
			s.Hidden = append(s.Hidden, name)
			continue
		}
		s.Set = append(s.Set, Setting{name, value})
	}
	return &Visit{Server: 1, Settings: s}
}

// TestEvents tells a whole life, and the same one with a collector that is
// started again before each look.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, restless := range []bool{false, true} {
		t.Run(fmt.Sprintf("restless=%t", restless), func(t *testing.T) {
			t.Parallel()
			l := &life{t: t, s: new(Resume).Series()}
			look := func(v *Visit, want ...string) {
				t.Helper()
				if restless {
					l.again()
				}
				l.look(v, want...)
			}
			// The first look tells nothing, nor does one that sees the same.
			first := seen(0)
			first.Inventory = listed(0, "1=template1", "5=postgres", "6=shop").Inventory
			first.Databases = []DatabaseStat{*stat(0, 100)}
			first.Settings = set(0, -3600, "work_mem=4MB", "fsync=on", "lock_timeout").Settings
			look(first)
			look(seen(10))
			look(listed(10, "1=template1", "5=postgres", "6=shop"))
			look(set(10, -3600, "work_mem=4MB", "fsync=on", "lock_timeout"))
			// Databases.
			look(listed(70, "1=template1", "5=postgres", "6=store", "7=new"), "database_renamed store shop>store @70", "database_created new @70")
			look(listed(130, "1=template1", "5=postgres", "7=new"), "database_dropped store @130")
			look(listed(190, "1=template1", "5=postgres", "7=old", "9=new"), "database_renamed old new>old @190", "database_created new @190")
			// Settings: at the instant the server read them, else when seen. One
			// that is our session's own for once did not go.
			look(set(200, 195, "work_mem=8MB", "fsync=on"), "setting work_mem 4MB>8MB @195")
			look(set(210, 195, "work_mem=8MB", "fsync"))
			look(set(220, 215, "work_mem=8MB", "fsync=off", "pg_stat_statements.max=5000"), "setting fsync on>off @215")
			look(set(230, 215, "work_mem=8MB", "fsync=off"))
			// Restarts and crashes, whose reset of statistics is not told.
			restarted := func(i *Identity) { i.PostmasterStart, i.CheckpointerStart = at(300), at(300.5) }
			look(seen(310, restarted), "restart @300")
			look(&Visit{Databases: []DatabaseStat{*stat(310, 3, func(d *DatabaseStat) { d.StatsReset = at(301).UnixMicro() })}})
			crashed := func(i *Identity) { restarted(i); i.CheckpointerStart = at(400) }
			look(seen(410, crashed), "crash @400")
			look(&Visit{Databases: []DatabaseStat{*stat(410, 0, func(d *DatabaseStat) { d.StatsReset = 0 })}})
			unseen := func(i *Identity) { restarted(i); i.CheckpointerStart = time.Time{} }
			look(seen(420, unseen))
			look(seen(430, crashed))
			// Versions and standbys; a restart that does both tells both.
			updated := func(i *Identity) { i.VersionNum, i.Version, i.PostmasterStart = 150005, "15.5", at(500) }
			look(seen(510, updated), "version 15.4>15.5 @510", "restart @500")
			standby := func(i *Identity) { updated(i); i.InRecovery, i.PostmasterStart = true, at(600) }
			look(seen(610, standby), "restart @600", "demotion primary>standby @610")
			promoted := func(i *Identity) { standby(i); i.InRecovery, i.TimelineID = false, 2 }
			look(seen(620, promoted), "promotion standby>primary @620")
			// Another instance: its databases and settings are no changes.
			other := func(i *Identity) { promoted(i); i.SystemIdentifier, i.PostmasterStart = 77, at(-9000) }
			look(seen(700, other), "instance 9>77 @700")
			look(listed(700, "5=postgres", "8=else"))
			look(set(700, 700, "work_mem=1MB", "fsync=on"))
			look(set(800, 790, "work_mem=2MB", "fsync=on"), "setting work_mem 1MB>2MB @790")
			look(listed(800, "5=postgres", "8=else", "10=more"), "database_created more @800")
			// A clock that is ahead of ours puts no event into the future.
			ahead := func(i *Identity) { other(i); i.PostmasterStart = at(5000) }
			look(seen(900, ahead), "restart @900")
		})
	}
}

// TestEventsOfMajorUpgrade sees no created databases where the role may not
// read who the instance is.
func TestEventsOfMajorUpgrade(t *testing.T) {
	t.Parallel()
	l := &life{t: t, s: new(Resume).Series()}
	unknown := func(i *Identity) { i.SystemIdentifier = 0 }
	l.look(seen(0, unknown))
	l.look(listed(0, "5=postgres", "6=shop"))
	l.look(seen(10, unknown, func(i *Identity) { i.VersionNum, i.Version, i.PostmasterStart = 180001, "18.1", at(5) }), "version 15.4>18.1 @10", "restart @5")
	l.look(listed(10, "5=postgres", "16400=shop"))
}

// TestMemoryThen joins what the history has with what the journal has later.
func TestMemoryThen(t *testing.T) {
	t.Parallel()
	learn := func(visits ...*Visit) (m Memory) {
		for _, v := range visits {
			m.Learn(v)
		}
		return m
	}
	first := []*Visit{seen(0), listed(0, "5=postgres", "6=shop"), set(0, 0, "a=1", "b=2"), look(nil, stat(0, 100))}
	later := []*Visit{listed(60, "5=postgres", "7=new"), set(60, 60, "b=3"), look(nil, stat(60, 200, func(d *DatabaseStat) { d.StatsReset = 7 }))}
	other := append([]*Visit{seen(60, func(i *Identity) { i.SystemIdentifier = 77 })}, later[1:]...)
	for name, second := range map[string][]*Visit{"the same instance": later, "another instance": other, "nothing": nil} {
		joined := learn(first...)
		joined.Then(learn(second...))
		want := learn(append(slices.Clone(first), second...)...)
		if diff := cmp.Diff(want, joined, cmp.AllowUnexported(Memory{}, lastReset{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var empty Memory
	empty.Then(learn(first...))
	if diff := cmp.Diff(learn(first...), empty, cmp.AllowUnexported(Memory{}, lastReset{})); diff != "" {
		t.Error(diff)
	}
}

func TestEventsOfStatisticsReset(t *testing.T) {
	t.Parallel()
	reset := func(sec float64) func(*DatabaseStat) {
		return func(d *DatabaseStat) { d.StatsReset = at(sec).UnixMicro() }
	}
	stats := func(s ...*DatabaseStat) *Visit { return look(nil, s...) }
	l := &life{t: t, s: new(Resume).Series()}
	v := listed(0, "5=postgres", "6=shop")
	v.Databases = []DatabaseStat{*stat(0, 100, reset(-50)), *stat(0, 9, func(d *DatabaseStat) { d.OID = 0 }), *stat(0, 0, func(d *DatabaseStat) { d.OID = 6 })}
	l.look(v)
	l.look(stats(stat(10, 101, reset(-50))))
	l.look(stats(stat(20, 1, reset(15))), "statistics_reset postgres @15")
	l.look(stats(stat(30, 2, reset(15))))
	l.again()
	// While nobody looked, and on the first row of databases of their own.
	l.look(stats(stat(40, 0, reset(35)), stat(40, 1, reset(38), func(d *DatabaseStat) { d.OID = 0 })),
		"statistics_reset postgres @35", "statistics_reset shared objects @38")
	// What had counted nothing lost nothing: some versions begin to count so.
	l.look(stats(stat(50, 3, reset(45), func(d *DatabaseStat) { d.OID = 6 })))
	l.look(stats(stat(60, 3, reset(55), func(d *DatabaseStat) { d.OID = 6 })), "statistics_reset shop @55")
	// One that is not listed yet has its oid.
	l.look(stats(stat(70, 3, func(d *DatabaseStat) { d.OID = 8 })))
	l.look(stats(stat(80, 3, reset(75), func(d *DatabaseStat) { d.OID = 8 })), "statistics_reset database 8 @75")
}

// TestSettingsKeepsWhatChanged says what goes on to the history.
func TestSettingsKeepsWhatChanged(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	v := advance(s, set(0, 0, "a=1", "b=2", "c=3", "d"))
	if diff := cmp.Diff(&Settings{At: at(0), Set: []Setting{{"a", "1"}, {"b", "2"}, {"c", "3"}}}, v.Settings); diff != "" {
		t.Error(diff)
	}
	v = advance(s, set(10, 5, "a=1", "c=4", "d=5", "b"))
	if diff := cmp.Diff(&Settings{At: at(10), Set: []Setting{{"c", "4"}, {"d", "5"}}}, v.Settings); diff != "" {
		t.Error(diff)
	}
	v = advance(s, set(20, 5, "a=1", "d=5", "b"))
	if diff := cmp.Diff(&Settings{At: at(20), Gone: []string{"c"}}, v.Settings); diff != "" {
		t.Error(diff)
	}
	if v = advance(s, set(30, 5, "a=1", "b=2", "d=5")); v.Settings != nil || len(v.Events) != 0 {
		t.Errorf("nothing changed, but: %+v %v", v.Settings, v.Events)
	}
}

func TestSeriesHorizon(t *testing.T) {
	t.Parallel()
	s := new(Resume).Series()
	hold := func(sec float64, age int64, names ...string) []string {
		v := &Visit{Horizon: []Horizon{}}
		for _, n := range names {
			v.Horizon = append(v.Horizon, Horizon{At: at(sec), Holder: Holder(n[:1]), Name: n[1:], Age: age})
		}
		var out []string
		for _, h := range advance(s, v).Horizon {
			out = append(out, string(h.Holder)+h.Name)
		}
		return out
	}
	for i, tt := range []struct {
		sec   float64
		age   int64
		names []string
		want  []string
	}{
		{0, 5, []string{"pone", "stwo"}, []string{"pone", "stwo"}},
		{60, 6, []string{"pone", "stwo"}, nil},
		{120, 7, []string{"pother", "stwo"}, []string{"pother"}},
		{180, 7, []string{"stwo"}, nil},
		{240, 7, []string{"pother", "stwo"}, []string{"pother"}},
		{300, 8, []string{"pother", "stwo"}, []string{"stwo"}},
		{360, 0, []string{"pother", "stwo"}, nil},
		{420, 1, []string{"pother"}, []string{"pother"}},
	} {
		if diff := cmp.Diff(tt.want, hold(tt.sec, tt.age, tt.names...)); diff != "" {
			t.Errorf("look %d: %s", i, diff)
		}
	}
	if v := advance(s, &Visit{}); v.Horizon != nil {
		t.Error("not asked, but there is one")
	}
	if diff := cmp.Diff([]string(nil), hold(430, 2, "pother")); diff != "" {
		t.Error("a look that did not ask forgot who holds: " + diff)
	}
}
