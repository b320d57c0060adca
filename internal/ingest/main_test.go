package ingest

import (
	"context"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

var testHash = sample.NewHash([16]byte{4, 2})

func TestMain(m *testing.M) { pgtest.Main(m) }

// open gives a writer on a stats_db of its own, with room for all times.
func open(tb testing.TB) (*Writer, string) {
	tb.Helper()
	dsn := pgtest.StatsDB(tb)
	for _, table := range []string{"activity", "activity_minute", "activity_total", "session"} {
		pgtest.Exec(tb, dsn, "create table history."+table+"_all partition of history."+table+" default")
	}
	pgtest.Exec(tb, dsn, "create table history.activity_rollup_all partition of history.activity_rollup default")
	return New(pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn), Application: "writer"}), testHash), dsn
}

// flush writes ticks, and what they name.
func flush(ctx context.Context, w *Writer, server target.ID, ticks []*sample.Tick, names ...*sample.Entries) error {
	visits := make([]*sample.Visit, 0, len(ticks)+len(names))
	for _, t := range ticks {
		visits = append(visits, &sample.Visit{Tick: t})
	}
	for _, n := range names {
		visits = append(visits, &sample.Visit{Entries: *n})
	}
	return w.flush(ctx, server, visits)
}
