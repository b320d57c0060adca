package store

import (
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/statsdb"
)

// Store is the history in stats_db. It is safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool
	timelines timelines
	rolls     rolls
	since     partitionsSince
	lease     atomic.Pointer[Lease] // nil: there is none to ask for
	mark      mark
}

// New makes a Store on connections that stay the caller's to close.
func New(db *statsdb.DB) *Store { return &Store{pool: db.Pool()} }
