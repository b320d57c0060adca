package local

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestPrepareCluster proves, by logging in, that the roles can do what they are
// for, and no more.
func TestPrepareCluster(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	conn, err := pgx.Connect(t.Context(), server.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	login := func(role, password, database string) error {
		dsn := pgtest.WithUser(t, server.DatabaseDSN(role, database), role, password)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			return err
		}

		return conn.Close(t.Context())
	}
	// Twice, with other passwords the second time: a data folder whose password
	// file was lost gets a new one.
	for _, suffix := range []string{"1", "2"} {
		k := keys{stats: secret.New("stats" + suffix), monitor: secret.New("monitor" + suffix), demo: secret.New("demo" + suffix)}
		// "2" adds the demo to what is there.
		if err := prepareCluster(t.Context(), conn, k, suffix == "2"); err != nil {
			t.Fatal(err)
		}
		if err := login(statsRole, "stats"+suffix, statsDatabase); err != nil {
			t.Error(err)
		}
		if err := login(monitorRole, "monitor"+suffix, "postgres"); err != nil {
			t.Error(err)
		}
		if err := login(statsRole, "wrong", statsDatabase); err == nil {
			t.Error("a wrong password is let in")
		}
		if err := login(demoRole, "demo"+suffix, demoDatabase); (err == nil) != (suffix == "2") {
			t.Errorf("demo's login gives %v", err)
		}
	}
	roles := "select string_agg(rolname || ' ' || rolsuper || ' ' || rolcreaterole || ' ' || rolcanlogin, ', ' order by rolname) from pg_roles where rolname ~ '^pgam_' or rolname = 'pgam'"
	want := "pgam false false true, pgam_demo false false true, pgam_monitor false false true, pgam_read false false false"
	if got := pgtest.Value[string](t, server.SuperuserDSN(), roles); got != want {
		t.Errorf("roles (superuser, createrole, login) are %s, want %s", got, want)
	}
	if !pgtest.Value[bool](t, server.SuperuserDSN(), "select pg_has_role('pgam_monitor', 'pg_monitor', 'usage')") {
		t.Error("pgam_monitor cannot monitor")
	}
}

func TestCreateDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	name := `odd "name" ünï`
	dsn := secret.New(server.DatabaseDSN(pgtest.Superuser, name))
	for _, want := range []bool{true, false} {
		if made, err := CreateDatabase(t.Context(), dsn); err != nil || made != want {
			t.Errorf("CreateDatabase = %t, %v, want %t", made, err, want)
		}
	}
	if got := pgtest.Value[string](t, dsn.Reveal(), "select current_database()::text"); got != name {
		t.Errorf("the database is called %q", got)
	}
	if _, err := CreateDatabase(t.Context(), secret.New(server.DatabaseDSN(pgtest.User, "another"))); err == nil {
		t.Error("a role that may not creates a database")
	}
}
