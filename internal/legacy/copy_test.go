package legacy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// juneTables are those of create_stats_db.sh v2.1.
const juneTables = `
create table pg_statistics (
    id serial primary key, ts timestamptz not null, datname text not null, numbackends int, xact_commit bigint, db_size bigint,
    disk_free_space bigint, last_size_update timestamptz);
create index pg_statistics_ts_idx on pg_statistics (ts);
create index pg_statistics_datname_ts_idx on pg_statistics (datname, ts desc);
create index pg_statistics_last_size_update_idx on pg_statistics (datname, last_size_update desc) where last_size_update is not null;
create table db_creation (datname text primary key, creation_time timestamptz not null, oid oid);
create index db_creation_oid_idx on db_creation (oid);
alter table db_creation alter oid set not null;`

// juneRows are three days of five databases, with what befalls them: counters
// that are reset, a database that is dropped and one that is made anew, an hour
// without samples, rows twice, and what no script should have written.
const juneRows = `
insert into pg_statistics (ts, datname, numbackends, xact_commit, db_size, disk_free_space, last_size_update)
select t, d, case when n % 41 = 7 then null else (n * 7 + length(d) * 3) % 23 end,
       case when n % 53 = 9 then null when d = 'shop' and n >= 200 then (n - 200) * 11 when d = 'cms' and n >= 300 then (n - 299) * 5 + 100000 else n * 13 + 50 end,
       case when n > 0 then 1000000 * length(d) + n / 3 * 8192 end, 500000000000 - n * 4096, case when n > 0 and n % 3 = 0 then t end
  from generate_series(0, 431) n,
       lateral (select timestamptz '2025-06-28 22:00:07+00' + n * interval '10 minutes' as t) x,
       unnest(array['shop', 'cms', 'Склад', 'temp', 'postgres']) d
 where not (d = 'temp' and n > 250)
   and n not between 100 and 106;
insert into pg_statistics (ts, datname, numbackends, xact_commit)
select ts, datname, 999, 999999 from pg_statistics where id % 17 = 3;
alter table pg_statistics alter datname drop not null;
insert into pg_statistics (ts, datname, numbackends, xact_commit, db_size)
values ('2025-06-29 10:00:07+00', null, 1, 1, 1), ('2126-01-01 00:00+00', 'shop', 1, 1, 1), ('infinity', 'shop', 1, 1, 1), ('-infinity', 'shop', 1, 1, 1),
       ('2025-06-29 10:01:00+00', 'shop', null, null, 5), ('2025-06-29 10:02:00+00', 'shop', -5, null, 5), ('2025-06-29 10:00:08+00', 'cms', -5, 1100, -1);
insert into db_creation values ('shop', '2025-01-01', 16401), ('cms', '2025-06-30 23:55+00', 16402), ('temp', '2025-06-01', 16403), ('postgres', '2024-01-01', 5);`

// cleaned is what of those rows counts, by other means than the importer's.
const cleaned = `
with first as (
    select distinct on (ts, datname) ts, datname, case when numbackends >= 0 then numbackends end as numbackends, xact_commit,
           case when db_size >= 0 and last_size_update is not null then db_size end as measured
      from pg_statistics
     where datname is not null and isfinite(ts) and ts < now() and (numbackends >= 0 or xact_commit >= 0)
     order by ts, datname, id
),
marked as (
    select f.ts, f.datname, f.numbackends, f.xact_commit, f.measured, lag(ts) over w as before, lag(numbackends) over w as backends_before, lag(xact_commit) over w as commits_before,
           coalesce(lag(ts) over w < c.creation_time and c.creation_time <= ts, false) as created
      from first f
      left join db_creation c using (datname)
    window w as (partition by datname order by ts)
),
epochs as (
    select m.ts, m.datname, m.numbackends, m.xact_commit, m.measured, m.before, m.commits_before, max(ts) filter (where before is null or xact_commit < commits_before or created) over (partition by datname order by ts) as epoch
      from marked m
)
select ts::text, datname, numbackends, xact_commit, epoch::text, measured
  from epochs
 order by datname, ts`

