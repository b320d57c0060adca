package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
)

// A lock in the way of reading the version is said, not waited for in silence.
func TestMigrateSaysWhatIsLocked(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	d := deskOn(t, dsn)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "begin; lock table public.pgam_schema_version in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"migrate"}, {"migrate", "--status"}} {
		if code, _, errOut := d.try(t, args...); code != 1 || !strings.Contains(errOut, "public.pgam_schema_version") || !strings.Contains(errOut, "pg_locks") {
			t.Errorf("%v: exit code %d: %s", args, code, errOut)
		}
	}
}
