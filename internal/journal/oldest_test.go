package journal

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// TestOldest: the age is that of the first record, after a restart too.
func TestOldest(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	look := func(want time.Time) {
		t.Helper()
		at, ok, err := s.Oldest()
		if err != nil || ok == want.IsZero() || !at.Equal(want) {
			t.Errorf("oldest: %s, %t, %v, want %s", at, ok, err, want)
		}
	}
	look(time.Time{})
	first := time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC)
	for second := range 3 {
		for _, ms := range []int{500, 100} {
			at := first.Add(time.Duration(second)*time.Second + time.Duration(ms)*time.Millisecond)
			s.Append(&sample.Visit{Server: 1, Tick: &sample.Tick{Planned: at, Started: at, Cadence: time.Second}})
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	look(first.Add(100 * time.Millisecond))
	records, err := s.Next(0, 1)
	if err != nil || len(records) != 1 {
		t.Fatal(len(records), err)
	}
	s.Done(records[0].Seq)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	look(first.Add(1100 * time.Millisecond))
	if got := s.Stats().MaxBytes; got != cfg.MaxBytes {
		t.Errorf("limit %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
