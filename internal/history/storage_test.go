package history

import (
	"slices"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

func storedTable(t *testing.T, st Storage, table string, step time.Duration) StoredTable {
	t.Helper()
	i := slices.IndexFunc(st.Tables, func(s StoredTable) bool { return s.Table == table && s.Step == step })
	if i < 0 {
		t.Fatalf("no %s of %s in %+v", table, step, st.Tables)
	}
	return st.Tables[i]
}

func TestStorage(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)})
	s, w := New(db), ingest.New(db, sample.NewHash([16]byte{4, 2}))
	if err := w.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	empty, err := s.Storage(t.Context(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if a := storedTable(t, empty, "activity", 0); a.Partitions != 4 || a.Oldest != nil || a.Newest != nil || a.BytesPerDay != nil || a.Kept != nil || a.Drops != nil {
		t.Errorf("of empty partitions: %+v", a)
	}
	for _, day := range []time.Time{noon, noon.AddDate(0, 0, 1)} {
		tick := sample.Tick{Planned: day, Started: day, Cadence: time.Second, Sessions: []sample.Session{{Session: 1, Wait: 1, Query: 1}}}
		visit := &sample.Visit{Tick: &tick, Entries: sample.Entries{Queries: []sample.QueryEntry{{Key: 1, Day: sample.Day(day), QueryID: 1}}}}
		if err := w.Append(t.Context(), 1, []*sample.Visit{visit}); err != nil {
			t.Fatal(err)
		}
		if err := w.Compact(t.Context(), 1, day); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, dsn, "insert into pgam.setting (name, value, environment) values ('PGAM_RETENTION_ACTIVITY', '3d12h', '30d'), ('PGAM_RETENTION_ROLLUPS', null, '36h0m0s')")
	pgtest.Exec(t, dsn, "analyze history.activity, history.query")
	now := noon.AddDate(0, 0, 1)
	got, err := s.Storage(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	midnight := now.Truncate(24 * time.Hour)
	a := storedTable(t, got, "activity", 0)
	if a.Rows != 2 || !a.Oldest.Equal(midnight.AddDate(0, 0, -1)) || !a.Newest.Equal(now) || *a.Kept != 84*time.Hour || !a.Drops.Equal(midnight.Add(84*time.Hour)) {
		t.Errorf("activity: %+v", a)
	}
	sizes := pgtest.Value[[]int64](t, dsn, `
select array_agg(pg_total_relation_size(c.oid) order by c.relname) from pg_class c where c.relnamespace = 'history'::regnamespace and c.relname ~ '^activity_p\d+$'`)
	if a.Bytes() != sizes[0]+sizes[1]+sizes[2]+sizes[3] || *a.BytesPerDay != float64(sizes[0]) || a.HeapBytes == 0 || a.IndexBytes == 0 || a.ToastBytes == 0 {
		t.Errorf("activity takes %v: %+v", sizes, a)
	}
	// A year that is not over.
	if e := storedTable(t, got, "activity_total", 0); *e.Kept != 36*time.Hour || !e.Drops.Equal(time.Date(2027, 1, 2, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("totals: %+v", e)
	}
	if m := storedTable(t, got, "activity_minute", 0); m.Kept != nil || m.Drops != nil || *m.BytesPerDay != float64(m.Bytes())/22.5 {
		t.Errorf("minutes: %+v", m)
	}
	for _, step := range []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour} {
		for _, table := range []string{"activity_rollup", "database_rollup"} {
			if r := storedTable(t, got, table, step); r.Partitions != 1 {
				t.Errorf("%s of %s: %+v", table, step, r)
			}
		}
	}
	if q := storedTable(t, got, "query", 0); q.Partitions != 0 || q.Rows != 1 || q.Drops != nil || q.HeapBytes == 0 {
		t.Errorf("statements: %+v", q)
	}
	total := pgtest.Value[int64](t, dsn, "select sum(pg_total_relation_size(oid))::bigint from pg_class where relnamespace = 'history'::regnamespace and relkind = 'r'")
	var sum int64
	for _, table := range got.Tables {
		sum += table.Bytes()
	}
	if sum != total || got.DatabaseBytes <= sum {
		t.Errorf("%d bytes in all, want %d; the database %d", sum, total, got.DatabaseBytes)
	}
}
