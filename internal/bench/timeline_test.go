package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

// BenchmarkTimeline measures the answers of history about databases, without
// HTTP: points a second, CPU of both sides.
func BenchmarkTimeline(b *testing.B) {
	dsn := pgtest.StatsDB(b)
	stats, err := store.New(store.Config{DSN: secret.New(dsn), Application: "pgam-bench", MaxConns: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	end := time.Now().UTC()
	fillDatabases(b, dsn, filling{Server: 20, Databases: 20, Days: 91, RawDays: 2, End: end})
	fillDatabases(b, dsn, filling{Server: 50, Databases: 50, Days: 366, End: end})
	for _, c := range []struct {
		server target.ID
		days   int
		name   string
	}{
		{20, 2, ""}, {20, 7, ""}, {20, 90, ""}, {50, 365, ""}, {20, 1, "db_07"}, {20, 7, "db_07"}, {50, 365, "db_07"},
	} {
		b.Run(fmt.Sprintf("%d databases %d days %s", c.server, c.days, c.name), func(b *testing.B) {
			r := history.Range{From: end.AddDate(0, 0, -c.days), To: end}
			pid := backendOf(b, stats.Pool())
			cpu, backend := selfCPU(b), cpuOf(b, pid)
			points := 0
			b.ReportAllocs()
			for b.Loop() {
				var line history.Timeline
				if c.name == "" {
					line, err = stats.ServerTimeline(b.Context(), c.server, r)
				} else {
					line, err = stats.DatabaseTimeline(b.Context(), c.server, c.name, r)
				}
				if err != nil || len(line.Points) == 0 || line.LastSampleAt == nil || line.Connections == 0 || line.SizeBytes == 0 {
					b.Fatalf("%d points, last %v, %d connections: %v", len(line.Points), line.LastSampleAt, line.Connections, err)
				}
				points = len(line.Points)
			}
			n := float64(b.N) * 1000
			b.ReportMetric(float64(points), "points")
			b.ReportMetric(float64((cpuOf(b, pid)-backend).Microseconds())/n, "server-ms")
			b.ReportMetric(float64((selfCPU(b)-cpu).Microseconds())/n, "client-ms")
		})
	}
}
