package sample

import "time"

// generationLife is how long an entry that is not used stays in memory at
// least; after twice as long it is certainly gone.
const generationLife = time.Hour

// NextIDs are the ids a server's dictionaries will hand out next. They only
// grow, over restarts too.
type NextIDs struct {
	Session, Query, Lock int32
	Wait                 int16
}

// Max gives the larger of each.
func (n NextIDs) Max(o NextIDs) NextIDs {
	return NextIDs{max(n.Session, o.Session), max(n.Query, o.Query), max(n.Lock, o.Lock), max(n.Wait, o.Wait)}
}

// Dictionary turns what a server says into ids that never change their
// meaning. It forgets what was not used for an hour; a thing met again later
// gets a new id. It is for one goroutine at a time.
type Dictionary struct {
	next     NextIDs
	sessions generations[sessionSeen]
	waits    map[string]waitSeen
	queries  generations[*querySeen]
	fresh    Entries
	// freshKeys are the keys of fresh.Sessions, in the same order.
	freshKeys []string
	born      time.Time
}

type waitSeen struct {
	id    int16
	class WaitClass
}

type sessionSeen struct {
	id  int32
	day int32
}

type querySeen struct {
	id      int32
	day     int32
	queryID int64
	own     bool
	hasText bool
}

// generations is a map whose old half can be dropped in one go.
type generations[V any] struct{ young, old map[string]V }

func (g *generations[V]) get(key []byte) (V, bool) {
	if v, ok := g.young[string(key)]; ok {
		return v, true
	}
	v, ok := g.old[string(key)]
	if ok {
		g.young[string(key)] = v
		delete(g.old, string(key))
	}
	return v, ok
}

func (g *generations[V]) turn() { g.old, g.young = g.young, make(map[string]V) }

// NewDictionary starts a dictionary that hands out next's ids first; ids
// start at 1.
func NewDictionary(next NextIDs) *Dictionary {
	d := &Dictionary{next: next.Max(NextIDs{1, 1, 1, 1}), waits: make(map[string]waitSeen)}
	d.sessions.young, d.queries.young = make(map[string]sessionSeen), make(map[string]*querySeen)
	return d
}

// Next tells the ids to come.
func (d *Dictionary) Next() NextIDs { return d.next }

// Begin prepares for a visit at now: it forgets what is stale.
func (d *Dictionary) Begin(now time.Time) {
	if d.born.IsZero() {
		d.born = now
	}
	if now.Sub(d.born) >= generationLife || now.Before(d.born) {
		d.born = now
		d.sessions.turn()
		d.queries.turn()
	}
}

// Take gives the entries met for the first time since the last Take.
func (d *Dictionary) Take() Entries {
	e := d.fresh
	d.fresh, d.freshKeys = Entries{}, d.freshKeys[:0]
	return e
}

// FreshSessions gives the session entries that Take would give, to fill in
// what the fill function of Session did not know yet.
func (d *Dictionary) FreshSessions() []SessionEntry { return d.fresh.Sessions }

// Reoffer makes the fresh session entries come again when their sessions are
// next seen, because something in them is still unknown.
func (d *Dictionary) Reoffer() {
	for _, key := range d.freshKeys {
		if seen, ok := d.sessions.young[key]; ok {
			seen.day = -1
			d.sessions.young[key] = seen
		}
	}
}

// KnowWait teaches an entry that the store has already.
func (d *Dictionary) KnowWait(e WaitEntry) {
	d.waits[string(waitKey(nil, []byte(e.State), []byte(e.Type), []byte(e.Event)))] = waitSeen{e.ID, ClassOf(e.State, e.Type)}
	d.next.Wait = max(d.next.Wait, min(e.ID, otherWait-1)+1)
}

// KnowQuery teaches an entry that the store has already.
func (d *Dictionary) KnowQuery(e QueryEntry) {
	d.queries.young[string(queryKey(nil, e.QueryID, e.Own))] = &querySeen{id: e.ID, day: e.Day, queryID: e.QueryID, own: e.Own, hasText: e.Text != ""}
	d.next.Query = max(d.next.Query, e.ID+1)
}

