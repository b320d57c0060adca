package sample

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/target"
)

func TestDictionaryLock(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	table := LockEntry{Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 16384}
	row := LockEntry{Type: "transactionid", Mode: "ShareLock"}
	a, wantsName := d.Lock(table, 1)
	b, wantsNone := d.Lock(row, 1)
	if a == b || !wantsName || wantsNone {
		t.Errorf("keys %d, %d; name wanted %v, %v", a, b, wantsName, wantsNone)
	}
	named := table
	named.Relation = "public.account"
	d.LockName(named)
	d.LockName(LockEntry{Type: "relation", Relation: "of a lock that nobody waits for"})
	table.Key, table.Day, table.Relation = a, 1, "public.account"
	row.Key, row.Day = b, 1
	if diff := cmp.Diff([]LockEntry{table, row}, d.Take().Locks); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if k, wants := d.Lock(LockEntry{Type: "relation", Mode: "AccessExclusiveLock", DatabaseOID: 5, RelationOID: 16384}, 1); k != a || wants {
		t.Errorf("again: key %d, name wanted %v", k, wants)
	}
	d.LockName(named)
	if e := d.Take(); !e.Empty() {
		t.Errorf("entries come twice: %+v", e)
	}
	other := table
	other.Mode = "RowExclusiveLock"
	k, _ := d.Lock(other, 1)
	if k == a {
		t.Error("another mode has the same key")
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
	if got := d.Take().Locks; len(got) != 1 || got[0].Key != k || got[0].Day != 1 || got[0].Relation != "public.account" {
		t.Errorf("late name: %+v", got)
	}
}

// TestDictionaryTexts: what is wanted follows how texts are kept.
func TestDictionaryTexts(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	one := d.query(1, false)
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
		{target.TextsNone, true, false, "none", []QueryEntry{{Key: one, Day: 1, QueryID: 1}}},
		{"", false, true, "select ?", []QueryEntry{{Key: one, Day: 1, QueryID: 1, Text: "select ?"}}},
		{target.TextsNormalized, true, false, "again", nil},
		{target.TextsFull, false, true, "select 1", []QueryEntry{{Key: one, Day: 1, QueryID: 1, Text: "select 1", Full: true}}},
		{target.TextsFull, true, false, "again", nil},
		{target.TextsNormalized, false, true, "select ?", []QueryEntry{{Key: one, Day: 1, QueryID: 1, Text: "select ?"}}},
		{target.TextsNone, false, false, "none", nil},
		{target.TextsNormalized, false, true, "select ?", []QueryEntry{{Key: one, Day: 1, QueryID: 1, Text: "select ?"}}},
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
	d := NewDictionary(testHash)
	d.Query(1, false, 1)
	d.QueryText(1, false, long)
	cutEntry := d.Take().Queries[0]
	if n := len(cutEntry.Text); n != MaxText-1 || !utf8.ValidString(cutEntry.Text) || !strings.HasPrefix(long, cutEntry.Text) {
		t.Errorf("cut to %d bytes", n)
	}
	if _, wants := d.Query(1, false, 1); wants {
		t.Error("a text that was cut is wanted outside of a burst")
	}
	d.Texts("", true)
	if _, wants := d.Query(1, false, 1); !wants {
		t.Error("a text that was cut is not wanted in a burst")
	}
	d.QueryText(1, false, long)
	if got := d.Take().Queries; len(got) != 1 || got[0].Text != long || got[0].Key != cutEntry.Key {
		t.Errorf("in a burst: %d entries", len(got))
	}
	if _, wants := d.Query(1, false, 1); wants {
		t.Error("a whole text is wanted")
	}
}

// TestDictionaryTexts_none: a text that waited to be taken goes too.
func TestDictionaryTexts_none(t *testing.T) {
	t.Parallel()
	d := NewDictionary(testHash)
	one, _ := d.Query(1, false, 1)
	d.QueryText(1, false, "select secret")
	d.Texts(target.TextsNone, false)
	if diff := cmp.Diff([]QueryEntry{{Key: one, Day: 1, QueryID: 1}}, d.Take().Queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
