package pgtest

import (
	"os"
	"path/filepath"
	"testing"
)

// LibpqEnvironment is an environment, NAME=value, in which everything that libpq
// reads beside an address is wrong: its variables but PGSERVICE, and the files in
// HOME.
func LibpqEnvironment(tb testing.TB) []string {
	tb.Helper()
	home := tb.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".postgresql"), 0o700); err != nil {
		tb.Fatal(err)
	}
	for _, name := range []string{".postgresql/root.crt", ".postgresql/postgresql.crt", ".postgresql/postgresql.key", ".pgpass", ".pg_service.conf"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte("broken"), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return []string{
		"HOME=" + home, "PGHOST=192.0.2.1", "PGPORT=1", "PGUSER=nobody", "PGPASSWORD=wrong", "PGDATABASE=none", "PGCONNECT_TIMEOUT=10s",
		"PGSSLROOTCERT=/nonexistent", "PGSSLCERT=/nonexistent", "PGSSLKEY=/nonexistent", "PGSSLNEGOTIATION=direct", "PGSSLMODE=verify-full",
		"PGSSLCERTMODE=require", "PGREQUIREAUTH=gss", "PGCHANNELBINDING=require", "PGTARGETSESSIONATTRS=standby", "PGOPTIONS=-c x.y=z",
		"PGMINPROTOCOLVERSION=3.2", "PGAPPNAME=not ours", "PGTZ=Asia/Tokyo", "PGPASSFILE=" + home,
	}
}
