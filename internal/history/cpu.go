package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// CPUs gives how many processors the host of a server had at an instant, or where
// nobody had looked yet when somebody first did; nil: nobody did.
func (r *Reader) CPUs(ctx context.Context, id target.ID, at time.Time) (*int, error) {
	var n int
	err := r.pool.QueryRow(ctx, sql("cpu_count"), pgx.NamedArgs{"server_id": id, "at": at}).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // unknown
	}
	if err != nil {
		return nil, fmt.Errorf("read number of processors: %w", statsdb.Classify(err))
	}
	return &n, nil
}
