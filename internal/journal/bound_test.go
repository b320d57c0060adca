package journal

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// TestBoundIsNotAFlood: a journal that stays full says so every minute, with all
// that was dropped.
func TestBoundIsNotAFlood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, err := Open(Config{Dir: dir, MaxBytes: 200, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		sync := func() {
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
		}
		for range 90 {
			now := time.Now()
			s.Append(&sample.Visit{Server: 1, Tick: &sample.Tick{Planned: now, Started: now, Cadence: time.Second}})
			sync()
		}
		if n := strings.Count(log.String(), "journal is full"); n != 2 {
			t.Errorf("said %d times in a minute and a half:\n%s", n, log.String())
		}
		for range 60 {
			sync() // nothing more is dropped; what was not told yet is
		}
		if n := strings.Count(log.String(), "journal is full"); n != 3 || s.untold != 0 {
			t.Errorf("said %d times, %d visits never:\n%s", n, s.untold, log.String())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
