package sample

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/target"
)

// generationLife is how long an entry that is not used stays in memory at
// least; after twice as long it is certainly gone.
const generationLife = time.Hour

// A generation ends early when it has so many entries: a server that shows other
// sessions in every tick must not fill our memory.
const (
	maxSessionsKept = 1 << 14
	maxQueriesKept  = 1 << 16
)

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

// Leap leaves out ids that another collector may have handed out without the
// history knowing yet: they are in its journal. There is no room for that
// without end.
func (n NextIDs) Leap() NextIDs {
	const sessions, queries, locks, waits = 1 << 20, 1 << 16, 1 << 16, 32
	leap := func(id, by, most int32) int32 {
		if id > most/2 {
			return id
		}
		return id + by
	}
	return NextIDs{
		Session: leap(n.Session, sessions, math.MaxInt32), Query: leap(n.Query, queries, math.MaxInt32), Lock: leap(n.Lock, locks, math.MaxInt32),
		Wait: int16(leap(int32(n.Wait), waits, math.MaxInt16)),
	}
}

// Dictionary turns what a server says into ids that never change their
// meaning. It forgets what was not used for an hour, or sooner where there is very much; a thing met again later
// gets a new id. It is for one goroutine at a time.
type Dictionary struct {
	next     NextIDs
	sessions generations[sessionSeen]
	waits    map[string]waitSeen
	queries  generations[*querySeen]
	locks    generations[*lockSeen]
	fresh    Entries
	texts    target.QueryTexts // how texts are kept
	whole    bool              // texts are wanted at full length
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
	text    textSeen
	full    bool // the text is as the server showed it
}

// textSeen is what the history has of a statement's text.
type textSeen uint8

const (
	noText textSeen = iota
	cutText
	wholeText
)

type lockSeen struct {
	id    int32
	day   int32
	named bool
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
	d.sessions.young, d.queries.young, d.locks.young = make(map[string]sessionSeen), make(map[string]*querySeen), make(map[string]*lockSeen)
	d.texts = target.TextsNormalized
	return d
}

// Next tells the ids to come.
func (d *Dictionary) Next() NextIDs { return d.next }

// Begin prepares for a visit at now: it forgets what is stale.
func (d *Dictionary) Begin(now time.Time) {
	if d.born.IsZero() {
		d.born = now
	}
	full := len(d.sessions.young) >= maxSessionsKept || len(d.queries.young) >= maxQueriesKept || len(d.locks.young) >= maxSessionsKept
	if full || now.Sub(d.born) >= generationLife || now.Before(d.born) {
		d.born = now
		d.sessions.turn()
		d.queries.turn()
		d.locks.turn()
	}
}

