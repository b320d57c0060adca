package collector

import (
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// serverClock says whether a server's clock differs from the collector's.
type serverClock struct{ differs bool }

// follow looks at what a visit yielded, and gives the event if the clocks differ
// from now on by more than sample.ClockTolerance, or no longer do. What the way
// there and back may hide counts for neither.
func (c *serverClock) follow(v *sample.Visit) []sample.Event {
	if !v.Tick.Outcome.Answered() {
		return nil
	}
	offset, within := v.Load.ClockOffset, v.Load.ClockWithin
	e := sample.Event{At: v.Tick.Started, New: fmt.Sprintf("%.1f s", offset.Seconds())}
	switch far := offset.Abs(); {
	case !c.differs && far-within > sample.ClockTolerance:
		where := "ahead of"
		if offset < 0 {
			where = "behind"
		}
		e.Kind = sample.EventClockDiffers
		e.Detail = fmt.Sprintf("the server's clock is %s %s the collector's: ages are by the server's, instants by the collector's; "+
			"what is compared with logs needs clocks that agree", far.Round(100*time.Millisecond), where)
	case c.differs && far+within < sample.ClockTolerance:
		e.Kind = sample.EventClockAgrees
	default:
		return nil
	}
	c.differs = !c.differs
	return []sample.Event{e}
}
