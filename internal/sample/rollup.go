package sample

import (
	"cmp"
	"slices"
)

// Dimension is what sessions are counted by, as it is stored.
type Dimension int16

// The dimensions. Keys of ByWait and ByQuery are those of samples, of the
// others those of labels.
const (
	ByWait Dimension = 1 + iota
	ByQuery
	ByDatabase
	ByUser
	ByApplication
	ByClient
	ByBackendType
	// NumLabels is how many dimensions have labels: those from ByDatabase on.
	NumLabels = int(ByBackendType-ByDatabase) + 1
)

// Labels are the keys of a session by the dimensions from ByDatabase on; 0 is
// none.
type Labels [NumLabels]Key

// MaxKeys is how many keys a rollup lists; the others are its tail.
const MaxKeys = 100

// Rollup is the samples of a bucket that are load, by the keys of one dimension.
type Rollup struct {
	// Ticks were answered, and saw Samples.
	Ticks, Samples int64
	// Keys are ordered by KeySamples, the most first, then by themselves.
	// KeyPeaks are the most samples of a key in one tick.
	Keys       []Key
	KeySamples []int64
	KeyPeaks   []int32
	// TailKeys is the least number of keys that are not listed, TailSamples what
	// is not counted under a key.
	TailKeys    int32
	TailSamples int64
}

// Tally counts the samples of a bucket by every dimension, part by part. It is
// for one goroutine.
type Tally struct {
	ticks int64
	by    [ByBackendType + 1]counts
}

type counts map[Key]*count

// count is what is known of a key.
type count struct {
	key     Key
	samples int64
	peak    int32
}

// Add counts the answered ticks of a row. Rows are those of one bucket, none of
// them with a tick of another. A session that labels does not know has none.
func (c *Tally) Add(r *Row, labels func(session Key) Labels) {
	l := r.Load()
	for _, answered := range l.answered {
		if answered {
			c.ticks++
		}
	}
	c.count(ByWait, append([]Key{0}, r.WaitKeys...), l, func(sample int32) int32 { return int32(r.Wait[sample]) })
	c.count(ByQuery, append([]Key{0}, r.QueryKeys...), l, func(sample int32) int32 { return r.Query[sample] })
	of := make([]Labels, len(r.SessionKeys))
	for i, k := range r.SessionKeys {
		of[i] = labels(k)
	}
	for d := ByDatabase; d <= ByBackendType; d++ {
		// Sessions that share a label share its index.
		keys, label, known := []Key{0}, make([]int32, len(of)+1), map[Key]int32{0: 0}
		for i := range of {
			k := of[i][d-ByDatabase]
			if _, ok := known[k]; !ok {
				known[k] = int32(len(keys))
				keys = append(keys, k)
			}
			label[i+1] = known[k]
		}
		c.count(d, keys, l, func(sample int32) int32 { return label[r.Session[sample]] })
	}
}

// count counts the samples of each tick by an index into keys.
func (c *Tally) count(d Dimension, keys []Key, l *Samples, index func(sample int32) int32) {
	samples, peaks := make([]int64, len(keys)), make([]int32, len(keys))
	l.Count(len(keys), index, func(_ int, counted []Counted) {
		for _, n := range counted {
			samples[n.Index] += int64(n.Samples)
			peaks[n.Index] = max(peaks[n.Index], n.Samples)
		}
	})
	if c.by[d] == nil {
		c.by[d] = make(counts)
	}
	for i, k := range keys {
		if samples[i] > 0 {
			c.by[d].add(k, samples[i], peaks[i])
		}
	}
}

func (c counts) add(k Key, samples int64, peak int32) {
	one := c[k]
	if one == nil {
		one = &count{key: k}
		c[k] = one
	}
	one.samples += samples
	one.peak = max(one.peak, peak)
}

// Rollup is the bucket by a dimension.
func (c *Tally) Rollup(d Dimension) Rollup {
	r := Rollup{Ticks: c.ticks}
	r.list(c.by[d])
	r.Samples = r.listed() + r.TailSamples
	return r
}

func (r *Rollup) listed() (n int64) {
	for _, s := range r.KeySamples {
		n += s
	}
	return n
}

// list fills the keys, and the tail with what is too much.
func (r *Rollup) list(c counts) {
	all := make([]*count, 0, len(c))
	for _, one := range c {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *count) int { return cmp.Or(cmp.Compare(b.samples, a.samples), cmp.Compare(a.key, b.key)) })
	n := min(len(all), MaxKeys)
	r.Keys, r.KeySamples, r.KeyPeaks = make([]Key, n), make([]int64, n), make([]int32, n)
	for i, one := range all[:n] {
		r.Keys[i], r.KeySamples[i], r.KeyPeaks[i] = one.key, one.samples, one.peak
	}
	for _, one := range all[n:] {
		r.TailSamples += one.samples
	}
	r.TailKeys = max(r.TailKeys, int32(len(all)-n))
}

// SumRollups makes one of those of one dimension in the buckets of a longer one.
// Keys that some have in their tail are counted there as far as they are.
func SumRollups(rows []Rollup) Rollup {
	var m Rollup
	all := make(counts)
	for _, r := range rows {
		m.Ticks += r.Ticks
		m.Samples += r.Samples
		m.TailSamples += r.TailSamples
		for i, k := range r.Keys {
			all.add(k, r.KeySamples[i], r.KeyPeaks[i])
		}
	}
	m.list(all)
	// Some of a row's tail may be keys that are listed here and not there.
	for _, r := range rows {
		others := int32(len(m.Keys))
		for _, k := range r.Keys {
			if slices.Contains(m.Keys, k) {
				others--
			}
		}
		m.TailKeys = max(m.TailKeys, r.TailKeys-others)
	}
	return m
}
