package store

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// openStore gives a store on a database of the test's own, and the DSN.
func openStore(t *testing.T) (*Store, string) {
	t.Helper()
	dsn := statsDB(t)
	return openStoreAt(t, dsn), dsn
}

func openStoreAt(tb testing.TB, dsn string) *Store {
	tb.Helper()
	return New(pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)}))
}

// catalogOf is the catalog beside a store: its servers have no secrets.
func catalogOf(t *testing.T, s *Store) *catalog.Catalog {
	t.Helper()
	return catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsnOf(s)), MaxConns: 1}), nil)
}

func exampleServer(name string) target.Target {
	return target.Target{
		Name:       name,
		Endpoint:   target.Endpoint{Host: "db.example.org", Port: 5433, User: "mon"},
		StatsDB:    "stats_db",
		DiskSource: target.DiskNone,
		Intervals:  target.Intervals{Activity: 2 * time.Second, Sizes: time.Hour, Disks: time.Minute},
		Enabled:    true,
	}
}

// partitionsAround makes the partitions for history at these instants.
func partitionsAround(t *testing.T, s *Store, instants ...time.Time) {
	t.Helper()
	for _, at := range instants {
		if err := s.EnsurePartitions(t.Context(), at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// storeOn gives a store on a server of the test's own, so that it can be
// stopped, of a major version.
func storeOn(t *testing.T, version string) (*pgtest.Server, *Store) {
	t.Helper()
	server := pgtest.Target(t, pgtest.WithTrust(), pgtest.WithVersion(version))
	conn, err := pgx.Connect(t.Context(), server.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := schema.Up(t.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return server, openStoreAt(t, server.SuperuserDSN())
}
