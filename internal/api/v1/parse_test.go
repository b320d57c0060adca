package v1

import (
	"testing"
	"time"
)

func TestParseStep(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "1s": time.Second, "90m": 90 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "30d": 720 * time.Hour,
	} {
		if got, err := parseStep(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "0s", "-1m", "d", "0d", "-1d", "99999d", "5", "x", "1.5d"} {
		if got, err := parseStep(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "1m", "2026-11-22T03:12:00Z", "2026-11-22T03:12:00 03:00", "2026-11-22"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if step, err := parseStep(text); err == nil && step < 0 {
			t.Errorf("step %q: %s", text, step)
		}
		if at, err := parseInstant("at", text, time.Unix(0, 0)); err == nil && (at.Year() < 1969 || at.Year() > 2200 || at.Location() != time.UTC) {
			t.Errorf("instant %q: %s", text, at)
		}
	})
}
