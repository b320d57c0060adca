package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// importStart is when imported samples of these tests begin.
var importStart = time.Date(2025, 12, 30, 22, 5, 0, 0, time.UTC)

func int8Of(v int64) sample.Int { return sample.Int{V: v, Known: true} }

// importedChunks are samples of two databases every ten minutes, over the end of
// a year.
func importedChunks(chunks, instants int) []history.ImportedChunk {
	var out []history.ImportedChunk
	n := 0
	for range chunks {
		c := history.ImportedChunk{MountPoint: "data"}
		for range instants {
			at := importStart.Add(time.Duration(n) * 10 * time.Minute)
			for db := range 2 {
				s := history.ImportedStat{
					At: at, OID: uint32(100 + db), Backends: int8Of(int64(n%5 + db)), Commits: int8Of(int64(n * 3)), Epoch: importStart,
				}
				if n > 0 {
					s.Interval, s.Held = 10*time.Minute, 10*time.Minute
					s.BackendSeconds, s.CommitsDelta = s.Held.Seconds()*float64((n-1)%5+db), int8Of(3)
				}
				if n%3 == 1 {
					s.Size = int8Of(int64(1000 + n))
				}
				c.Stats = append(c.Stats, s)
			}
			c.Disks = append(c.Disks, history.ImportedDisk{At: at, Free: int8Of(int64(5000 - n))})
			n++
		}
		for db := range 2 {
			c.Databases = append(c.Databases, history.Database{
				OID: uint32(100 + db), Name: fmt.Sprintf("db%d", db), AllowConnect: true, FirstSeenAt: importStart, LastSeenAt: c.Stats[len(c.Stats)-1].At,
			})
		}
		out = append(out, c)
	}
	return out
}

// rollupFaults are buckets that are not what the samples in them add up to.
const rollupFaults = `
with share as (
    select s.*, step, bucket,
           case when s.interval_seconds is null then (bucket = date_bin(step * interval '1 second', s.sampled_at, 'epoch'))::int
                else least(1, greatest(0, 1 - extract(epoch from s.sampled_at - bucket - step * interval '1 second') / s.interval_seconds)) end as until,
           case when s.interval_seconds is null then 0
                else least(1, greatest(0, 1 - extract(epoch from s.sampled_at - bucket) / s.interval_seconds)) end as since,
           bucket = date_bin(step * interval '1 second', s.sampled_at, 'epoch') as own
      from history.database_stat s
     cross join (values (3600), (14400), (86400)) as steps (step)
     cross join lateral generate_series(date_bin(step * interval '1 second', s.sampled_at - coalesce(s.interval_seconds, 0) * interval '1 second', 'epoch'),
                                        s.sampled_at, step * interval '1 second') as b (bucket)
), want as (
    select s.server_id, step, s.database_oid, bucket, count(*) filter (where own) as samples,
           sum(round((s.xact_commit * until)::float8) - round((s.xact_commit * since)::float8)) as commits,
           min(s.numbackends) filter (where own) as least, max(s.numbackends) filter (where own) as most,
           (array_agg(s.numbackends order by s.sampled_at desc) filter (where own))[1] as newest, max(s.sampled_at) filter (where own) as last_sample,
           max(z.sampled_at) filter (where own) as size_at, max(z.size_bytes) filter (where own) as size_bytes
      from share s
      left join history.database_size z using (server_id, sampled_at, database_oid)
     group by 1, 2, 3, 4
)
select count(*)
  from want w
  full join history.database_rollup r on r.server_id = w.server_id and r.step_seconds = w.step and r.database_oid = w.database_oid and r.bucket = w.bucket
 where (w.samples, w.commits, w.least, w.most, w.newest, w.last_sample, w.size_at, w.size_bytes)
       is distinct from (r.samples, r.xact_commit, r.backends_min, r.backends_max, r.backends_last, r.last_sample_at, r.size_at, r.size_bytes)`

