package spool

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgam/pgam/internal/sample"
)

// TestAStartNeedsNoJournal: whatever becomes of the journal, the targets stay, and
// no id is given twice; whatever becomes of the file beside it, the journal has them.
func TestAStartNeedsNoJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	given := int32(1)
	give := func(n int32) {
		t.Helper()
		given += n
		s.Append(&sample.Visit{Server: 1, Entries: sample.Entries{Sessions: []sample.SessionEntry{{ID: given}}, Waits: []sample.WaitEntry{{ID: int16(given % 1000)}}}})
		mustSync(t, s)
	}
	again := func(led bool) {
		t.Helper()
		s = mustOpen(t, dir, plenty)
		if got, err := s.Targets(); string(got) != "sealed" || err != nil {
			t.Errorf("targets %q, %v", got, err)
		}
		if next := s.NextIDs(1); next.Session <= given {
			t.Errorf("session id %d is given again: %d were", next.Session, given)
		} else {
			given = next.Session - 1
		}
		if _, was, err := s.Holder(); was != led || err != nil {
			t.Errorf("led %t, %v", was, err)
		}
	}
	if err := s.Lead(true); err != nil {
		t.Fatal(err)
	}
	for round, do := range []func(){
		func() {}, // a restart
		func() { ruined(t, dir, bothMetas) },
		func() { ruined(t, dir, func(b []byte) { clear(b) }) },
		func() { flip(t, filepath.Join(dir, startFile)) },
		func() { ruined(t, dir, func(b []byte) { clear(b) }) },
		func() { _ = os.Remove(filepath.Join(dir, startFile)) },
		func() { _ = os.Remove(filepath.Join(dir, FileName)) },
	} {
		if err := s.PutTargets([]byte("sealed")); err != nil { // as at a start with stats_db
			t.Fatal(err)
		}
		give(1)
		for range 3 {
			give(1 << 19) // beyond what was noted, now and then
		}
		give(int32(round))
		mustClose(t, s)
		do()
		again(true)
	}
	mustClose(t, s)
	flip(t, filepath.Join(dir, leaseFile))
	again(false)
	mustClose(t, s)
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
