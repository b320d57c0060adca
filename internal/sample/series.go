package sample

import "time"

// horizonEvery is how long the same holder goes without a stored horizon.
const horizonEvery = 5 * time.Minute

// quietFor is how long a database in which nothing changes may go without a
// stored sample.
const quietFor = 5 * time.Minute

// Series follows one server from look to look: the counters of its databases,
// and what is told of it as events. It is for one goroutine at a time.
type Series struct {
	memory   Memory
	identity *Identity
	prev     map[uint32]*DatabaseStat
	stored   map[uint32]standing
	listed   time.Time
	holders  map[Holder]Horizon // as last stored
	again    bool               // the identity is wanted although it is the same
}

// standing is what the newest stored sample of a database says until the next.
type standing struct {
	at       time.Time
	backends Int
}

// NewSeries starts with what is known of the server from before, which may be
// nothing.
func NewSeries(identity *Identity, last []DatabaseStat, listed time.Time) *Series {
	s := &Series{
		identity: identity, prev: make(map[uint32]*DatabaseStat), stored: make(map[uint32]standing), listed: listed,
		holders: make(map[Holder]Horizon),
	}
	for i := range last {
		s.prev[last[i].OID] = &last[i]
		s.stored[last[i].OID] = standing{last[i].At, last[i].Backends}
	}
	return s
}

// OfferAgain leaves in the next visits what was left out because the store has
// it: it may have lost it. Events are not told again.
func (s *Series) OfferAgain() {
	s.again = true
	clear(s.stored)
	clear(s.holders)
	s.memory.Settings = nil
}

// Advance computes the deltas of v's databases against the sample before, adds
// the events that v tells, and leaves in v only what is new: the identity if it
// changed, the databases in which something happened or that were quiet for five
// minutes, the settings that changed, the horizons that are not stored yet.
// Inventories learn when the one before was.
func (s *Series) Advance(v *Visit) {
	s.tell(v)
	same := true
	if v.Identity != nil {
		same = s.identity != nil && s.identity.SameInstance(*v.Identity)
		if !same {
			// What was known is of another epoch, also for samples that a later
			// visit brings because this one could not.
			s.listed = time.Time{}
			clear(s.prev)
			clear(s.stored)
		}
		if s.identity != nil && s.identity.Same(*v.Identity) && !s.again {
			v.Identity = nil
		} else {
			s.identity, s.again = v.Identity, false
		}
	}
	if v.Inventory != nil {
		v.Inventory.Since = s.listed
		s.listed = v.Inventory.At
	}
	if len(v.Databases) == 0 {
		return
	}
	kept := make([]DatabaseStat, 0, len(v.Databases))
	next := make(map[uint32]*DatabaseStat, len(v.Databases))
	for i := range v.Databases {
		cur := &v.Databases[i]
		before := s.prev[cur.OID]
		cur.Since(before, same)
		next[cur.OID] = cur
		if !cur.Unchanged(before) || cur.At.Sub(s.stored[cur.OID].at) >= quietFor {
			cur.hold(s.stored[cur.OID])
			s.stored[cur.OID] = standing{cur.At, cur.Backends}
			kept = append(kept, *cur)
		}
	}
	for oid := range s.stored {
		if next[oid] == nil {
			delete(s.stored, oid) // dropped
		}
	}
	s.prev = next
	v.Databases = kept
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
		v.Horizon = s.horizons(v.Horizon)
	}
}

// horizons keeps those that are new, are held by another now, or were not
// stored for five minutes.
func (s *Series) horizons(all []Horizon) (kept []Horizon) {
	next := make(map[Holder]Horizon, len(all))
	for _, h := range all {
		if h.Age <= 0 {
			continue
		}
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

// Follow computes the deltas of cur anew, against a sample of the same instance
// that is stored and later than the one they were of.
func (cur *DatabaseStat) Follow(stored *DatabaseStat) {
	cur.Since(stored, true)
	cur.hold(standing{stored.At, stored.Backends})
}

// hold says what the stored sample before stood for until cur.
func (cur *DatabaseStat) hold(before standing) {
	cur.Held, cur.BackendSeconds = 0, 0
	if cur.Interval == 0 || !before.backends.Known || !cur.At.After(before.at) {
		return
	}
	cur.Held = cur.At.Sub(before.at)
	cur.BackendSeconds = min(cur.Held, MaxHeld).Seconds() * float64(before.backends.V)
}

// Resume is what the history remembers of a server, to go on from after a
// restart: without it everything starts anew, correctly but with an epoch.
type Resume struct {
	Identity  *Identity
	Databases []DatabaseStat
	Listed    time.Time
	// Memory is what events are told against. It may know more than the fields
	// above, which counters go on from.
	Memory Memory
	// Sized is when a database's size was last asked for; zero: not lately.
	Sized time.Time
}

// Series starts following the server.
func (r *Resume) Series() *Series {
	s := NewSeries(r.Identity, r.Databases, r.Listed)
	s.memory = r.Memory
	return s
}
