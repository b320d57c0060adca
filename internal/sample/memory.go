package sample

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Memory is what was last known of a server: events are what a later look
// says differently. Its zero value knows nothing, and nothing is an event to it.
type Memory struct {
	Identity *Identity
	// Names are the databases by oid; nil: never listed.
	Names map[uint32]string
	// Settings are values by name; nil: never asked.
	Settings map[string]string
	resets   map[uint32]lastReset
	// another says that the settings are those of another instance.
	another bool
	// loaded is when the server had read its settings, as of the last look.
	loaded time.Time
}

// lastReset is when a database's statistics were last reset, in microseconds,
// and whether anything was counted since that another reset would lose.
type lastReset struct {
	at      int64
	counted bool
}

// Learn takes over what a visit brought, as it is in the journal: after
// Series.Advance.
func (m *Memory) Learn(v *Visit) {
	m.identity(v.Identity)
	if v.Inventory != nil {
		m.databases(v.Inventory)
	}
	for i := range v.Databases {
		m.reset(&v.Databases[i])
	}
	s := v.Settings
	if s == nil {
		return
	}
	if m.Settings == nil {
		m.Settings = make(map[string]string, len(s.Set))
	}
	for _, n := range s.Set {
		m.Settings[n.Name] = n.Value
	}
	for _, name := range s.Gone {
		delete(m.Settings, name)
	}
	m.another = false
}

// Then takes over what was learned later than m, apart from it: of settings, only
// those that later looks changed may be there.
func (m *Memory) Then(later Memory) {
	m.identity(later.Identity)
	if later.Names != nil {
		m.Names = later.Names
	}
	if later.Settings != nil {
		if m.Settings == nil {
			m.Settings = make(map[string]string, len(later.Settings))
		}
		maps.Copy(m.Settings, later.Settings)
		m.another = false
	}
	if later.resets != nil {
		if m.resets == nil {
			m.resets = make(map[uint32]lastReset, len(later.resets))
		}
		maps.Copy(m.resets, later.resets)
	}
}

// identity compares who answers with who did before. A checkpointer that cannot
// be seen for once is still the one that was.
func (m *Memory) identity(seen *Identity) (events []Event) {
	old := m.Identity
	if seen == nil {
		return nil
	}
	own := *seen // what was seen is the visit's
	cur := &own
	m.Identity = cur
	if old == nil {
		return nil
	}
	if cur.CheckpointerStart.IsZero() && old.PostmasterStart.Equal(cur.PostmasterStart) {
		cur.CheckpointerStart = old.CheckpointerStart
	}
	if !old.sameInstance(*cur) {
		m.resets = nil // what is reset by it is no event of its own
	}
	other := old.SystemIdentifier != 0 && cur.SystemIdentifier != 0 && old.SystemIdentifier != cur.SystemIdentifier
	if other || major(old.VersionNum) != major(cur.VersionNum) {
		m.Names, m.another = nil, m.Settings != nil
	}
	if other {
		return []Event{{
			At: cur.At, Kind: EventInstance, Old: strconv.FormatInt(old.SystemIdentifier, 10), New: strconv.FormatInt(cur.SystemIdentifier, 10),
			Detail: fmt.Sprintf("another instance answers: version %s, was %s", cur.Version, old.Version),
		}}
	}
	if old.VersionNum != cur.VersionNum || old.Version != cur.Version {
		events = append(events, Event{At: cur.At, Kind: EventVersion, Old: old.Version, New: cur.Version})
	}
	switch {
	case !old.PostmasterStart.Equal(cur.PostmasterStart):
		events = append(events, Event{
			At: notAfter(cur.PostmasterStart, cur.At), Kind: EventRestart, Old: stamp(old.PostmasterStart), New: stamp(cur.PostmasterStart),
		})
	case old.crashed(*cur):
		events = append(events, Event{
			At: notAfter(cur.CheckpointerStart, cur.At), Kind: EventCrash, Old: stamp(old.CheckpointerStart), New: stamp(cur.CheckpointerStart),
			Detail: "a process died and took all sessions with it; the server recovered by itself",
		})
	}
	switch {
	case old.InRecovery && !cur.InRecovery:
		events = append(events, Event{At: cur.At, Kind: EventPromotion, Old: "standby", New: "primary"})
	case !old.InRecovery && cur.InRecovery:
		events = append(events, Event{At: cur.At, Kind: EventDemotion, Old: "primary", New: "standby"})
	}
	return events
}

