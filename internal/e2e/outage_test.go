package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
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
	c.cmd.Env = append(append(plainEnvironment(t), slowStop), c.env...)
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

// outage has a collector watch a server until a window is stored, and then takes
// stats_db away from it. open is the pid of a session that is open all the time.
func outage(t *testing.T) (storage *pgtest.Server, dsn, dir string, c *collectorProcess, open uint32) {
	t.Helper()
	watched := pgtest.Target(t)
	storage = pgtest.Target(t)
	storage.Exec(t, "create database stats_db")
	dsn = storage.DatabaseDSN(pgtest.Superuser, "stats_db")
	if out := runProgram(t, []string{"PGAM_STATS_DSN=" + dsn}, "pgam", "migrate"); out.code != 0 {
		t.Fatalf("migrate: %s", out.stderr)
	}
	dir = t.TempDir()
	c = &collectorProcess{env: []string{
		"PGAM_STATS_DSN=" + dsn, "PGAM_KEY_FILE=" + filepath.Join(dir, "keyring.json"), "PGAM_DATA_DIR=" + dir,
		"PGAM_HEALTH_LISTEN=127.0.0.1:0",
	}}
	register(t, dsn, filepath.Join(dir, "keyring.json"), watched)
	open = holdOpen(t, watched)
	c.start(t)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		if t.Failed() {
			t.Log(c.log.String())
		}
	})
	pgtest.WaitFor(t, func() bool { return ticks(t, dsn) >= 5 }, "a first window")
	storage.Stop(t)
	return storage, dsn, dir, c, open
}

// TestOutage: an outage of stats_db, with a kill -9 of the collector in the
// middle of it, loses at most the second of the kill and doubles nothing.
func TestOutage(t *testing.T) {
	t.Parallel()
	storage, dsn, _, c, open := outage(t)
	stopped := time.Now()
	awaitClock(t, 8*time.Second)
	c.kill(t)
	killed := time.Now()
	c.start(t) // with stats_db away: from the journal
	awaitClock(t, 8*time.Second)
	storage.Start(t)
	back := time.Now()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, dsn, "select coalesce(max(time) > $1, false) from report.tick", back.Add(6*time.Second))
	}, "the journal to drain")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("collector: %v", err)
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
	nothingDoubled(t, dsn, open)
}

// nothingDoubled checks that each tick is there once, with the session that was
// there all the time, and that minutes and deltas agree.
func nothingDoubled(t *testing.T, dsn string, open uint32) {
	t.Helper()
	if n := pgtest.Value[int64](t, dsn, "select count(*) - count(distinct time) from report.activity where pid = $1", open); n != 0 {
		t.Errorf("%d samples of the session are doubled", n)
	}
	if n := pgtest.Value[int64](t, dsn, `select count(*) from report.tick k where k.outcome in ('ok', 'degraded') and not exists
 (select from report.activity a where a.t0 = k.t0 and a.time = k.time and a.pid = $1 and a.application_name = 'open' and a.user_name = 'postgres')`, open); n != 0 {
		t.Errorf("%d ticks do not show the session that was there all the time", n)
	}
	if n := pgtest.Value[int64](t, dsn, minutesWrong); n != 0 {
		t.Errorf("%d minutes disagree with their ticks", n)
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from report.database_stat where xact_commit < 0"); n != 0 {
		t.Errorf("%d negative deltas", n)
	}
}

// TestDamagedJournal: a journal that no tree can be read of any more, while
// stats_db is away, keeps nobody from sampling, and costs no tick; what stats_db
// has already and the journal still knows is not stored again.
func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	storage, dsn, dir, c, open := outage(t)
	awaitClock(t, 8*time.Second)
	c.kill(t)
	killed := time.Now()
	path := filepath.Join(dir, "journal.db")
	journal, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(journal[:2*os.Getpagesize()]) // where the trees begin
	if err := os.WriteFile(path, journal, 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	awaitClock(t, 8*time.Second)
	storage.Start(t)
	back := time.Now()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, dsn, "select coalesce(max(time) > $1, false) from report.tick", back.Add(6*time.Second))
	}, "the journal to drain")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("collector: %v", err)
	}
	if !strings.Contains(c.log.String(), "journal is damaged") || !strings.Contains(c.log.String(), "missing_at_most=0") {
		t.Error("the log does not tell of the damage, and what it cost")
	}
	rows := query(t, dsn, "select time from report.tick order by time")
	all, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		t.Fatal(err)
	}
	first := slices.IndexFunc(all, func(at time.Time) bool { return !at.Before(killed.Add(-3 * time.Second)) })
	if err := everySecond(all[:max(first, 0)]); err != nil {
		t.Errorf("before the kill: %v", err)
	}
	if n := pgtest.Value[int64](t, dsn, "select count(*) from report.tick where outcome = 'ok' and time between $1 and $2", killed, back); n == 0 {
		t.Error("no tick was answered while stats_db was away and the journal had been damaged")
	}
	nothingDoubled(t, dsn, open)
}

// register has servers watched: "watched", "watched 2" and so on.
func register(t *testing.T, dsn, key string, watched ...*pgtest.Server) {
	t.Helper()
	if err := secret.WriteKeyring(key); err != nil {
		t.Fatal(err)
	}
	ring, err := secret.ReadKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)})
	defer db.Close()
	stored := catalog.New(db, ring)
	for i, server := range watched {
		tg := target.Target{Name: "watched", Enabled: true, Endpoint: target.Endpoint{
			Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
		}}
		if i > 0 {
			tg.Name += fmt.Sprintf(" %d", i+1)
		}
		tg.Defaults()
		if _, err := stored.CreateServer(t.Context(), tg); err != nil {
			t.Fatal(err)
		}
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

// everySecond says where a second has no tick, or two.
func everySecond(ticks []time.Time) error {
	if len(ticks) == 0 {
		return errors.New("no ticks")
	}
	for i := 1; i < len(ticks); i++ {
		if ticks[i].Unix() != ticks[i-1].Unix()+1 {
			return fmt.Errorf("%s is followed by %s", ticks[i-1].Format("15:04:05.000"), ticks[i].Format("15:04:05.000"))
		}
	}
	return nil
}
