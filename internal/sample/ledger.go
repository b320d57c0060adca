package sample

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Fault is how a tick that was not OK ended, and why.
type Fault struct {
	Outcome Outcome
	Reason  Reason
}

// Ledger is what is known of the ticks of a stretch of time beside what they
// saw. Ledgers of stretches that follow each other add up: see Add. Its zero
// value is that of no tick.
type Ledger struct {
	// First and Last are when the first and the last tick were planned,
	// FirstCadence and Cadence the intervals in force then.
	First, Last           time.Time
	FirstCadence, Cadence time.Duration
	// Outcomes counts ticks by Outcome, Faults those of them that were not OK.
	Outcomes [4]int64
	Faults   map[Fault]int64
	// Missing is how many ticks the cadence promised between First and Last that
	// are not there: no collector was running.
	Missing int64
	// FirstSeen and LastSeen are when the first and the last answered tick were
	// begun; zero where none was. Gap is the longest time from one to the next.
	FirstSeen, LastSeen time.Time
	Gap                 time.Duration
}

// Ticks is how many ticks there are.
func (l *Ledger) Ticks() int64 {
	return l.Outcomes[OK] + l.Outcomes[Degraded] + l.Outcomes[Failed] + l.Outcomes[Skipped]
}

// Answered is how many ticks' sessions were read.
func (l *Ledger) Answered() int64 { return l.Outcomes[OK] + l.Outcomes[Degraded] }

// Add makes l the ledger of its stretch and of o's, which lies after it. What
// the cadence promised between them is missing.
func (l *Ledger) Add(o *Ledger) {
	if o.First.IsZero() {
		return
	}
	if l.First.IsZero() {
		l.First, l.FirstCadence = o.First, o.FirstCadence
	} else {
		l.Missing += Promised(l.Last, o.First, l.Cadence)
	}
	if l.FirstSeen.IsZero() {
		l.FirstSeen = o.FirstSeen
	} else if !o.FirstSeen.IsZero() {
		l.Gap = max(l.Gap, o.FirstSeen.Sub(l.LastSeen))
	}
	if !o.LastSeen.IsZero() {
		l.LastSeen = o.LastSeen
	}
	l.Last, l.Cadence = o.Last, o.Cadence
	l.Missing += o.Missing
	l.Gap = max(l.Gap, o.Gap)
	for i, n := range o.Outcomes {
		l.Outcomes[i] += n
	}
	if len(o.Faults) > 0 {
		if l.Faults == nil {
			l.Faults = make(map[Fault]int64, len(o.Faults))
		}
		for f, n := range o.Faults {
			l.Faults[f] += n
		}
	}
}

// sortedFaults gives the faults in a fixed order.
func (l *Ledger) sortedFaults() []Fault {
	return slices.SortedFunc(maps.Keys(l.Faults), func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Reason, b.Reason))
	})
}

// Promised is how many ticks a cadence promises between a tick and an instant
// after it, neither of which counts.
func Promised(tick, until time.Time, cadence time.Duration) int64 {
	if cadence <= 0 || !tick.Before(until) {
		return 0
	}
	return int64((until.Sub(tick) - 1) / cadence)
}

// Summary is a stretch of ticks in numbers: what is stored of a slot, a minute,
// an hour and a day. Those of stretches that follow each other add up.
type Summary struct {
	Ledger

	// Classes are session samples that are load by wait class, Samples all of
	// them. MaxSessions is the most in one tick, MaxBackends the most connections
	// at one, Unset where never known.
	Classes                  [NumClasses]int64
	Samples                  int64
	MaxSessions, MaxBackends int32
}

// Add makes s the summary of its stretch and of o's, which lies after it.
func (s *Summary) Add(o *Summary) {
	if s.First.IsZero() {
		s.MaxBackends = Unset
	}
	s.Ledger.Add(&o.Ledger)
	for i, n := range o.Classes {
		s.Classes[i] += n
	}
	s.Samples += o.Samples
	s.MaxSessions = max(s.MaxSessions, o.MaxSessions)
	if !o.First.IsZero() {
		s.MaxBackends = max(s.MaxBackends, o.MaxBackends)
	}
}

// Summary is that of the ticks of a row that were planned from an instant on and
// before another.
func (r *Row) Summary(from, to time.Time) Summary {
	s := Summary{MaxBackends: Unset}
	r.Summarize(func(tick int) *Summary {
		if r.within(tick, from, to) {
			return &s
		}
		return nil
	})
	return s
}

// Summarize adds each tick, from 0, to the summary that is given for it, which
// must be of ticks before it; nil leaves it out.
func (r *Row) Summarize(of func(tick int) *Summary) {
	to := make([]*Summary, len(r.Planned))
	for tick := range to {
		to[tick] = of(tick)
	}
	load := make([]int32, len(r.Planned)) // sessions that are load, of each tick
	for i, tick := range r.Tick {
		class := WaitClass(r.WaitClass[r.Wait[i]-1])
		if s := to[tick-1]; s != nil && class.Load() {
			s.Classes[class]++
			s.Samples++
			load[tick-1]++
		}
	}
	for i, s := range to {
		if s == nil {
			continue
		}
		if s.First.IsZero() {
			s.MaxBackends = Unset
		}
		one := r.tick(i)
		s.Ledger.Add(&one)
		s.MaxSessions = max(s.MaxSessions, load[i])
		s.MaxBackends = max(s.MaxBackends, r.Backends[i])
	}
}

// PlannedAt is when a tick of the row, from 0, was planned.
func (r *Row) PlannedAt(tick int) time.Time {
	return r.Bucket.Add(time.Duration(r.Planned[tick]) * time.Millisecond)
}

// StartedAt is when a tick of the row, from 0, was begun.
func (r *Row) StartedAt(tick int) time.Time {
	return r.PlannedAt(tick).Add(time.Duration(r.Delay[tick]) * time.Millisecond)
}

func (r *Row) within(tick int, from, to time.Time) bool {
	at := r.PlannedAt(tick)
	return !at.Before(from) && at.Before(to)
}

// tick is the ledger of one tick.
func (r *Row) tick(i int) Ledger {
	cadence := time.Duration(r.Cadence[i]) * time.Millisecond
	l := Ledger{First: r.PlannedAt(i), Last: r.PlannedAt(i), FirstCadence: cadence, Cadence: cadence}
	fault := Fault{Outcome(orSame(r.Outcome, i, 0)), Reason(orSame(r.Reason, i, 0))}
	l.Outcomes[fault.Outcome]++
	if fault.Outcome != OK {
		l.Faults = map[Fault]int64{fault: 1}
	}
	if fault.Outcome.Answered() {
		l.FirstSeen, l.LastSeen = r.StartedAt(i), r.StartedAt(i)
	}
	return l
}
