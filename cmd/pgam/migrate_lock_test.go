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

// A stats_db that an older build made, which numbered its schema otherwise, is
// refused in one line, whatever its number is, and left as it is.
func TestMigrateRefusesOlderNumbering(t *testing.T) {
	t.Parallel()
	dsn := pgtest.EmptyDB(t)
	pgtest.Exec(t, dsn, "create schema pgam", "create schema history", "create table history.activity_window (t0 timestamptz)",
		"create table public.pgam_schema_version as select 18 as version")
	d := deskOn(t, dsn)
	for _, args := range [][]string{{"migrate"}, {"migrate", "--status"}} {
		code, _, errOut := d.try(t, args...)
		if code != 1 || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "made by an older pgam") || !strings.Contains(errOut, "PGAM_STATS_DSN") {
			t.Errorf("%v: exit code %d: %s", args, code, errOut)
		}
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from pg_class where relnamespace in ('pgam'::regnamespace, 'history'::regnamespace)"); n != 1 {
		t.Errorf("%d relations", n)
	}
}