// Session gives the id of the session with this key, which must hold
// everything the entry shows; fill is called for one that is new that day.
func (d *Dictionary) Session(key []byte, day int32, fill func(*SessionEntry)) int32 {
	seen, ok := d.sessions.get(key)
	if ok && seen.day == day {
		return seen.id
	}
	if !ok {
		seen.id = d.next.Session
		d.next.Session++
	}
	seen.day = day
	kept := string(key)
	d.sessions.young[kept] = seen
	d.freshKeys = append(d.freshKeys, kept)
	d.fresh.Sessions = append(d.fresh.Sessions, SessionEntry{ID: seen.id, Day: day})
	fill(&d.fresh.Sessions[len(d.fresh.Sessions)-1])
	return seen.id
}

// Wait gives the id and the class of a state and wait; the slices are not
// kept.
func (d *Dictionary) Wait(state, typ, event []byte) (int16, WaitClass) {
	var buf [96]byte
	key := waitKey(buf[:0], state, typ, event)
	if seen, ok := d.waits[string(key)]; ok {
		return seen.id, seen.class
	}
	class := ClassOf(string(state), string(typ))
	if d.next.Wait >= otherWait {
		// An extension that invents wait events must not exhaust the ids: the
		// last one is for all that come after.
		d.addWait(waitKey(nil, nil, nil, []byte(otherEvent)), WaitEntry{ID: otherWait, Event: otherEvent}, ClassOther)
		return otherWait, class
	}
	id := d.next.Wait
	d.next.Wait++
	d.addWait(key, WaitEntry{ID: id, State: string(state), Type: string(typ), Event: string(event)}, class)
	return id, class
}

// otherWait stands for every wait met after the ids are used up.
const (
	otherWait  int16 = 1<<15 - 1
	otherEvent       = "(other)"
)

func (d *Dictionary) addWait(key []byte, e WaitEntry, class WaitClass) {
	if _, ok := d.waits[string(key)]; ok {
		return
	}
	d.waits[string(key)] = waitSeen{e.ID, class}
	d.fresh.Waits = append(d.fresh.Waits, e)
}

// Query gives the id of a statement and whether its text is still wanted.
func (d *Dictionary) Query(queryID int64, own bool, day int32) (id int32, wantsText bool) {
	var buf [9]byte
	key := queryKey(buf[:0], queryID, own)
	seen, ok := d.queries.get(key)
	if !ok {
		seen = &querySeen{id: d.next.Query, queryID: queryID, own: own}
		d.next.Query++
		d.queries.young[string(key)] = seen
	}
	if seen.day != day {
		seen.day = day
		d.fresh.Queries = append(d.fresh.Queries, QueryEntry{ID: seen.id, Day: day, QueryID: queryID, Own: own})
	}
	return seen.id, !seen.hasText
}

// QueryText gives a statement its normalized text.
func (d *Dictionary) QueryText(queryID int64, own bool, text string) {
	var buf [9]byte
	seen, ok := d.queries.get(queryKey(buf[:0], queryID, own))
	if !ok || seen.hasText || text == "" {
		return
	}
	seen.hasText = true
	for i := range d.fresh.Queries {
		if d.fresh.Queries[i].ID == seen.id {
			d.fresh.Queries[i].Text = text
			return
		}
	}
	d.fresh.Queries = append(d.fresh.Queries, QueryEntry{ID: seen.id, Day: seen.day, QueryID: queryID, Own: own, Text: text})
}

func waitKey(b, state, typ, event []byte) []byte {
	b = append(append(b, state...), 0)
	b = append(append(b, typ...), 0)
	return append(b, event...)
}

func queryKey(b []byte, queryID int64, own bool) []byte {
	u := uint64(queryID) //nolint:gosec // bits, not a number
	for range 8 {
		b = append(b, byte(u))
		u >>= 8
	}
	if own {
		return append(b, 1)
	}
	return append(b, 0)
}
