package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
)

// pair is two collectors, each with a journal and a way to stats_db of its own,
// for one stats_db and two servers at a second.
type pair struct {
	storage *pgtest.Server
	dsn     string
	way     [2]*faultnet.Proxy
	each    [2]*collectorProcess
	dir     [2]string // of their journals
	from    time.Time // when both were there
}

const (
	one = iota
	other
)

func newPair(t *testing.T, watched [2]*pgtest.Server) *pair {
	t.Helper()
	p := &pair{storage: pgtest.Target(t)}
	p.storage.Exec(t, "create database stats_db")
	p.dsn = p.storage.DatabaseDSN(pgtest.Superuser, "stats_db")
	if out := runProgram(t, []string{"PGAM_STATS_DSN=" + p.dsn}, "pgam", "migrate"); out.code != 0 {
		t.Fatalf("migrate: %s", out.stderr)
	}
	key := filepath.Join(t.TempDir(), "keyring.json")
	register(t, p.dsn, key, watched[:]...)
	for i := range p.each {
		p.way[i] = faultnet.NewProxy(t, p.storage.Host(), p.storage.Port())
		at, err := url.Parse(p.dsn)
		if err != nil {
			t.Fatal(err)
		}
		at.Host = p.way[i].Address()
		p.dir[i] = t.TempDir()
		p.each[i] = &collectorProcess{env: []string{
			"PGAM_STATS_DSN=" + at.String(), "PGAM_KEY_FILE=" + key, "PGAM_DATA_DIR=" + p.dir[i],
			"PGAM_HEALTH_LISTEN=127.0.0.1:0", "PGAM_DATABASES_INTERVAL=1s",
		}}
		t.Cleanup(func() {
			if c := p.each[i]; c.cmd != nil {
				_ = c.cmd.Process.Kill()
				_ = c.cmd.Wait()
				if t.Failed() {
					t.Logf("collector %d:\n%s", i, c.log.String())
				}
			}
		})
	}
	return p
}

// lead waits until a collector that is, or is being, started leads.
func (p *pair) lead(t *testing.T, i int) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		known, err := os.ReadFile(filepath.Join(p.dir[i], "lease.json"))
		known, _, _ = bytes.Cut(known, []byte("\ncrc32c"))
		return err == nil && pgtest.Value[bool](t, p.dsn, `
select coalesce((select split_part(holder, '/', 2) = $1::jsonb ->> 'id' and clock_timestamp() - renewed_at < interval '10 seconds' from pgam.lease), false)`, string(known))
	}, fmt.Sprintf("collector %d to lead", i))
}

// begin starts one, which leads, and the other, which stands by and has never led.
func (p *pair) begin(t *testing.T) {
	t.Helper()
	p.each[one].start(t)
	p.lead(t, one)
	p.each[other].start(t)
	p.seen(t, time.Now())
	p.from = time.Now()
}

// seen waits until ticks of both servers are stored that are later than an instant.
func (p *pair) seen(t *testing.T, after time.Time) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, p.dsn, `
select count(*) = 2 from (select server_id from report.tick where outcome <> 'skipped' group by 1 having max(time) > $1) s`, after)
	}, "ticks of both servers")
}

// again waits for a collector to end by itself, and starts it again.
func (p *pair) again(t *testing.T, i int) {
	t.Helper()
	_ = p.each[i].cmd.Wait() // it says that another took over
	p.each[i].start(t)
}

// TestTwoCollectors: whatever happens to one of two collectors or to stats_db, no
// second of a server is in the history twice, and none that a collector saw is
// missing once that collector is back; a second that nobody saw is told. Commits
// are counted once.
func TestTwoCollectors(t *testing.T) {
	t.Parallel()
	soak(t)
	watched := [2]*pgtest.Server{pgtest.Target(t), pgtest.Target(t)}
	for _, server := range watched {
		commit(t, server)
	}
	const outage = 4 * time.Second
	for name, happens := range map[string]func(t *testing.T, p *pair) (whole bool){
		// One that never led stands by over a restart, and so does one that has led.
		"stats_db restarts": func(t *testing.T, p *pair) bool {
			p.storage.Restart(t)
			if err := p.each[one].cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			p.lead(t, other)
			p.again(t, one)
			p.from = time.Now()
			p.seen(t, p.from)
			for range 2 {
				p.storage.Stop(t)
				awaitClock(t, outage)
				p.storage.Start(t)
				p.lead(t, other)
				p.seen(t, time.Now())
			}
			return true
		},
		// The one that leads is stopped as a process, and wakes when it leads no more.
		"frozen": func(t *testing.T, p *pair) bool {
			if err := p.each[one].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			p.lead(t, other)
			awaitClock(t, 10*time.Second)
			if err := p.each[one].cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			p.again(t, one)
			return false
		},
		// The one that leads loses stats_db alone, and goes on into its journal.
		"cut off": func(t *testing.T, p *pair) bool {
			p.way[one].Set(faultnet.Cut)
			p.lead(t, other)
			awaitClock(t, outage)
			p.way[one].Set(faultnet.Pass)
			p.again(t, one)
			return false
		},
		// The one that leads is killed in an outage, which only its journal has.
		"killed": func(t *testing.T, p *pair) bool {
			p.storage.Stop(t)
			awaitClock(t, outage)
			p.each[one].kill(t)
			killed := time.Now()
			p.storage.Start(t)
			p.lead(t, other)
			p.seen(t, time.Now())
			p.each[one].start(t)
			pgtest.WaitFor(t, func() bool {
				return pgtest.Value[bool](t, p.dsn, `
select count(*) = 2 from (select server_id from report.tick where outcome <> 'skipped' and time between $1 and $2 group by 1 having count(*) >= 2) s`,
					killed.Add(-outage), killed)
			}, "what the killed one had in its journal")
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, watched)
			p.begin(t)
			whole := happens(t, p)
			p.seen(t, time.Now().Add(6*time.Second)) // the journal of who stands by is handed in
			p.check(t, whole)
		})
	}
}

