package collector

import "time"

// packEvery is how often it is looked whether a day is to be packed. What keeps
// it from that may be over soon: a reader, or what is left of an earlier run.
const packEvery = 10 * time.Minute

// pack packs the windows of days that are over. It begins a window after the
// start, for what an earlier run left is written first, and takes as long as it
// takes: the schedule leaves a turn out while the one before still runs.
func (c *Collector) pack() {
	if c.cfg.Pack == nil {
		return
	}
	if err := c.cfg.Pack(c.upkeep); err != nil && c.upkeep.Err() == nil {
		c.cfg.Log.Warn("packing is not finished and goes on in ten minutes", "error", err)
	}
}
