package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

// BenchmarkTimeline measures the answers of history about databases, without
// HTTP: as they are read after something new was written, and as they are given
// again. Answers from every sample are never given again.
func BenchmarkTimeline(b *testing.B) {
	dsn := pgtest.StatsDB(b)
	db := pgtest.OpenStatsDB(b, statsdb.Config{DSN: secret.New(dsn), MaxConns: 1})
	stats := store.New(db)
	end := time.Now().UTC()
	fillDatabases(b, dsn, filling{Server: 20, Databases: 20, Days: 91, RawDays: 2, End: end})
	fillDatabases(b, dsn, filling{Server: 50, Databases: 50, Days: 366, End: end})
	for _, c := range []struct {
		server target.ID
		days   int
		name   string
	}{
		{20, 7, ""}, {20, 90, ""}, {50, 365, ""}, {20, 7, "db_07"}, {50, 365, "db_07"}, {20, 2, ""}, {20, 1, "db_07"},
	} {
		name := fmt.Sprintf("%dd×%d", c.days, c.server)
		if c.name != "" {
			name = fmt.Sprintf("%dd", c.days)
		}
		r := history.Range{From: end.AddDate(0, 0, -c.days), To: end}
		read := func() (line history.Timeline, err error) {
			if c.name == "" {
				return stats.ServerTimeline(b.Context(), c.server, r)
			}
			return stats.DatabaseTimeline(b.Context(), c.server, c.name, r)
		}
		b.Run(name+"/read", func(b *testing.B) {
			timeAnswers(b, db, read, func() {
				pgtest.Exec(b, dsn, "update history.database_revision set revision = revision + 1")
			})
		})
		if c.days > 2 {
			b.Run(name+"/again", func(b *testing.B) { timeAnswers(b, db, read, func() {}) })
		}
	}
}

// timeAnswers reports what an answer costs, after a change each time.
func timeAnswers(b *testing.B, db *statsdb.DB, read func() (history.Timeline, error), change func()) {
	b.Helper()
	pid := backendOf(b, db.Pool())
	var wall, client, server time.Duration
	points, rounds := 0, 0
	for b.Loop() {
		change()
		cpu, begin, backend := selfCPU(b), time.Now(), cpuOf(b, pid)
		line, err := read()
		wall += time.Since(begin)
		client += selfCPU(b) - cpu
		server += cpuOf(b, pid) - backend
		if err != nil || len(line.Points) == 0 || line.LastSampleAt == nil || line.Connections == 0 || line.SizeBytes == 0 {
			b.Fatalf("%d points, last %v, %d connections: %v", len(line.Points), line.LastSampleAt, line.Connections, err)
		}
		points, rounds = len(line.Points), rounds+1
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 / float64(rounds) }
	b.ReportMetric(float64(points), "points")
	b.ReportMetric(ms(wall), "wall-ms")
	b.ReportMetric(ms(server), "server-ms")
	b.ReportMetric(ms(client), "client-ms")
	b.ReportMetric(0, "ns/op")
}
