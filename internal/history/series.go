package history

import (
	"fmt"
	"time"
)

// SeriesGrain says what a series of databases or sizes was made from.
type SeriesGrain string

// The grains of series: what the collector stored, or its rollups.
const (
	SeriesSample SeriesGrain = "sample"
	SeriesHour   SeriesGrain = "hour"
	SeriesDay    SeriesGrain = "day"
)

// maxSampleDays is how many days are answered from samples at most.
const maxSampleDays = 2

// SeriesPlan says how a question about a series of databases is answered.
type SeriesPlan struct {
	// Range is widened to whole hours unless the grain is SeriesSample.
	Range Range
	Step  time.Duration
	Grain SeriesGrain
}

// PlanSeries chooses grain and step; a step of zero takes one that gives at
// most 720 buckets. Steps below an hour are for at most two days. The error
// wraps ErrInvalid and says what to ask instead.
func PlanSeries(r Range, step time.Duration) (SeriesPlan, error) {
	const day = 24 * time.Hour
	if step == 0 {
		all := []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, day}
		for _, step = range all {
			if r.Length() <= 720*step && (step >= time.Hour || r.Length() <= maxSampleDays*day) {
				break
			}
		}
	}
	plan := SeriesPlan{Range: r, Step: step, Grain: SeriesSample}
	switch {
	case step < time.Second || step%time.Second != 0:
		return plan, fmt.Errorf("%w: step must be a whole number of seconds, at least 1s", ErrInvalid)
	case step < time.Hour && r.Length() > maxSampleDays*day:
		return plan, fmt.Errorf("%w: a step below 1h is answered for at most %dh: ask for a shorter range or a longer step", ErrInvalid, maxSampleDays*24)
	case step < time.Hour:
	case step%time.Hour != 0:
		return plan, fmt.Errorf("%w: a step of an hour or more must be whole hours", ErrInvalid)
	case step%day == 0:
		plan.Grain = SeriesDay
	default:
		plan.Grain = SeriesHour
	}
	if plan.Grain != SeriesSample {
		plan.Range = r.Widen(plan.Width())
	}
	if n := plan.Buckets(); n > MaxPoints {
		return plan, fmt.Errorf("%w: the range holds %d steps, more than %d: ask for a shorter range or a longer step", ErrInvalid, n, MaxPoints)
	}
	return plan, nil
}

// Width is that of the rollups that answer; zero for samples.
func (p SeriesPlan) Width() time.Duration {
	switch p.Grain {
	case SeriesDay:
		return 24 * time.Hour
	case SeriesHour:
		return time.Hour
	case SeriesSample:
	}
	return 0
}

// Buckets is how many steps, aligned to the Unix epoch, the range touches.
func (p SeriesPlan) Buckets() int { return int(p.Range.Widen(p.Step).Length() / p.Step) }

// Times are the starts of the buckets.
func (p SeriesPlan) Times() []time.Time { return startsOf(p.Range, p.Step) }

func startsOf(r Range, step time.Duration) []time.Time {
	times := make([]time.Time, int(r.Widen(step).Length()/step))
	start := Floor(r.From, step)
	for i := range times {
		times[i] = start.Add(time.Duration(i) * step)
	}
	return times
}

// DatabaseRates is what databases did over time. Every series has one element
// a bucket.
type DatabaseRates struct {
	Plan      SeriesPlan
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
	Plan      SeriesPlan
	Times     []time.Time
	Databases []DatabaseSizeSeries // by name
}

// DatabaseSizeSeries is one database: the newest size known at the end of each
// bucket; nil: none, or it was not there.
type DatabaseSizeSeries struct {
	Name  string
	Bytes []*int64
}