// imported is the same out of stats_db.
const imported = `
select s.sampled_at::text, d.name, s.numbackends, s.xact_commit, ('epoch'::timestamptz + s.instance * interval '1 microsecond')::text, z.size_bytes
  from history.database_stat s
  join history.database d on d.server_id = s.server_id and d.oid = s.database_oid
  left join history.database_size z on z.server_id = s.server_id and z.sampled_at = s.sampled_at and z.database_oid = s.database_oid
 where s.server_id = $1
 order by d.name, s.sampled_at`

// summed are rollups by brute force over what is stored.
const summed = `
with paired as (
    select s.server_id, s.database_oid, s.sampled_at, s.numbackends, s.xact_commit, s.instance, lag(sampled_at) over w as before_at, lag(xact_commit) over w as commits_before, lag(instance) over w as instance_before,
           lead(sampled_at) over w as next_at
      from history.database_stat s
    window w as (partition by s.server_id, database_oid order by sampled_at)
),
steps (step) as (values (600), (3600), (86400)),
counts as (
    select p.server_id, step, database_oid, bucket,
           least(sampled_at, bucket + step * interval '1 second') - greatest(before_at, bucket) as counted,
           round(((xact_commit - commits_before) * least(1, extract(epoch from bucket + step * interval '1 second' - before_at) / extract(epoch from sampled_at - before_at)))::float8)
           - round(((xact_commit - commits_before) * greatest(0, extract(epoch from bucket - before_at) / extract(epoch from sampled_at - before_at)))::float8) as commits
      from paired p
     cross join steps
     cross join lateral generate_series(date_bin(step * interval '1 second', before_at, 'epoch'), sampled_at, step * interval '1 second') as b (bucket)
     where instance = instance_before and bucket < sampled_at
),
held as (
    select h.server_id, step, database_oid, bucket, numbackends, least(until, bucket + step * interval '1 second') - greatest(sampled_at, bucket) as held
      from (select p.server_id, p.database_oid, p.sampled_at, p.numbackends, p.next_at, least(next_at, sampled_at + interval '330 seconds') as until from paired p) h
     cross join steps
     cross join lateral generate_series(date_bin(step * interval '1 second', sampled_at, 'epoch'), until, step * interval '1 second') as b (bucket)
     where bucket < until and next_at is not null and numbackends is not null
),
stats as (
    select server_id, step, database_oid, bucket, (count(own))::int4 as samples, sum(extract(epoch from held)) as seconds,
           sum(extract(epoch from held) * backends) as backend_seconds, sum(extract(epoch from counted)) as counted,
           min(own_backends) as least, max(own_backends) as most, (array_agg(own_backends order by own desc nulls last))[1] as newest, max(own) as last_sample,
           sum(commits)::int8 as commits
      from (select server_id, step, database_oid, bucket, null::timestamptz as own, null::int4 as own_backends, null::interval as held, null::int4 as backends,
                   counted, commits from counts
             union all
            select server_id, step, database_oid, bucket, null, null, held, numbackends, null, null from held
             union all
            select server_id, step, database_oid, date_bin(step * interval '1 second', sampled_at, 'epoch'), sampled_at, numbackends, null, null, null, null
              from history.database_stat cross join steps) x
     group by 1, 2, 3, 4
),
sizes as (
    select server_id, step, database_oid, date_bin(step * interval '1 second', sampled_at, 'epoch') as bucket,
           (array_agg(size_bytes order by sampled_at desc))[1] as size_bytes, max(sampled_at) as size_at
      from history.database_size cross join steps
     group by 1, 2, 3, 4
)
select row_to_json(x)::text
  from (select server_id, step, database_oid, bucket, coalesce(samples, 0) as samples, round(coalesce(seconds, 0)) as seconds,
               round(coalesce(backend_seconds, 0)) as backend_seconds, round(coalesce(counted, 0)) as counted, least, most, newest, last_sample, commits,
               size_bytes, size_at
          from stats full join sizes using (server_id, step, database_oid, bucket)) x
 order by server_id, step, database_oid, bucket`

