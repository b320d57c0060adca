package main

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// TestTakeoverKeepsMeanings kills a collector whose journal holds what stats_db
// does not know yet, and has another one take over meanwhile; what the first one
// brings later is there beside it, and means what it saw.
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

	first := in.start(t)
	// What comes just after a writing stays in the journal until the next slot is over.
	written := func() float64 { return first.metric(t, "pgam_ticks_written_total") }
	from := written()
	pgtest.WaitFor(t, func() bool { return written() > from }, "a writing")
	end := busy("alpha")
	samples(first, 3)
	kill(t, first)
	end()
	before := seen("alpha")

	other := *in
	other.data = t.TempDir()
	second := other.start(t)
	end = busy("beta")
	pgtest.WaitFor(t, func() bool { return seen("beta") > 0 }, "the second to write")
	second.stop(t)
	end()
	beta := seen("beta")

	in.start(t).stop(t)
	if alpha, now := seen("alpha"), seen("beta"); alpha < 2 || alpha == before || now != beta {
		t.Errorf("%d samples of the first session, %d before, and %d instead of %d of the second", alpha, before, now, beta)
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
