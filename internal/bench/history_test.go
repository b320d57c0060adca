package bench

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/synth"
)

const (
	synthCadence  = 10 * time.Second
	synthSessions = 4
	// historyRounds is how often each question is measured: what counts is the
	// round in which the machine was least busy with anything else.
	historyRounds = 3
	// asking is how long a round takes.
	asking = 2 * time.Second
)

// fromEnvironment gives a number that make bench was called with.
func fromEnvironment(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 { //nolint:forbidigo // the benchmark's own
		return n
	}
	return otherwise
}

// pastServer is a PostgreSQL with buffers as one has that nothing else is asked
// of, and statistics of statements.
func pastServer(b *testing.B) *pgtest.Server {
	b.Helper()
	return pgtest.Target(b, pgtest.WithTrust(), pgtest.WithSettings(map[string]string{
		"shared_buffers": "512MB", "effective_cache_size": "2GB", "max_wal_size": "8GB", "random_page_cost": "1.1",
	}))
}

// past is a stats_db with made-up history, and the API over it.
type past struct {
	*served

	dsn        string
	from, end  time.Time
	server     *pgtest.Server
	statements bool // their statistics are there
	filled     time.Duration
}

// makePast makes up the history of servers up to an instant.
func makePast(b *testing.B, server *pgtest.Server, database string, servers, days int, end time.Time) *past {
	b.Helper()
	server.Exec(b, "create database "+database)
	p := &past{dsn: server.DatabaseDSN(pgtest.Superuser, database), end: end, server: server}
	p.from = end.Truncate(24*time.Hour).AddDate(0, 0, -days)
	conn, err := pgx.Connect(b.Context(), p.dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	if err := schema.Up(b.Context(), conn, slog.New(slog.DiscardHandler)); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := secret.WriteKeyring(filepath.Join(dir, "keyring.json")); err != nil {
		b.Fatal(err)
	}
	ring, err := secret.ReadKeyring(filepath.Join(dir, "keyring.json"))
	if err != nil {
		b.Fatal(err)
	}
	db := pgtest.OpenStatsDB(b, statsdb.Config{DSN: secret.New(p.dsn), MaxConns: 8})
	cfg := synth.Config{Seed: 1, Hash: sample.NewHash(ring.ContentKey()), Cadence: synthCadence, Sessions: synthSessions, Queries: 400}
	begin := time.Now()
	if err := synth.Fill(b.Context(), db, catalog.New(db, ring), cfg, servers, days, end, nil); err != nil {
		b.Fatal(err)
	}
	p.filled = time.Since(begin)
	_, err = conn.Exec(b.Context(), "create extension pg_stat_statements")
	p.statements = err == nil
	p.makeYear(b, conn)
	if _, err := conn.Exec(b.Context(), "vacuum (analyze)"); err != nil {
		b.Fatal(err)
	}
	addAccount(b, p.dsn, dir)
	p.served = serve(b, p.dsn, dir)
	return p
}

// makeYear repeats the sums of the first day for the year before it.
func (p *past) makeYear(b *testing.B, conn *pgx.Conn) {
	b.Helper()
	first := p.from.AddDate(-1, 0, 0)
	var sql strings.Builder
	for y := first.Year(); y < p.from.Year(); y++ {
		fmt.Fprintf(&sql, "create table if not exists history.activity_total_p%d partition of history.activity_total for values from ('%[1]d-01-01Z') to ('%d-01-01Z');\n", y, y+1)
	}
	fmt.Fprintf(&sql, `
insert into history.activity_total
select (jsonb_populate_record(t, jsonb_build_object('bucket', t.bucket - d.days * interval '1 day'))).*
  from history.activity_total t
 cross join generate_series(1, %d) as d (days)
 where t.bucket < '%s'
 order by 1, 2, 3;
update pgam.server set created_at = '%s'`, int(p.from.Sub(first).Hours()/24), p.from.AddDate(0, 0, 1).Format(time.RFC3339), first.Format(time.RFC3339))
	if _, err := conn.PgConn().Exec(b.Context(), "set timezone = 'UTC'; "+sql.String()).ReadAll(); err != nil {
		b.Fatal(err)
	}
}

// pastQuestion is one with what it may take, in milliseconds.
type pastQuestion struct {
	question

	goal float64
}

// questions are those of the goals, each for many ranges or servers in turns.
func (p *past) questions(servers int) []pastQuestion {
	const turns = 24
	paths := func(path func(server string, i int) string) (list []string) {
		for i := range turns {
			list = append(list, path("/api/v1/servers/"+synth.Name(1+i%servers), i))
		}
		return list
	}
	span := func(path string, from, to time.Time, more ...string) string {
		v := url.Values{"from": {from.Format(time.RFC3339)}, "to": {to.Format(time.RFC3339)}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return path + "?" + v.Encode()
	}
	month := max(p.end.Sub(p.from)-6*time.Hour, 12*time.Hour)
	hour := func(i int) time.Time {
		return p.from.Add(time.Duration(i) * month / turns).Truncate(time.Hour)
	}
	day := p.end.Truncate(time.Hour).AddDate(0, 0, -1)
	return []pastQuestion{
		{question{"classes/24h×1m", paths(func(s string, i int) string {
			return span(s+"/history/activity", day.Add(-time.Duration(i/2)*time.Hour), day.Add(time.Duration(24-i/2)*time.Hour), "step", "1m")
		}), 20_000}, 5},
		{question{"classes/30d×1h", paths(func(s string, i int) string {
			return span(s+"/history/activity", day.AddDate(0, 0, -29).Add(-time.Duration(i)*time.Hour), p.end, "step", "1h")
		}), 5000}, 20},
		{question{"fleet-activity/1y×1d", paths(func(_ string, i int) string {
			return span("/api/v1/fleet/activity", p.end.AddDate(-1, 0, i), p.end, "step", "24h")
		}), 5000}, 100},
		{question{"top/1h/rollups", paths(func(s string, i int) string {
			return span(s+"/history/top", hour(i), hour(i).Add(time.Hour), "by", "query")
		}), 1000}, 10},
		{question{"top/1h/off-grid", paths(func(s string, i int) string {
			return span(s+"/history/top", hour(i).Add(431*time.Second), hour(i).Add(time.Hour+431*time.Second), "by", "query")
		}), 1000}, 50},
		{question{"top/1h/rows", paths(func(s string, i int) string {
			return span(s+"/history/top", hour(i), hour(i).Add(time.Hour), "by", "query", "state", "active")
		}), 500}, 50},
		{question{"top/1h/split", paths(func(s string, i int) string {
			return span(s+"/history/top", hour(i), hour(i).Add(time.Hour), "by", "query", "split", "wait_class")
		}), 1500}, 50},
		{question{"top/6h/split", paths(func(s string, i int) string {
			return span(s+"/history/top", hour(i), hour(i).Add(6*time.Hour), "by", "query", "split", "wait_class")
		}), 1500}, 300},
		{question{"at", paths(func(s string, i int) string {
			return s + "/history/at?" + url.Values{"at": {hour(i).Add(12*time.Minute + 34*time.Second).Format(time.RFC3339)}}.Encode()
		}), 300}, 20},
		{question{"incident/10m", paths(func(s string, i int) string {
			return s + "/incident?" + url.Values{"at": {hour(i).Add(25 * time.Hour).Add(12 * time.Minute).Format(time.RFC3339)}}.Encode()
		}), 3000}, 150},
		{question{"fleet", paths(func(string, int) string { return "/api/v1/fleet" }), 300 * servers}, 50},
	}
}

// ask measures a question on one connection, as a person asks.
func (p *past) ask(b *testing.B, q question) figures {
	b.Helper()
	requests := q.requests(p.token)
	var body bytes.Buffer
	for _, r := range requests {
		if status, _, err := newCaller(b, p.addr, r).call(&body); err != nil || status != http.StatusOK || body.Len() < q.atLeast {
			b.Fatalf("%s: status %d, %d bytes, %v: %.300s", r[:bytes.IndexByte(r, '\r')], status, body.Len(), err, &body)
		}
	}
	best := figures{}
	for range historyRounds {
		if got := drive(b, p.addr, requests, 1, http.StatusOK, asking); best.requests == 0 || got.p50 < best.p50 {
			best = got
		}
	}
	return best
}

// work gives the rows and blocks that PostgreSQL read and gave for a request.
func (p *past) work(b *testing.B, q question) (rows, blocks float64) {
	b.Helper()
	const reset = "select pg_stat_statements_reset()"
	pgtest.Exec(b, p.dsn, reset)
	requests := q.requests(p.token)
	for _, r := range requests {
		if status, _, err := newCaller(b, p.addr, r).call(nil); err != nil || status != http.StatusOK {
			b.Fatalf("status %d, %v", status, err)
		}
	}
	const sums = `
select sum(%s)::float8 / $1
  from pg_stat_statements
 where dbid = (select oid from pg_database where datname = current_database())
   and query !~ 'pg_stat_statements'`
	n := len(requests)
	return pgtest.Value[float64](b, p.dsn, fmt.Sprintf(sums, "rows"), n),
		pgtest.Value[float64](b, p.dsn, fmt.Sprintf(sums, "shared_blks_hit + shared_blks_read"), n)
}

// BenchmarkHistory makes the history of a fleet and says what a session sample
// takes, with all that belongs to it, and how fast the real
// program answers. PGAM_BENCH_SERVERS and PGAM_BENCH_DAYS say how much there is.
func BenchmarkHistory(b *testing.B) {
	servers, days := fromEnvironment("PGAM_BENCH_SERVERS", 10), fromEnvironment("PGAM_BENCH_DAYS", 8)
	server := pastServer(b)
	end := time.Now().UTC().Truncate(time.Second)
	p := makePast(b, server, "month", servers, days, end)
	b.Run("bytes", func(b *testing.B) {
		for b.Loop() {
			p.reportBytes(b)
			b.ReportMetric(p.filled.Seconds(), "fill-s")
		}
	})
	for _, q := range p.questions(servers) {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				got := p.ask(b, q.question)
				got.report(b)
				b.ReportMetric(q.goal, "goal-ms")
				if p.statements {
					rows, blocks := p.work(b, q.question)
					b.ReportMetric(rows, "rows/op")
					b.ReportMetric(blocks, "blocks/op")
				}
			}
		})
	}
	b.Run("day-kept", func(b *testing.B) {
		short := makePast(b, server, "day", servers, 1, end)
		q := p.questions(servers)[0].question
		q.paths = q.paths[:1]
		for b.Loop() {
			// In turns, so that both meet the same machine.
			var month, day time.Duration
			for range historyRounds {
				m, d := p.ask(b, q).p50, short.ask(b, q).p50
				if month == 0 || m < month {
					month = m
				}
				if day == 0 || d < day {
					day = d
				}
			}
			b.ReportMetric(float64(month.Microseconds())/1e3, "month-ms")
			b.ReportMetric(float64(day.Microseconds())/1e3, "day-ms")
			b.ReportMetric(float64(month)/float64(day), "month/day")
			b.ReportMetric(0, "ns/op")
		}
	})
}

// reportBytes says what a sample takes: its share of rows, sessions of the day, and
// dictionaries, with indexes and TOAST.
func (p *past) reportBytes(b *testing.B) {
	b.Helper()
	size := func(pattern string) float64 {
		return pgtest.Value[float64](b, p.dsn, `
select sum(pg_total_relation_size(oid))::float8
  from pg_class
 where relnamespace = 'history'::regnamespace
   and relkind = 'r'
   and relname ~ $1`, pattern)
	}
	all := pgtest.Value[float64](b, p.dsn, "select sum(samples)::float8 from history.activity")
	b.ReportMetric(size("^activity_p")/all, "B/sample")
	b.ReportMetric(size("^(session_p|query$|wait$|lock$)")/all, "B/sample-dictionaries")
	b.ReportMetric(size("^activity_(rollup|minute|total)_")/all, "B/sample-derived")
	b.ReportMetric(all/1e6, "Msamples")
	b.ReportMetric(0, "ns/op")
}
