package ingest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// importStart is when imported samples of these tests begin.
var importStart = time.Date(2025, 12, 30, 22, 5, 0, 0, time.UTC)

// importedChunks are samples of two databases every ten minutes, over the end of a
// year.
func importedChunks(chunks, instants int) []ImportedChunk {
	var out []ImportedChunk
	n := 0
	for range chunks {
		c := ImportedChunk{MountPoint: "data"}
		for range instants {
			at := importStart.Add(time.Duration(n) * 10 * time.Minute)
			for db := range 2 {
				s := ImportedStat{At: at, OID: uint32(100 + db), Backends: number(int64(n%5 + db)), Commits: number(int64(n * 3)), Epoch: importStart}
				if n%3 == 1 {
					s.Size = number(int64(1000 + n))
				}
				c.Stats = append(c.Stats, s)
			}
			c.Disks = append(c.Disks, ImportedDisk{At: at, Free: number(int64(5000 - n))})
			n++
		}
		for db := range 2 {
			c.Databases = append(c.Databases, ImportedDatabase{
				OID: uint32(100 + db), Name: fmt.Sprintf("db%d", db), AllowConnect: true, FirstSeenAt: importStart, LastSeenAt: c.Stats[len(c.Stats)-1].At,
			})
		}
		out = append(out, c)
	}
	return out
}

