package bench

import (
	"context"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// BenchmarkWrite measures the way of ticks into the history: an hour of twenty
// servers with fifty active sessions a second, flushed by slot and compacted by
// bucket, in three mixes. Samples a second of flush and compaction together, CPU of
// both sides, and bytes on disk with ledger, indexes and TOAST: of a recent row,
// of a compacted one, and of all that is derived.
func BenchmarkWrite(b *testing.B) {
	for _, mix := range []struct {
		name       string
		statements int
	}{{"sessions-stay", 0}, {"new-session-in-10-samples", 6}, {"connection-for-every-statement", 1}} {
		b.Run(mix.name, func(b *testing.B) { benchmarkWrite(b, mix.statements) })
	}
}

func benchmarkWrite(b *testing.B, statements int) {
	b.Helper()
	const servers, buckets, settle = 20, 6, 60
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as in the collector
	for b.Loop() {
		dsn := pgtest.StatsDB(b)
		db := pgtest.OpenStatsDB(b, statsdb.Config{DSN: secret.New(dsn), MaxConns: 1})
		w := ingest.New(db, sample.NewHash([16]byte{1}))
		start := time.Now().UTC().Truncate(sample.BucketLength).Add(-(buckets - 1) * sample.BucketLength)
		if err := w.EnsurePartitions(b.Context(), start, start.Add(time.Hour)); err != nil {
			b.Fatal(err)
		}
		pid := backendOf(b, db.Pool())
		var flushing, compacting struct{ wall, client, server time.Duration }
		var recent, samples int64
		measure := func(took *struct{ wall, client, server time.Duration }, do func() error) {
			backend, cpu, begin := cpuOf(b, pid), selfCPU(b), time.Now()
			if err := do(); err != nil {
				b.Fatal(err)
			}
			took.wall += time.Since(begin)
			took.client += selfCPU(b) - cpu
			took.server += cpuOf(b, pid) - backend
		}
		for bucket := start; bucket.Before(start.Add(buckets * sample.BucketLength)); bucket = bucket.Add(sample.BucketLength) {
			for id := range target.ID(servers) {
				load := sampletest.NewLoad(uint64(bucket.Unix())+uint64(id), statements)
				for i := range settle {
					load.Tick(bucket.Add(time.Duration(i-settle) * time.Second))
				}
				for slot := bucket; slot.Before(bucket.Add(sample.BucketLength)); slot = slot.Add(sample.SlotLength) {
					var visits []*sample.Visit
					for at := slot; at.Before(slot.Add(sample.SlotLength)); at = at.Add(time.Second) {
						tick := load.Tick(at)
						visits = append(visits, &sample.Visit{Server: id + 1, Tick: &tick})
						samples += int64(len(tick.Sessions))
					}
					measure(&flushing, func() error { return w.Append(b.Context(), id+1, visits) })
				}
			}
			recent = max(recent, pgtest.Value[int64](b, dsn, "select pg_total_relation_size('history.activity_recent')"))
			for id := range target.ID(servers) {
				measure(&compacting, func() error { return w.Compact(b.Context(), id+1, bucket) })
			}
		}
		size := func(pattern string) float64 {
			return pgtest.Value[float64](b, dsn, `
select sum(pg_total_relation_size(oid))::float8
  from pg_class
 where relnamespace = 'history'::regnamespace
   and relkind = 'r'
   and relname ~ $1`, pattern)
		}
		n := float64(samples)
		b.ReportMetric(n/(flushing.wall+compacting.wall).Seconds()/1e6, "M-written/s")
		b.ReportMetric(float64(flushing.client.Nanoseconds())/n, "flush-client-ns/sample")
		b.ReportMetric(float64(flushing.server.Nanoseconds())/n, "flush-server-ns/sample")
		b.ReportMetric(float64(compacting.client.Nanoseconds())/n, "compact-client-ns/sample")
		b.ReportMetric(float64(compacting.server.Nanoseconds())/n, "compact-server-ns/sample")
		b.ReportMetric(float64(recent)/n*buckets, "recent-bytes/sample")
		b.ReportMetric(size("^activity_p")/n, "bytes/sample")
		b.ReportMetric(size("^activity_(minute|total|rollup)_")/n, "derived-bytes/sample")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkJournal measures a second of a hundred servers through the
// journal: encoding, one fsync, and reading it back.
func BenchmarkJournal(b *testing.B) {
	j, err := journal.Open(journal.Config{Dir: b.TempDir(), MaxBytes: 1 << 30, Log: discard()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	l := sampletest.NewLoad(1, 0)
	at := time.Now().UTC().Truncate(time.Second)
	var ticks []sample.Tick
	for i := range 100 {
		ticks = append(ticks, l.Tick(at.Add(time.Duration(i%15)*time.Second)))
	}
	var seq uint64
	samples := 0
	cpu := selfCPU(b)
	for b.Loop() {
		for i := range ticks {
			j.Append(&sample.Visit{Server: target.ID(i + 1), Tick: &ticks[i]})
			samples += len(ticks[i].Sessions)
		}
		if err := j.Sync(); err != nil {
			b.Fatal(err)
		}
		records, err := j.Next(seq, 1<<30)
		if err != nil || len(records) != 1 || len(records[0].Visits) != 100 {
			b.Fatalf("%d records: %v", len(records), err)
		}
		seq = records[0].Seq
		j.Done(seq)
	}
	b.ReportMetric(float64((selfCPU(b)-cpu).Nanoseconds())/float64(samples), "cpu-ns/sample")
}

func backendOf(tb testing.TB, pool *pgxpool.Pool) uint32 {
	tb.Helper()
	var pid uint32
	if err := pool.QueryRow(context.Background(), "select pg_backend_pid()").Scan(&pid); err != nil {
		tb.Fatal(err)
	}
	return pid
}

// selfCPU reads this process's CPU time, user and system.
func selfCPU(tb testing.TB) time.Duration {
	tb.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
