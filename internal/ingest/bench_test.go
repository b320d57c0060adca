package ingest

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
	"github.com/pgam/pgam/internal/target"
)

// BenchmarkWrite is the whole way of samples into the history: ten minutes of
// twenty servers with fifty active sessions, flushed by slot and compacted.
func BenchmarkWrite(b *testing.B) {
	const servers = 20
	for b.Loop() {
		w, dsn := open(b)
		var flushing, compacting time.Duration
		samples := 0
		for id := range target.ID(servers) {
			load := sampletest.NewLoad(uint64(id))
			for i := range 60 { // settle the mix
				load.Tick(bucketAt(1).Add(time.Duration(i-60) * time.Second))
			}
			for slot := time.Duration(0); slot < sample.BucketLength; slot += sample.SlotLength {
				var rows []*sample.Row
				for at := slot; at < slot+sample.SlotLength; at += time.Second {
					tick := load.Tick(bucketAt(1).Add(at))
					row := sample.NewRow(id, &tick)
					rows = append(rows, &row)
					samples += len(tick.Sessions)
				}
				begin := time.Now()
				if err := flush(b.Context(), w, id, rows); err != nil {
					b.Fatal(err)
				}
				flushing += time.Since(begin)
			}
		}
		recent := pgtest.Value[int64](b, dsn, "select pg_total_relation_size('history.activity_recent')")
		begin := time.Now()
		for id := range target.ID(servers) {
			if err := w.Compact(b.Context(), id, bucketAt(1)); err != nil {
				b.Fatal(err)
			}
		}
		compacting = time.Since(begin)
		stored := pgtest.Value[int64](b, dsn, "select pg_total_relation_size('history.activity_all')")
		n := float64(samples)
		b.ReportMetric(n/flushing.Seconds()/1e6, "Mflushed/s")
		b.ReportMetric(n/compacting.Seconds()/1e6, "Mcompacted/s")
		b.ReportMetric(n/(flushing+compacting).Seconds()/1e6, "Mwritten/s")
		b.ReportMetric(float64(recent)/n, "recent-bytes/sample")
		b.ReportMetric(float64(stored)/n, "bytes/sample")
	}
	b.ReportMetric(0, "ns/op")
}