// Texts says how texts are kept from now on, and whether at full length. What was
// kept in another way is wanted anew.
func (d *Dictionary) Texts(keep target.QueryTexts, whole bool) {
	if keep == "" {
		keep = target.TextsNormalized
	}
	if keep == target.TextsNone && d.texts != keep {
		// What the history has is taken away.
		for _, half := range []map[string]*querySeen{d.queries.young, d.queries.old} {
			for _, seen := range half {
				seen.text = noText
			}
		}
		for i := range d.fresh.Queries {
			d.fresh.Queries[i].Text, d.fresh.Queries[i].Full = "", false
		}
	}
	d.texts, d.whole = keep, whole
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

// OfferAgain has all entries come again, with the ids they have: waits with the
// next Take, the others when they are next met, with their texts and names. The
// store may have lost them.
func (d *Dictionary) OfferAgain() {
	offered := make(map[int16]bool, len(d.fresh.Waits))
	for _, e := range d.fresh.Waits {
		offered[e.ID] = true
	}
	for key, seen := range d.waits {
		if parts := strings.SplitN(key, "\x00", 3); !offered[seen.id] {
			d.fresh.Waits = append(d.fresh.Waits, WaitEntry{ID: seen.id, State: parts[0], Type: parts[1], Event: parts[2]})
		}
	}
	for _, half := range []map[string]sessionSeen{d.sessions.young, d.sessions.old} {
		for key, seen := range half {
			seen.day = -1
			half[key] = seen
		}
	}
	for _, half := range []map[string]*querySeen{d.queries.young, d.queries.old} {
		for _, seen := range half {
			seen.day, seen.text = -1, noText
		}
	}
	for _, half := range []map[string]*lockSeen{d.locks.young, d.locks.old} {
		for _, seen := range half {
			seen.day, seen.named = -1, false
		}
	}
}

// KnowWait teaches an entry that the store has already.
func (d *Dictionary) KnowWait(e WaitEntry) {
	number := max(e.ID, -e.ID)
	d.next.Wait = max(d.next.Wait, min(number, otherWait-1)+1)
	class := ClassOf(e.State, e.Type, e.Event)
	if class.Load() != (e.ID > 0) {
		return // it was classed otherwise once: samples to come get another id
	}
	d.waits[string(waitKey(nil, []byte(e.State), []byte(e.Type), []byte(e.Event)))] = waitSeen{e.ID, class}
}

// KnowQuery teaches an entry that the store has already.
func (d *Dictionary) KnowQuery(e QueryEntry) {
	seen := &querySeen{id: e.ID, day: e.Day, queryID: e.QueryID, own: e.Own, full: e.Full}
	switch n := len(e.Text); {
	case n == 0:
	case n > MaxText-utf8.UTFMax && n <= MaxText:
		seen.text = cutText // by its length
	default:
		seen.text = wholeText
	}
	d.queries.young[string(queryKey(nil, e.QueryID, e.Own))] = seen
	d.next.Query = max(d.next.Query, e.ID+1)
}

// KnowLock teaches an entry that the store has already.
func (d *Dictionary) KnowLock(e LockEntry) {
	d.locks.young[string(lockKey(nil, &e))] = &lockSeen{id: e.ID, day: e.Day, named: e.Relation != ""}
	d.next.Lock = max(d.next.Lock, e.ID+1)
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
	class := ClassOf(string(state), string(typ), string(event))
	if d.next.Wait >= otherWait {
		// An extension that invents wait events must not exhaust the ids: the
		// last one is for all that come after.
		id := otherWait
		entry := WaitEntry{ID: otherWait, Event: otherEvent}
		if !class.Load() {
			id, entry = -otherWait, WaitEntry{ID: -otherWait, Type: "Activity", Event: otherEvent}
		}
		d.addWait(waitKey(nil, nil, []byte(entry.Type), []byte(otherEvent)), entry, class)
		return id, class
	}
	id := d.next.Wait
	if !class.Load() {
		id = -id
	}
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

// Query gives the id of a statement and whether its text is wanted.
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
	return seen.id, d.wants(seen)
}

// wants reports whether a text would add to what the history has.
func (d *Dictionary) wants(seen *querySeen) bool {
	switch {
	case d.texts == target.TextsNone:
		return false
	case seen.text == noText || seen.full != (d.texts == target.TextsFull):
		return true
	}
	return seen.text == cutText && d.whole
}

// QueryText gives a statement its text, which is as texts are kept now; it is cut
// unless full length is wanted.
func (d *Dictionary) QueryText(queryID int64, own bool, text string) {
	d.queryText(queryID, own, text, false)
}

// QueryPart is QueryText for the beginning of a text: more of it is wanted when
// full length is.
func (d *Dictionary) QueryPart(queryID int64, own bool, text string) {
	d.queryText(queryID, own, text, true)
}

func (d *Dictionary) queryText(queryID int64, own bool, text string, part bool) {
	var buf [9]byte
	seen, ok := d.queries.get(queryKey(buf[:0], queryID, own))
	if !ok || text == "" || !d.wants(seen) {
		return
	}
	seen.text, seen.full = wholeText, d.texts == target.TextsFull
	if part {
		seen.text = cutText
	}
	if len(text) > MaxText && !d.whole {
		text, seen.text = cut(text), cutText
	}
	for i := range d.fresh.Queries {
		if e := &d.fresh.Queries[i]; e.ID == seen.id {
			e.Text, e.Full = text, seen.full
			return
		}
	}
	d.fresh.Queries = append(d.fresh.Queries, QueryEntry{ID: seen.id, Day: seen.day, QueryID: queryID, Own: own, Text: text, Full: seen.full})
}

// cut gives the first MaxText bytes of a text, less what would be half a
// character.
func cut(text string) string {
	n := MaxText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// Lock gives the id of what is waited for, with the type, mode and oids of l,
// and whether the relation's name is still wanted.
func (d *Dictionary) Lock(l LockEntry, day int32) (id int32, wantsName bool) {
	var buf [96]byte
	key := lockKey(buf[:0], &l)
	seen, ok := d.locks.get(key)
	if !ok {
		seen = &lockSeen{id: d.next.Lock}
		d.next.Lock++
		d.locks.young[string(key)] = seen
	}
	if seen.day != day {
		seen.day = day
		l.ID, l.Day, l.Relation = seen.id, day, ""
		d.fresh.Locks = append(d.fresh.Locks, l)
	}
	return seen.id, l.RelationOID != 0 && !seen.named
}

// LockName gives what was handed to Lock the name of its relation.
func (d *Dictionary) LockName(l LockEntry) {
	var buf [96]byte
	seen, ok := d.locks.get(lockKey(buf[:0], &l))
	if !ok || seen.named || l.Relation == "" {
		return
	}
	seen.named = true
	for i := range d.fresh.Locks {
		if d.fresh.Locks[i].ID == seen.id {
			d.fresh.Locks[i].Relation = l.Relation
			return
		}
	}
	l.ID, l.Day = seen.id, seen.day
	d.fresh.Locks = append(d.fresh.Locks, l)
}

func lockKey(b []byte, l *LockEntry) []byte {
	b = append(append(b, l.Type...), 0)
	b = append(append(b, l.Mode...), 0)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, l.DatabaseOID), l.RelationOID)
}

func waitKey(b, state, typ, event []byte) []byte {
	b = append(append(b, state...), 0)
	b = append(append(b, typ...), 0)
	return append(b, event...)
}

func queryKey(b []byte, queryID int64, own bool) []byte {
	u := uint64(queryID)
	for range 8 {
		b = append(b, byte(u))
		u >>= 8
	}
	if own {
		return append(b, 1)
	}
	return append(b, 0)
}
