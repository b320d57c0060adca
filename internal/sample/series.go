package sample

import "time"

// quietFor is how long a database in which nothing changes may go without a
// stored sample.
const quietFor = 5 * time.Minute

// Series follows the counters of one server's databases from sample to
// sample. It is for one goroutine at a time.
type Series struct {
	identity *Identity
	prev     map[uint32]*DatabaseStat
	stored   map[uint32]standing
	listed   time.Time
}

// standing is what the newest stored sample of a database says until the next.
type standing struct {
	at       time.Time
	backends Int
}

// NewSeries starts with what is known of the server from before, which may be
// nothing.
func NewSeries(identity *Identity, last []DatabaseStat, listed time.Time) *Series {
	s := &Series{identity: identity, prev: make(map[uint32]*DatabaseStat), stored: make(map[uint32]standing), listed: listed}
	for i := range last {
		s.prev[last[i].OID] = &last[i]
		s.stored[last[i].OID] = standing{last[i].At, last[i].Backends}
	}
	return s
}

// Advance computes the deltas of v's databases against the sample before, and
// leaves in v only what is new: the identity if it changed, the databases in
// which something happened or that were quiet for five minutes. Inventories
// learn when the one before was.
func (s *Series) Advance(v *Visit) {
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
		if s.identity != nil && s.identity.Same(*v.Identity) {
			v.Identity = nil
		} else {
			s.identity = v.Identity
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

// hold says what the stored sample before stood for until cur.
func (cur *DatabaseStat) hold(before standing) {
	cur.Held, cur.BackendSeconds = 0, 0
	if cur.Interval == 0 || !before.backends.Known || !cur.At.After(before.at) {
		return
	}
	cur.Held = min(cur.At.Sub(before.at), MaxHeld)
	cur.BackendSeconds = cur.Held.Seconds() * float64(before.backends.V)
}

// Resume is what the history remembers of a server, to go on from after a
// restart: without it everything starts anew, correctly but with an epoch and
// new ids.
type Resume struct {
	Next      NextIDs
	Waits     []WaitEntry
	Queries   []QueryEntry
	Identity  *Identity
	Databases []DatabaseStat
	Listed    time.Time
	// Sized is when a database's size was last asked for; zero: not lately.
	Sized time.Time
}

// Dictionary starts the server's dictionaries, with ids no smaller than next.
func (r *Resume) Dictionary(next NextIDs) *Dictionary {
	d := NewDictionary(r.Next.Max(next))
	for _, w := range r.Waits {
		d.KnowWait(w)
	}
	for _, q := range r.Queries {
		d.KnowQuery(q)
	}
	return d
}

// Series starts following the server's counters.
func (r *Resume) Series() *Series { return NewSeries(r.Identity, r.Databases, r.Listed) }
