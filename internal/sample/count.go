package sample

import "slices"

// Samples are those of a row that are load, tick by tick: of answered ticks.
type Samples struct {
	answered []bool
	starts   []int32 // of each tick, in order
	order    []int32
}

// Counted is how often an index was met in one tick.
type Counted struct{ Index, Samples int32 }

// Load gives the samples of answered ticks that are load.
func (r *Row) Load() *Samples {
	ticks := len(r.Planned)
	l := &Samples{answered: make([]bool, ticks), starts: make([]int32, ticks+1)}
	for i := range l.answered {
		l.answered[i] = Outcome(orSame(r.Outcome, i, 0)).Answered()
	}
	for i, tick := range r.Tick {
		if r.load(i) && l.answered[tick-1] {
			l.starts[tick]++
		}
	}
	for i := range ticks {
		l.starts[i+1] += l.starts[i]
	}
	l.order = make([]int32, l.starts[ticks])
	next := slices.Clone(l.starts[:ticks])
	for i, tick := range r.Tick {
		if r.load(i) && l.answered[tick-1] {
			l.order[next[tick-1]] = int32(i)
			next[tick-1]++
		}
	}
	return l
}

func (r *Row) load(sample int) bool {
	return WaitClass(r.WaitClass[r.Wait[sample]-1]).Load()
}

// Count counts the samples of each answered tick, from 0, by an index that is
// below n; one with a negative index is left out. What visit is given is good
// until it returns.
func (l *Samples) Count(n int, index func(sample int32) int32, visit func(tick int, counted []Counted)) {
	now, counted := make([]int32, n), []Counted(nil)
	for tick, answered := range l.answered {
		if !answered {
			continue
		}
		counted = counted[:0]
		for _, sample := range l.order[l.starts[tick]:l.starts[tick+1]] {
			i := index(sample)
			if i < 0 {
				continue
			}
			if now[i] == 0 {
				counted = append(counted, Counted{Index: i})
			}
			now[i]++
		}
		for i := range counted {
			at := counted[i].Index
			counted[i].Samples, now[at] = now[at], 0
		}
		visit(tick, counted)
	}
}
