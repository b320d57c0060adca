package history

import (
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
