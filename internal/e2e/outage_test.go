package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

// collectorProcess is the real collector with its journal's folder.
type collectorProcess struct {
	env []string
	cmd *exec.Cmd
	log strings.Builder
}

func (c *collectorProcess) start(t *testing.T) {
	t.Helper()
	c.cmd = exec.Command(programs.path(t, "pgam-collector"))
	c.cmd.Env = append(plainEnvironment(t), c.env...)
	c.cmd.Stderr = &c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (c *collectorProcess) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // killed
}

// TestOutage: an outage of stats_db, with a kill -9 of the collector in the
// middle of it, loses at most the second of the kill and doubles nothing.
func TestOutage(t *testing.T) {
	t.Parallel()
	storage, watched := pgtest.Target(t), pgtest.Target(t)
	storage.Exec(t, "create database stats_db")
	dsn := storage.DatabaseDSN(pgtest.Superuser, "stats_db")
	if out := runProgram(t, []string{"PGAM_STATS_DSN=" + dsn}, "pgam", "migrate"); out.code != 0 {
		t.Fatalf("migrate: %s", out.stderr)
	}
	dir := t.TempDir()
	c := &collectorProcess{env: []string{
		"PGAM_STATS_DSN=" + dsn, "PGAM_KEY_FILE=" + filepath.Join(dir, "keyring.json"), "PGAM_DATA_DIR=" + dir,
		"PGAM_HEALTH_LISTEN=127.0.0.1:0", "PGAM_WINDOW=5s",
	}}
	register(t, dsn, filepath.Join(dir, "keyring.json"), watched)
	open := holdOpen(t, watched)

	c.start(t)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		if t.Failed() {
			t.Log(c.log.String())
		}
	})
	pgtest.WaitFor(t, 30*time.Second, func() bool { return ticks(t, dsn) >= 5 }, "a first window")
	storage.Stop(t)
	stopped := time.Now()
	awaitClock(t, 8*time.Second)
	c.kill(t)
	killed := time.Now()
	c.start(t) // with stats_db away: from the journal
	awaitClock(t, 8*time.Second)
	storage.Start(t)
	back := time.Now()
	pgtest.WaitFor(t, 60*time.Second, func() bool {
		return pgtest.Value[bool](t, dsn, "select coalesce(max(time) > $1, false) from report.tick", back.Add(6*time.Second))
	}, "the journal to drain")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("collector: %v", err)
	}
	if took := time.Since(asked); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}

	rows := query(t, dsn, "select time from report.tick order by time")
	ticks, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		t.Fatal(err)
	}
	var before, after []time.Time
	for _, at := range ticks {
		switch {
		case at.Before(killed.Add(-3 * time.Second)):
			before = append(before, at)
		case at.After(killed.Add(4 * time.Second)):
			after = append(after, at)
		}
	}
	if err := everySecond(before); err != nil {
		t.Errorf("before the kill: %v; stats_db was away from %s", err, stopped.Format(time.TimeOnly))
	}
	if err := everySecond(after); err != nil {
		t.Errorf("after the kill: %v; stats_db was back at %s", err, back.Format(time.TimeOnly))
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) - count(distinct time) from report.activity where pid = $1", open); n != 0 {
		t.Errorf("%d samples of the session are doubled", n)
	}
	if n := pgtest.Value[int64](t, dsn, `select count(*) from report.tick k where k.outcome in ('ok', 'degraded') and not exists
 (select from report.activity a where a.t0 = k.t0 and a.time = k.time and a.pid = $1 and a.application_name = 'open' and a.user_name = 'postgres')`, open); n != 0 {
		t.Errorf("%d ticks do not show the session that was there all the time", n)
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from report.tick where outcome = 'failed' and (time < $1 or time > $2)",
		killed.Add(-3*time.Second), killed.Add(4*time.Second)); n != 0 {
		t.Errorf("%d ticks have failed, though nothing was wrong with the server", n)
	}
	if n := pgtest.Value[int64](t, dsn, `select count(*) from history.activity_minute m where ticks_planned <>
 (select count(*) from report.tick k where date_trunc('minute', k.t0) = m.minute)`); n != 0 {
		t.Errorf("%d minutes disagree with their windows", n)
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from history.database_stat where xact_commit < 0"); n != 0 {
		t.Errorf("%d negative deltas", n)
	}
}

func register(t *testing.T, dsn, key string, watched *pgtest.Server) {
	t.Helper()
	if err := secret.WriteKeyring(key); err != nil {
		t.Fatal(err)
	}
	ring, err := secret.ReadKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := store.New(store.Config{DSN: secret.New(dsn), Keyring: ring, Application: "pgam-test"})
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	tg := target.Target{Name: "watched", Enabled: true, Endpoint: target.Endpoint{
		Host: watched.Host(), Port: watched.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
	}}
	tg.Defaults()
	if _, err := stats.CreateServer(t.Context(), tg); err != nil {
		t.Fatal(err)
	}
}

// holdOpen keeps a transaction open until the test ends, and gives its pid.
func holdOpen(t *testing.T, watched *pgtest.Server) uint32 {
	t.Helper()
	cfg, err := pgx.ParseConfig(watched.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["application_name"] = "open"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "begin; select 1", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return conn.PgConn().PID()
}

func ticks(t *testing.T, dsn string) int64 {
	t.Helper()
	return pgtest.Value[int64](t, dsn, "select count(*) from report.tick")
}

func query(t *testing.T, dsn, sql string) pgx.Rows {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
	return rows
}

// awaitClock lets an outage last: what is tested is the stretch of time.
func awaitClock(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// everySecond says where a second has no tick, or two. Ticks of a busy machine
// may begin late; but after one that is lost or doubled, all are.
func everySecond(ticks []time.Time) error {
	const several = 5 // of which one is on time
	if len(ticks) < several {
		return fmt.Errorf("%d ticks only", len(ticks))
	}
	late := make([]time.Duration, len(ticks)) // after the first, apart from one second a tick
	for i, at := range ticks {
		late[i] = at.Sub(ticks[0]) - time.Duration(i)*time.Second
	}
	onTime := slices.Min(late)
	for i := several; i <= len(late); i++ {
		if by := slices.Min(late[i-several:i]) - onTime; by > time.Second/2 {
			return fmt.Errorf("from %s to %s ticks are %s off", ticks[i-several].Format(time.TimeOnly), ticks[i-1].Format(time.TimeOnly), by)
		}
	}
	return nil
}
