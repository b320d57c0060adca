package sample

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// session asks for the id of a session that is called like its key.
func session(d *Dictionary, key string, day int32) int32 {
	return d.Session([]byte(key), day, func(e *SessionEntry) { e.Application = key })
}

func TestDictionaryDay(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	id := session(d, "a", 1)
	if again := session(d, "a", 1); again != id || id != 1 {
		t.Errorf("ids %d, %d; want 1 twice", id, again)
	}
	q, wants := d.Query(-7, true, 1)
	if !wants {
		t.Error("the text of a new statement is not wanted")
	}
	d.QueryText(-7, true, "select")
	d.QueryText(-7, true, "another text")
	if _, wants := d.Query(-7, true, 1); wants {
		t.Error("a text that is known is wanted")
	}
	first := d.Take()
	want := Entries{
		Sessions: []SessionEntry{{ID: 1, Day: 1, Application: "a"}},
		Queries:  []QueryEntry{{ID: q, Day: 1, QueryID: -7, Own: true, Text: "select"}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("first day (-want +got):\n%s", diff)
	}
	if e := d.Take(); !e.Empty() {
		t.Errorf("entries come twice: %+v", e)
	}
	session(d, "a", 2)
	d.Query(-7, true, 2)
	next := d.Take()
	want.Sessions[0].Day, want.Queries[0].Day, want.Queries[0].Text = 2, 2, ""
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("second day (-want +got):\n%s", diff)
	}
}

func TestDictionaryLateText(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{Query: 40})
	d.QueryText(1, false, "of a statement that nobody asked for")
	id, _ := d.Query(1, false, 3)
	d.Take()
	d.QueryText(1, false, "")
	if e := d.Take(); !e.Empty() {
		t.Errorf("an empty text is an entry: %+v", e)
	}
	d.QueryText(1, false, "late")
	want := []QueryEntry{{ID: id, Day: 3, QueryID: 1, Text: "late"}}
	if diff := cmp.Diff(want, d.Take().Queries); diff != "" || id != 40 {
		t.Errorf("id %d (-want +got):\n%s", id, diff)
	}
}

func TestDictionaryReoffer(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	a := session(d, "a", 1)
	d.Take()
	b := session(d, "b", 1)
	d.Reoffer() // of b only: a was taken
	if got := d.FreshSessions(); len(got) != 1 || got[0].ID != b {
		t.Fatalf("fresh sessions: %+v", got)
	}
	d.Take()
	session(d, "a", 1)
	session(d, "b", 1)
	if got := d.Take().Sessions; len(got) != 1 || got[0].ID != b || got[0].Day != 1 {
		t.Errorf("offered again: %+v; want b, which is %d, and not a, which is %d", got, b, a)
	}
	session(d, "b", 1)
	if e := d.Take(); !e.Empty() {
		t.Errorf("offered once more: %+v", e)
	}
}

func TestDictionaryGenerations(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	hour := func(n float64) { d.Begin(start.Add(time.Duration(n * float64(time.Hour)))) }
	hour(0)
	kept, lost := session(d, "kept", 1), session(d, "lost", 1)
	q, _ := d.Query(1, false, 1)
	hour(0.9)
	if session(d, "kept", 1) != kept || session(d, "lost", 1) != lost {
		t.Error("forgotten within the hour")
	}
	hour(1.1)
	if session(d, "kept", 1) != kept {
		t.Error("forgotten though used an hour ago")
	}
	hour(2.2)
	if session(d, "kept", 1) != kept {
		t.Error("forgotten though used an hour ago")
	}
	if again := session(d, "lost", 1); again <= lost || again == kept {
		t.Errorf("a forgotten session has the id %d, it was %d", again, lost)
	}
	if again, wants := d.Query(1, false, 1); again == q || !wants {
		t.Errorf("a forgotten statement has the id %d, it was %d; text wanted %v", again, q, wants)
	}
}

func TestDictionaryWaitsRunOut(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{Wait: otherWait - 1})
	wait := func(event string) (int16, WaitClass) { return d.Wait([]byte("active"), []byte("IO"), []byte(event)) }
	if id, class := wait("last"); id != otherWait-1 || class != ClassIO {
		t.Errorf("the last id is %d of class %s", id, class)
	}
	for _, event := range []string{"x", "y", "x"} {
		if id, class := wait(event); id != otherWait || class != ClassIO {
			t.Errorf("%s: id %d of class %s, want %d of class io", event, id, class, otherWait)
		}
	}
	want := []WaitEntry{{ID: otherWait - 1, State: "active", Type: "IO", Event: "last"}, {ID: otherWait, Event: "(other)"}}
	if diff := cmp.Diff(want, d.Take().Waits); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	again := NewDictionary(NextIDs{})
	for _, e := range want {
		again.KnowWait(e)
	}
	if id, _ := again.Wait([]byte("active"), []byte("IO"), []byte("z")); id != otherWait {
		t.Errorf("after a restart the ids go on at %d", id)
	}
	if e := again.Take(); !e.Empty() {
		t.Errorf("after a restart known entries come again: %+v", e)
	}
}

