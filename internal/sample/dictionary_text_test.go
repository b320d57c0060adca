package sample

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/target"
)

func TestDictionaryLock(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{Lock: 7})
	table := LockEntry{Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 16384}
	row := LockEntry{Type: "transactionid", Mode: "ShareLock"}
	a, wantsName := d.Lock(table, 1)
	b, wantsNone := d.Lock(row, 1)
	if a != 7 || b != 8 || !wantsName || wantsNone {
		t.Errorf("ids %d, %d; name wanted %v, %v", a, b, wantsName, wantsNone)
	}
	named := table
	named.Relation = "public.account"
	d.LockName(named)
	d.LockName(LockEntry{Type: "relation", Relation: "of a lock that nobody waits for"})
	table.ID, table.Day, table.Relation = a, 1, "public.account"
	row.ID, row.Day = b, 1
	if diff := cmp.Diff([]LockEntry{table, row}, d.Take().Locks); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if id, wants := d.Lock(LockEntry{Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 16384}, 1); id != a || wants {
		t.Errorf("again: id %d, name wanted %v", id, wants)
	}
	d.LockName(named)
	if e := d.Take(); !e.Empty() {
		t.Errorf("entries come twice: %+v", e)
	}
	other := table
	other.Mode = "RowExclusiveLock"
	if id, _ := d.Lock(other, 1); id != 9 || d.Next().Lock != 10 {
		t.Errorf("another mode has the id %d, next is %d", id, d.Next().Lock)
	}
	d.Take()
	d.Lock(row, 2)
	row.Day = 2
	if diff := cmp.Diff([]LockEntry{row}, d.Take().Locks); diff != "" {
		t.Errorf("next day (-want +got):\n%s", diff)
	}
	// A name that comes late is an entry of its own.
	other.Relation = "public.account"
	d.LockName(other)
	if got := d.Take().Locks; len(got) != 1 || got[0].ID != 9 || got[0].Day != 1 || got[0].Relation != "public.account" {
		t.Errorf("late name: %+v", got)
	}
}

func TestDictionaryKnowLock(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	d.KnowLock(LockEntry{ID: 4, Day: 3, Type: "relation", Mode: "ShareLock", RelationOID: 9, Relation: "a.b"})
	d.KnowLock(LockEntry{ID: 6, Day: 3, Type: "relation", Mode: "ShareLock", RelationOID: 10})
	if id, wants := d.Lock(LockEntry{Type: "relation", Mode: "ShareLock", RelationOID: 9}, 3); id != 4 || wants {
		t.Errorf("known: id %d, name wanted %v", id, wants)
	}
	if id, wants := d.Lock(LockEntry{Type: "relation", Mode: "ShareLock", RelationOID: 10}, 3); id != 6 || !wants {
		t.Errorf("known without a name: id %d, name wanted %v", id, wants)
	}
	if e := d.Take(); !e.Empty() || d.Next().Lock != 7 {
		t.Errorf("entries %+v, next %d", e, d.Next().Lock)
	}
	for _, later := range []time.Duration{0, 61 * time.Minute, 122 * time.Minute} {
		d.Begin(start.Add(later))
	}
	if id, _ := d.Lock(LockEntry{Type: "relation", Mode: "ShareLock", RelationOID: 9}, 3); id != 7 {
		t.Errorf("a forgotten lock has the id %d", id)
	}
}

// TestDictionaryTexts: what is wanted follows how texts are kept.
func TestDictionaryTexts(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	wants := func() bool { _, w := d.Query(1, false, 1); return w }
	text := func(s string) []QueryEntry {
		d.QueryText(1, false, s)
		return d.Take().Queries
	}
	for _, step := range []struct {
		keep  target.QueryTexts
		whole bool
		wants bool
		text  string
		want  []QueryEntry
	}{
		{target.TextsNone, true, false, "none", []QueryEntry{{ID: 1, Day: 1, QueryID: 1}}},
		{"", false, true, "select ?", []QueryEntry{{ID: 1, Day: 1, QueryID: 1, Text: "select ?"}}},
		{target.TextsNormalized, true, false, "again", nil},
		{target.TextsFull, false, true, "select 1", []QueryEntry{{ID: 1, Day: 1, QueryID: 1, Text: "select 1", Full: true}}},
		{target.TextsFull, true, false, "again", nil},
		{target.TextsNormalized, false, true, "select ?", []QueryEntry{{ID: 1, Day: 1, QueryID: 1, Text: "select ?"}}},
		{target.TextsNone, false, false, "none", nil},
		{target.TextsNormalized, false, true, "select ?", []QueryEntry{{ID: 1, Day: 1, QueryID: 1, Text: "select ?"}}},
	} {
		d.Texts(step.keep, step.whole)
		if got := wants(); got != step.wants {
			t.Errorf("%s: text wanted %v", step.keep, got)
		}
		if diff := cmp.Diff(step.want, text(step.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.keep, diff)
		}
	}
}

// TestDictionaryTexts_cut: a text is cut outside of bursts, whole in the first
// one, and never half a character.
func TestDictionaryTexts_cut(t *testing.T) {
	t.Parallel()
	long := "x" + strings.Repeat("é", MaxText)
	d := NewDictionary(NextIDs{})
	d.Query(1, false, 1)
	d.QueryText(1, false, long)
	cutEntry := d.Take().Queries[0]
	if n := len(cutEntry.Text); n != MaxText-1 || !utf8.ValidString(cutEntry.Text) || !strings.HasPrefix(long, cutEntry.Text) {
		t.Errorf("cut to %d bytes", n)
	}
	if _, wants := d.Query(1, false, 1); wants {
		t.Error("a text that was cut is wanted outside of a burst")
	}
	resumed := NewDictionary(NextIDs{})
	resumed.KnowQuery(cutEntry)
	for name, d := range map[string]*Dictionary{"as before": d, "resumed": resumed} {
		d.Texts("", true)
		if _, wants := d.Query(1, false, 1); !wants {
			t.Errorf("%s: a text that was cut is not wanted in a burst", name)
		}
		d.QueryText(1, false, long)
		if got := d.Take().Queries; len(got) != 1 || got[0].Text != long || got[0].ID != cutEntry.ID {
			t.Errorf("%s: in a burst: %d entries", name, len(got))
		}
		if _, wants := d.Query(1, false, 1); wants {
			t.Errorf("%s: a whole text is wanted", name)
		}
	}
	whole := NewDictionary(NextIDs{})
	whole.KnowQuery(QueryEntry{ID: 1, Day: 1, QueryID: 1, Text: long})
	whole.Texts("", true)
	if _, wants := whole.Query(1, false, 1); wants {
		t.Error("a whole text is wanted after a restart")
	}
}

// TestDictionaryTexts_none: a text that waited to be taken goes too.
func TestDictionaryTexts_none(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	d.Query(1, false, 1)
	d.QueryText(1, false, "select secret")
	d.Texts(target.TextsNone, false)
	if diff := cmp.Diff([]QueryEntry{{ID: 1, Day: 1, QueryID: 1}}, d.Take().Queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
