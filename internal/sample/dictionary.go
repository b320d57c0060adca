package sample

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/dchest/siphash"

	"github.com/pgam/pgam/internal/target"
)

// A generation of what was offered ends early when it has so many entries: a
// server that shows other sessions in every tick must not fill our memory. What is
// forgotten is offered again when it is next met.
const maxGeneration = 1 << 15

// Hash names things by their content: a keyed hash, so that nobody who does not
// know the key can tell from a name what it stands for, or make two things share
// one. The same key gives the same names in every collector.
type Hash struct{ k0, k1 uint64 }

// NewHash makes a Hash of a secret.
func NewHash(secret [16]byte) Hash {
	return Hash{binary.LittleEndian.Uint64(secret[:8]), binary.LittleEndian.Uint64(secret[8:])}
}

// The kinds of things that are named, so that no two of a kind are mixed up.
const (
	kindSession byte = 1 + iota
	kindWait
	kindQuery
	kindLock
	kindLabel
)

// Key names content of a kind. It is never 0, which is none.
func (h Hash) Key(kind byte, content []byte) Key {
	sum := siphash.Hash(h.k0^uint64(kind), h.k1, content)
	if sum == 0 {
		sum = 1
	}
	return Key(sum)
}

// Label names a text that sessions are counted by.
func (h Hash) Label(d Dimension, text string) Key {
	if text == "" {
		return 0
	}
	return h.Key(kindLabel+byte(d), []byte(text))
}

// Dictionary names what a server shows, and says which names the history is to be
// told of: each at its first use in a UTC day, as far as it remembers. It is for
// one goroutine at a time.
type Dictionary struct {
	hash     Hash
	sessions generations[int32] // the day of the last offer
	waits    generations[waitSeen]
	queries  generations[*querySeen]
	locks    generations[*lockSeen]
	fresh    Entries
	texts    target.QueryTexts // how texts are kept
	whole    bool              // texts are wanted at full length
}

type waitSeen struct {
	day   int32
	class WaitClass
}

type querySeen struct {
	day  int32
	text textSeen
	full bool // the text is as the server showed it
}

// textSeen is what was offered of a statement's text.
type textSeen uint8

const (
	noText textSeen = iota
	cutText
	wholeText
)

type lockSeen struct {
	day   int32
	named bool
}

// generations is a map whose old half is dropped when the young one is full.
type generations[V any] struct{ young, old map[Key]V }

func (g *generations[V]) get(k Key) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	if ok {
		g.put(k, v)
	}
	return v, ok
}

func (g *generations[V]) put(k Key, v V) {
	if len(g.young) >= maxGeneration {
		g.old, g.young = g.young, nil
	}
	if g.young == nil {
		g.young = make(map[Key]V)
	}
	g.young[k] = v
}

// NewDictionary makes a dictionary that has offered nothing yet.
func NewDictionary(h Hash) *Dictionary { return &Dictionary{hash: h, texts: target.TextsNormalized} }

