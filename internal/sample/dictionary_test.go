package sample

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testHash = NewHash([16]byte{1, 2, 3})

// session asks for the key of a session that is called like its content.
func session(d *Dictionary, content string, day int32) Key {
	return d.Session([]byte(content), day, func(e *SessionEntry) { e.Application = content })
}

// What a thing is called depends on what it is and on the secret alone: not on
// who met it, when, or what was met before.
func TestKeysAreContent(t *testing.T) {
	t.Parallel()
	names := func(h Hash, days ...int32) map[string]Key {
		d, all := NewDictionary(h), map[string]Key{}
		for _, day := range days {
			for i := range 100 {
				all[fmt.Sprint("session ", i)] = session(d, fmt.Sprint(i), day)
				all[fmt.Sprint("query ", i)], _ = d.Query(int64(i), false, day)
				all[fmt.Sprint("own ", i)], _ = d.Query(int64(i), true, day)
				all[fmt.Sprint("wait ", i)], _ = d.Wait([]byte("active"), nil, fmt.Append(nil, i), day)
				all[fmt.Sprint("lock ", i)], _ = d.Lock(LockEntry{Type: "relation", RelationOID: uint32(i)}, day)
				all[fmt.Sprint("database ", i)], all[fmt.Sprint("user ", i)] = h.Label(ByDatabase, fmt.Sprint(i)), h.Label(ByUser, fmt.Sprint(i))
			}
		}
		return all
	}
	all := names(testHash, 1)
	if diff := cmp.Diff(all, names(testHash, 7, 3, 7)); diff != "" {
		t.Errorf("another collector, other days (-want +got):\n%s", diff)
	}
	seen := map[Key]string{0: "none"}
	for name, k := range all {
		if other, known := seen[k]; known {
			t.Errorf("%s and %s are one", name, other)
		}
		seen[k] = name
	}
	for name, k := range names(NewHash([16]byte{9}), 1) {
		if other, known := seen[k]; known {
			t.Errorf("with another secret %s is called like %s", name, other)
		}
	}
	if k := testHash.Label(ByUser, ""); k != 0 {
		t.Errorf("no user has the key %d", k)
	}
}

func TestDictionaryDay(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	a := session(d, "a", 1)
	session(d, "a", 1)
	q, wants := d.Query(-7, true, 1)
	if !wants {
		t.Error("the text of a new statement is not wanted")
	}
	d.QueryText(-7, true, "select")
	d.QueryText(-7, true, "another text")
	if _, wants := d.Query(-7, true, 1); wants {
		t.Error("a text that is known is wanted")
	}
	w, class := d.Wait([]byte("active"), []byte("IO"), []byte("WALSync"), 1)
	if class != ClassIO {
		t.Errorf("class %s", class)
	}
	want := Entries{
		Sessions: []SessionEntry{{Key: a, Day: 1, Application: "a"}},
		Waits:    []WaitEntry{{Key: w, Day: 1, Class: ClassIO, State: "active", Type: "IO", Event: "WALSync"}},
		Queries:  []QueryEntry{{Key: q, Day: 1, QueryID: -7, Own: true, Text: "select"}},
	}
	if diff := cmp.Diff(want, d.Take()); diff != "" {
		t.Errorf("first day (-want +got):\n%s", diff)
	}
	if e := d.Take(); !e.Empty() {
		t.Errorf("entries come twice: %+v", e)
	}
	session(d, "a", 2)
	d.Query(-7, true, 2)
	d.Wait([]byte("active"), []byte("IO"), []byte("WALSync"), 2)
	want.Sessions[0].Day, want.Queries[0].Day, want.Queries[0].Text, want.Waits[0].Day = 2, 2, "", 2
	if diff := cmp.Diff(want, d.Take()); diff != "" {
		t.Errorf("second day (-want +got):\n%s", diff)
	}
}

func TestDictionaryLateText(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	d.QueryText(1, false, "of a statement that nobody asked for")
	k, _ := d.Query(1, false, 3)
	d.Take()
	d.QueryText(1, false, "")
	if e := d.Take(); !e.Empty() {
		t.Errorf("an empty text is an entry: %+v", e)
	}
	d.QueryText(1, false, "late")
	want := []QueryEntry{{Key: k, Day: 3, QueryID: 1, Text: "late"}}
	if diff := cmp.Diff(want, d.Take().Queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDictionaryReoffer(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	a := session(d, "a", 1)
	d.Take()
	b := session(d, "b", 1)
	d.Reoffer() // of b only: a was taken
	if got := d.FreshSessions(); len(got) != 1 || got[0].Key != b {
		t.Fatalf("fresh sessions: %+v", got)
	}
	d.Take()
	session(d, "a", 1)
	session(d, "b", 1)
	if got := d.Take().Sessions; len(got) != 1 || got[0].Key != b || got[0].Day != 1 {
		t.Errorf("offered again: %+v; want b, which is %d, and not a, which is %d", got, b, a)
	}
	session(d, "b", 1)
	if e := d.Take(); !e.Empty() {
		t.Errorf("offered once more: %+v", e)
	}
}

// What is remembered of what was offered is bounded; what was forgotten is
// offered again.
func TestDictionaryIsBounded(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	for i := range 3 * maxGeneration {
		session(d, fmt.Sprint(i), 1)
		session(d, "always", 1)
	}
	if n := len(d.sessions.young) + len(d.sessions.old); n > 2*maxGeneration {
		t.Errorf("%d sessions are remembered", n)
	}
	if n := len(d.Take().Sessions); n != 3*maxGeneration+1 {
		t.Errorf("%d were offered, want each once", n)
	}
	session(d, "0", 1)
	session(d, "always", 1)
	if got := d.Take().Sessions; len(got) != 1 || got[0].Application != "0" {
		t.Errorf("offered again: %+v; want the forgotten one", got)
	}
}

// A store that lost what it was told is told all of it again.
func TestDictionaryOffersAgain(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	meet := func() Entries {
		d.Session([]byte("s"), 1, func(e *SessionEntry) { e.User = "joe" })
		d.Wait([]byte("active"), []byte("LWLock"), []byte("WALWrite"), 1)
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
	if diff := cmp.Diff(first, meet()); diff != "" {
		t.Errorf("offered again (-first +again):\n%s", diff)
	}
	if again := meet(); !again.Empty() {
		t.Errorf("and then: %+v", again)
	}
}
