package sample

import "time"

// horizonEvery is how long the same holder goes without a stored horizon.
const horizonEvery = 5 * time.Minute

// quietFor is how long a database in which nothing changes may go without a
// stored sample.
const quietFor = 5 * time.Minute

// Series follows one server from look to look, and decides what of a look is kept:
// what is new, and what is told of it as events. It is for one goroutine at a time.
//
// Nothing that is kept depends on what it remembers of counters: it only leaves out
// what the rows that are kept say already. A Series that begins anew keeps a row of
// every database once more.
type Series struct {
	memory   Memory
	identity *Identity
	kept     map[uint32]keptStat
	listed   time.Time
	holders  map[Holder]Horizon // as last stored
	again    bool               // the identity is wanted although it is the same
}

// keptStat is the row of a database that was kept last, and when the newest look
// was taken that said the same.
type keptStat struct {
	DatabaseStat

	sameAt time.Time
}

// Resume is what the history remembers of a server, to go on from after a
// restart.
type Resume struct {
	Identity *Identity
	// Listed is when the databases were last listed, Sized when a size was last
	// asked for; zero: not lately.
	Listed, Sized time.Time
	// Memory is what events are told against. It may know more than the fields
	// above.
	Memory Memory
}

// Series starts following the server; with nothing in r, everything is new.
func (r *Resume) Series() *Series {
	return &Series{
		memory: r.Memory, identity: r.Identity, listed: r.Listed,
		kept: make(map[uint32]keptStat), holders: make(map[Holder]Horizon),
	}
}

// OfferAgain leaves in the next visits what was left out because the store has
// it: it may have lost it. Events are not told again.
func (s *Series) OfferAgain() {
	s.again = true
	clear(s.kept)
	clear(s.holders)
	s.memory.Settings = nil
}

// Advance adds the events that v tells, and leaves in v only what is new: the
// identity if it changed, the databases in which something happened or that were
// quiet for five minutes, the settings that changed, the horizons that are not
// stored yet. Databases learn what they belong to and when the look before was,
// inventories when the one before was.
func (s *Series) Advance(v *Visit) {
	s.tell(v)
	if v.Identity != nil {
		if s.identity == nil || !s.identity.sameInstance(*v.Identity) {
			s.listed = time.Time{}
		}
		if s.identity.Instance() != v.Identity.Instance() {
			clear(s.kept) // also for what a later visit brings because this one could not
		}
		if s.identity != nil && s.identity.same(*v.Identity) && !s.again {
			v.Identity = nil
		} else {
			s.identity, s.again = v.Identity, false
		}
	}
	if v.Inventory != nil {
		v.Inventory.Since = s.listed
		s.listed = v.Inventory.At
	}
	if len(v.Databases) > 0 {
		s.databases(v)
	}
}

func (s *Series) databases(v *Visit) {
	at := v.Databases[0].At
	v.Look = &Look{Planned: planned(v, at), At: at, Databases: len(v.Databases)}
	kept, next := make([]DatabaseStat, 0, len(v.Databases)), make(map[uint32]keptStat, len(v.Databases))
	for i := range v.Databases {
		d := v.Databases[i]
		before, known := s.kept[d.OID]
		d.Planned, d.Instance, d.PreviousAt = v.Look.Planned, s.identity.Instance(), before.sameAt
		if known && before.same(&d) && d.At.Sub(before.At) < quietFor {
			before.sameAt = d.At
			next[d.OID] = before
			continue
		}
		next[d.OID] = keptStat{d, d.At}
		kept = append(kept, d)
	}
	s.kept, v.Databases = next, kept
}

// planned is the instant that a visit belongs to; one without a tick belongs to
// when it was begun.
func planned(v *Visit, at time.Time) time.Time {
	if v.Tick != nil {
		return v.Tick.Planned
	}
	return at
}

// tell adds the events of a look, in the order in which they explain each
// other: what a restart does to settings and statistics is not told twice.
func (s *Series) tell(v *Visit) {
	m := &s.memory
	v.Events = append(v.Events, m.identity(v.Identity)...)
	if v.Identity != nil {
		v.Identity.CheckpointerStart = m.Identity.CheckpointerStart
	}
	if v.Inventory != nil {
		v.Events = append(v.Events, m.databases(v.Inventory)...)
	}
	for i := range v.Databases {
		v.Events = append(v.Events, m.reset(&v.Databases[i])...)
	}
	if v.Settings != nil {
		v.Events = append(v.Events, m.settings(v.Settings)...)
		if len(v.Settings.Set) == 0 && len(v.Settings.Gone) == 0 {
			v.Settings = nil
		}
	}
	if v.Horizon != nil {
		v.Horizon = s.horizons(v)
	}
}

// horizons keeps those that are new, are held by another now, or were not
// stored for five minutes.
func (s *Series) horizons(v *Visit) (kept []Horizon) {
	next := make(map[Holder]Horizon, len(v.Horizon))
	for _, h := range v.Horizon {
		if h.Age <= 0 {
			continue
		}
		h.At = planned(v, h.At)
		before, known := s.holders[h.Holder]
		if known && before.Name == h.Name && h.At.Sub(before.At) < horizonEvery {
			next[h.Holder] = before
			continue
		}
		next[h.Holder] = h
		kept = append(kept, h)
	}
	s.holders = next
	return kept
}
