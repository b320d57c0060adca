package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/store"
)

// packedServers is how many made-up servers have days to pack.
const packedServers = 4

// packings is a stats_db with two days to pack, what is told of them, and the
// collector with its runs.
type packings struct {
	dsn     string
	older   time.Time // the day before day
	day     time.Time // the one that is packed first
	servers []int64
	told    map[string]string

	collector *collectorProcess
	runs      []collectorRun
}

// collectorRun is when a run began, and until when its ticks must be stored.
type collectorRun struct{ from, to time.Time }

// partition is where the day's windows are.
func (p *packings) partition() string { return "activity_window_p" + p.day.Format("20060102") }

// newPackings fills a stats_db with days that were over long ago: one of windows
// of 20 s, and before it one of windows that are as long as packed ones.
func newPackings(t *testing.T) *packings {
	t.Helper()
	p := &packings{dsn: pgtest.StatsDB(t), day: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2)}
	p.older = p.day.AddDate(0, 0, -1)
	made := runProgram(t, []string{"PGAM_STATS_DSN=" + p.dsn}, "pgam", "synth", "--servers", strconv.Itoa(packedServers), "--days", "1",
		"--cadence", "10s", "--sessions", "1", "--until", p.day.Add(24*time.Hour-time.Second).Format(time.RFC3339))
	if made.code != 0 {
		t.Fatalf("synth: %s", made.stderr)
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(p.dsn)})
	defer db.Close()
	stats := store.New(db)
	for made := 1; made > 0; { // what the collector would do meanwhile
		var err error
		if made, _, err = stats.Roll(t.Context(), time.Now(), 1000); err != nil {
			t.Fatal(err)
		}
	}
	p.servers = pgtest.Value[[]int64](t, p.dsn, "select array_agg(id order by id) from pgam.server")
	if n := pgtest.Value[int](t, p.dsn, "select count(*) from history.rollup_due"); n != 0 {
		t.Fatalf("%d buckets are still due", n)
	}
	pgtest.Exec(t, p.dsn, "delete from history.packed_day", "analyze", "create table told as "+p.samples(t))
	p.told = p.tell(t)
	if n := pgtest.Value[int](t, p.dsn, "select count(*) from told"); n < 10_000 {
		t.Fatalf("%d samples tell too little", n)
	}
	return p
}

// columns are those of a view, but for the one that packing changes.
func (p *packings) columns(t *testing.T, view string) string {
	t.Helper()
	return pgtest.Value[string](t, p.dsn, `
select string_agg(format('v.%I', attname), ', ' order by attnum)
  from pg_attribute
 where attrelid = $1::regclass
   and attnum > 0
   and attname <> 't0'`, view)
}

// samples is the question for every session sample of both days.
func (p *packings) samples(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("select %s from pgam.server s cross join lateral report.activity_between(s.name, '%s', '%s') v where s.id <= %d",
		p.columns(t, "report.activity"), p.older.Format(time.RFC3339), p.day.AddDate(0, 0, 1).Format(time.RFC3339), slices.Max(p.servers))
}

// tell gives sums of what else is told of the made-up servers, by what it is.
func (p *packings) tell(t *testing.T) map[string]string {
	t.Helper()
	told := make(map[string]string)
	for name, from := range map[string]string{
		"ticks":    "select " + p.columns(t, "report.tick") + " from report.tick v where server_id = any ($1)",
		"coverage": "select v.* from report.coverage v where server_id = any ($1)",
		"edges": `select w.server_id, w.t0 + w.tick_offset_ms[e.tick] * interval '1 millisecond', e.blocked, e.blocker, e.lock
  from history.activity_window w, unnest(w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock) as e (tick, blocked, blocker, lock)
 where server_id = any ($1)`,
		"minutes": "select v.* from history.activity_minute v where server_id = any ($1)",
		"rollups": "select v.* from history.activity_rollup v where server_id = any ($1)",
		"totals":  "select v.* from history.activity_total v where server_id = any ($1)",
	} {
		told[name] = pgtest.Value[string](t, p.dsn, "select format('%s rows, %s', count(*), sum(hashtextextended(x::text, 0)::numeric)) from ("+from+") x", p.servers)
	}
	told["partitions"] = pgtest.Value[string](t, p.dsn, `
select string_agg(format('%s %s', c.relname, pg_get_expr(c.relpartbound, c.oid)), E'\n' order by c.relname)
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
 where i.inhparent = 'history.activity_window'::regclass
   and c.relname <= $1`, p.partition())
	return told
}

