package bench

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/legacy"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// june is the history of the Python version: its tables, and a sample every
// ten minutes of fifty databases for a year, sizes measured every half hour.
const june = `
create table pg_statistics (
    id serial primary key, ts timestamptz not null, datname text not null, numbackends int, xact_commit bigint, db_size bigint,
    disk_free_space bigint, last_size_update timestamptz);
create table db_creation (datname text primary key, creation_time timestamptz not null, oid oid not null);
create function fill(first int, last int) returns void language sql as $$
insert into pg_statistics (ts, datname, numbackends, xact_commit, db_size, disk_free_space, last_size_update)
select t, 'db_' || d, (t_no + d) % 40, t_no * 97 * d + (t_no % 7), 1e9 + d * 1e8 + t_no / 3 * 8192, 5e11 - t_no * 4096,
       case when t_no % 3 = 0 then t end
  from generate_series(first, last) t_no,
       lateral (select date_trunc('hour', now()) - interval '365 days' + t_no * interval '10 minutes' as t) x,
       generate_series(1, 50) d $$;
select fill(0, 17519);
select fill(17520, 35039);
select fill(35040, 365 * 144 - 1);
create index pg_statistics_ts_idx on pg_statistics (ts);
create index pg_statistics_datname_ts_idx on pg_statistics (datname, ts desc);
create index pg_statistics_last_size_update_idx on pg_statistics (datname, last_size_update desc) where last_size_update is not null;
insert into db_creation select 'db_' || d, now() - interval '400 days', 16384 + d from generate_series(1, 50) d;
analyze`

// endpointOf reads a DSN of pgtest.
func endpointOf(tb testing.TB, dsn string) target.Endpoint {
	tb.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	return target.Endpoint{
		Host: cfg.Host, Port: int(cfg.Port), User: cfg.User, Password: secret.New(cfg.Password), Database: cfg.Database, TLS: target.TLSDisable,
	}
}

// BenchmarkImport measures the import of a year of the Python version's
// history, 2.6 million rows, and then the same once more, when all of it is
// there already.
func BenchmarkImport(b *testing.B) {
	source, dsn := pgtest.EmptyDB(b), pgtest.StatsDB(b)
	for sql := range strings.SplitSeq(june, ";") {
		pgtest.Exec(b, source, sql) // each has its own time
	}
	db := pgtest.OpenStatsDB(b, statsdb.Config{DSN: secret.New(dsn), MaxConns: 1})
	w := ingest.New(db, sample.NewHash([16]byte{1}))
	from := target.Target{Name: "june", Endpoint: endpointOf(b, source)}
	round := func(id target.ID) (rows, written int64, took time.Duration) {
		begun := time.Now()
		src, err := legacy.OpenSource(b.Context(), from, legacy.June, remote.Limits{
			Application: "pgam-bench", Connect: 10 * time.Second, Statement: time.Minute, Lock: time.Second,
		})
		if err != nil {
			b.Fatal(err)
		}
		defer src.Close(b.Context())
		plan, err := w.ImportPlan(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		creations, err := src.Creations(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		series := legacy.NewSeries(legacy.June, plan, creations, time.Now())
		err = legacy.Copy(b.Context(), src, "", series, func(c ingest.ImportedChunk) error {
			counts, err := w.Import(b.Context(), id, c)
			written += counts.Samples
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return series.Counts().Read, written, time.Since(begun)
	}
	backend := backendOf(b, db.Pool())
	var first, again, client, server time.Duration
	var rows int64
	id := target.ID(0)
	for b.Loop() {
		id++
		self, other := selfCPU(b), cpuOf(b, backend)
		n, written, took := round(id)
		client, server = client+selfCPU(b)-self, server+cpuOf(b, backend)-other
		if written != n {
			b.Fatalf("%d of %d rows written", written, n)
		}
		rows, first = rows+n, first+took
		_, written, took = round(id)
		if written != 0 {
			b.Fatalf("%d rows written again", written)
		}
		again += took
	}
	bytes := pgtest.Value[int64](b, dsn, `
select sum(pg_total_relation_size(c.oid))::bigint
  from pg_class c join pg_inherits i on i.inhrelid = c.oid
 where i.inhparent in ('history.database_stat'::regclass, 'history.database_size'::regclass, 'history.database_rollup'::regclass)`)
	b.ReportMetric(float64(rows)/first.Seconds(), "rows/s")
	b.ReportMetric(float64(rows)/again.Seconds(), "rows-again/s")
	b.ReportMetric(first.Seconds()/float64(id), "s/import")
	b.ReportMetric(float64(server.Nanoseconds())/float64(rows), "server-ns/row")
	b.ReportMetric(float64(client.Nanoseconds())/float64(rows), "client-ns/row")
	b.ReportMetric(float64(bytes)/float64(rows), "bytes/row")
	b.ReportMetric(0, "ns/op")
	b.Log(strconv.FormatInt(rows, 10), "rows")
}
