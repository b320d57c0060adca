package synth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/synth"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := synth.Config{Cadence: time.Second, Span: 15 * time.Second, Sessions: 5, Queries: 10}
	for name, spoil := range map[string]func(*synth.Config){
		"cadence": func(c *synth.Config) { c.Cadence = 7 * time.Second },
		"span":    func(c *synth.Config) { c.Span = 7 * time.Minute },
		"load":    func(c *synth.Config) { c.Sessions = 0 },
		"queries": func(c *synth.Config) { c.Queries = 0 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := synth.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := synth.New(good); err != nil {
		t.Error(err)
	}
}

func TestDay(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	for _, span := range []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute} {
		g, err := synth.New(synth.Config{Seed: 1, Cadence: 5 * time.Second, Span: span, Sessions: 6, Queries: 50})
		if err != nil {
			t.Fatal(err)
		}
		day := g.Day(3, monday)
		if diff := cmp.Diff(day, g.Day(3, monday)); diff != "" {
			t.Errorf("the same day differs: %s", diff)
		}
		if cmp.Equal(day.Windows[5], g.Day(4, monday).Windows[5]) {
			t.Error("two servers are alike")
		}
		if got, want := len(day.Windows), int(24*time.Hour/span); got != want {
			t.Errorf("%d windows, want %d", got, want)
		}
		checkDay(t, day, monday, span)
	}
}

// checkDay compares what the minutes say with the samples of the windows.
func checkDay(t *testing.T, day synth.Day, midnight time.Time, span time.Duration) {
	t.Helper()
	samples, planned, before := make([]int32, len(day.Minutes)), make([]int32, len(day.Minutes)), midnight
	for i, w := range day.Windows {
		if want := midnight.Add(time.Duration(i) * span); !w.T0.Equal(want) || w.Span != span {
			t.Fatalf("window %d begins at %s", i, w.T0)
		}
		for _, offset := range w.TickOffset {
			at := w.T0.Add(time.Duration(offset) * time.Millisecond)
			if !at.After(before) {
				t.Fatalf("tick at %s after %s", at, before)
			}
			before = at
			planned[at.Sub(midnight)/time.Minute]++
		}
		for k, tick := range w.Tick {
			samples[w.T0.Add(time.Duration(w.TickOffset[tick-1])*time.Millisecond).Sub(midnight)/time.Minute]++
			if k > 0 && (w.Session[k] < w.Session[k-1] || w.Session[k] == w.Session[k-1] && tick <= w.Tick[k-1]) {
				t.Fatalf("window %d is not ordered by session, then tick", i)
			}
			if w.Session[k] < 1 || int(w.Session[k]) > len(day.Sessions) {
				t.Fatalf("session %d is not in the dictionary", w.Session[k])
			}
		}
	}
	var all int32
	for i, m := range day.Minutes {
		var classes int32
		for _, n := range m.Classes {
			classes += n
		}
		if m.Samples != samples[i] || classes != samples[i] || m.Planned != planned[i] || m.Outcomes[sample.OK] != planned[i] {
			t.Fatalf("minute %d: %+v, want %d samples of %d ticks", i, m, samples[i], planned[i])
		}
		all += m.Samples
	}
	if average := float64(all) / (24 * 720); average < 2 || average > 12 {
		t.Errorf("%.1f sessions on average, want about 6", average)
	}
}
