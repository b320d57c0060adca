package history

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// stats is a stats_db of a test's own, with room for all times.
type stats struct {
	*Reader

	w      *ingest.Writer
	dsn    string
	server target.Target // added an hour before noon
}

func openStats(t *testing.T) *stats {
	t.Helper()
	dsn := statsDB(t)
	for _, table := range []string{"activity", "activity_minute", "activity_total", "activity_rollup", "session", "horizon", "database_stat", "database_size", "disk_usage", "disk_rollup", "event"} {
		pgtest.Exec(t, dsn, "create table history."+table+"_all partition of history."+table+" default")
	}
	db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn), GenericPlans: true})
	s := &stats{Reader: New(db), w: ingest.New(db, sample.NewHash([16]byte{4, 2})), dsn: dsn}
	s.server = s.add(t, "db1")
	return s
}

// add adds a server an hour before noon.
func (s *stats) add(t *testing.T, name string) target.Target {
	t.Helper()
	c := catalog.New(pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(s.dsn), MaxConns: 1}), nil)
	_, err := c.CreateServer(t.Context(), target.Target{
		Name: name, Endpoint: target.Endpoint{Host: "db.example.org", Port: 5433, User: "mon"}, StatsDB: "stats_db", DiskSource: target.DiskNone, Enabled: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, s.dsn, "update pgam.server set created_at = '"+noon.Add(-time.Hour).Format(time.RFC3339)+"' where name = '"+name+"'")
	added, err := c.Server(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// write appends ticks of a server, and names.
func (s *stats) write(t *testing.T, server target.ID, ticks []sample.Tick, names sample.Entries) {
	t.Helper()
	visits := []*sample.Visit{{Server: server, Entries: names}}
	for i := range ticks {
		visits = append(visits, &sample.Visit{Server: server, Tick: &ticks[i]})
	}
	s.append(t, server, visits...)
}

func (s *stats) append(t *testing.T, server target.ID, visits ...*sample.Visit) {
	t.Helper()
	if err := s.w.Append(t.Context(), server, visits); err != nil {
		t.Fatal(err)
	}
}

func (s *stats) compact(t *testing.T, server target.ID, buckets ...time.Time) {
	t.Helper()
	for _, bucket := range buckets {
		if err := s.w.Compact(t.Context(), server, bucket); err != nil {
			t.Fatal(err)
		}
	}
}
