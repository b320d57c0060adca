package collector

import "time"

const (
	// rollEvery is how often what is over is summed up.
	rollEvery = 30 * time.Second
	// rollPhase keeps it apart from the journal's turn and the start of windows.
	rollPhase = 7250 * time.Millisecond
)

// rollUp sums up what is over. The schedule leaves a turn out while the one
// before still runs.
func (c *Collector) rollUp() {
	if c.cfg.Roll == nil {
		return
	}
	if err := c.cfg.Roll(c.upkeep); err != nil && c.upkeep.Err() == nil {
		c.cfg.Log.Warn("activity is not summed up yet, which is tried again in half a minute", "error", err)
	}
}
