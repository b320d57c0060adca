package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

// loadedServer makes a server that was added two days before noon.
func loadedServer(t *testing.T, s *Store, name string) target.Target {
	t.Helper()
	id := newServer(t, s, name)
	if err := catalogOf(t, s).Backdate(t.Context(), id, noon.AddDate(0, 0, -2)); err != nil {
		t.Fatal(err)
	}
	made, err := catalogOf(t, s).Server(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if want := noon.AddDate(0, 0, -2); !made.CreatedAt.Equal(want) {
		t.Fatalf("added at %s, want %s", made.CreatedAt, want)
	}
	return made
}

// storedAs gives the rows of a server in a table of history, without its id.
func storedAs(t *testing.T, dsn, table string, server target.ID) []map[string]any {
	t.Helper()
	list := rows(t, dsn, fmt.Sprintf("select to_jsonb(h) - 'server_id' as row from history.%s h where server_id = %d order by 1", table, server))
	if len(list) == 0 && table != "rollup_due" {
		t.Fatalf("nothing in %s", table)
	}
	return list
}

// storedRollups gives those of a server with labels in the place of their ids,
// the keys in an order that does not depend on them.
func storedRollups(t *testing.T, dsn string, server target.ID) []map[string]any {
	t.Helper()
	return rows(t, dsn, fmt.Sprintf(`
select r.step_seconds, r.dimension, r.bucket::text, r.ticks, r.samples, r.tail_keys, r.tail_samples,
       (select jsonb_agg(jsonb_build_array(coalesce(l.text, k.key::text), k.samples, k.peak) order by k.samples desc, coalesce(l.text, k.key::text))
          from unnest(r.keys, r.key_samples, r.key_peaks) as k (key, samples, peak)
          left join history.label l on l.server_id = r.server_id and l.id = k.key and l.dimension = r.dimension) as keys
  from history.activity_rollup r
 where r.server_id = %d
 order by 1, 2, 3`, server))
}

// A day that is loaded is what the same windows are that were appended and
// rolled up.
func TestLoadDay(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	loaded, appended := loadedServer(t, s, "loaded"), loadedServer(t, s, "appended")
	partitionsAround(t, s, noon)
	g, err := synth.New(synth.Config{Seed: 3, Cadence: 5 * time.Second, Span: 15 * time.Second, Sessions: 9, Queries: 3000})
	if err != nil {
		t.Fatal(err)
	}
	midnight := noon.Truncate(24 * time.Hour)
	day := g.Day(77, midnight)
	entries, _ := g.Dictionary(77, sample.Day(midnight), sample.Day(midnight))
	for _, id := range []target.ID{loaded.ID, appended.ID} {
		mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: id, Entries: entries}}})
	}
	whole := LoadedDay{Sessions: day.Sessions, Windows: day.Windows, Minutes: day.Minutes}
	if err := s.LoadDay(t.Context(), loaded.ID, whole); err != nil {
		t.Fatal(err)
	}
	batch := sample.Batch{Visits: []*sample.Visit{{Server: appended.ID, Entries: sample.Entries{Sessions: day.Sessions}}}}
	for _, w := range day.Windows {
		w.Server = appended.ID
		batch.Windows = append(batch.Windows, w)
		if len(batch.Windows) == 240 {
			mustAppend(t, s, batch)
			batch = sample.Batch{}
		}
	}
	rollAll(t, s, noon.AddDate(0, 0, 2))
	for _, table := range []string{"activity_window", "session", "activity_minute", "activity_total", "rollup_due"} {
		if diff := cmp.Diff(storedAs(t, dsn, table, appended.ID), storedAs(t, dsn, table, loaded.ID)); diff != "" {
			t.Errorf("%s: appended -, loaded +: %.4000s", table, diff)
		}
	}
	want, got := storedRollups(t, dsn, appended.ID), storedRollups(t, dsn, loaded.ID)
	if len(want) != 24*60+7*(144+24+1) {
		t.Errorf("%d rollups", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rollups: appended -, loaded +: %.4000s", diff)
	}
	sameAnswers(t, s, appended, loaded, midnight)
	sameDayTwice(t, s, dsn, loaded, whole)
}

