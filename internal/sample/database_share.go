package sample

import (
	"iter"
	"math"
	"sort"
	"time"
)

// Stretch is what is known of a database from one of its rows to the next.
type Stretch struct {
	Row *DatabaseStat
	// Stands is until when the connections of the row are those of the time after it.
	Stands time.Time
	// Delta is what was added. Until is Row.At where nothing is known.
	Delta Delta
}

// Stretches gives what rows of one database tell, which are in the order of their
// planned instants. looks are when answered looks were taken, in the order of time:
// as long as they go on without another row, nothing was added. A Stretch is good
// until the next one.
func Stretches(rows []DatabaseStat, looks []time.Time) iter.Seq[*Stretch] {
	return func(yield func(*Stretch) bool) {
		var s Stretch // one for all: there are many
		for i := range rows {
			var next *DatabaseStat
			if i+1 < len(rows) {
				next = &rows[i+1]
			}
			s.of(&rows[i], next, looks)
			if !yield(&s) {
				return
			}
		}
	}
}

// of makes s what is known from a row to the next, if there is one.
func (s *Stretch) of(row, next *DatabaseStat, looks []time.Time) {
	s.Row = row
	end, known := row.At.Add(MaxHeld), false
	same := lastLook(looks, row.At, end.Add(1))
	if s.Stands = same; next != nil {
		end = earlier(end, next.At)
		same, s.Stands = lastLook(looks, row.At, end), later(row.At, end)
		s.Delta, known = next.Delta(row)
	}
	if known {
		return
	}
	s.Delta = Delta{Since: row.At, From: same, Until: same}
	for c, v := range row.Counters {
		s.Delta.Counters[c].Known = v.Known
	}
	for t, v := range row.Timers {
		s.Delta.Timers[t].Known = v.Known
	}
}

// lastLook gives the last of looks that is after an instant and before another; the
// first instant where there is none.
func lastLook(looks []time.Time, after, before time.Time) time.Time {
	n := sort.Search(len(looks), func(i int) bool { return !looks[i].Before(before) })
	if n > 0 && looks[n-1].After(after) {
		return looks[n-1]
	}
	return after
}

// Part is the part of what was added that was added from one instant to another,
// from 0 to 1: over the time from From to Until it is taken to be even.
func (d *Delta) Part(a, b time.Time) float64 { return d.passed(b) - d.passed(a) }

func (d *Delta) passed(at time.Time) float64 {
	if whole := d.Until.Sub(d.From); whole > 0 {
		return min(1, max(0, float64(at.Sub(d.From))/float64(whole)))
	}
	return 0
}

// Within gives what was added from one instant to another. Counters are whole
// numbers, cut so that those of parts which follow each other add up.
func (d *Delta) Within(a, b time.Time) Delta {
	part := Delta{Since: later(d.Since, a), Until: earlier(d.Until, b)}
	part.From = later(part.Since, d.From)
	before, until := d.passed(a), d.passed(b)
	for i, c := range d.Counters {
		n := float64(c.V)
		part.Counters[i] = Int{int64(math.RoundToEven(n*until) - math.RoundToEven(n*before)), c.Known}
	}
	for i, t := range d.Timers {
		part.Timers[i] = Float{t.V * (until - before), t.Known}
	}
	return part
}

// DatabaseSum is what a database did in a bucket.
type DatabaseSum struct {
	// Samples is how many rows lie in the bucket; the connections are of them, the
	// newest of which is of LastAt.
	Samples                                int32
	MinBackends, MaxBackends, LastBackends Int
	LastAt                                 time.Time
	// Seconds is for how long connections are known, BackendSeconds their integral.
	Seconds, BackendSeconds float64
	// CountedSeconds is the time that the counters are of.
	CountedSeconds float64
	Counters       [NumCounters]Int
	Timers         [NumTimers]Float
}

// Empty reports that nothing is known of the bucket.
func (s *DatabaseSum) Empty() bool {
	return s.Samples == 0 && s.Seconds == 0 && s.CountedSeconds == 0
}

// SumDatabase shares out what rows of one database tell, as Stretches does, over
// the buckets of a step from one instant to another, which are multiples of it.
func SumDatabase(rows []DatabaseStat, looks []time.Time, from, to time.Time, step time.Duration) []DatabaseSum {
	sums := make([]DatabaseSum, to.Sub(from)/step)
	for s := range Stretches(rows, looks) {
		if at := s.Row.At; !at.Before(from) && at.Before(to) {
			sums[at.Sub(from)/step].row(s.Row)
		}
		if n := s.Row.Backends; n.Known {
			Overlaps(s.Row.At, s.Stands, from, to, step, func(i int, a, b time.Time) {
				sums[i].Seconds += b.Sub(a).Seconds()
				sums[i].BackendSeconds += b.Sub(a).Seconds() * float64(n.V)
			})
		}
		Overlaps(s.Delta.Since, s.Delta.Until, from, to, step, func(i int, a, b time.Time) {
			part := s.Delta.Within(a, b)
			sums[i].add(&part)
		})
	}
	return sums
}

func (s *DatabaseSum) row(d *DatabaseStat) {
	if s.Samples++; !d.At.Before(s.LastAt) {
		s.LastAt, s.LastBackends = d.At, d.Backends
	}
	if n := d.Backends; n.Known {
		if !s.MinBackends.Known || n.V < s.MinBackends.V {
			s.MinBackends = n
		}
		if !s.MaxBackends.Known || n.V > s.MaxBackends.V {
			s.MaxBackends = n
		}
	}
}

func (s *DatabaseSum) add(d *Delta) {
	s.CountedSeconds += d.Until.Sub(d.Since).Seconds()
	for i, c := range d.Counters {
		if c.Known {
			s.Counters[i] = Int{s.Counters[i].V + c.V, true}
		}
	}
	for i, t := range d.Timers {
		if t.Known {
			s.Timers[i] = Float{s.Timers[i].V + t.V, true}
		}
	}
}

// Overlaps cuts the time from a to b, as far as it lies between from and to, into
// buckets of a step, which are counted from the one that begins at from.
func Overlaps(a, b, from, to time.Time, step time.Duration, part func(bucket int, a, b time.Time)) {
	for a, b = later(a, from), earlier(b, to); a.Before(b); {
		i := int(a.Sub(from) / step)
		end := earlier(b, from.Add(time.Duration(i+1)*step))
		part(i, a, end)
		a = end
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