// same compares all that is told with what was told before.
func (p *packings) same(t *testing.T, when string) {
	t.Helper()
	gone := pgtest.Value[string](t, p.dsn, `
with now as materialized (`+p.samples(t)+`)
select format('%s are gone, %s are new', (select count(*) from (table told except all table now) x), (select count(*) from (table now except all table told) x))`)
	if gone != "0 are gone, 0 are new" {
		t.Errorf("%s: of the session samples %s", when, gone)
	}
	if diff := cmp.Diff(p.told, p.tell(t)); diff != "" {
		t.Errorf("%s (-before +after):\n%s", when, diff)
	}
}

// transaction begins one that holds something until the end of it is called.
func (p *packings) transaction(t *testing.T, statement string) (end func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.dsn)
	if err != nil {
		t.Fatal(err)
	}
	end = func() { _ = conn.Close(context.Background()) }
	t.Cleanup(end)
	if _, err := conn.Exec(t.Context(), "begin; "+statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return end
}

// hold stops packing of the day where the n-th server is packed, and only its
// note is missing: a note of somebody else's is in the way, as long as nobody
// knows whether it stays.
func (p *packings) hold(t *testing.T, n int) (end func()) {
	t.Helper()
	return p.transaction(t, fmt.Sprintf("insert into history.packing (server_id, day, windows, first_t0, last_t0, rows, samples) values (%d, '%s', 0, now(), now(), 0, 0)",
		p.servers[n-1], p.day.Format(time.DateOnly)))
}

// noted are the servers of the day that are packed, each with the transaction
// that did it.
func (p *packings) noted(t *testing.T) []string {
	t.Helper()
	return pgtest.Value[[]string](t, p.dsn, "select coalesce(array_agg(format('%s by %s', server_id, xmin) order by server_id), '{}') from history.packing")
}

// awaitHeld waits until the collector's packing stands, and ticks have gone on
// for a while.
func (p *packings) awaitHeld(t *testing.T) {
	t.Helper()
	pgtest.WaitFor(t, func() bool {
		return p.waits(t, "insert into history.packing")
	}, "packing to come to the held server")
	held := time.Now()
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[bool](t, p.dsn, `
select count(*) >= 8 and max(time) > $2
  from report.tick
 where server = 'watched'
   and time > $1
   and t0 > $1::timestamptz - interval '1 minute'`, p.runs[len(p.runs)-1].from, held.Add(time.Second))
	}, "ticks while packing is held")
}

// waits says whether the collector waits for a lock with a statement.
func (p *packings) waits(t *testing.T, statement string) bool {
	t.Helper()
	return pgtest.Value[bool](t, p.dsn, `
select exists (select from pg_stat_activity
                where datname = current_database() and application_name = 'pgam-collector' and wait_event_type = 'Lock' and strpos(query, $1) > 0)`, statement)
}

// watch gives the packings a collector that watches a server.
func (p *packings) watch(t *testing.T, watched *pgtest.Server) {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "keyring.json")
	register(t, p.dsn, key, watched)
	p.collector = &collectorProcess{env: []string{
		"PGAM_STATS_DSN=" + p.dsn, "PGAM_KEY_FILE=" + key, "PGAM_DATA_DIR=" + dir, "PGAM_HEALTH_LISTEN=127.0.0.1:0", "PGAM_WINDOW=5s",
	}}
	t.Cleanup(func() {
		if p.collector.cmd != nil {
			_ = p.collector.cmd.Process.Kill()
			_ = p.collector.cmd.Wait()
		}
		if t.Failed() {
			t.Log(p.collector.log.String())
		}
	})
}

func (p *packings) start(t *testing.T) {
	t.Helper()
	p.runs = append(p.runs, collectorRun{from: time.Now()})
	p.collector.start(t)
}

func (p *packings) kill(t *testing.T) {
	t.Helper()
	p.collector.kill(t)
	p.runs[len(p.runs)-1].to = time.Now().Add(-2 * time.Second) // what came later may not be on disk
}

func (p *packings) stop(t *testing.T) {
	t.Helper()
	if err := p.collector.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.collector.cmd.Wait(); err != nil {
		t.Errorf("collector: %v", err)
	}
	p.runs[len(p.runs)-1].to = time.Now()
}

