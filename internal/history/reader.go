package history

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/statsdb"
)

// Reader answers questions from stats_db. It is safe for concurrent use.
type Reader struct {
	db         *statsdb.DB
	pool       *pgxpool.Pool
	partitions keptList
}

// New makes a Reader on connections that stay the caller's to close.
func New(db *statsdb.DB) *Reader { return &Reader{db: db, pool: db.Pool()} }

// send has a batch answered, in one round trip. The answers are there, or partly
// so, when it returns.
func (r *Reader) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return r.pool.SendBatch(ctx, b).Close()
}