// databases compares a list of databases with the one before.
func (m *Memory) databases(inv *Inventory) (events []Event) {
	before := m.Names
	m.Names = make(map[uint32]string, len(inv.Databases))
	for _, d := range inv.Databases {
		m.Names[d.OID] = d.Name
	}
	maps.DeleteFunc(m.resets, func(oid uint32, _ lastReset) bool { return oid != 0 && m.Names[oid] == "" })
	if before == nil {
		return nil
	}
	for _, oid := range slices.Sorted(maps.Keys(before)) {
		if name, there := m.Names[oid]; !there {
			events = append(events, Event{At: inv.At, Kind: EventDatabaseDropped, Subject: before[oid]})
		} else if name != before[oid] {
			events = append(events, Event{At: inv.At, Kind: EventDatabaseRenamed, Subject: name, Old: before[oid], New: name})
		}
	}
	for _, oid := range slices.Sorted(maps.Keys(m.Names)) {
		if _, there := before[oid]; !there {
			events = append(events, Event{At: inv.At, Kind: EventDatabaseCreated, Subject: m.Names[oid]})
		}
	}
	return events
}

// reset says whether a database's statistics were reset. Some versions note a
// reset when they count for the first time: where nothing was lost, nothing
// happened.
func (m *Memory) reset(d *DatabaseStat) []Event {
	before, known := m.resets[d.OID]
	if m.resets == nil {
		m.resets = make(map[uint32]lastReset)
	}
	m.resets[d.OID] = lastReset{d.StatsReset, d.counted()}
	if !known || d.StatsReset == 0 || d.StatsReset == before.at || !before.counted {
		return nil
	}
	e := Event{At: notAfter(time.UnixMicro(d.StatsReset).UTC(), d.At), Kind: EventStatisticsReset, Subject: m.Names[d.OID]}
	switch {
	case d.OID == 0:
		e.Subject = "shared objects"
	case e.Subject == "":
		e.Subject = fmt.Sprintf("database %d", d.OID)
	}
	if before.at != 0 {
		e.Old = stamp(time.UnixMicro(before.at))
	}
	e.New = stamp(time.UnixMicro(d.StatsReset))
	return []Event{e}
}

func (d *DatabaseStat) counted() bool {
	return slices.ContainsFunc(d.Counters[:], func(c Int) bool { return c.V != 0 })
}

// settings leaves in s what changed, and says which of it are events. A name
// that comes or goes does so with a version, a library or a privilege.
func (m *Memory) settings(s *Settings) (events []Event) {
	at := s.At
	if !s.Loaded.Equal(m.loaded) && !s.Loaded.IsZero() {
		at = notAfter(s.Loaded, s.At)
	}
	m.loaded = s.Loaded
	all, before, quiet := s.Set, m.Settings, m.Settings == nil || m.another
	m.Settings, m.another = make(map[string]string, len(all)), false
	s.Set = nil
	for _, n := range all {
		m.Settings[n.Name] = n.Value
		old, known := before[n.Name]
		if known && old == n.Value {
			continue
		}
		s.Set = append(s.Set, n)
		if known && !quiet {
			events = append(events, Event{At: at, Kind: EventSetting, Subject: n.Name, Old: old, New: n.Value})
		}
	}
	for _, name := range s.Hidden {
		if old, known := before[name]; known {
			m.Settings[name] = old
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, there := m.Settings[name]; !there {
			s.Gone = append(s.Gone, name)
		}
	}
	s.Hidden, s.Loaded = nil, time.Time{}
	return events
}

// notAfter gives what a server's clock says, or the look where that clock is
// ahead of ours.
func notAfter(server, look time.Time) time.Time {
	if server.After(look) {
		return look
	}
	return server
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// major gives 10 for 100023 and 9 for 90624.
func major(versionNum int32) int32 { return versionNum / 10000 }