func TestImportAtOnce(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	chunks := importedChunks(6, 70)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var total history.ImportCounts
	for range 3 {
		wg.Go(func() {
			for _, c := range chunks {
				counts, err := s.Import(t.Context(), 7, c)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				total.Add(counts)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	want := history.ImportCounts{Samples: 840, Sizes: 280, Disks: 420, Present: 2 * 840}
	if diff := cmp.Diff(want, total); diff != "" {
		t.Error(diff)
	}
	if n := pgtest.Value[int](t, dsn, rollupFaults); n != 0 {
		t.Errorf("%d buckets are wrong", n)
	}
	integral := pgtest.Value[string](t, dsn, "select string_agg(distinct (s, round(b))::text, ' ') from (select sum(seconds) s, sum(backend_seconds) b from history.database_rollup group by step_seconds) x")
	// 419 intervals of ten minutes, of two databases: 836 and 836 + 419 connections.
	if integral != "(502800,1254600)" {
		t.Errorf("the integrals are %s", integral)
	}
}

// The collector goes on with its own samples, in the very buckets that are
// being imported to.
func TestImportBesideAppend(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	chunks := importedChunks(4, 60)
	end := chunks[3].Stats[len(chunks[3].Stats)-1].At
	partitionsAround(t, s, importStart, end)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range 60 {
			v := &sample.Visit{Server: 7}
			for db := range 2 {
				d := sample.DatabaseStat{At: importStart.Add(time.Duration(n)*10*time.Minute + time.Minute), OID: uint32(100 + db), Backends: int8Of(9), Epoch: importStart}
				d.Counters[sample.XactCommit], d.Counters[sample.XactRollback] = int8Of(1), int8Of(0)
				d.CounterDeltas[sample.XactCommit] = int8Of(1)
				v.Databases = append(v.Databases, d)
			}
			for {
				err := s.Append(t.Context(), sample.Batch{Visits: []*sample.Visit{v}})
				if err == nil {
					break
				}
				if !statsdb.MayPass(err) { // a deadlock, which the collector retries
					t.Error(err)
					return
				}
			}
		}
	})
	for _, c := range chunks {
		if _, err := s.Import(t.Context(), 7, c); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database_stat"); n != 480+120 {
		t.Errorf("%d samples", n)
	}
	if n := pgtest.Value[int](t, dsn, rollupFaults); n != 0 {
		t.Errorf("%d buckets are wrong", n)
	}
}

func TestImportPlan(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	plan, err := s.ImportPlan(t.Context(), 7)
	if err != nil || !plan.OwnFirst.IsZero() || !plan.ListedFirst.IsZero() || len(plan.Databases) != 0 {
		t.Errorf("of nothing: %+v, %v", plan, err)
	}
	for _, c := range importedChunks(1, 20) {
		if _, err := s.Import(t.Context(), 7, c); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing of this is pgam's own.
	plan, err = s.ImportPlan(t.Context(), 7)
	if err != nil || !plan.OwnFirst.IsZero() || !plan.ListedFirst.IsZero() || len(plan.Databases) != 2 {
		t.Errorf("of imported history: %+v, %v", plan, err)
	}
	first := importStart.Add(time.Hour)
	own := sample.DatabaseStat{At: first.Add(time.Second), OID: 100, Backends: int8Of(1), Epoch: first}
	own.Counters[sample.XactRollback] = int8Of(0)
	visit := &sample.Visit{
		Server: 7, Databases: []sample.DatabaseStat{own},
		Identity:  &sample.Identity{At: first, VersionNum: 150000, Version: "15", PostmasterStart: first},
		Inventory: &sample.Inventory{At: first.Add(3 * time.Hour), Databases: []sample.Database{{OID: 99, Name: "new"}, {OID: 100, Name: "db0"}}},
	}
	if err := s.Append(t.Context(), sample.Batch{Visits: []*sample.Visit{visit}}); err != nil {
		t.Fatal(err)
	}
	plan, err = s.ImportPlan(t.Context(), 7)
	if err != nil || !plan.OwnFirst.Equal(own.At) || !plan.ListedFirst.Equal(first) || len(plan.Databases) != 3 || plan.Databases[2].Name != "new" {
		t.Errorf("of both: %+v, %v", plan, err)
	}
	if plan, err := s.ImportPlan(t.Context(), 8); err != nil || !plan.OwnFirst.IsZero() {
		t.Errorf("of another server: %+v, %v", plan, err)
	}
}

// A chunk is there as a whole or not at all.
func TestImportIsWhole(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	c := importedChunks(1, 10)[0]
	good := c.Databases[1].Name
	c.Databases[1].Name = "not\x00text"
	if _, err := s.Import(t.Context(), 7, c); err == nil {
		t.Error("a NUL is stored")
	}
	rows := func() int {
		return pgtest.Value[int](t, dsn, `select (select count(*) from history.database_stat) + (select count(*) from history.database_size)
 + (select count(*) from history.database_rollup) + (select count(*) from history.disk_usage) + (select count(*) from history.disk_rollup) + (select count(*) from history.database)`)
	}
	if n := rows(); n != 0 {
		t.Errorf("%d rows of a chunk that failed", n)
	}
	c.Databases[1].Name = good
	would, err := s.WouldImport(t.Context(), 7, c)
	if err != nil || rows() != 0 {
		t.Errorf("a dry run leaves %d rows, %v", rows(), err)
	}
	if counts, err := s.Import(t.Context(), 7, c); err != nil || counts != would || counts.Samples != 20 {
		t.Errorf("%+v, a dry run said %+v, %v", counts, would, err)
	}
	for _, empty := range []history.ImportedChunk{{}, {Databases: c.Databases}} {
		if counts, err := s.Import(t.Context(), 7, empty); err != nil || counts != (history.ImportCounts{}) {
			t.Errorf("nothing gives %+v, %v", counts, err)
		}
	}
}

func TestImportOfUnknownValues(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	at := importStart
	c := history.ImportedChunk{MountPoint: "d", Stats: []history.ImportedStat{
		{At: at, OID: lastOIDOfAll, Epoch: at},
		{At: at.Add(time.Minute), OID: lastOIDOfAll, Epoch: at, Interval: time.Minute, Size: int8Of(1 << 60)},
	}, Disks: []history.ImportedDisk{{At: at, Total: int8Of(1)}}}
	if _, err := s.Import(t.Context(), target.ID(1)<<40, c); err != nil {
		t.Fatal(err)
	}
	got := pgtest.Value[string](t, dsn, `select (server_id, database_oid, samples, seconds, backends_min, backends_last, xact_commit, size_bytes)::text
 from history.database_rollup where step_seconds = 86400`)
	if got != "(1099511627776,4294967295,2,0,,,,1152921504606846976)" {
		t.Errorf("the day is %s", got)
	}
	if got := pgtest.Value[string](t, dsn, "select (free_bytes, total_bytes)::text from history.disk_usage"); got != "(,1)" {
		t.Errorf("the disk is %s", got)
	}
}

// lastOIDOfAll is the greatest oid there can be.
const lastOIDOfAll = 4294967295

func TestImportWhileAway(t *testing.T) {
	t.Parallel()
	server, s := storeOn(t, pgtest.Local(t).Major)
	c := importedChunks(1, 10)[0]
	if _, err := s.Import(t.Context(), 7, c); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Import(ctx, 7, c); !errors.Is(err, statsdb.ErrUnavailable) {
		t.Errorf("without stats_db: %v", err)
	}
	if _, err := s.WouldImport(ctx, 7, c); !errors.Is(err, statsdb.ErrUnavailable) {
		t.Errorf("a dry run without stats_db: %v", err)
	}
	if _, err := s.ImportPlan(ctx, 7); !errors.Is(err, statsdb.ErrUnavailable) {
		t.Errorf("a plan without stats_db: %v", err)
	}
}
