package report

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// server is called db1.
const server target.ID = 1

// midnight is in the middle of what the tests write: an hour and a day end there.
var midnight = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

func bucketAt(i int) time.Time { return midnight.Add(time.Duration(i-1) * sample.BucketLength) }

// open gives a stats_db with two servers, db1 and db2, and partitions around
// midnight.
func open(tb testing.TB) (*ingest.Writer, string) {
	tb.Helper()
	dsn := pgtest.StatsDB(tb)
	pgtest.Exec(tb, dsn, "insert into pgam.server (name, host, port, user_name) values ('db1', 'h', 5432, 'mon'), ('db2', 'h', 5433, 'mon')")
	w := ingest.New(pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)}), sample.NewHash([16]byte{4, 2}))
	if err := w.EnsurePartitions(tb.Context(), midnight.AddDate(0, 0, -3), midnight.AddDate(0, 0, 3)); err != nil {
		tb.Fatal(err)
	}
	return w, dsn
}

// asReader connects as one who may read the views only.
func asReader(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(tb.Context()) })
	for _, sql := range []string{"set role pgam_read", "set timezone = 'Australia/Eucla'"} {
		if _, err := conn.Exec(tb.Context(), sql); err != nil {
			tb.Fatal(err)
		}
	}
	return conn
}

// rows reads rows of T by the names of their columns.
func rows[T any](tb testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	tb.Helper()
	found, err := conn.Query(tb.Context(), sql, args...)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	all, err := pgx.CollectRows(found, pgx.RowToStructByName[T])
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return all
}

func column[T any](tb testing.TB, conn *pgx.Conn, sql string, args ...any) []T {
	tb.Helper()
	found, err := conn.Query(tb.Context(), sql, args...)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	all, err := pgx.CollectRows(found, pgx.RowTo[T])
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return all
}
