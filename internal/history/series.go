package history

import "time"

// DatabaseRates is what databases did over time. Every series has one element
// a bucket.
type DatabaseRates struct {
	Plan      Plan
	Times     []time.Time
	Databases []DatabaseRate // by name
}

// DatabaseRate is one database. Counts are of the bucket: what was counted
// between two samples is shared out over the buckets that the time between them
// touches, as that time is.
type DatabaseRate struct {
	Name string
	// Known says in which buckets connections are known.
	Known []bool
	// Seconds is the time that the counts of each bucket are of: that between
	// samples of which the later one tells what was counted since the one before;
	// 0: nothing was counted.
	Seconds []float64
	// Connections is the average over time.
	Connections                                          []float64
	MaxConnections                                       []int32
	Commits, Rollbacks, BlocksRead, BlocksHit, TempBytes []float64
	Deadlocks                                            []int64
}

// NewDatabaseRate makes series of n buckets of which nothing is known.
func NewDatabaseRate(name string, n int) DatabaseRate {
	counts := func() []float64 { return make([]float64, n) }
	return DatabaseRate{
		Name: name, Known: make([]bool, n), Seconds: make([]float64, n), Connections: make([]float64, n), MaxConnections: make([]int32, n),
		Commits: counts(), Rollbacks: counts(), BlocksRead: counts(), BlocksHit: counts(), TempBytes: counts(), Deadlocks: make([]int64, n),
	}
}

// PerSecond is the rate over all buckets of one of the database's counts; false:
// nothing was counted.
func (d *DatabaseRate) PerSecond(counts []float64) (rate float64, counted bool) {
	total, seconds := 0.0, 0.0
	for b, n := range counts {
		total += n
		seconds += d.Seconds[b]
	}
	if seconds <= 0 {
		return 0, false
	}
	return total / seconds, true
}

// DatabaseSizes is how large databases were over time.
type DatabaseSizes struct {
	Plan      Plan
	Times     []time.Time
	Databases []DatabaseSizeSeries // by name
}

// DatabaseSizeSeries is one database: the newest size known at the end of each
// bucket; nil: none, or it was not there.
type DatabaseSizeSeries struct {
	Name  string
	Bytes []*int64
}
