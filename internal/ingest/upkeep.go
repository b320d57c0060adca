package ingest

import (
	"context"
	"fmt"
	"time"

	"github.com/pgam/pgam/internal/statsdb"
)

// Upkeep says how far the care for the history has come.
type Upkeep struct {
	// PartitionsUntil is when the first table runs out of partitions; zero: some
	// table has none.
	PartitionsUntil time.Time
	// Seen is the end of the newest slot that was written; zero: there is none.
	Seen time.Time
	// CompactionDue is when the oldest bucket was over that waits to be compacted;
	// zero: none waits.
	CompactionDue time.Time
	// DeadRows are those of activity_recent that wait for a vacuum: they pile up
	// while somebody holds an old snapshot.
	DeadRows int64
	// Bytes is the size of stats_db on disk.
	Bytes int64
}

// Upkeep looks at how far the care for the history has come at an instant.
func (w *Writer) Upkeep(ctx context.Context, now time.Time) (Upkeep, error) {
	existing, err := w.partitions(ctx)
	if err != nil {
		return Upkeep{}, fmt.Errorf("list partitions: %w", statsdb.Classify(err))
	}
	out := Upkeep{PartitionsUntil: partitionsUntil(existing)}
	var seen, due *time.Time
	if err := w.pool.QueryRow(ctx, sql("read_upkeep"), named{"now": now}).Scan(&seen, &due, &out.DeadRows, &out.Bytes); err != nil {
		return Upkeep{}, fmt.Errorf("look at what is due: %w", statsdb.Classify(err))
	}
	if seen != nil {
		out.Seen = seen.UTC()
	}
	if due != nil {
		out.CompactionDue = due.UTC()
	}
	return out, nil
}

// partitionsUntil gives the earliest of the tables' newest ends.
func partitionsUntil(existing map[string]partitionState) time.Time {
	var first time.Time
	for i, t := range statsdb.Layout() {
		var newest time.Time
		for name, state := range existing {
			if end, ok := t.Ends(name); ok && state.inUse() && end.After(newest) {
				newest = end
			}
		}
		if i == 0 || newest.Before(first) {
			first = newest
		}
	}
	return first
}
