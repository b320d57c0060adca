package main

import (
	"context"
	"time"

	"github.com/pgam/pgam/internal/store"
)

const (
	// rollChunk is how many buckets are looked for at a time.
	rollChunk = 500
	// maxRoll is how long one turn goes on where much is due, after an outage or
	// an upgrade.
	maxRoll = 25 * time.Second
)

// roller sums up activity.
type roller struct{ stats *store.Store }

func (r roller) run(ctx context.Context) error {
	for until := time.Now().Add(maxRoll); time.Now().Before(until); {
		_, more, err := r.stats.Roll(ctx, time.Now(), rollChunk)
		if err != nil || !more {
			return err
		}
	}
	return nil
}
