package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// lifeDays is how far back a sign of life is looked for.
const lifeDays = 400

// LastLife gives the newest sign of life of a collector before an instant: an
// event of its own, or a planned tick, whatever came of it. stopped says that it
// is a clean stop. It is zero where there is none.
func (w *Writer) LastLife(ctx context.Context, before time.Time) (at time.Time, stopped bool, err error) {
	var found *time.Time
	err = w.pool.QueryRow(ctx, sql("last_life"), named{
		"before": before, "monitor": sample.TheMonitor, "days": lifeDays,
		"started": string(sample.EventCollectorStarted), "stopped": string(sample.EventCollectorStopped),
	}).Scan(&found, &stopped)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the last sign of life: %w", statsdb.Classify(err))
	}
	if found == nil {
		return time.Time{}, false, nil
	}
	return found.UTC(), stopped, nil
}

// ServerRemoved tells when a server was deleted; the error is
// target.ErrNotFound where it was not, or goes with its history.
func (w *Writer) ServerRemoved(ctx context.Context, id target.ID) (time.Time, error) {
	var at time.Time
	const removed = "/* pgam:server_removed */ select deleted_at from pgam.server where id = $1 and deleted_at is not null and not purge"
	err := w.pool.QueryRow(ctx, removed, id).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, target.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read removed server: %w", statsdb.Classify(err))
	}
	return at.UTC(), nil
}
