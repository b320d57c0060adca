package catalog

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

// Catalog is what stats_db knows besides the history. It is safe for concurrent
// use.
type Catalog struct {
	db      *statsdb.DB
	pool    *pgxpool.Pool // db's
	keyring *secret.Keyring
}

// New makes a Catalog. The keyring opens and seals passwords and keys; nil where
// none is read.
func New(db *statsdb.DB, keyring *secret.Keyring) *Catalog { return &Catalog{db, db.Pool(), keyring} }
