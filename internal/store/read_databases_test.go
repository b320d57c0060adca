package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

const mib = 1 << 20

// seedDatabases makes four databases: shop, which was there before; blog,
// created at 12:10; old, dropped at 12:20; and a template.
func seedDatabases(t *testing.T, s *Store, dsn string) target.Target {
	t.Helper()
	server := historyServer(t, s, dsn)
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.database (server_id, oid, name, is_template, allow_connect, encoding, created_at, first_seen_at, last_seen_at, dropped_at) values
  (%[1]d, 100, 'shop', false, true, 'UTF8', null, '2024-11-22 11:00Z', '2024-11-22 13:00Z', null),
  (%[1]d, 101, 'blog', false, true, 'UTF8', '2024-11-22 12:10Z', '2024-11-22 12:10Z', '2024-11-22 13:00Z', null),
  (%[1]d, 102, 'old', false, true, 'UTF8', null, '2024-11-22 11:00Z', '2024-11-22 12:19Z', '2024-11-22 12:20Z'),
  (%[1]d, 1, 'template1', true, true, 'UTF8', null, '2024-11-22 11:00Z', '2024-11-22 13:00Z', null)`, server.ID))
	return server
}

// seedStat stores a sample of a database at seconds after noon.
func seedStat(t *testing.T, s *Store, server target.ID, oid uint32, seconds, backends, commits int, total int64) {
	t.Helper()
	d := sample.DatabaseStat{
		At: noon.Add(time.Duration(seconds) * time.Second), OID: oid, Backends: sample.Int{V: int64(backends), Known: true},
		Interval: 10 * time.Second, Epoch: noon.Add(-time.Hour),
	}
	d.Counters[sample.XactCommit] = sample.Int{V: total, Known: true}
	d.CounterDeltas[sample.XactCommit] = sample.Int{V: int64(commits), Known: true}
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Databases: []sample.DatabaseStat{d}}}})
}

func seedSize(t *testing.T, s *Store, server target.ID, oid uint32, seconds, bytes int) {
	t.Helper()
	z := sample.DatabaseSize{At: noon.Add(time.Duration(seconds) * time.Second), OID: oid, Bytes: sample.Int{V: int64(bytes), Known: true}}
	mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{{Server: server, Sizes: []sample.DatabaseSize{z}}}})
}

func TestServerTimelineRaw(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := seedDatabases(t, s, dsn)
	seedStat(t, s, server.ID, 100, 12, 4, 10, 1000)
	seedStat(t, s, server.ID, 102, 12, 1, 5, 50)
	seedStat(t, s, server.ID, 1, 12, 9, 99, 99)
	seedStat(t, s, server.ID, 100, 1202, 6, 20, 1020)
	seedStat(t, s, server.ID, 101, 1213, 2, 7, 7)
	seedSize(t, s, server.ID, 100, -60, 5*mib)
	seedSize(t, s, server.ID, 100, 600, 8*mib)
	seedSize(t, s, server.ID, 101, 1220, 1*mib)
	seedSize(t, s, server.ID, 102, 1, 3*mib)

	r := history.Range{From: noon, To: noon.Add(time.Hour)}
	got, err := s.ServerTimeline(t.Context(), server.ID, r)
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(n int64) *int64 { return &n }
	point := func(seconds int, name string, backends int32, commits int64, size *int64) history.DatabasePoint {
		return history.DatabasePoint{
			At: noon.Add(time.Duration(seconds) * time.Second), Database: name, Connections: float64(backends),
			MinConnections: backends, MaxConnections: backends, Commits: commits, SizeBytes: size,
		}
	}
	// What was committed before something is known of the connections is in the
	// sum only.
	want := []history.DatabasePoint{
		point(10, "old", 1, 1, bytes(3*mib)),
		point(10, "shop", 4, 2, bytes(5*mib)),
		point(1200, "shop", 6, 4, bytes(8*mib)),
		point(1210, "blog", 2, 2, bytes(1*mib)),
		point(1210, "shop", 6, 0, bytes(8*mib)),
	}
	if diff := cmp.Diff(want, got.Points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	var names []string
	for _, d := range got.Databases {
		names = append(names, d.Name)
	}
	if diff := cmp.Diff([]string{"blog", "old", "shop"}, names); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
	if got.Aggregation != history.Raw || got.Connections != 8 || got.SizeBytes != 9*mib || got.Commits != 42 ||
		got.MinConnections != 1 || got.MaxConnections != 6 || got.LastSampleAt == nil || !got.LastSampleAt.Equal(noon.Add(1213*time.Second)) {
		t.Errorf("sums: %+v", got)
	}

	// After old was dropped, before blog had a sample.
	got, err = s.ServerTimeline(t.Context(), server.ID, history.Range{From: noon.Add(21 * time.Minute), To: noon.Add(22 * time.Minute)})
	if err != nil || len(got.Points) != 0 || got.Points == nil && len(got.Databases) != 2 {
		t.Errorf("an empty range: %+v, %v", got, err)
	}
}

// A database in which nothing changes is stored every five minutes: the
// average is over time, not over rows.
func TestTimelineAveragesOverTime(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := seedDatabases(t, s, dsn)
	// 12:00 to 12:30: ten connections and a commit each ten seconds; then none,
	// and a row each five minutes; at 13:00:10 two and three commits.
	series := sample.NewSeries(nil, nil, time.Time{})
	commits := int64(1000)
	for second := 0; second <= 3610; second += 10 {
		d := sample.DatabaseStat{At: noon.Add(time.Duration(second) * time.Second), OID: 100, Backends: sample.Int{V: 0, Known: true}}
		switch {
		case second < 1800:
			d.Backends.V = 10
			commits++
		case second == 3610:
			d.Backends.V = 2
			commits += 3
		}
		d.Counters[sample.XactCommit] = sample.Int{V: commits, Known: true}
		v := &sample.Visit{Server: server.ID, Databases: []sample.DatabaseStat{d}}
		if series.Advance(v); len(v.Databases) > 0 {
			mustAppend(t, s, sample.Batch{Visits: []*sample.Visit{v}})
		}
	}
	if n := pgtest.Value[int](t, dsn, "select count(*) from history.database_stat where sampled_at >= '2024-11-22 12:30:10Z'"); n != 7 {
		t.Fatalf("%d rows for 40 minutes", n)
	}
	r := history.Range{From: noon.Add(-71 * time.Hour), To: noon.Add(61 * time.Minute)}
	got, err := s.DatabaseTimeline(t.Context(), server.ID, "shop", r)
	if err != nil {
		t.Fatal(err)
	}
	want := []history.DatabasePoint{
		// Ten connections stood for 1800 of the 3600 seconds.
		{At: noon, Database: "shop", Connections: 5, MinConnections: 0, MaxConnections: 10, Commits: 179},
		{At: noon.Add(time.Hour), Database: "shop", Connections: 0, MinConnections: 0, MaxConnections: 2, Commits: 3},
	}
	if diff := cmp.Diff(want, got.Points, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if got.Aggregation != history.Hourly || got.Connections != 2 || got.Commits != 182 || got.MaxConnections != 10 || got.MinConnections != 0 {
		t.Errorf("sums: %+v", got)
	}
}

// A renamed database has both names, each in its time.
func TestTimelineOfRenamed(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := historyServer(t, s, dsn)
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.database (server_id, oid, name, is_template, allow_connect, first_seen_at, last_seen_at, dropped_at) values
  (%[1]d, 100, 'before', false, true, '2024-11-22 11:00Z', '2024-11-22 12:04Z', '2024-11-22 12:05Z'),
  (%[1]d, 100, 'after', false, true, '2024-11-22 12:05Z', '2024-11-22 13:00Z', null)`, server.ID))
	seedStat(t, s, server.ID, 100, 10, 1, 1, 1)
	seedStat(t, s, server.ID, 100, 400, 2, 2, 3)
	r := history.Range{From: noon, To: noon.Add(time.Hour)}
	for name, commits := range map[string]int64{"before": 1, "after": 2, "never": 0} {
		got, err := s.DatabaseTimeline(t.Context(), server.ID, name, r)
		if err != nil || got.Commits != commits {
			t.Errorf("%s: %d commits, %v", name, got.Commits, err)
		}
	}
	got, err := s.ServerTimeline(t.Context(), server.ID, r)
	if err != nil || len(got.Points) != 2 || got.Points[0].Database != "before" || got.Points[1].Database != "after" || got.Connections != 2 {
		t.Errorf("of the server: %+v, %v", got, err)
	}
}

func TestDatabaseNow(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := seedDatabases(t, s, dsn)
	if _, err := s.DatabaseNow(t.Context(), server.ID, "nosuchdb"); !errors.Is(err, history.ErrNoDatabase) {
		t.Errorf("unknown database: %v", err)
	}
	got, err := s.DatabaseNow(t.Context(), server.ID, "blog")
	if err != nil || got.SampledAt != nil || got.Connections != nil || got.SizeBytes != nil {
		t.Errorf("without a sample: %+v, %v", got, err)
	}
	seedStat(t, s, server.ID, 100, 3500, 4, 10, 1000)
	seedStat(t, s, server.ID, 100, 3590, 6, 20, 1020)
	seedSize(t, s, server.ID, 100, 1800, 8*mib)
	got, err = s.DatabaseNow(t.Context(), server.ID, "shop")
	if err != nil || got.SampledAt == nil || !got.SampledAt.Equal(noon.Add(3590*time.Second)) || *got.Connections != 6 ||
		*got.CommitsTotal != 1020 || *got.SizeBytes != 8*mib || !got.SizeAt.Equal(noon.Add(30*time.Minute)) || got.Database.DroppedAt != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
