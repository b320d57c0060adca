package synth_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/synth"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := synth.Config{Cadence: time.Second, Sessions: 5, Queries: 10}
	for name, spoil := range map[string]func(*synth.Config){
		"cadence": func(c *synth.Config) { c.Cadence = 7 * time.Second },
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
	midnight := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	hash := sample.NewHash([16]byte{7})
	g, err := synth.New(synth.Config{Seed: 1, Hash: hash, Cadence: 5 * time.Second, Sessions: 6, Queries: 50})
	if err != nil {
		t.Fatal(err)
	}
	entries, seq := g.Day(3, midnight)
	again, seqAgain := g.Day(3, midnight)
	ticks := slices.Collect(seq)
	if diff := cmp.Diff(entries, again); diff != "" {
		t.Errorf("the same day names other things: %s", diff)
	}
	if !reflect.DeepEqual(ticks, slices.Collect(seqAgain)) {
		t.Error("the same day differs")
	}
	if _, other := g.Day(4, midnight); reflect.DeepEqual(ticks, slices.Collect(other)) {
		t.Error("two servers are alike")
	}
	if len(ticks) != 24*720 {
		t.Errorf("%d ticks", len(ticks))
	}
	named := make(map[sample.Key]bool)
	for i := range entries.Sessions {
		named[entries.Sessions[i].Key] = true
	}
	for i := range entries.Queries {
		named[entries.Queries[i].Key] = entries.Queries[i].Text != ""
	}
	for i := range entries.Waits {
		named[entries.Waits[i].Key] = true
	}
	named[entries.Locks[0].Key] = true
	samples, waiting := 0, 0
	for i, tick := range ticks {
		if want := midnight.Add(time.Duration(i) * 5 * time.Second); !tick.Planned.Equal(want) || tick.Outcome != sample.OK {
			t.Fatalf("tick %d is planned at %s", i, tick.Planned)
		}
		for _, s := range tick.Sessions {
			if !named[s.Session] || !named[s.Wait] || !named[s.Query] || !s.Class.Load() {
				t.Fatalf("a session without a name: %+v", s)
			}
		}
		for _, e := range tick.Edges {
			if !named[e.Blocked] || !named[e.Blocker] || !named[e.Lock] {
				t.Fatalf("an edge without names: %+v", e)
			}
		}
		samples += len(tick.Sessions)
		waiting += len(tick.Edges)
	}
	if average := float64(samples) / float64(len(ticks)); average < 2 || average > 12 {
		t.Errorf("%.1f sessions on average, want about 6", average)
	}
	if waiting == 0 {
		t.Error("nobody waits for a lock: choose another day")
	}
}