// sameAnswers asks the same of two servers.
func sameAnswers(t *testing.T, s *Store, one, other target.Target, midnight time.Time) {
	t.Helper()
	for _, r := range []history.Range{
		{From: midnight, To: midnight.AddDate(0, 0, 1)},
		{From: midnight.Add(3 * time.Hour), To: midnight.Add(4 * time.Hour)},
		{From: midnight.Add(9*time.Hour + 7*time.Minute + 11*time.Second), To: midnight.Add(9*time.Hour + 41*time.Minute)},
	} {
		for _, by := range []history.Dimension{history.ByWaitClass, history.ByWaitEvent, history.ByQuery, history.ByUser, history.ByClient} {
			ask := func(of target.Target) (answers [2]any) {
				activity, err := s.ActivityBy(t.Context(), of, history.ActivityQuestion{Range: r, By: by, Limit: 100})
				if err != nil {
					t.Fatal(err)
				}
				top, err := s.Top(t.Context(), of, history.TopQuestion{Range: r, By: by})
				if err != nil {
					t.Fatal(err)
				}
				if top.Samples == 0 || len(top.Rows) == 0 {
					t.Fatalf("top by %s of %v is empty", by, r)
				}
				return [2]any{activity, top}
			}
			if diff := cmp.Diff(ask(one), ask(other)); diff != "" {
				t.Errorf("by %s of %v: appended -, loaded +: %.2000s", by, r, diff)
			}
		}
	}
}

// sameDayTwice loads a day that is there.
func sameDayTwice(t *testing.T, s *Store, dsn string, server target.Target, day LoadedDay) {
	t.Helper()
	state := func() string {
		return pgtest.Value[string](t, dsn, `
select concat_ws(' ', (select count(*) from history.activity_window), (select count(*) from history.session), (select count(*) from history.label),
                 (select sum(samples) from history.activity_minute), (select sum(samples) from history.activity_total),
                 (select sum(samples) from history.activity_rollup))`)
	}
	before := state()
	if err := s.LoadDay(t.Context(), server.ID, day); err == nil {
		t.Error("a day is loaded twice")
	}
	day.Sessions = nil
	if err := s.LoadDay(t.Context(), server.ID, day); err == nil {
		t.Error("windows are loaded twice")
	}
	if after := state(); after != before {
		t.Errorf("a day that was loaded twice changed %s to %s", before, after)
	}
	if err := s.LoadDay(t.Context(), server.ID, LoadedDay{}); err != nil {
		t.Errorf("a day without windows: %v", err)
	}
}

// Days that were loaded packed are not packed again.
func TestNotePacked(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := loadedServer(t, s, "db1")
	partitionsAround(t, s, noon)
	g, err := synth.New(synth.Config{Seed: 3, Cadence: 10 * time.Second, Span: 5 * time.Minute, Sessions: 3, Queries: 30})
	if err != nil {
		t.Fatal(err)
	}
	midnight := noon.Truncate(24 * time.Hour)
	day := g.Day(server.ID, midnight)
	if err := s.LoadDay(t.Context(), server.ID, LoadedDay{Sessions: day.Sessions, Windows: day.Windows, Minutes: day.Minutes}); err != nil {
		t.Fatal(err)
	}
	due := func() time.Time {
		u, err := s.Upkeep(t.Context(), midnight.AddDate(0, 0, 2))
		if err != nil {
			t.Fatal(err)
		}
		return u.PackDue
	}
	if got := due(); !got.Equal(midnight) {
		t.Errorf("to pack: %s, want %s", got, midnight)
	}
	if err := s.NotePacked(t.Context(), midnight, midnight.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if got := due(); !got.IsZero() {
		t.Errorf("to pack: %s, want none", got)
	}
	if got := pgtest.Value[int64](t, dsn, "select rows from history.packed_day"); got != 288 {
		t.Errorf("%d rows are packed, want 288", got)
	}
}
