package sample

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// Window is the ticks of a server over a stretch of time, as parallel arrays:
// the unit of identity and of storage. Unset elements are nulls.
type Window struct {
	Server  target.ID
	T0      time.Time
	Span    time.Duration
	Cadence time.Duration
	// XIDBase is the next transaction id at the first answered tick, 0 unknown.
	XIDBase int64

	// One element a planned tick, in the order of time.
	TickOffset   []int32 // milliseconds from T0 to the start
	TickOutcome  []int16 // empty when every tick was OK
	TickReason   []int16 // empty when every tick was OK
	TickDuration []int32 // microseconds
	TickBackends []int32
	TickBurst    []bool // empty when no tick was in full detail

	// One element a session sample, ordered by session, then tick.
	Tick       []int16 // 1-based index into the tick arrays
	Session    []int32
	Wait       []int16 // negative: not load, see WaitEntry
	Query      []int32
	QueryStart []int32 // milliseconds from T0
	XactLead   []int32 // query start minus transaction start, milliseconds
	StateLag   []int32 // state change minus query start, milliseconds; Unset when zero
	XminAge    []int32 // XIDBase minus xmin
	Blocker    []int32

	// One element an edge, ordered by blocked session, blocker, lock, then tick;
	// nil where there is none.
	EdgeTick    []int16 // 1-based index into the tick arrays
	EdgeBlocked []int32
	EdgeBlocker []int32
	EdgeLock    []int32

	Minute Minute

	// Ticks are what NewWindow made it of; they are not stored.
	Ticks []Tick
}

// Early is how far ahead of its planned instant a tick may begin.
const Early = 30 * time.Millisecond

// Minute is a window's share of the rollup of the minute it lies in: Classes,
// Samples and MaxSessions are of sessions that are load.
type Minute struct {
	Start       time.Time
	Planned     int32
	Outcomes    [4]int32 // by Outcome
	Classes     [NumClasses]int32
	Samples     int32
	MaxSessions int32
	MaxBackends int32 // Unset when never known
}

// NewWindow packs ticks of one server, one window and one minute. It sorts
// ticks, and takes the first of two with the same planned instant.
//
// A tick is noted between Early before its planned instant and Early before the
// next one's, so that it can be told which of two collectors' ticks are of one
// second: one that began later than that is noted at its end.
func NewWindow(server target.ID, ticks []Tick) Window {
	slices.SortStableFunc(ticks, func(a, b Tick) int { return a.Planned.Compare(b.Planned) })
	ticks = slices.CompactFunc(ticks, func(a, b Tick) bool { return a.Planned.Equal(b.Planned) })
	first := ticks[0]
	w := Window{Server: server, T0: first.Window, Span: first.Span, Cadence: ticks[len(ticks)-1].Cadence, Ticks: ticks}
	w.Minute = Minute{Start: first.Window.Truncate(time.Minute), MaxBackends: Unset}
	w.ledger(ticks)
	w.samples(ticks)
	w.edges(ticks)
	return w
}

// Within gives the instants between which a tick is noted.
func (t *Tick) Within() (from, to time.Time) {
	return t.Planned.Add(-Early), t.Planned.Add(t.Cadence - Early)
}

// Unless gives what is left of the window without the ticks that stored says: all
// of it, or a window for each run of ticks that stay. Those have a T0 that no
// other window has, as that of the whole one may be taken; apart says that it is.
func (w *Window) Unless(stored func(t *Tick) bool, apart bool) (left []Window) {
	var runs [][]Tick
	before := true // the tick before is not in the last run
	for i := range w.Ticks {
		if stored(&w.Ticks[i]) {
			before = true
			continue
		}
		if before {
			runs = append(runs, nil)
		}
		last := len(runs) - 1
		runs[last], before = append(runs[last], w.Ticks[i]), false
	}
	if len(runs) == 1 && len(runs[0]) == len(w.Ticks) && !apart {
		return []Window{*w}
	}
	for _, run := range runs {
		t0, last := run[0].Planned.Add(time.Microsecond), run[len(run)-1]
		for i := range run {
			run[i].Window, run[i].Span = t0, last.Planned.Add(last.Cadence).Sub(t0)
		}
		left = append(left, NewWindow(w.Server, run))
	}
	return left
}

