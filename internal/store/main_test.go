package store

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// openStore gives a store on a database of the test's own, with a new keyring,
// and the DSN.
func openStore(t *testing.T) (*Store, string) {
	t.Helper()
	dsn := statsDB(t)
	return openStoreAt(t, dsn, newKeyring(t)), dsn
}

func openStoreAt(tb testing.TB, dsn string, keys *secret.Keyring) *Store {
	tb.Helper()
	s, err := New(Config{DSN: secret.New(dsn), Keyring: keys, Application: "pgam-test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func newKeyring(t *testing.T) *secret.Keyring {
	t.Helper()
	data, err := secret.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.ParseKeyring(data)
	if err != nil {
		t.Fatal(err)
	}
	return keys
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
	return server, openStoreAt(t, server.SuperuserDSN(), newKeyring(t))
}