func TestDictionaryResumes(t *testing.T) {
	t.Parallel()
	r := Resume{
		Next:    NextIDs{Session: 10, Query: 20, Wait: 30},
		Waits:   []WaitEntry{{ID: 4, State: "active", Type: "Lock", Event: "tuple"}, {ID: 35, State: "active", Type: CPU}},
		Queries: []QueryEntry{{ID: 6, Day: 1, QueryID: 99, Text: "t"}, {ID: 25, Day: 1, QueryID: 100}},
	}
	d := r.Dictionary(NextIDs{Session: 12, Query: 2, Wait: 2})
	if got, want := d.Next(), (NextIDs{Session: 12, Query: 26, Lock: 1, Wait: 36}); got != want {
		t.Errorf("next ids %+v, want %+v", got, want)
	}
	if id, class := d.Wait([]byte("active"), []byte("Lock"), []byte("tuple")); id != 4 || class != ClassLock {
		t.Errorf("known wait: id %d of class %s", id, class)
	}
	if id, wants := d.Query(99, false, 1); id != 6 || wants {
		t.Errorf("known statement: id %d, text wanted %v", id, wants)
	}
	if id, wants := d.Query(100, false, 1); id != 25 || !wants {
		t.Errorf("statement without text: id %d, text wanted %v", id, wants)
	}
	if e := d.Take(); !e.Empty() {
		t.Errorf("known entries come again: %+v", e)
	}
	if id, _ := d.Query(99, true, 1); id == 6 {
		t.Error("a fingerprint and a query_id of the same number are one statement")
	}
}

// TestIDsKeepTheirMeaning drives dictionaries over days and restarts with
// random things: no id is ever used for a second one.
func TestIDsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	meaning := make(map[string]string)
	check := func(id, what string) {
		if was, ok := meaning[id]; ok && was != what {
			t.Fatalf("%s was %s and is %s", id, was, what)
		}
		meaning[id] = what
	}
	now, next := start, NextIDs{}
	for range 20 { // runs
		d := NewDictionary(next)
		for range 200 { // visits
			now = now.Add(time.Duration(r.IntN(40)) * time.Minute)
			d.Begin(now)
			for range r.IntN(5) {
				key := fmt.Sprint("s", r.IntN(50))
				check(fmt.Sprint("session ", session(d, key, Day(now))), key)
				query := r.Int64N(50)
				id, _ := d.Query(query, query%2 == 0, Day(now))
				check(fmt.Sprint("query ", id), fmt.Sprint(query))
				event := fmt.Sprint("e", r.IntN(50))
				wait, _ := d.Wait(nil, nil, []byte(event))
				check(fmt.Sprint("wait ", wait), event)
			}
			e := d.Take()
			for _, s := range e.Sessions {
				check(fmt.Sprint("session ", s.ID), s.Application)
			}
			for _, q := range e.Queries {
				check(fmt.Sprint("query ", q.ID), fmt.Sprint(q.QueryID))
			}
			for _, w := range e.Waits {
				check(fmt.Sprint("wait ", w.ID), w.Event)
			}
		}
		next = d.Next()
	}
	if len(meaning) < 1000 {
		t.Errorf("only %d ids were used: the test does not forget enough", len(meaning))
	}
}

// TestDictionaryOffersAgain: a store that lost what it was told is told all of it
// again, under the same ids.
func TestDictionaryOffersAgain(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	meet := func() Entries {
		d.Session([]byte("s"), 1, func(e *SessionEntry) { e.User = "joe" })
		d.Wait([]byte("active"), []byte("LWLock"), []byte("WALWrite"))
		if _, wants := d.Query(42, false, 1); wants {
			d.QueryText(42, false, "select ?")
		}
		if _, wants := d.Lock(LockEntry{Type: "relation", Mode: "ExclusiveLock", RelationOID: 5}, 1); wants {
			d.LockName(LockEntry{Type: "relation", Mode: "ExclusiveLock", RelationOID: 5, Relation: "t"})
		}
		return d.Take()
	}
	first := meet()
	if again := meet(); !again.Empty() {
		t.Errorf("a second time: %+v", again)
	}
	d.OfferAgain()
	d.OfferAgain()
	if diff := cmp.Diff(first, meet()); diff != "" {
		t.Errorf("offered again (-first +again):\n%s", diff)
	}
	if again := meet(); !again.Empty() {
		t.Errorf("and then: %+v", again)
	}
}