// TestPackingKilled: a collector that is killed while it packs a day, once in
// the midst of a server and once while the packed table takes the partition's
// place, loses and doubles nothing. The next one goes on where it ended, and
// ticks go on meanwhile.
func TestPackingKilled(t *testing.T) {
	t.Parallel()
	watched := pgtest.Target(t)
	p := newPackings(t)
	p.watch(t, watched)

	end := p.hold(t, 3)
	p.start(t)
	p.awaitHeld(t)
	two := p.noted(t)
	p.kill(t)
	end()
	p.half(t, two, 2)
	p.same(t, "killed in the midst of a server")

	end = p.hold(t, 4)
	p.start(t)
	p.awaitHeld(t)
	three := p.noted(t)
	p.half(t, three, 3)
	if diff := cmp.Diff(two, three[:2]); diff != "" {
		t.Errorf("what was packed before the kill is packed again (-before +after):\n%s", diff)
	}
	read := p.transaction(t, "select count(*) from history."+p.partition())
	end()
	pgtest.WaitFor(t, func() bool { return p.waits(t, "detach partition") }, "the packed table to be put into its place")
	p.kill(t)
	read()
	p.half(t, p.noted(t), packedServers)
	p.same(t, "killed in the midst of the swap")

	p.start(t)
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, p.dsn, "select count(*) from history.packed_day where windows > 0") == 2
	}, "both days to be packed")
	p.stop(t)
	p.same(t, "packed")
	p.whole(t)
	p.checkTicks(t)
}

// half looks for a day of which so many servers are packed.
func (p *packings) half(t *testing.T, noted []string, servers int) {
	t.Helper()
	if len(noted) != servers {
		t.Fatalf("packed are the servers %v, want %d", noted, servers)
	}
	if diff := cmp.Diff([]string{p.partition() + "_packed"}, p.leftovers(t)); diff != "" {
		t.Fatalf("tables beside partitions (-want +got):\n%s", diff)
	}
	if n := pgtest.Value[int](t, p.dsn, fmt.Sprintf("select count(distinct server_id) from history.%s_packed", p.partition())); n != servers {
		t.Errorf("rows of %d servers are in the packed table, want %d", n, servers)
	}
}

// leftovers are tables that packing makes and takes away.
func (p *packings) leftovers(t *testing.T) []string {
	t.Helper()
	return pgtest.Value[[]string](t, p.dsn, `
select coalesce(array_agg(relname::text order by relname), '{}')
  from pg_class
 where relnamespace = 'history'::regnamespace
   and relkind = 'r'
   and relname like '%\_packed'`)
}

// whole looks at what packing came to, and that it left nothing.
func (p *packings) whole(t *testing.T) {
	t.Helper()
	if left, noted := p.leftovers(t), p.noted(t); len(left)+len(noted) > 0 {
		t.Errorf("left: tables %v, notes of servers %v", left, noted)
	}
	// The older day's windows were five minutes long before. Of the newer one
	// the last window is missing, which had not ended.
	got := pgtest.Value[[]string](t, p.dsn, `
select array_agg(format('%s: %s windows became %s rows', d.day, d.windows, d.rows) order by d.day)
  from history.packed_day d
 where windows > 0`)
	want := []string{
		fmt.Sprintf("%s: %d windows became %[2]d rows", p.older.Format(time.DateOnly), packedServers*288),
		fmt.Sprintf("%s: %d windows became %d rows", p.day.Format(time.DateOnly), packedServers*(3*60*24-1), packedServers*288),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packed days (-want +got):\n%s", diff)
	}
	stored := pgtest.Value[int](t, p.dsn, "select count(*) from history.activity_window where server_id = any ($1)", p.servers)
	if stored != 2*packedServers*288 {
		t.Errorf("%d rows are stored, want %d", stored, 2*packedServers*288)
	}
}

// checkTicks looks for a tick every second of each run, once.
func (p *packings) checkTicks(t *testing.T) {
	t.Helper()
	type tick struct {
		Time    time.Time
		Outcome string
	}
	rows := query(t, p.dsn, fmt.Sprintf("select time, outcome from report.tick where server = 'watched' and t0 > '%s' order by time",
		p.runs[0].from.Add(-time.Minute).UTC().Format(time.RFC3339Nano)))
	ticks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tick])
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range p.runs {
		var of []time.Time
		outcomes := make(map[string]int)
		for _, one := range ticks {
			if one.Time.After(run.from) && one.Time.Before(run.to) {
				of = append(of, one.Time)
				outcomes[one.Outcome]++
			}
		}
		name := fmt.Sprintf("the run from %s to %s", run.from.Format(time.TimeOnly), run.to.Format(time.TimeOnly))
		t.Logf("%s: %d ticks, %v", name, len(of), outcomes)
		if err := everySecond(of); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if outcomes["ok"]+outcomes["degraded"] == 0 {
			t.Errorf("%s: no tick was answered, though nothing was wrong with the server: %v", name, outcomes)
		}
	}
	if n := len(slices.CompactFunc(slices.Clone(ticks), func(a, b tick) bool { return a.Time.Equal(b.Time) })); n != len(ticks) {
		t.Errorf("%d ticks are doubled", len(ticks)-n)
	}
}
