package rollup

import (
	"cmp"
	"slices"
	"time"
)

// Dimension is what sessions are counted by, as it is stored.
type Dimension int16

// The dimensions. Keys of Wait and Query are ids of those dictionaries, of the
// others ids of labels; 0 is none.
const (
	Wait Dimension = 1 + iota
	Query
	Database
	User
	Application
	Client
	BackendType

	// NumLabels is how many dimensions have labels: those from Database on.
	NumLabels = int(BackendType-Database) + 1
)

// The steps of rows.
const (
	Minute     = time.Minute // of waits only
	TenMinutes = 10 * time.Minute
	Hour       = time.Hour
	Day        = 24 * time.Hour
)

// MaxKeys is how many keys a row lists; the others are its tail.
const MaxKeys = 100

// Row is the samples of a bucket by the keys of one dimension.
type Row struct {
	Step      time.Duration
	Dimension Dimension
	Bucket    time.Time
	// Ticks were answered, and saw Samples.
	Ticks   int32
	Samples int64
	// Keys are ordered by KeySamples, the most first, then by themselves.
	// KeyPeaks are the most samples of a key in one tick.
	Keys       []int32
	KeySamples []int64
	KeyPeaks   []int32
	// TailKeys is the least number of keys that are not listed, TailSamples what
	// is not counted under a key.
	TailKeys    int32
	TailSamples int64
}

// count is what is known of a key.
type count struct {
	key, peak int32
	samples   int64
}

// list fills the keys of a row, and the tail with what is too much.
func (r *Row) list(counts []count) {
	slices.SortFunc(counts, func(a, b count) int { return cmp.Or(cmp.Compare(b.samples, a.samples), cmp.Compare(a.key, b.key)) })
	n := min(len(counts), MaxKeys)
	r.Keys, r.KeySamples, r.KeyPeaks = make([]int32, n), make([]int64, n), make([]int32, n)
	for i, c := range counts[:n] {
		r.Keys[i], r.KeySamples[i], r.KeyPeaks[i] = c.key, c.samples, c.peak
	}
	for _, c := range counts[n:] {
		r.TailSamples += c.samples
	}
	r.TailKeys = max(r.TailKeys, int32(len(counts)-n))
}

// Merge sums up rows of one dimension in a bucket of a longer step. Keys that
// some of the rows have in their tail are counted there as far as they are.
func Merge(step time.Duration, bucket time.Time, rows []Row) Row {
	m := Row{Step: step, Bucket: bucket}
	index := make(map[int32]int, MaxKeys)
	var counts []count
	for _, r := range rows {
		m.Dimension = r.Dimension
		m.Ticks += r.Ticks
		m.Samples += r.Samples
		m.TailSamples += r.TailSamples
		for i, key := range r.Keys {
			at, known := index[key]
			if !known {
				at = len(counts)
				index[key] = at
				counts = append(counts, count{key: key})
			}
			counts[at].samples += r.KeySamples[i]
			counts[at].peak = max(counts[at].peak, r.KeyPeaks[i])
		}
	}
	m.list(counts)
	for _, r := range rows {
		m.TailKeys = max(m.TailKeys, r.TailKeys-m.others(r))
	}
	return m
}

// others counts the keys of m that r does not list: some of r's tail may be
// those.
func (m *Row) others(r Row) int32 {
	n := int32(len(m.Keys))
	for _, key := range r.Keys {
		if slices.Contains(m.Keys, key) {
			n--
		}
	}
	return n
}