func (w *Window) ledger(ticks []Tick) {
	n := len(ticks)
	w.TickOffset, w.TickDuration, w.TickBackends = make([]int32, n), make([]int32, n), make([]int32, n)
	allOK, burst := true, false
	for i, t := range ticks {
		at := t.Started
		if _, end := t.Within(); t.Cadence > 0 && !at.Before(end) {
			at = end.Add(-time.Millisecond)
		}
		w.TickOffset[i] = int32(at.Sub(w.T0).Milliseconds())
		w.TickDuration[i] = int32(min(t.Duration.Microseconds(), int64(math.MaxInt32)))
		w.TickBackends[i] = t.Backends
		allOK, burst = allOK && t.Outcome == OK, burst || t.Burst
		if w.XIDBase == 0 {
			w.XIDBase = t.NextXID
		}
		m := &w.Minute
		m.Planned++
		m.Outcomes[t.Outcome]++
		m.MaxBackends = max(m.MaxBackends, t.Backends)
		before := m.Samples
		for _, s := range t.Sessions {
			if s.Class.Load() {
				m.Classes[s.Class]++
				m.Samples++
			}
		}
		m.MaxSessions = max(m.MaxSessions, m.Samples-before)
	}
	if burst {
		w.TickBurst = make([]bool, n)
		for i, t := range ticks {
			w.TickBurst[i] = t.Burst
		}
	}
	if allOK {
		return
	}
	w.TickOutcome, w.TickReason = make([]int16, n), make([]int16, n)
	for i, t := range ticks {
		w.TickOutcome[i], w.TickReason[i] = int16(t.Outcome), int16(t.Reason)
	}
}

func (w *Window) samples(ticks []Tick) {
	n := 0
	for i := range ticks {
		n += len(ticks[i].Sessions)
	}
	// Session, tick and place in the tick, in one number that sorts.
	order := make([]uint64, 0, n)
	for i, t := range ticks {
		for j := range t.Sessions {
			order = append(order, uint64(t.Sessions[j].Session)<<32|uint64(i)<<16|uint64(j))
		}
	}
	slices.Sort(order)
	shorts := make([]int16, 2*n)
	ints := make([]int32, 7*n)
	w.Tick, w.Wait = shorts[:n], shorts[n:]
	for i, a := range []*[]int32{&w.Session, &w.Query, &w.QueryStart, &w.XactLead, &w.StateLag, &w.XminAge, &w.Blocker} {
		*a = ints[i*n : (i+1)*n : (i+1)*n]
	}
	t0 := w.T0.UnixMicro()
	var lag, age, blocked bool
	for i, p := range order {
		tick := int(p >> 16 & 0xffff)
		s := &ticks[tick].Sessions[p&0xffff]
		w.Tick[i], w.Wait[i], w.Session[i], w.Blocker[i] = int16(tick+1), s.Wait, s.Session, s.Blocker
		w.Query[i] = s.Query
		if s.Query == 0 {
			w.Query[i] = Unset
		}
		w.QueryStart[i] = millisBetween(t0, s.QueryStart)
		w.XactLead[i] = millisBetween(s.XactStart, s.QueryStart)
		w.StateLag[i] = millisBetween(s.QueryStart, s.StateChange)
		if w.StateLag[i] == 0 {
			w.StateLag[i] = Unset
		}
		w.XminAge[i] = w.xminAge(ticks, tick, s.Xmin)
		lag = lag || w.StateLag[i] != Unset
		age = age || w.XminAge[i] != Unset
		blocked = blocked || s.Blocker != Unset
	}
	if !lag {
		w.StateLag = nil
	}
	if !age {
		w.XminAge = nil
	}
	if !blocked {
		w.Blocker = nil
	}
}

func (w *Window) edges(ticks []Tick) {
	type placed struct {
		Edge
		tick int16
	}
	var all []placed
	for i, t := range ticks {
		for _, e := range t.Edges {
			all = append(all, placed{e, int16(i + 1)})
		}
	}
	// A wait that goes on for many ticks makes runs, which compress.
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.Blocked, b.Blocked), cmp.Compare(a.Blocker, b.Blocker), cmp.Compare(a.Lock, b.Lock), cmp.Compare(a.tick, b.tick))
	})
	for _, p := range all {
		w.EdgeTick = append(w.EdgeTick, p.tick)
		w.EdgeBlocked, w.EdgeBlocker, w.EdgeLock = append(w.EdgeBlocked, p.Blocked), append(w.EdgeBlocker, p.Blocker), append(w.EdgeLock, p.Lock)
	}
}

// xminAge keeps an xmin only if it is older than the tick before, or if there
// is none to compare with: a younger one held nothing back for long, and would
// cost a byte or two in every sample.
func (w *Window) xminAge(ticks []Tick, tick int, xmin uint32) int32 {
	if xmin == 0 || w.XIDBase == 0 {
		return Unset
	}
	if tick > 0 {
		if before := ticks[tick-1].NextXID; before != 0 && int32(uint32(before)-xmin) <= 0 {
			return Unset
		}
	}
	return int32(uint32(w.XIDBase) - xmin)
}

// millisBetween gives b - a in milliseconds, rounded down and clamped to four
// bytes; Unset when one is unknown.
func millisBetween(a, b int64) int32 {
	if a == 0 || b == 0 {
		return Unset
	}
	d := b - a
	ms := d / 1000
	if d%1000 < 0 {
		ms--
	}
	return int32(max(min(ms, math.MaxInt32), int64(Unset)+1))
}
