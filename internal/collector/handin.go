package collector

import (
	"context"
	"time"

	"github.com/pgam/pgam/internal/target"
)

const (
	// handInEvery is how often who stands by looks into its journal.
	handInEvery = 2 * time.Second
	// handInWait is how long a window waits for the one that the active collector
	// has of its time, at most: that one may be of a paused server.
	handInWait = 2 * time.Minute
)

// HandIn gives what the journal holds of an earlier run to a history that another
// collector writes, until ctx ends. written tells how far each server's windows
// go there: what is newer waits, because the other's own look at a second counts
// more than the note that this collector missed it. Of the configuration it
// needs Journal, History, Log and Window.
func HandIn(ctx context.Context, cfg Config, written func(context.Context) (map[target.ID]time.Time, error)) {
	var upTo map[target.ID]time.Time
	now := func() time.Time { return time.Now().UTC() }
	p := newPacker(cfg, now, func() map[target.ID]time.Time { return upTo })
	p.offerAgain = cfg.Journal.Again
	handed := false
	for {
		if waiting, err := cfg.Journal.Next(0, 1); err == nil && len(waiting) > 0 && !now().Before(p.retryAt) {
			if upTo, err = written(ctx); err == nil { // else who waits for the lease says so
				for id, at := range upTo {
					if least := now().Add(-handInWait); at.Before(least) {
						upTo[id] = least
					}
				}
				handed = true
				if err = p.flush(ctx, now(), false); err == nil {
					p.pause = minPause
				} else if ctx.Err() == nil {
					p.later(now(), err)
				}
			}
		} else if err == nil && len(waiting) == 0 && handed {
			_ = cfg.Journal.Sync() // what is done leaves; who samples says so if it fails
			cfg.Log.InfoContext(ctx, "what this collector had seen before it stood by is in the history")
			handed = false
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(handInEvery):
		}
	}
}
