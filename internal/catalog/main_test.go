package catalog

import (
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// openCatalog gives a catalog on a database of the test's own, with a new
// keyring, and the DSN.
func openCatalog(t *testing.T) (*Catalog, string) {
	t.Helper()
	dsn := pgtest.StatsDB(t)
	return openCatalogAt(t, dsn, newKeyring(t)), dsn
}

func openCatalogAt(t *testing.T, dsn string, keys *secret.Keyring) *Catalog {
	t.Helper()
	return New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)}), keys)
}

// catalogOn gives a catalog on a server of the test's own, of a major version.
func catalogOn(t *testing.T, version string) (*pgtest.Server, *Catalog) {
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
	return server, openCatalogAt(t, server.SuperuserDSN(), newKeyring(t))
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

func newServer(t *testing.T, c *Catalog, name string) target.ID {
	t.Helper()
	made, err := c.CreateServer(t.Context(), exampleServer(name))
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}
