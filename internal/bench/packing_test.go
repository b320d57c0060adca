package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

const (
	// packingTargets are watched while a day is packed.
	packingTargets = 20
	// packedServer is nobody's id: its day is all there is of it.
	packedServer target.ID = 1_000_000
)

// BenchmarkPacking runs the real program on busy targets, a tick a second each,
// while it packs a day of a server with fifty sessions at work every second:
// what packing takes, and how late ticks are begun meanwhile, against the same
// program that packs nothing, before and after it.
func BenchmarkPacking(b *testing.B) {
	program := buildProgram(b, "collector")
	server := busyTarget(b, 60, 50)
	for b.Loop() {
		dsn, dir := pgtest.StatsDB(b), b.TempDir()
		register(b, dsn, dir, server, packingTargets)
		day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2)
		loadBusyDay(b, dsn, day)
		p := packingRun{program: program, dsn: dsn, dir: dir, day: day}
		var without, with slips
		p.collect(b, &without, "PGAM_REPACK=false", p.idle)
		p.collect(b, &with, "PGAM_REPACK=true", p.packing)
		p.collect(b, &without, "PGAM_REPACK=false", p.idle)
		without.report(b, "without")
		with.report(b, "packing")
		b.ReportMetric(with.slip.millis()/without.slip.millis(), "mean-slip-ratio")
		b.ReportMetric(with.at(0.99)/without.at(0.99), "p99-slip-ratio")
		p.reportPacked(b)
	}
	b.ReportMetric(0, "ns/op")
}

// loadBusyDay stores a server's day in windows as a collector writes them, with
// its dictionaries.
func loadBusyDay(tb testing.TB, dsn string, day time.Time) {
	tb.Helper()
	db := pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)})
	defer db.Close()
	stats := store.New(db)
	if err := stats.EnsurePartitions(tb.Context(), day, day.AddDate(0, 0, 4)); err != nil {
		tb.Fatal(err)
	}
	var loaded store.LoadedDay
	for i := range int32(3000) { // the pool's connections are made anew every half an hour
		loaded.Sessions = append(loaded.Sessions, sample.SessionEntry{
			ID: i + 1, Day: sample.Day(day), PID: 1000 + i, BackendStart: day.UnixMicro(), Database: "shop", User: "shop_app", Application: "shop-web",
			DatabaseOID: 16384, UserOID: 10, ClientAddr: "10.0.0.7", BackendType: "client backend",
		})
	}
	l := newLoad(1)
	for t0, end := day, day.AddDate(0, 0, 1); t0.Before(end); t0 = t0.Add(15 * time.Second) {
		ticks := make([]sample.Tick, 15)
		for i := range ticks {
			ticks[i] = l.tick(t0.Add(time.Duration(i)*time.Second), t0)
		}
		loaded.Windows = append(loaded.Windows, sample.NewWindow(packedServer, ticks))
	}
	if err := stats.LoadDay(tb.Context(), packedServer, loaded); err != nil {
		tb.Fatal(err)
	}
}

// packingRun is a stats_db with a day to pack, and the program that does it.
type packingRun struct {
	program, dsn, dir string
	day               time.Time
}

// collect runs the program for a stretch, and adds the ticks of it.
func (p *packingRun) collect(b *testing.B, to *slips, setting string, stretch func(*testing.B) (begin func(), end func())) {
	b.Helper()
	c := startCollector(b, p.program, p.dsn, p.dir, setting)
	begin, end := stretch(b)
	begin()
	from, slip, flush := time.Now(), meanOf(b, c, "pgam_tick_slip_seconds", ""), meanOf(b, c, "pgam_flush_duration_seconds", `{result="ok"}`)
	end()
	until := time.Now()
	to.slip = to.slip.plus(meanOf(b, c, "pgam_tick_slip_seconds", "").minus(slip))
	to.flush = to.flush.plus(meanOf(b, c, "pgam_flush_duration_seconds", `{result="ok"}`).minus(flush))
	to.seconds += until.Sub(from).Seconds()
	to.peak = max(to.peak, c.memory(b, "VmHWM:"))
	c.stop(b)
	to.add(b, p.dsn, from, until)
}

// idle is a stretch in which nothing is packed.
func (p *packingRun) idle(*testing.B) (begin, end func()) {
	return func() { wait(settling) }, func() { wait(measuring) }
}