// Several imports at once, beside a collector that goes on with its own samples in
// the very buckets that are imported to: all is there once.
func TestImportAtOnce(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	chunks := append(importedChunks(6, 70), ImportedChunk{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var total ImportCounts
	for range 3 {
		wg.Go(func() {
			for _, c := range chunks {
				counts, err := w.Import(t.Context(), 7, c)
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
	wg.Go(func() {
		series := new(sample.Resume).Series()
		for n := range 60 {
			at := importStart.Add(time.Duration(n)*10*time.Minute + time.Minute)
			v := &sample.Visit{Identity: &sample.Identity{At: at, PostmasterStart: importStart}}
			d := sample.DatabaseStat{At: at, OID: 102, Backends: number(9)}
			d.Counters[sample.XactCommit], d.Counters[sample.XactRollback] = number(int64(n)), number(0)
			v.Databases = append(v.Databases, d)
			series.Advance(v)
			mustAppend(t, w, 7, v)
		}
	})
	wg.Wait()
	want := ImportCounts{Samples: 840, Sizes: 280, Disks: 420, Present: 2 * 840}
	if diff := cmp.Diff(want, total); diff != "" {
		t.Error(diff)
	}
	if err := w.CompactDatabases(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	// 419 deltas of three commits over ten minutes, of two databases, and 59 of one.
	sums := pgtest.Value[string](t, dsn, `
select string_agg(distinct (n, c, round(s))::text, ' ')
  from (select sum(samples) n, sum(xact_commit) c, sum(counted_seconds) s from history.database_rollup group by step_seconds) x`)
	if want := fmt.Sprintf("(900,%d,%d)", 2*419*3+59, 2*419*600+59*600); sums != want {
		t.Errorf("samples, commits and seconds are %s, want %s", sums, want)
	}
	stored := storedSums(t, w, 7, 600)
	rows := map[uint32][]sample.DatabaseStat{}
	for n := range 420 {
		at := importStart.Add(time.Duration(n) * 10 * time.Minute)
		for db := range uint32(2) {
			d := sample.DatabaseStat{Planned: at, At: at, OID: 100 + db, Backends: number(int64(n%5) + int64(db))}
			d.Counters[sample.XactCommit] = number(int64(n * 3))
			rows[100+db] = append(rows[100+db], d)
		}
	}
	from := importStart.Truncate(24 * time.Hour)
	for oid, all := range rows {
		for i, s := range sample.SumDatabase(all, nil, from, from.AddDate(0, 0, 5), sample.BucketLength) {
			key := fmt.Sprint(oid, " ", from.Add(time.Duration(i)*sample.BucketLength).Format(time.RFC3339))
			if got := stored[key]; !s.Empty() && (got.Samples != s.Samples || got.Counters[sample.XactCommit] != s.Counters[sample.XactCommit]) {
				t.Errorf("%s: %+v, want %+v", key, got, s)
			}
		}
	}
}

func TestImportPlan(t *testing.T) {
	t.Parallel()
	w, _ := openEmpty(t)
	plan, err := w.ImportPlan(t.Context(), 7)
	if err != nil || !plan.OwnFirst.IsZero() || !plan.ListedFirst.IsZero() || len(plan.Databases) != 0 {
		t.Errorf("of nothing: %+v, %v", plan, err)
	}
	for _, c := range importedChunks(1, 20) {
		if _, err := w.Import(t.Context(), 7, c); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing of this is pgam's own.
	plan, err = w.ImportPlan(t.Context(), 7)
	if err != nil || !plan.OwnFirst.IsZero() || !plan.ListedFirst.IsZero() || len(plan.Databases) != 2 {
		t.Errorf("of imported history: %+v, %v", plan, err)
	}
	first := importStart.Add(time.Hour)
	own := sample.DatabaseStat{Planned: first, At: first.Add(time.Second), OID: 100, Backends: number(1)}
	own.Counters[sample.XactRollback] = number(0)
	mustAppend(t, w, 7, &sample.Visit{
		Databases: []sample.DatabaseStat{own},
		Identity:  &sample.Identity{At: first, VersionNum: 150000, Version: "15", PostmasterStart: first},
		Inventory: &sample.Inventory{At: first.Add(3 * time.Hour), Databases: []sample.Database{{OID: 99, Name: "new"}, {OID: 100, Name: "db0"}}},
	})
	plan, err = w.ImportPlan(t.Context(), 7)
	if err != nil || !plan.OwnFirst.Equal(own.At) || !plan.ListedFirst.Equal(first) || len(plan.Databases) != 3 || plan.Databases[2].Name != "new" {
		t.Errorf("of both: %+v, %v", plan, err)
	}
	if plan, err := w.ImportPlan(t.Context(), 8); err != nil || !plan.OwnFirst.IsZero() {
		t.Errorf("of another server: %+v, %v", plan, err)
	}
}

// A chunk is there as a whole or not at all.
func TestImportIsWhole(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	c := importedChunks(1, 10)[0]
	good := c.Databases[1].Name
	c.Databases[1].Name = "not\x00text"
	if _, err := w.Import(t.Context(), 7, c); err == nil {
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
	would, err := w.WouldImport(t.Context(), 7, c)
	if err != nil || rows() != 0 {
		t.Errorf("a dry run leaves %d rows, %v", rows(), err)
	}
	if counts, err := w.Import(t.Context(), 7, c); err != nil || counts != would || counts.Samples != 20 {
		t.Errorf("%+v, a dry run said %+v, %v", counts, would, err)
	}
	for _, empty := range []ImportedChunk{{}, {Databases: c.Databases}} {
		if counts, err := w.Import(t.Context(), 7, empty); err != nil || counts != (ImportCounts{}) {
			t.Errorf("nothing gives %+v, %v", counts, err)
		}
	}
}

func TestImportOfUnknownValues(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	const last = 4294967295 // the greatest oid there can be
	at, server := importStart, target.ID(1)<<40
	for _, c := range []ImportedChunk{{MountPoint: "d", Stats: []ImportedStat{
		{At: at, OID: last, Epoch: at}, {At: at.Add(time.Minute), OID: last, Epoch: at, Size: number(1 << 60)},
	}, Disks: []ImportedDisk{{At: at, Total: number(1)}}}, {}} {
		if _, err := w.Import(t.Context(), server, c); err != nil {
			t.Fatal(err)
		}
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

// Rows that retention took are in the rollups: importing them again changes nothing,
// nor do they take with them what rollups know of that time.
func TestImportAfterRetention(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	chunks := append(importedChunks(3, 100), ImportedChunk{})
	all := func() (total ImportCounts) {
		for _, c := range chunks {
			counts, err := w.Import(t.Context(), 7, c)
			if err != nil {
				t.Fatal(err)
			}
			total.Add(counts)
		}
		return total
	}
	first := all()
	own := sample.DatabaseStat{Planned: importStart.AddDate(0, 0, 4), At: importStart.AddDate(0, 0, 4), OID: 100, Backends: number(4)}
	mustAppend(t, w, 7, &sample.Visit{Databases: []sample.DatabaseStat{own}})
	if err := w.CompactDatabases(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	rollups := func() string {
		return pgtest.Value[string](t, dsn, "select md5(string_agg(r::text, ' ' order by r::text)) || count(*) from history.database_rollup r")
	}
	before := rollups()
	taken := tables(t, dsn, "database_stat_p%")
	for _, name := range taken {
		pgtest.Exec(t, dsn, "drop table history."+name)
	}
	again := all()
	if again.Samples != 0 || again.Present != first.Samples || len(taken) < 3 {
		t.Errorf("imported again: %+v, first %+v; rows were taken from %v", again, first, taken)
	}
	// All of it is to be made anew, of nothing.
	pgtest.Exec(t, dsn, fmt.Sprintf("update history.progress set databases_from = '%s'", importStart.Format(time.RFC3339)))
	if err := w.CompactDatabases(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if after := rollups(); after != before {
		t.Errorf("rollups are %s, were %s", after, before)
	}
}
