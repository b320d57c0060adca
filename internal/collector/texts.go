package collector

import (
	"slices"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// stricter reports whether less of a text may be kept than before.
func stricter(before, now target.QueryTexts) bool {
	order := []target.QueryTexts{target.TextsFull, target.TextsNormalized, target.TextsNone}
	return slices.Index(order, now) > slices.Index(order, before)
}

// forgetTexts has the texts taken away that t's history may not hold any more,
// and again when what was being written meanwhile is there. What fails is done
// by maintenance.
func (c *Collector) forgetTexts(t target.Target) {
	if c.cfg.ForgetTexts == nil {
		return
	}
	c.closes.Go(func() {
		c.guard(c.upkeep, "forget texts", t.ID, func() {
			for _, wait := range []time.Duration{0, flushTimeout + settle} {
				select {
				case <-c.upkeep.Done():
					return
				case <-time.After(wait):
				}
				switch rows, err := c.cfg.ForgetTexts(c.upkeep); {
				case err != nil && c.upkeep.Err() == nil:
					c.cfg.Log.WarnContext(c.upkeep, "texts of statements are not all taken away yet; maintenance goes on with it", "server", t.Name, "error", err)
				case rows > 0:
					c.cfg.Log.InfoContext(c.upkeep, "took stored texts of statements away", "texts", rows)
				}
			}
		})
	})
}