// packing is the stretch in which the day is packed.
func (p *packingRun) packing(b *testing.B) (begin, end func()) {
	b.Helper()
	await := func(sql, what string) {
		pgtest.WaitFor(b, func() bool {
			wait(200 * time.Millisecond) // asking is not to be what is measured
			return pgtest.Value[bool](b, p.dsn, sql, p.day.Format(time.DateOnly))
		}, what)
	}
	return func() {
			await("select to_regclass('history.activity_window_p' || to_char($1::date, 'YYYYMMDD') || '_packed') is not null", "packing to begin")
		}, func() {
			await("select exists (select from history.packed_day where day = $1::date)", "the day to be packed")
		}
}

// reportPacked says what a sample took before and after, with its share of
// sessions, dictionaries and indexes.
func (p *packingRun) reportPacked(b *testing.B) {
	b.Helper()
	const sizes = `
select (d.bytes_before + o.bytes)::float8 / d.samples, (d.bytes_after + o.bytes)::float8 / d.samples, d.samples / 1e6::float8
  from history.packed_day d
 cross join (select sum(pg_total_relation_size(c.oid)) as bytes
               from pg_class c
              where c.relnamespace = 'history'::regnamespace
                and c.relkind = 'r'
                and (c.relname in ('query', 'wait', 'lock') or c.relname = 'session_p' || to_char($1::date, 'YYYYMMDD'))) o
 where d.day = $1::date`
	conn, err := pgx.Connect(b.Context(), p.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	var before, after, samples float64
	if err := conn.QueryRow(b.Context(), sizes, p.day.Format(time.DateOnly)).Scan(&before, &after, &samples); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(before, "B/sample-before")
	b.ReportMetric(after, "B/sample-after")
	b.ReportMetric(samples, "Msamples")
}

// slips are how much later than planned ticks were begun.
type slips struct {
	millis      []float64 // of the ledger, which knows whole ones; sorted when asked
	lost        int       // ticks that were not answered
	slip, flush mean      // the program's own, of ticks and of writing to stats_db
	seconds     float64   // measured
	peak        float64   // MB
}

// mean is a histogram's.
type mean struct{ seconds, count float64 }

func meanOf(b *testing.B, c *running, histogram, labels string) mean {
	b.Helper()
	return mean{c.metric(b, histogram+"_sum"+labels), c.metric(b, histogram+"_count"+labels)}
}

func (m mean) plus(n mean) mean  { return mean{m.seconds + n.seconds, m.count + n.count} }
func (m mean) minus(n mean) mean { return mean{m.seconds - n.seconds, m.count - n.count} }
func (m mean) millis() float64   { return 1e3 * m.seconds / m.count }

// add adds the ticks of a stretch. A target's ticks are planned for the same
// tenth of every second, in which most of them are begun; they may begin up to
// thirty milliseconds early, which is no slip.
func (s *slips) add(b *testing.B, dsn string, from, until time.Time) {
	b.Helper()
	const ledger = `
with tick as (
    select server_id, outcome, (extract(epoch from "time") * 1000)::bigint + 30 as ms
      from report.tick
     where t0 > $1::timestamptz - interval '1 minute'
       and "time" >= $1
       and "time" < $2
), planned as (
    select server_id, 100 * (mode() within group (order by ms % 1000 / 100)) as ms
      from tick
     where outcome in ('ok', 'degraded')
     group by server_id
)
select coalesce(array_agg(greatest((t.ms - p.ms + 1000) % 1000 - 30, 0)::float8) filter (where t.outcome in ('ok', 'degraded')), '{}'),
       count(*) filter (where t.outcome not in ('ok', 'degraded'))
  from tick t
  join planned p on p.server_id = t.server_id`
	conn, err := pgx.Connect(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	var millis []float64
	var lost int
	if err := conn.QueryRow(b.Context(), ledger, from, until).Scan(&millis, &lost); err != nil {
		b.Fatal(err)
	}
	if len(millis) == 0 {
		b.Fatal("no ticks")
	}
	s.millis, s.lost = append(s.millis, millis...), s.lost+lost
}

// at gives a quantile in milliseconds; what the ledger cannot tell from nothing
// is half of one.
func (s *slips) at(q float64) float64 {
	slices.Sort(s.millis)
	return max(s.millis[int(math.Ceil(q*float64(len(s.millis))))-1], 0.5)
}

func (s *slips) report(b *testing.B, name string) {
	b.Helper()
	b.ReportMetric(s.slip.millis(), name+"-mean-ms")
	b.ReportMetric(s.at(0.5), name+"-p50-ms")
	b.ReportMetric(s.at(0.99), name+"-p99-ms")
	b.ReportMetric(s.at(1), name+"-max-ms")
	b.ReportMetric(s.flush.millis(), name+"-flush-ms")
	b.ReportMetric(float64(s.lost), name+"-lost")
	b.ReportMetric(s.seconds, name+"-s")
	b.ReportMetric(s.peak, name+"-peak-MB")
}