// check compares what is stored with the seconds that were planned. Where whole
// is asked for, every second has a tick.
func (p *pair) check(t *testing.T, whole bool) {
	t.Helper()
	if n := pgtest.Value[string](t, p.dsn, plannedTwice); n != "" {
		t.Errorf("seconds are stored twice: %s", n)
	}
	missing := pgtest.Value[int64](t, p.dsn, plannedMissing, p.from, false)
	if untold := pgtest.Value[int64](t, p.dsn, plannedMissing, p.from, true); whole && missing > 0 || untold > 0 {
		t.Errorf("%d seconds have no tick, %d of them are in no gap", missing, untold)
	}
	if n := pgtest.Value[int64](t, p.dsn, minutesWrong); n > 0 {
		t.Errorf("%d minutes disagree with their ticks", n)
	}
	// Counters are the server's own: what was added is the difference between the
	// first row and the last, whoever took those between, for nothing was reset.
	if wrong := pgtest.Value[*string](t, p.dsn, `
select string_agg(format('server %s database %s: %s in rows, the server says %s', server, database_name, counted, said), '; ')
  from (select v.server, v.database_name, sum(v.xact_commit) as counted, max(s.xact_commit) - min(s.xact_commit) as said
          from report.database_stat v
          join pgam.server g on g.name = v.server
          join history.database d on d.server_id = g.id and d.name = v.database_name
          join history.database_stat s on s.server_id = g.id and s.database_oid = d.oid and s.planned_at = v.time
         group by 1, 2) x
 where counted is distinct from said and said > 0`); wrong != nil {
		t.Errorf("commits: %s", *wrong)
	}
	if n := pgtest.Value[int64](t, p.dsn, "select count(*) from (select server from report.database_stat group by 1 having sum(xact_commit) > 50) s"); n != 2 {
		t.Errorf("commits of %d servers were counted", n)
	}
}

// minutesWrong counts minutes that have other ticks than the rows of samples.
const minutesWrong = `
select count(*)
  from history.activity_minute m
 where ticks_ok + ticks_degraded + ticks_failed + ticks_skipped <>
       (select count(*) from report.tick k where k.server_id = m.server_id and date_trunc('minute', k.time) = m.minute)`

// plannedSeconds gives the second of each tick.
const plannedSeconds = `
with planned as (select server_id, floor(extract(epoch from time))::int8 as second from report.tick)
`

const plannedTwice = plannedSeconds + `
select coalesce(string_agg(format('%s: %s', server_id, to_timestamp(second)), ', '), '')
  from (select server_id, second from planned group by 1, 2 having count(*) > 1) twice`

// plannedMissing counts seconds without a tick; with $2 only those in which a
// collector says to have been there.
const plannedMissing = plannedSeconds + `
select count(*)
  from (select server_id, max(second) as last from planned group by 1) s
 cross join lateral generate_series(ceil(extract(epoch from $1::timestamptz))::int8 + 1, s.last) as g (second)
 where not exists (select from planned p where p.server_id = s.server_id and p.second = g.second)
   and not ($2 and exists (select
                             from history.event e
                            where e.server_id = 0
                              and e.kind = 'collector_gap'
                              and to_timestamp(g.second) between e.old::timestamptz - interval '2 seconds' and e.new::timestamptz + interval '3 seconds'))`

// commit has a server commit some ten times a second until the test ends.
func commit(t *testing.T, server *pgtest.Server) {
	t.Helper()
	server.Exec(t, "create database shop")
	conn, err := pgx.Connect(t.Context(), server.DatabaseDSN(pgtest.Superuser, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := conn.Exec(ctx, "select 1", pgx.QueryExecModeSimpleProtocol); err != nil {
				return
			}
			<-time.After(100 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended; _ = conn.Close(context.Background()) })
}
