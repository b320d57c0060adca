package journal

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAStartNeedsNoJournal: whatever becomes of the journal, the targets stay;
// whatever becomes of the file beside it, the journal has them.
func TestAStartNeedsNoJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	again := func(led bool) {
		t.Helper()
		s = mustOpen(t, dir, plenty)
		if got, err := s.Targets(); string(got) != "sealed" || err != nil {
			t.Errorf("targets %q, %v", got, err)
		}
		if _, was, err := s.Holder(); was != led || err != nil {
			t.Errorf("led %t, %v", was, err)
		}
	}
	if err := s.Lead(true); err != nil {
		t.Fatal(err)
	}
	for n, do := range []func(){
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
		s.Append(numbered(int64(n)))
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
