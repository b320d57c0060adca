package pgtest

import (
	"testing"

	"github.com/pgam/pgam/internal/statsdb"
)

// OpenStatsDB opens a stats_db as programs do, until the test ends or it is closed.
func OpenStatsDB(tb testing.TB, cfg statsdb.Config) *statsdb.DB {
	tb.Helper()
	if cfg.Application == "" {
		cfg.Application = "pgam-test"
	}
	db, err := statsdb.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)

	return db
}