// Texts says how texts are kept from now on, and whether at full length. What was
// kept in another way is wanted anew.
func (d *Dictionary) Texts(keep target.QueryTexts, whole bool) {
	if keep == "" {
		keep = target.TextsNormalized
	}
	if keep == target.TextsNone && d.texts != keep {
		// What the history has is taken away.
		for _, half := range []map[Key]*querySeen{d.queries.young, d.queries.old} {
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

// Take gives the entries to offer since the last Take.
func (d *Dictionary) Take() Entries {
	e := d.fresh
	d.fresh = Entries{}
	return e
}

// FreshSessions gives the session entries that Take would give, to fill in
// what the fill function of Session did not know yet.
func (d *Dictionary) FreshSessions() []SessionEntry { return d.fresh.Sessions }

// Reoffer makes the fresh session entries come again when their sessions are
// next seen, because something in them is still unknown.
func (d *Dictionary) Reoffer() {
	for i := range d.fresh.Sessions {
		d.sessions.put(d.fresh.Sessions[i].Key, -1)
	}
}

// OfferAgain has everything offered again when it is next met: the history may
// have lost it.
func (d *Dictionary) OfferAgain() {
	d.sessions, d.waits = generations[int32]{}, generations[waitSeen]{}
	d.queries, d.locks = generations[*querySeen]{}, generations[*lockSeen]{}
}

// Session names the session with this content, which must hold all that tells it
// from others and no name; fill is called for one that is offered.
func (d *Dictionary) Session(content []byte, day int32, fill func(*SessionEntry)) Key {
	k := d.hash.Key(kindSession, content)
	if seen, ok := d.sessions.get(k); ok && seen == day {
		return k
	}
	d.sessions.put(k, day)
	d.fresh.Sessions = append(d.fresh.Sessions, SessionEntry{Key: k, Day: day})
	fill(&d.fresh.Sessions[len(d.fresh.Sessions)-1])
	return k
}

// Wait names a state and wait, and gives its class; the slices are not kept.
func (d *Dictionary) Wait(state, typ, event []byte, day int32) (Key, WaitClass) {
	var buf [96]byte
	content := append(append(append(append(append(buf[:0], state...), 0), typ...), 0), event...)
	k := d.hash.Key(kindWait, content)
	seen, ok := d.waits.get(k)
	if !ok {
		seen = waitSeen{-1, ClassOf(string(state), string(typ), string(event))}
	}
	if seen.day != day {
		seen.day = day
		d.waits.put(k, seen)
		d.fresh.Waits = append(d.fresh.Waits, WaitEntry{Key: k, Day: day, Class: seen.class, State: string(state), Type: string(typ), Event: string(event)})
	}
	return k, seen.class
}

// Query names a statement, and says whether its text is wanted.
func (d *Dictionary) Query(queryID int64, own bool, day int32) (k Key, wantsText bool) {
	k = d.query(queryID, own)
	seen, ok := d.queries.get(k)
	if !ok {
		seen = &querySeen{day: -1}
		d.queries.put(k, seen)
	}
	if seen.day != day {
		seen.day = day
		d.fresh.Queries = append(d.fresh.Queries, QueryEntry{Key: k, Day: day, QueryID: queryID, Own: own})
	}
	return k, d.wants(seen)
}

func (d *Dictionary) query(queryID int64, own bool) Key {
	var buf [9]byte
	content := binary.BigEndian.AppendUint64(buf[:0], uint64(queryID))
	if own {
		content = append(content, 1)
	}
	return d.hash.Key(kindQuery, content)
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
	k := d.query(queryID, own)
	seen, ok := d.queries.get(k)
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
		if e := &d.fresh.Queries[i]; e.Key == k {
			e.Text, e.Full = text, seen.full
			return
		}
	}
	d.fresh.Queries = append(d.fresh.Queries, QueryEntry{Key: k, Day: seen.day, QueryID: queryID, Own: own, Text: text, Full: seen.full})
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

// Lock names what is waited for, by the type, mode and oids of l, and says whether
// the relation's name is still wanted.
func (d *Dictionary) Lock(l LockEntry, day int32) (k Key, wantsName bool) {
	k = d.lock(&l)
	seen, ok := d.locks.get(k)
	if !ok {
		seen = &lockSeen{day: -1}
		d.locks.put(k, seen)
	}
	if seen.day != day {
		seen.day = day
		l.Key, l.Day, l.Relation = k, day, ""
		d.fresh.Locks = append(d.fresh.Locks, l)
	}
	return k, l.RelationOID != 0 && !seen.named
}

// LockName gives what was handed to Lock the name of its relation.
func (d *Dictionary) LockName(l LockEntry) {
	k := d.lock(&l)
	seen, ok := d.locks.get(k)
	if !ok || seen.named || l.Relation == "" {
		return
	}
	seen.named = true
	for i := range d.fresh.Locks {
		if d.fresh.Locks[i].Key == k {
			d.fresh.Locks[i].Relation = l.Relation
			return
		}
	}
	l.Key, l.Day = k, seen.day
	d.fresh.Locks = append(d.fresh.Locks, l)
}

func (d *Dictionary) lock(l *LockEntry) Key {
	var buf [96]byte
	content := append(append(append(append(buf[:0], l.Type...), 0), l.Mode...), 0)
	return d.hash.Key(kindLock, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(content, l.DatabaseOID), l.RelationOID))
}
