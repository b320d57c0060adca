package journal_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/pgam/pgam/internal/journal"
)

// Of several that open a journal at once one gets it, and the others are told.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	for range 5 {
		dir := t.TempDir()
		first, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 1 << 30, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		opened := 0
		for range 3 {
			all.Go(func() {
				s, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 1 << 30, Log: slog.New(slog.DiscardHandler)})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					opened++
					t.Cleanup(func() { _ = s.Close() })
				} else if !errors.Is(err, journal.ErrLocked) {
					t.Errorf("not the error of a locked journal: %v", err)
				}
			})
		}
		all.Wait()
		if opened != 1 {
			t.Errorf("%d processes have the journal", opened)
		}
	}
}