const rollups = `
select row_to_json(x)::text
  from (select server_id, step_seconds as step, database_oid, bucket, samples, round(seconds::numeric) as seconds, round(backend_seconds::numeric) as backend_seconds,
               round(counted_seconds::numeric) as counted,
               backends_min as least, backends_max as most, backends_last as newest, last_sample_at as last_sample, xact_commit as commits,
               size_bytes, size_at
          from history.database_rollup) x
 order by server_id, step, database_oid, bucket`

// lines gives the rows of a query as text.
func lines(t *testing.T, dsn, sql string, args ...any) []string {
	t.Helper()
	return strings.Split(pgtest.Value[string](t, dsn, "select coalesce(string_agg(q::text, E'\\n'), '') from ("+sql+") q", args...), "\n")
}

// dump is all of the history, as one text a table.
func dump(t *testing.T, dsn string) map[string]string {
	t.Helper()
	tables := make(map[string]string)
	for _, table := range []string{"database", "database_stat", "database_size", "database_rollup", "disk_usage", "disk_rollup", "file_system"} {
		sum := "select coalesce(md5(string_agg(x::text, E'\\n' order by x::text)), '') || ' ' || count(*) from history." + table + " x"
		tables[table] = pgtest.Value[string](t, dsn, sum)
	}
	return tables
}

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

func openSource(tb testing.TB, dsn string, layout Layout) *Source {
	tb.Helper()
	limits := remote.Limits{Application: "pgam-test", Connect: 20 * time.Second, Statement: time.Minute, Lock: time.Second}
	s, err := OpenSource(tb.Context(), target.Target{Name: "source", Endpoint: endpointOf(tb, dsn)}, layout, limits)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close(context.WithoutCancel(tb.Context())) })
	return s
}

func openStore(tb testing.TB, dsn string) *ingest.Writer {
	tb.Helper()
	return ingest.New(pgtest.OpenStatsDB(tb, statsdb.Config{DSN: secret.New(dsn)}), sample.NewHash([16]byte{1}))
}

