package collector

import (
	"context"
	"time"
)

// handInEvery is how often who stands by looks into its journal.
const handInEvery = 2 * time.Second

// HandIn writes what the journal holds of an earlier run, while another collector
// samples, until ctx ends: the history has each tick once, whoever brings it. Of the
// configuration it needs Journal, History and Log.
func HandIn(ctx context.Context, cfg Config) {
	f := newFlusher(cfg, func() time.Time { return time.Now().UTC() })
	f.offerAgain = cfg.Journal.Again
	defer f.workers.Wait()
	handed := false
	for {
		waiting, err := cfg.Journal.Next(0, 1)
		switch {
		case err == nil && len(waiting) > 0:
			handed, f.nextFlush = true, time.Time{}
			f.turn(ctx, f.now())
		case err == nil && handed:
			_ = cfg.Journal.Sync() // what is done leaves; who samples says so if it fails
			cfg.Log.InfoContext(ctx, "what this collector had seen before it stood by is in the history")
			handed = false
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wakes: // a server is done
		case <-time.After(handInEvery):
		}
	}
}
