package collector

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

func TestClocksThatDifferAreAnEventOnce(t *testing.T) {
	t.Parallel()
	var c serverClock
	for i, step := range []struct {
		outcome        sample.Outcome
		offset, within time.Duration
		want           sample.EventKind
	}{
		{sample.OK, 900 * time.Millisecond, 0, ""},
		{sample.OK, 1500 * time.Millisecond, 600 * time.Millisecond, ""}, // the way there and back may be all of it
		{sample.Failed, -10 * time.Minute, 0, ""},
		{sample.OK, -10 * time.Minute, time.Millisecond, sample.EventClockDiffers},
		{sample.OK, -10 * time.Minute, time.Millisecond, ""},
		{sample.OK, 800 * time.Millisecond, 300 * time.Millisecond, ""},
		{sample.Degraded, 100 * time.Millisecond, time.Millisecond, sample.EventClockAgrees},
		{sample.OK, 2 * time.Second, time.Millisecond, sample.EventClockDiffers},
	} {
		v := sample.Visit{Tick: &sample.Tick{Outcome: step.outcome}, Load: sample.Load{ClockOffset: step.offset, ClockWithin: step.within}}
		var got sample.EventKind
		if events := c.follow(&v); len(events) > 0 {
			got = events[0].Kind
		}
		if got != step.want {
			t.Errorf("step %d: event %q, want %q", i, got, step.want)
		}
	}
}
