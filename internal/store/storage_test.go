package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
)

func storedTable(t *testing.T, st history.Storage, table string, step time.Duration) history.StoredTable {
	t.Helper()
	i := slices.IndexFunc(st.Tables, func(s history.StoredTable) bool { return s.Table == table && s.Step == step })
	if i < 0 {
		t.Fatalf("no %s of %s in %+v", table, step, st.Tables)
	}
	return st.Tables[i]
}

func TestConformanceStorage(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		server := newServer(t, s, "db1")
		if err := s.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 3)); err != nil {
			t.Fatal(err)
		}
		empty, err := s.Storage(t.Context(), noon)
		if err != nil {
			t.Fatal(err)
		}
		if w := storedTable(t, empty, "activity_window", 0); w.Partitions != 4 || w.Oldest != nil || w.Newest != nil || w.BytesPerDay != nil || w.Kept != nil || w.Drops != nil {
			t.Errorf("of empty partitions: %+v", w)
		}
		for i := range 8 {
			mustAppend(t, s, plainWindow(server, noon.Add(time.Duration(i)*15*time.Second)), plainWindow(server, noon.AddDate(0, 0, 1).Add(time.Duration(i)*15*time.Second)))
		}
		pgtest.Exec(t, dsn, "insert into pgam.setting (name, value, environment) values ('PGAM_RETENTION_WINDOWS', '3d12h', '30d'), ('PGAM_RETENTION_ROLLUPS', null, '36h0m0s')")
		mustPack(t, s, packNow)
		pgtest.Exec(t, dsn, "analyze history.activity_window, history.query, history.wait")
		now := noon.AddDate(0, 0, 1)
		got, err := s.Storage(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		midnight := now.Truncate(24 * time.Hour)
		w := storedTable(t, got, "activity_window", 0)
		if w.Rows != 1+8 || !w.Oldest.Equal(midnight.AddDate(0, 0, -1)) || !w.Newest.Equal(now) || *w.Kept != 84*time.Hour || !w.Drops.Equal(midnight.Add(84*time.Hour)) {
			t.Errorf("windows: %+v", w)
		}
		sizes := pgtest.Value[[]int64](t, dsn, `
select array_agg(pg_total_relation_size(c.oid) order by c.relname) from pg_class c where c.relnamespace = 'history'::regnamespace and c.relname ~ '^activity_window_p\d+$'`)
		if w.Bytes() != sizes[0]+sizes[1]+sizes[2]+sizes[3] || *w.BytesPerDay != float64(sizes[0]) || w.HeapBytes == 0 || w.IndexBytes == 0 || w.ToastBytes == 0 {
			t.Errorf("windows take %v: %+v", sizes, w)
		}
		// A year that is not over.
		if e := storedTable(t, got, "activity_total", 0); *e.Kept != 36*time.Hour || !e.Drops.Equal(time.Date(2025, 1, 2, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("totals: %+v", e)
		}
		if m := storedTable(t, got, "activity_minute", 0); m.Kept != nil || m.Drops != nil || *m.BytesPerDay != float64(m.Bytes())/22.5 {
			t.Errorf("minutes: %+v", m)
		}
		for _, step := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour} {
			if r := storedTable(t, got, "activity_rollup", step); r.Partitions != 1 {
				t.Errorf("rollups of %s: %+v", step, r)
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
		if len(got.PackedDays) != 1 {
			t.Fatalf("packed: %+v", got.PackedDays)
		}
		day := got.PackedDays[0]
		day.PackedAt, day.BytesBefore = time.Time{}, 0
		if diff := cmp.Diff(history.PackedDay{Day: midnight.AddDate(0, 0, -1), Windows: 8, Rows: 1, Samples: 8 * 19, BytesAfter: sizes[0]}, day); diff != "" {
			t.Errorf("packed (-want +got):\n%s", diff)
		}
	})
}

// A table that is dropped while sizes are asked for does not spoil the answer.
func TestStorageBesideDrops(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 8 && err == nil; i++ {
			old := noon.AddDate(0, 0, -100)
			if err = s.EnsurePartitions(t.Context(), old, old.AddDate(0, 0, 5)); err == nil {
				_, err = s.dropExpired(t.Context(), noon, keepDays(30, 90, 90, false))
			}
		}
		done <- err
	}()
	for n := 0; ; n++ {
		if _, err := s.Storage(t.Context(), noon); err != nil {
			t.Fatal(fmt.Errorf("after %d answers: %w", n, err))
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}
