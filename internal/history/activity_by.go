package history

import "time"

// ActivityQuestion asks for sessions over time.
type ActivityQuestion struct {
	Range Range
	// Step is the width of a bucket; zero: one that fits the range.
	Step   time.Duration
	By     Dimension // empty: ByWaitClass
	Filter Filter
	// Limit is how many keys get a series; zero: DefaultKeys.
	Limit int
}

// ActivityBy is sessions by one dimension over time: one element a bucket in
// every series.
type ActivityBy struct {
	Plan ActivityPlan
	By   Dimension
	// Times are the starts of the buckets, aligned to the Unix epoch.
	Times []time.Time
	// Keys are the most frequent of the range, the first one leading. Samples has
	// a series of session samples for each of them; divide by Answered for the
	// average number of sessions.
	Keys    []Key
	Samples [][]int64
	// Tail is what is not counted under one of Keys, TailKeys the least number of
	// keys that make it up. See Top.TailKeys.
	Tail     []int64
	TailKeys int
	// Answered counts the ticks whose sessions were read; where it is zero the
	// bucket is unknown.
	Answered []int64
	// MaxSessions is the most sessions in one tick; nil: sums do not tell, because
	// of the filter.
	MaxSessions []int32
	Coverage    Coverage
}
