package report

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/sample/sampletest"
)

// BenchmarkHour asks for an hour of fifty active sessions, of compacted rows and of
// recent ones: 180 thousand samples with their names, or counted.
func BenchmarkHour(b *testing.B) {
	w, dsn := open(b)
	load := sampletest.NewLoad(1, 300)
	for slot := time.Duration(0); slot < time.Hour; slot += sample.SlotLength {
		visits := []*sample.Visit{{Server: server, Entries: *names(midnight)}}
		for at := slot; at < slot+sample.SlotLength; at += time.Second {
			tick := load.Tick(midnight.Add(at))
			visits = append(visits, &sample.Visit{Server: server, Tick: &tick})
		}
		if err := w.Append(b.Context(), server, visits); err != nil {
			b.Fatal(err)
		}
	}
	pgtest.Exec(b, dsn, "analyze")
	conn := asReader(b, dsn)
	ask := func(b *testing.B, sql string) {
		b.Helper()
		for b.Loop() {
			if n := column[int64](b, conn, sql, midnight, midnight.Add(time.Hour)); n[0] != 180_000 {
				b.Fatalf("%d samples", n[0])
			}
		}
	}
	const (
		named = `select count(*) + 0 * count(query || pid || wait_event || xact_start || blocked_by_pid) from report.activity_between('db1', $1, $2)`
		by    = `select sum(samples)::bigint from report.activity_by('db1', 'query', $1, $2)`
	)
	b.Run("recent/activity", func(b *testing.B) { ask(b, named) })
	b.Run("recent/by query", func(b *testing.B) { ask(b, by) })
	for bucket := midnight; bucket.Before(midnight.Add(time.Hour)); bucket = bucket.Add(sample.BucketLength) {
		if err := w.Compact(b.Context(), server, bucket); err != nil {
			b.Fatal(err)
		}
	}
	pgtest.Exec(b, dsn, "analyze")
	b.Run("compacted/activity", func(b *testing.B) { ask(b, named) })
	b.Run("compacted/by query", func(b *testing.B) { ask(b, by) })
}
