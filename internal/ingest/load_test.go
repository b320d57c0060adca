package ingest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

// contents gives what a table holds of a server, but for the server and when it was
// written, as one text a row.
func contents(t *testing.T, dsn, table string, id target.ID) []string {
	t.Helper()
	return pgtest.Value[[]string](t, dsn, fmt.Sprintf(`
select coalesce(array_agg(r order by r), '{}')
  from (select (to_jsonb(x) - 'server_id')::text as r from history.%s x where server_id = $1) y`, table), id)
}

// TestLoad: a day that is loaded is in every table what it is when it was appended
// and compacted.
func TestLoad(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	hash := sample.NewHash([16]byte{4, 2})
	w := ingest.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn)}), hash)
	server := func(name string) target.ID {
		return pgtest.Value[target.ID](t, dsn, "insert into pgam.server (name, host, port, user_name) values ($1, 'db.example.org', 5432, 'mon') returning id", name)
	}
	loaded, appended := server("loaded"), server("appended")
	g, err := synth.New(synth.Config{Seed: 3, Hash: hash, Cadence: 5 * time.Second, Sessions: 9, Queries: 3000})
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2024, 11, 22, 0, 0, 0, 0, time.UTC)
	if err := w.EnsurePartitions(t.Context(), midnight, midnight); err != nil {
		t.Fatal(err)
	}
	names, seq := g.Day(77, midnight)
	ticks := slices.Collect(seq)
	ticks = ticks[:len(ticks)-3000] // the last hour is cut
	if err := w.Load(t.Context(), loaded, &names, slices.Values(ticks)); err != nil {
		t.Fatal(err)
	}
	visits := []*sample.Visit{{Entries: names}}
	for i, tick := range ticks {
		if visits = append(visits, &sample.Visit{Tick: tick}); len(visits) == 1000 || i == len(ticks)-1 {
			if err := w.Append(t.Context(), appended, visits); err != nil {
				t.Fatal(err)
			}
			visits = nil
		}
	}
	pgtest.Exec(t, dsn, "update history.activity_recent set written_at = slot")
	if _, more, err := w.CompactDue(t.Context(), midnight.AddDate(0, 0, 2)); more || err != nil {
		t.Fatal(more, err)
	}
	for _, table := range []string{"activity", "activity_minute", "activity_total", "activity_rollup", "session", "query", "wait", "lock", "label"} {
		want := contents(t, dsn, table, appended)
		if diff := cmp.Diff(want, contents(t, dsn, table, loaded)); diff != "" || len(want) == 0 {
			t.Errorf("%s: %d rows; appended -, loaded +: %.4000s", table, len(want), diff)
		}
	}
	if a, b := pgtest.Value[time.Time](t, dsn, "select compacted_until from history.progress where server_id = $1", appended), pgtest.Value[time.Time](t, dsn, "select compacted_until from history.progress where server_id = $1", loaded); !a.Equal(b) {
		t.Errorf("appended up to %s, loaded up to %s", a, b)
	}

	// Twice is refused, and changes nothing.
	before := contents(t, dsn, "activity_rollup", loaded)
	if err := w.Load(t.Context(), loaded, &names, slices.Values(ticks)); err == nil {
		t.Error("a day is loaded twice")
	}
	if diff := cmp.Diff(before, contents(t, dsn, "activity_rollup", loaded)); diff != "" {
		t.Error(diff)
	}
	if err := w.Load(t.Context(), loaded, &sample.Entries{}, slices.Values([]*sample.Tick{})); err != nil {
		t.Errorf("nothing: %v", err)
	}
}