// importAll is what pgam import does with one server. fail, if not nil, is asked before each chunk.
func importAll(tb testing.TB, source *Source, server string, into *ingest.Writer, id target.ID, fail func() error) (ingest.ImportCounts, Counts, error) {
	tb.Helper()
	plan, err := into.ImportPlan(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	creations, err := source.Creations(tb.Context(), server)
	if err != nil {
		tb.Fatal(err)
	}
	series := NewSeries(source.layout, plan, creations, time.Now())
	var total ingest.ImportCounts
	err = Copy(tb.Context(), source, server, series, func(c ingest.ImportedChunk) error {
		if fail != nil {
			if err := fail(); err != nil {
				return err
			}
		}
		would, err := into.WouldImport(tb.Context(), id, c)
		if err != nil {
			return err
		}
		counts, err := into.Import(tb.Context(), id, c)
		if err == nil && counts != would {
			tb.Errorf("a dry run says %+v, and then it is %+v", would, counts)
		}
		total.Add(counts)
		return err
	})
	return total, series.Counts(), err
}

// smallPages lets a test read in more than one page.
func smallPages(s *Source, rows int) *Source {
	s.rows = rows
	return s
}

func TestImportJune(t *testing.T) {
	t.Parallel()
	source, dsn := pgtest.EmptyDB(t), pgtest.StatsDB(t)
	pgtest.Exec(t, source, juneTables, juneRows)
	stats := openStore(t, dsn)
	src := smallPages(openSource(t, source, June), 97)
	rows, err := src.Count(t.Context(), "")
	if err != nil || rows < 2000 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	counts, read, err := importAll(t, src, "", stats, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := lines(t, source, cleaned)
	if diff := cmp.Diff(want, lines(t, dsn, imported, 7)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(lines(t, dsn, summed), lines(t, dsn, rollups)); diff != "" {
		t.Error(diff)
	}
	twice := pgtest.Value[int64](t, source, "select count(*) - count(distinct (ts, datname)) from pg_statistics where datname is not null and isfinite(ts)")
	wantRead := Counts{Read: rows, Duplicate: twice, NoDatabase: 1, Future: 1, Broken: 4, Values: 2}
	if diff := cmp.Diff(wantRead, read); diff != "" {
		t.Error(diff)
	}
	if counts.Samples != rows-read.Skipped() || int(counts.Samples) != len(want) || counts.Present != 0 {
		t.Errorf("wrote %+v of %d", counts, rows)
	}
	checkJuneDatabases(t, dsn)
	disks := "select ts::text, disk_free_space from (select distinct on (ts) ts, disk_free_space from pg_statistics where disk_free_space is not null order by ts, id) x order by ts"
	if diff := cmp.Diff(lines(t, source, disks), lines(t, dsn, "select sampled_at::text, free_bytes from history.disk_usage where server_id = 7 order by 1")); diff != "" {
		t.Error(diff)
	}
	checkDiskRollup(t, dsn)
	system := pgtest.Value[string](t, dsn, "select (mount_point, uses, source, first_seen_at = '2025-06-28 22:00:07+00', last_seen_at = '2025-07-01 21:50:07+00')::text from history.file_system")
	if system != `("data directory (imported)",{data},import,t,t)` {
		t.Errorf("the file system is %s", system)
	}
	if daily := pgtest.Value[int](t, dsn, "select count(*) from pg_inherits where inhparent in ('history.session'::regclass, 'history.activity'::regclass)"); daily != 0 {
		t.Errorf("%d partitions were made for nothing", daily)
	}

	before := dump(t, dsn)
	again, _, err := importAll(t, src, "", stats, 7, nil)
	if err != nil || again.Samples+again.Sizes+again.Disks != 0 || again.Present != counts.Samples {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, dump(t, dsn)); diff != "" {
		t.Error(diff)
	}
}

// checkDiskRollup compares the hours of disks with brute force over what is stored.
func checkDiskRollup(t *testing.T, dsn string) {
	t.Helper()
	const want = `
select server_id, date_trunc('hour', sampled_at) as hour, mount_point, max(sampled_at), (array_agg(total_bytes order by sampled_at desc))[1],
       (array_agg(free_bytes order by sampled_at desc))[1], min(free_bytes)
  from history.disk_usage group by 1, 2, 3 order by 1, 2`
	const got = `
select server_id, bucket as hour, mount_point, last_sample_at, total_bytes, free_bytes, free_bytes_min from history.disk_rollup order by 1, 2`
	if diff := cmp.Diff(lines(t, dsn, want), lines(t, dsn, got)); diff != "" {
		t.Error(diff)
	}
}

func checkJuneDatabases(t *testing.T, dsn string) {
	t.Helper()
	const sql = `
select oid, name, created_at at time zone 'UTC', first_seen_at at time zone 'UTC', last_seen_at at time zone 'UTC', dropped_at at time zone 'UTC'
  from history.database
 where server_id = 7
 order by oid`
	want := []string{
		`(5,postgres,"2024-01-01 00:00:00","2025-06-28 22:00:07","2025-07-01 21:50:07",)`,
		`(16401,shop,"2025-01-01 00:00:00","2025-06-28 22:00:07","2025-07-01 21:50:07",)`,
		`(16402,cms,"2025-06-30 23:55:00","2025-06-28 22:00:07","2025-07-01 21:50:07",)`,
		`(16403,temp,"2025-06-01 00:00:00","2025-06-28 22:00:07","2025-06-30 15:40:07","2025-06-30 15:50:07")`,
		`(4294967295,Склад,,"2025-06-28 22:00:07","2025-07-01 21:50:07",)`,
	}
	if diff := cmp.Diff(want, lines(t, dsn, sql)); diff != "" {
		t.Error(diff)
	}
}

// A kill between two chunks costs what was not written; the next import writes
// that and nothing else.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	source := pgtest.EmptyDB(t)
	pgtest.Exec(t, source, juneTables, juneRows)
	whole, cut := pgtest.StatsDB(t), pgtest.StatsDB(t)
	src := smallPages(openSource(t, source, June), 200)
	if _, _, err := importAll(t, src, "", openStore(t, whole), 1, nil); err != nil {
		t.Fatal(err)
	}
	stats, killed := openStore(t, cut), errors.New("killed")
	for chunks := 1; ; chunks += 2 {
		left := chunks
		src := smallPages(openSource(t, source, June), 200)
		counts, read, err := importAll(t, src, "", stats, 1, func() error {
			if left--; left < 0 {
				return killed
			}
			return nil
		})
		if err == nil {
			if chunks < 9 || counts.Present == 0 || read.Read == 0 {
				t.Errorf("not much was killed: %d, %+v", chunks, counts)
			}
			break
		}
		if !errors.Is(err, killed) {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(dump(t, whole), dump(t, cut)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(lines(t, cut, summed), lines(t, cut, rollups)); diff != "" {
		t.Error(diff)
	}
}

// What pgam has seen itself counts, and the collector may be at it meanwhile.
func TestImportBesidePgam(t *testing.T) {
	t.Parallel()
	source, dsn := pgtest.EmptyDB(t), pgtest.StatsDB(t)
	pgtest.Exec(t, source, juneTables, juneRows)
	stats := openStore(t, dsn)
	begun := time.Date(2025, 7, 1, 12, 34, 56, 0, time.UTC)
	appendOwn(t, stats, 7, begun, 3, "shop", "cms")
	before := dump(t, dsn)
	counts, read, err := importAll(t, openSource(t, source, June), "", stats, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	late := pgtest.Value[int64](t, source, "select count(distinct (ts, datname)) from pg_statistics where ts >= '2025-07-01 12:34:56+00' and ts < now()")
	if read.Own < late || counts.Samples == 0 {
		t.Errorf("%d rows are pgam's own, at least %d expected", read.Own, late)
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database_stat where sampled_at >= $1 and xact_rollback is null", begun); n != 0 {
		t.Errorf("%d imported rows are younger than pgam's first", n)
	}
	databases := lines(t, dsn, "select oid, name, first_seen_at < $1, created_at is not null, last_seen_at >= $1, dropped_at from history.database order by oid", begun)
	dropped := "2025-07-01 12:34:56+00"
	want := []string{
		`(5,postgres,t,t,f,"` + dropped + `")`, `(16401,shop,t,t,t,)`, `(16402,cms,t,t,t,)`, `(16403,temp,t,t,f,"2025-06-30 15:50:07+00")`,
		`(4294967295,Склад,t,f,f,"` + dropped + `")`,
	}
	if diff := cmp.Diff(want, databases); diff != "" {
		t.Error(diff)
	}
	// A bucket that both are in holds both.
	both := pgtest.Value[string](t, dsn, `select (samples, backends_last, last_sample_at)::text from history.database_rollup
 where database_oid = 16401 and step_seconds = 3600 and bucket = '2025-07-01 12:00+00'`)
	if both != `(7,3,"2025-07-01 12:35:16+00")` {
		t.Errorf("the hour that both saw is %s", both)
	}
	// The collector goes on, and another import finds nothing to do.
	appendOwn(t, stats, 7, begun.Add(time.Minute), 3, "shop", "cms")
	if cmp.Equal(before, dump(t, dsn)) {
		t.Error("nothing was written")
	}
	before = dump(t, dsn)
	again, _, err := importAll(t, openSource(t, source, June), "", stats, 7, nil)
	if err != nil || again.Samples+again.Sizes+again.Disks != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, dump(t, dsn)); diff != "" {
		t.Error(diff)
	}
}

// The usual order: the history first, then the collector begins, and then the
// import is repeated for what came in between.
func TestImportAgainAfterPgam(t *testing.T) {
	t.Parallel()
	source, dsn := pgtest.EmptyDB(t), pgtest.StatsDB(t)
	pgtest.Exec(t, source, juneTables, juneRows)
	stats := openStore(t, dsn)
	counts, _, err := importAll(t, openSource(t, source, June), "", stats, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Date(2025, 7, 1, 22, 30, 0, 0, time.UTC)
	pgtest.Exec(t, source, `insert into pg_statistics (ts, datname, numbackends, xact_commit)
select timestamptz '2025-07-01 22:00:07+00' + n * interval '10 minutes', d, 1, 1000000 from generate_series(0, 9) n, unnest(array['cms', 'postgres']) d`)
	appendOwn(t, stats, 7, begun, 2, "shop", "cms")
	again, read, err := importAll(t, openSource(t, source, June), "", stats, 7, nil)
	if err != nil || again.Samples != 6 || again.Present != counts.Samples || read.Own != 14 {
		t.Errorf("the second import: %+v of %+v, %v", again, read, err)
	}
	databases := lines(t, dsn, "select oid, name, last_seen_at, dropped_at from history.database order by oid")
	want := []string{
		`(5,postgres,"2025-07-01 22:20:07+00","2025-07-01 22:30:00+00")`, `(16401,shop,"2025-07-01 22:30:00+00",)`,
		`(16402,cms,"2025-07-01 22:30:00+00",)`, `(16403,temp,"2025-06-30 15:40:07+00","2025-06-30 15:50:07+00")`,
		`(4294967295,Склад,"2025-07-01 21:50:07+00","2025-07-01 22:30:00+00")`,
	}
	if diff := cmp.Diff(want, databases); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(lines(t, dsn, summed), lines(t, dsn, rollups)); diff != "" {
		t.Error(diff)
	}
	before := dump(t, dsn)
	if again, _, err = importAll(t, openSource(t, source, June), "", stats, 7, nil); err != nil || again.Samples+again.Sizes+again.Disks != 0 {
		t.Errorf("the third import: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, dump(t, dsn)); diff != "" {
		t.Error(diff)
	}
}

// appendOwn writes samples as the collector does, ten seconds apart.
func appendOwn(t *testing.T, stats *ingest.Writer, id target.ID, at time.Time, samples int, names ...string) {
	t.Helper()
	v := &sample.Visit{
		Server:    id,
		Identity:  &sample.Identity{At: at, VersionNum: 150000, Version: "15.0", PostmasterStart: at.Add(-time.Hour)},
		Inventory: &sample.Inventory{At: at},
	}
	for i, name := range names {
		oid := uint32(16401 + i)
		v.Inventory.Databases = append(v.Inventory.Databases, sample.Database{OID: oid, Name: name, AllowConnect: true, Encoding: "UTF8"})
		for n := range samples {
			seen := at.Add(time.Duration(n) * 10 * time.Second)
			d := sample.DatabaseStat{Planned: seen, At: seen, OID: oid, Backends: known(3), Instance: v.Identity.Instance()}
			d.Counters[sample.XactCommit], d.Counters[sample.XactRollback] = known(int64(1000+n)), known(0)
			v.Databases = append(v.Databases, d)
		}
	}
	if err := stats.Append(t.Context(), id, []*sample.Visit{v}); err != nil {
		t.Fatal(err)
	}
	if err := stats.CompactDatabases(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

const laterTables = `
create table statistics (
    id bigserial, server_name text, ts timestamptz not null, datname text, numbackends int, xact_commit bigint, db_size bigint, disk_free bigint,
    disk_total bigint) partition by range (ts);
create table statistics_2026_01 partition of statistics for values from ('2026-01-01+00') to ('2026-02-01+00');
create table statistics_2026_02 partition of statistics for values from ('2026-02-01+00') to ('2026-03-01+00');
create index on statistics (server_name, ts desc);
create index on statistics (server_name, datname, ts desc);
create table db_info (
    server_name text, datname text, oid oid, creation_time timestamptz, first_seen timestamptz, last_seen timestamptz, primary key (server_name, datname));
insert into statistics (server_name, ts, datname, numbackends, xact_commit, db_size, disk_free, disk_total)
select s, t, d, n % 9, n * 7 + length(s), 5000000 + n / 4 * 8192, 90000 - n, 100000
  from generate_series(0, 299) n, lateral (select timestamptz '2026-01-31 00:00:03+00' + n * interval '10 minutes' as t) x,
       unnest(array['db1', 'db2']) s, unnest(array['a', 'b']) d;
insert into statistics (server_name, ts, datname, numbackends, xact_commit) select server_name, ts, datname, 77, 7777 from statistics where id % 10 = 0;
insert into statistics (server_name, ts, datname, numbackends, xact_commit) values ('db1', '2026-02-01 00:00:03+00', null, 1, 1), ('gone', '2026-02-01', 'x', 1, 1);
insert into db_info values ('db1', 'a', 16384, null, now(), now()), ('db2', 'a', 20000, '2025-12-01', now(), now()), ('db1', 'b', null, null, now(), now());`

func TestImportLater(t *testing.T) {
	t.Parallel()
	source, dsn := pgtest.EmptyDB(t), pgtest.StatsDB(t)
	pgtest.Exec(t, source, laterTables)
	stats := openStore(t, dsn)
	src := smallPages(openSource(t, source, Later), 50)
	names, err := src.Servers(t.Context())
	if diff := cmp.Diff([]string{"db1", "db2", "gone"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for i, name := range []string{"db1", "db2"} {
		id := target.ID(i + 1)
		rows, err := src.Count(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		counts, read, err := importAll(t, src, name, stats, id, nil)
		if err != nil || counts.Samples != 600 || read.Read != rows || read.Duplicate == 0 || read.Skipped() != rows-600 {
			t.Errorf("%s: %+v of %+v, %v", name, counts, read, err)
		}
		const want = `
select ts::text, datname, numbackends, xact_commit, case when n % 4 = 1 then db_size end
  from (select distinct on (ts, datname) *, (row_number() over (partition by datname, numbackends <> 77 order by ts)) as n
          from (select distinct on (ts, datname) * from statistics where server_name = $1 and datname is not null order by ts, datname, id) f) x
 order by datname, ts`
		const got = `
select s.sampled_at::text, d.name, s.numbackends, s.xact_commit, z.size_bytes
  from history.database_stat s
  join history.database d on d.server_id = s.server_id and d.oid = s.database_oid
  left join history.database_size z on z.server_id = s.server_id and z.sampled_at = s.sampled_at and z.database_oid = s.database_oid
 where s.server_id = $1
 order by d.name, s.sampled_at`
		if diff := cmp.Diff(lines(t, source, want, name), lines(t, dsn, got, int64(id))); diff != "" {
			t.Error(diff)
		}
	}
	want := []string{`(1,16384,a,)`, `(1,4294967295,b,)`, `(2,20000,a,"2025-12-01 00:00:00+00")`, `(2,4294967295,b,)`}
	if diff := cmp.Diff(want, lines(t, dsn, "select server_id, oid, name, created_at from history.database order by server_id, oid")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(lines(t, dsn, summed), lines(t, dsn, rollups)); diff != "" {
		t.Error(diff)
	}
	checkDiskRollup(t, dsn)
	disks := lines(t, dsn, "select server_id, count(*), min(free_bytes), max(total_bytes) from history.disk_usage group by 1 order by 1")
	if diff := cmp.Diff([]string{"(1,300,89701,100000)", "(2,300,89701,100000)"}, disks); diff != "" {
		t.Error(diff)
	}
	before := dump(t, dsn)
	if again, _, err := importAll(t, src, "db1", stats, 1, nil); err != nil || again.Samples+again.Sizes+again.Disks != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, dump(t, dsn)); diff != "" {
		t.Error(diff)
	}
}
