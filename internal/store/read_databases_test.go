package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
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

// seedStat stores samples of a database at seconds after noon.
func seedStat(t *testing.T, dsn string, server target.ID, oid uint32, seconds, backends, commits int, total string) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.database_stat (server_id, sampled_at, database_oid, numbackends, interval_seconds, epoch, xact_commit, xact_commit_total)
values (%d, timestamptz '2024-11-22 12:00Z' + interval '%d s', %d, %d, 10, '2024-11-22 11:00Z', %d, %s)`,
		server, seconds, oid, backends, commits, total))
}

func seedSize(t *testing.T, dsn string, server target.ID, oid uint32, seconds, bytes int) {
	t.Helper()
	pgtest.Exec(t, dsn, fmt.Sprintf(`
insert into history.database_size (server_id, sampled_at, database_oid, size_bytes, duration_ms, reason)
values (%d, timestamptz '2024-11-22 12:00Z' + interval '%d s', %d, %d, 3, 0)`, server, seconds, oid, bytes))
}

func TestServerTimelineRaw(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	server := seedDatabases(t, s, dsn)
	seedStat(t, dsn, server.ID, 100, 0, 4, 10, "1000")
	seedStat(t, dsn, server.ID, 102, 0, 1, 5, "50")
	seedStat(t, dsn, server.ID, 1, 0, 9, 99, "99")
	seedStat(t, dsn, server.ID, 100, 1200, 6, 20, "1020")
	seedStat(t, dsn, server.ID, 101, 1210, 2, 7, "7")
	seedSize(t, dsn, server.ID, 100, -60, 5*mib)
	seedSize(t, dsn, server.ID, 100, 600, 8*mib)
	seedSize(t, dsn, server.ID, 101, 1220, 1*mib)
	seedSize(t, dsn, server.ID, 102, 1, 3*mib)

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
	want := []history.DatabasePoint{
		point(0, "old", 1, 5, nil),
		point(0, "shop", 4, 10, bytes(5*mib)),
		point(1200, "shop", 6, 20, bytes(8*mib)),
		point(1210, "blog", 2, 7, nil),
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
		got.MinConnections != 1 || got.MaxConnections != 6 || got.LastSampleAt == nil || !got.LastSampleAt.Equal(noon.Add(1210*time.Second)) {
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
	// 12:00 to 12:30: ten connections, a row each ten seconds; then none, a row
	// each five minutes.
	for second := 0; second < 1800; second += 10 {
		seedStat(t, dsn, server.ID, 100, second, 10, 1, "1")
	}
	for second := 1800; second < 3600; second += 300 {
		seedStat(t, dsn, server.ID, 100, second, 0, 0, "1")
	}
	seedStat(t, dsn, server.ID, 100, 3600, 2, 3, "4")
	r := history.Range{From: noon.Add(-71 * time.Hour), To: noon.Add(61 * time.Minute)}
	got, err := s.DatabaseTimeline(t.Context(), server.ID, "shop", r)
	if err != nil {
		t.Fatal(err)
	}
	want := []history.DatabasePoint{
		{At: noon, Database: "shop", Connections: 5, MinConnections: 0, MaxConnections: 10, Commits: 180},
		{At: noon.Add(time.Hour), Database: "shop", Connections: 2, MinConnections: 2, MaxConnections: 2, Commits: 3},
	}
	if diff := cmp.Diff(want, got.Points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	if got.Aggregation != history.Hourly || got.Connections != 2 || got.Commits != 183 || got.MaxConnections != 10 || got.MinConnections != 0 {
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
	seedStat(t, dsn, server.ID, 100, 0, 1, 1, "1")
	seedStat(t, dsn, server.ID, 100, 400, 2, 2, "3")
	r := history.Range{From: noon, To: noon.Add(time.Hour)}
	for name, commits := range map[string]int64{"before": 1, "after": 2, "never": 0} {
		got, err := s.DatabaseTimeline(t.Context(), server.ID, name, r)
		if err != nil || got.Commits != commits {
			t.Errorf("%s: %+v, %v", name, got, err)
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
	seedStat(t, dsn, server.ID, 100, 3500, 4, 10, "1000")
	seedStat(t, dsn, server.ID, 100, 3590, 6, 20, "1020")
	seedSize(t, dsn, server.ID, 100, 1800, 8*mib)
	got, err = s.DatabaseNow(t.Context(), server.ID, "shop")
	if err != nil || got.SampledAt == nil || !got.SampledAt.Equal(noon.Add(3590*time.Second)) || *got.Connections != 6 ||
		*got.CommitsTotal != 1020 || *got.SizeBytes != 8*mib || !got.SizeAt.Equal(noon.Add(30*time.Minute)) || got.Database.DroppedAt != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
