package rollup

import (
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// Window is what is counted of a window of ticks.
type Window struct {
	T0     time.Time
	SpanMS int32
	// One element a planned tick. Outcome is empty where every tick was OK.
	Offset  []int32 // milliseconds from T0
	Outcome []int16
	// One element a session sample. Query is sample.Unset for none.
	Tick    []int16 // from 1
	Session []int32
	Wait    []int16
	Query   []int32
}

// Load reports whether a sample, from 0, counts: see sample.WaitEntry.
func (w *Window) Load(i int) bool { return w.Wait[i] > 0 }

// Answered reports whether the sessions of a tick, from 0, were read.
func (w *Window) Answered(tick int) bool {
	return len(w.Outcome) == 0 || sample.Outcome(w.Outcome[tick]).Answered()
}

// Instant says when a tick, from 0, counts: when it was begun, but within its
// window. One that was late does not move to the next bucket.
func (w *Window) Instant(tick int) time.Time {
	return w.T0.Add(time.Duration(min(w.Offset[tick], w.SpanMS-1)) * time.Millisecond)
}

// Labels are the keys of a session by the dimensions from Database on.
type Labels [NumLabels]int32

// Folder folds the windows of one bucket of ten minutes. It is for one
// goroutine; Begin makes it ready for the next bucket.
type Folder struct {
	bucket  time.Time
	ticks   int32
	minutes [TenMinutes / Minute]tally
	all     [BackendType + 1]tally // by dimension; of Wait they are the minutes' sum
	grids   [BackendType + 1]Grid
	minute  []int // of each tick of the window; negative: not answered
}

// tally counts the samples of a bucket by key.
type tally struct {
	ticks   int32
	samples int64
	index   index
	counts  []count
}

func (t *tally) begin() {
	t.index.clear()
	t.ticks, t.samples, t.counts = 0, 0, t.counts[:0]
}

func (t *tally) add(key int32, samples int64, peak int32) {
	at, known := t.index.find(key)
	if !known {
		t.counts = append(t.counts, count{key: key})
	}
	t.samples += samples
	t.counts[at].samples += samples
	t.counts[at].peak = max(t.counts[at].peak, peak)
}

// Begin forgets the bucket before, for that which starts at an instant.
func (f *Folder) Begin(bucket time.Time) {
	f.bucket, f.ticks = bucket, 0
	for i := range f.minutes {
		f.minutes[i].begin()
	}
	for i := range f.all {
		f.all[i].begin()
	}
}

// Add counts a window that begins in the bucket. A session that is not in
// labels has none.
func (f *Folder) Add(w *Window, labels map[int32]Labels) {
	f.minute = f.minute[:0]
	for tick := range w.Offset {
		minute := -1
		if w.Answered(tick) {
			minute = min(max(int(w.Instant(tick).Sub(f.bucket)/Minute), 0), len(f.minutes)-1)
			f.minutes[minute].ticks++
			f.ticks++
		}
		f.minute = append(f.minute, minute)
	}
	for d := range f.grids {
		f.grids[d].Begin(len(w.Offset))
	}
	f.count(w, labels)
	for d := Query; d <= BackendType; d++ {
		f.grids[d].Each(func(key int32, byTick []int32) {
			samples, peak := int64(0), int32(0)
			for _, n := range byTick {
				samples += int64(n)
				peak = max(peak, n)
			}
			f.all[d].add(key, samples, peak)
		})
	}
	f.grids[Wait].Each(func(key int32, byTick []int32) {
		for tick, n := range byTick {
			if n > 0 {
				f.minutes[f.minute[tick]].add(key, int64(n), n)
			}
		}
	})
}

// count fills the grids.
func (f *Folder) count(w *Window, labels map[int32]Labels) {
	waits, queries := &f.grids[Wait], &f.grids[Query]
	for i := 0; i < len(w.Tick); {
		// Samples are ordered by session: what it is counted by is looked up once.
		session, first := w.Session[i], i
		for ; i < len(w.Tick) && w.Session[i] == session; i++ {
			tick := int(w.Tick[i]) - 1
			if f.minute[tick] < 0 || !w.Load(i) {
				continue
			}
			waits.Add(int32(w.Wait[i]), tick)
			query := w.Query[i]
			if query == sample.Unset {
				query = 0
			}
			queries.Add(query, tick)
		}
		for d, key := range labels[session] {
			f.run(&f.grids[int(Database)+d], key, w, first, i)
		}
	}
}

// run counts the samples of one session.
func (f *Folder) run(g *Grid, key int32, w *Window, first, end int) {
	start := -1
	for i := first; i < end; i++ {
		if tick := int(w.Tick[i]) - 1; f.minute[tick] >= 0 && w.Load(i) {
			if start < 0 {
				start = g.start(key)
			}
			g.counts[start+tick]++
		}
	}
}

// Rows gives the rows of the bucket: of each dimension by ten minutes, and of
// Wait by those minutes that had an answered tick. Without any, there are none.
func (f *Folder) Rows() []Row {
	if f.ticks == 0 {
		return nil
	}
	rows := make([]Row, 0, len(f.minutes)+int(BackendType))
	waits := &f.all[Wait]
	waits.begin()
	for i := range f.minutes {
		m := &f.minutes[i]
		for _, c := range m.counts {
			waits.add(c.key, c.samples, c.peak)
		}
		if m.ticks > 0 {
			rows = append(rows, m.row(Minute, Wait, f.bucket.Add(time.Duration(i)*Minute), m.ticks))
		}
	}
	for d := Wait; d <= BackendType; d++ {
		rows = append(rows, f.all[d].row(TenMinutes, d, f.bucket, f.ticks))
	}
	return rows
}

func (t *tally) row(step time.Duration, d Dimension, bucket time.Time, ticks int32) Row {
	r := Row{Step: step, Dimension: d, Bucket: bucket, Ticks: ticks, Samples: t.samples}
	r.list(t.counts)
	return r
}
