package bench

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// counters makes looks at a server's busy databases.
type counters struct {
	series *sample.Series
	stats  []sample.DatabaseStat
	n      int64
}

func newCounters(databases int) *counters {
	c := &counters{series: new(sample.Resume).Series(), stats: make([]sample.DatabaseStat, databases)}
	for i := range c.stats {
		c.stats[i].OID = uint32(20000 + i)
	}
	return c
}

func (c *counters) visit(server target.ID, at time.Time) *sample.Visit {
	c.n++
	for i := range c.stats {
		d := &c.stats[i]
		d.At, d.Backends = at, sample.Int{V: (int64(i) + c.n) % 20, Known: true}
		for k := range d.Counters {
			d.Counters[k] = sample.Int{V: d.Counters[k].V + int64(i*k), Known: true}
		}
		for k := range d.Timers {
			d.Timers[k] = sample.Float{V: d.Timers[k].V + float64(k), Known: true}
		}
	}
	v := &sample.Visit{Server: server, Databases: append([]sample.DatabaseStat(nil), c.stats...)}
	c.series.Advance(v)
	return v
}

// BenchmarkWriteDatabases measures what a stored row of a database costs with its
// rollups: twenty servers with fifty databases each, looked at every ten seconds
// for an hour, of which the sizes every five minutes.
func BenchmarkWriteDatabases(b *testing.B) {
	const servers, databases = 20, 50
	dsn := pgtest.StatsDB(b)
	db := pgtest.OpenStatsDB(b, statsdb.Config{DSN: secret.New(dsn), MaxConns: 1})
	w := ingest.New(db, sample.NewHash([16]byte{1}))
	at := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Hour)
	if err := w.EnsurePartitions(b.Context(), at, at.Add(30*time.Hour)); err != nil {
		b.Fatal(err)
	}
	pid := backendOf(b, db.Pool())
	all := make([]*counters, servers)
	for i := range all {
		all[i] = newCounters(databases)
	}
	var rows int64
	var wall, client, server time.Duration
	measure := func(do func() error) {
		backend, cpu, begin := cpuOf(b, pid), selfCPU(b), time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		wall += time.Since(begin)
		client += selfCPU(b) - cpu
		server += cpuOf(b, pid) - backend
	}
	for b.Loop() {
		for end := at.Add(time.Hour); at.Before(end); {
			for range 60 { // ten minutes
				at = at.Add(10 * time.Second)
				for i, c := range all {
					v := c.visit(target.ID(i+1), at)
					if c.n%30 == 1 {
						for _, d := range c.stats {
							v.Sizes = append(v.Sizes, sample.DatabaseSize{At: at, OID: d.OID, Bytes: sample.Int{V: 1 << 30, Known: true}})
						}
					}
					rows += int64(len(v.Databases))
					measure(func() error { return w.Append(b.Context(), v.Server, []*sample.Visit{v}) })
				}
			}
			for i := range all {
				measure(func() error { return w.CompactDatabases(b.Context(), target.ID(i+1)) })
			}
		}
	}
	if rows == 0 {
		b.Fatal("nothing written")
	}
	b.ReportMetric(float64(server.Microseconds())/float64(rows), "server-us/row")
	b.ReportMetric(float64(client.Microseconds())/float64(rows), "client-us/row")
	b.ReportMetric(float64(wall.Microseconds())/float64(rows), "wall-us/row")
	b.ReportMetric(0, "ns/op")
}
