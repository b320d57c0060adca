package rollup

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// crowd makes windows of a bucket.
func crowd(rnd *rand.Rand, windows, sessions, queries int) []Window {
	all := make([]Window, windows)
	span := TenMinutes / time.Duration(windows)
	for i := range all {
		w := Window{T0: noon.Add(time.Duration(i) * span), SpanMS: int32(span.Milliseconds())}
		ticks := int(span / time.Second)
		for tick := range ticks {
			w.Offset = append(w.Offset, int32(tick*1000+rnd.IntN(1500)))
			w.Outcome = append(w.Outcome, int16(max(0, rnd.IntN(12)-8)))
		}
		for s := range sessions {
			query := int32(rnd.IntN(queries))
			for tick := range ticks {
				if rnd.IntN(3) == 0 {
					query = int32(rnd.IntN(queries))
				}
				if rnd.IntN(4) == 0 {
					query = sample.Unset
				}
				w.Tick, w.Session = append(w.Tick, int16(tick+1)), append(w.Session, int32(s+1))
				w.Wait, w.Query = append(w.Wait, int16(1+rnd.IntN(20))), append(w.Query, query)
			}
		}
		all[i] = w
	}
	return all
}

func labels(sessions int) map[int32]Labels {
	of := make(map[int32]Labels)
	for s := range int32(sessions) {
		of[s+1] = Labels{s % 3, 1 + s%5, s % 7, s % 11, 1}
	}
	return of
}

// plain counts one dimension, tick by tick.
func plain(all []Window, of map[int32]Labels, d Dimension, from, to time.Time) Row {
	r := Row{Step: to.Sub(from), Dimension: d, Bucket: from}
	samples, peaks := map[int32]int64{}, map[int32]int32{}
	for i := range all {
		w := &all[i]
		for tick := range w.Offset {
			if at := w.Instant(tick); !w.Answered(tick) || at.Before(from) || !at.Before(to) {
				continue
			}
			r.Ticks++
			one := map[int32]int32{}
			for k := range w.Tick {
				if int(w.Tick[k]) != tick+1 {
					continue
				}
				key := int32(w.Wait[k])
				switch {
				case d == Query:
					key = max(w.Query[k], 0)
				case d >= Database:
					key = of[w.Session[k]][d-Database]
				}
				one[key]++
				samples[key]++
				r.Samples++
				peaks[key] = max(peaks[key], one[key])
			}
		}
	}
	var counts []count
	for key, n := range samples {
		counts = append(counts, count{key, peaks[key], n})
	}
	r.list(counts)
	return r
}

func TestFold(t *testing.T) {
	t.Parallel()
	var f Folder // it is used for one bucket after another
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		sessions := rnd.IntN(30)
		all := crowd(rnd, []int{1, 2, 40, 60}[rnd.IntN(4)], sessions, 1+rnd.IntN(400))
		of := labels(sessions - sessions/4) // of some nothing is known
		f.Begin(noon)
		for _, i := range rnd.Perm(len(all)) {
			f.Add(&all[i], of)
		}
		rows := f.Rows()
		if len(rows) != 10+int(BackendType) {
			t.Fatalf("seed %d: %d rows", seed, len(rows))
		}
		for _, r := range rows {
			want := plain(all, of, r.Dimension, r.Bucket, r.Bucket.Add(r.Step))
			if diff := cmp.Diff(want, r); diff != "" {
				t.Fatalf("seed %d: dimension %d by %s from %s (-want +got):\n%s", seed, r.Dimension, r.Step, r.Bucket, diff)
			}
			listed := r.TailSamples
			for _, n := range r.KeySamples {
				listed += n
			}
			if listed != r.Samples || len(r.Keys) > MaxKeys || (r.TailKeys > 0) != (r.TailSamples > 0) {
				t.Fatalf("seed %d: %+v does not add up", seed, r)
			}
		}
	}
}

func TestFoldOfNothing(t *testing.T) {
	t.Parallel()
	var f Folder
	f.Begin(noon)
	if rows := f.Rows(); rows != nil {
		t.Errorf("rows of no window: %+v", rows)
	}
	f.Add(&Window{T0: noon, SpanMS: 15_000, Offset: []int32{0, 1000}, Outcome: []int16{int16(sample.Failed), int16(sample.Skipped)}}, nil)
	if rows := f.Rows(); rows != nil {
		t.Errorf("rows of no answered tick: %+v", rows)
	}
	f.Add(&Window{T0: noon.Add(time.Minute), SpanMS: 15_000, Offset: []int32{0, 1000}}, nil)
	rows := f.Rows()
	if len(rows) != 1+int(BackendType) || rows[0].Ticks != 2 || rows[0].Samples != 0 || !rows[0].Bucket.Equal(noon.Add(time.Minute)) {
		t.Errorf("rows of an idle server: %+v", rows)
	}
}

// Rows merged are as counted at once, as long as nothing was cut off; sums are
// so always.
func TestMerge(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		queries := []int{40, 95, 300, 3000}[seed%4]
		all := crowd(rnd, 60, rnd.IntN(20), queries)
		of := labels(20)
		for d := Wait; d <= BackendType; d++ {
			var parts []Row
			for i := range 5 {
				from := noon.Add(time.Duration(i) * 2 * time.Minute)
				parts = append(parts, plain(all, of, d, from, from.Add(2*time.Minute)))
			}
			want := plain(all, of, d, noon, noon.Add(TenMinutes))
			got := Merge(TenMinutes, noon, parts)
			if got.Ticks != want.Ticks || got.Samples != want.Samples {
				t.Fatalf("seed %d: %d samples of %d ticks, want %d of %d", seed, got.Samples, got.Ticks, want.Samples, want.Ticks)
			}
			sum := got.TailSamples
			for _, n := range got.KeySamples {
				sum += n
			}
			if sum != got.Samples || len(got.Keys) > MaxKeys || !slices.IsSortedFunc(got.KeySamples, func(a, b int64) int { return int(b - a) }) {
				t.Fatalf("seed %d: %+v does not add up", seed, got)
			}
			if keys := len(want.Keys) + int(want.TailKeys); len(got.Keys)+int(got.TailKeys) > keys {
				t.Fatalf("seed %d: at least %d and %d keys, there are %d", seed, len(got.Keys), got.TailKeys, keys)
			}
			if diff := cmp.Diff(want, got); diff != "" && (d != Query || queries < MaxKeys) {
				t.Fatalf("seed %d: dimension %d (-want +got):\n%s", seed, d, diff)
			}
		}
	}
}

// BenchmarkFold is a bucket of a server with fifty sessions: 30 000 samples.
func BenchmarkFold(b *testing.B) {
	all, of := crowd(rand.New(rand.NewPCG(1, 1)), 40, 50, 300), labels(50)
	var f Folder
	b.ReportAllocs()
	for b.Loop() {
		f.Begin(noon)
		for i := range all {
			f.Add(&all[i], of)
		}
		if rows := f.Rows(); len(rows) == 0 {
			b.Fatal("no rows")
		}
	}
}
