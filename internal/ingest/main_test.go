package ingest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
)

var testHash = sample.NewHash([16]byte{4, 2}) //nolint:gochecknoglobals // constant

func TestMain(m *testing.M) { pgtest.Main(m) }

// open gives a writer on a stats_db of its own, with room for all times.
func open(tb testing.TB) (*Writer, string) {
	tb.Helper()
	dsn := pgtest.StatsDB(tb)
	for _, table := range []string{"activity", "activity_minute", "activity_total", "session"} {
		pgtest.Exec(tb, dsn, "create table history."+table+"_all partition of history."+table+" default")
	}
	pgtest.Exec(tb, dsn, "create table history.activity_rollup_all partition of history.activity_rollup default")
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "writer"
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		statsdb.RegisterArrays(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return New(pool, testHash), dsn
}
