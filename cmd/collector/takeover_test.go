package main

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// TestTakeoverKeepsMeanings kills a collector whose journal holds what stats_db
// does not know yet. Another one takes over meanwhile and names new things; what
// the first one brings later must still mean what it saw.
func TestTakeoverKeepsMeanings(t *testing.T) {
	t.Parallel()
	in, server := install(t), pgtest.Target(t)
	in.add(t, target.Target{Name: "one", Endpoint: target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}})
	busy := func(application string) (end func()) {
		cfg, err := pgx.ParseConfig(server.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.RuntimeParams["application_name"] = application
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		return func() { _ = conn.Close(t.Context()) }
	}
	samples := func(p *process, n float64) {
		t.Helper()
		from := max(p.metric(t, "pgam_session_samples_total"), 0)
		pgtest.WaitFor(t, func() bool { return p.metric(t, "pgam_session_samples_total") >= from+n }, "samples")
	}
	seen := func(application string) int64 {
		return pgtest.Value[int64](t, in.dsn, "select count(*) from report.activity where application_name = '"+application+"'")
	}

	first := in.start(t, "PGAM_WINDOW=60s")
	// What comes after the first writing stays in the journal for a minute.
	pgtest.WaitFor(t, func() bool { return pgtest.Value[bool](t, in.dsn, "select exists (select from history.event)") }, "the first writing")
	end := busy("alpha")
	samples(first, 3)
	kill(t, first)
	end()
	if n := seen("alpha"); n != 0 {
		t.Skipf("a window's end came in between: %d samples are there already", n)
	}

	other := *in
	other.data = t.TempDir()
	second := other.start(t)
	end = busy("beta")
	pgtest.WaitFor(t, func() bool { return seen("beta") > 0 }, "the second to write")
	second.stop(t)
	end()
	beta := seen("beta")

	in.start(t).stop(t)
	if alpha, now := seen("alpha"), seen("beta"); alpha < 2 || now != beta {
		t.Errorf("%d samples of the first session, and %d instead of %d of the second", alpha, now, beta)
	}
}

func kill(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.logged
	_ = p.cmd.Wait() // it was killed
}
