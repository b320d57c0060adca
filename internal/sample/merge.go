package sample

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// MergedSpan is the longest window that is made of others: they are merged
// within stretches of this length, which begin at multiples of it in UTC.
const MergedSpan = 5 * time.Minute

// Joins reports whether Merge may put next behind w: a window of the same
// server, stretch and cadence that begins where w ends, so that no planned tick
// can be missing between them. A window that comes late therefore never lies
// inside of a merged one.
func (w *Window) Joins(next *Window) bool {
	gap := next.T0.Sub(w.T0.Add(w.Span))
	return w.Server == next.Server && w.Cadence == next.Cadence && next.T0.Sub(w.T0)%time.Millisecond == 0 &&
		w.T0.Truncate(MergedSpan).Equal(next.T0.Truncate(MergedSpan)) &&
		gap >= 0 && (gap == 0 || gap < w.Cadence)
}

// Fits reports whether arrays that belong together have one length, and ticks
// are where samples and edges say.
func (w *Window) Fits() bool {
	ticks, samples, edges := len(w.TickOffset), len(w.Tick), len(w.EdgeTick)
	same := func(n int, nullable bool, lengths ...int) bool {
		return !slices.ContainsFunc(lengths, func(l int) bool { return l != n && (l != 0 || !nullable) })
	}
	known := func(tick int16) bool { return tick >= 1 && int(tick) <= ticks }
	return same(ticks, false, len(w.TickDuration), len(w.TickBackends)) &&
		same(ticks, true, len(w.TickOutcome), len(w.TickReason), len(w.TickBurst)) && len(w.TickOutcome) == len(w.TickReason) &&
		same(samples, false, len(w.Session), len(w.Wait), len(w.Query), len(w.QueryStart), len(w.XactLead)) &&
		same(samples, true, len(w.StateLag), len(w.XminAge), len(w.Blocker)) &&
		same(edges, false, len(w.EdgeBlocked), len(w.EdgeBlocker), len(w.EdgeLock)) &&
		!slices.ContainsFunc(w.Tick, func(t int16) bool { return !known(t) }) &&
		!slices.ContainsFunc(w.EdgeTick, func(t int16) bool { return !known(t) })
}

// Merge makes one window of several, each of which the one before Joins. Every
// tick, sample and edge is in it as it was, at the same instant: what is
// counted from T0 is moved. Transactions' ages are those of the window that was
// merged, and XIDBase is that of the first which knew it. Of Minute only
// Samples is filled. Merging one gives the same.
func Merge(windows []*Window) Window {
	first, last := windows[0], windows[len(windows)-1]
	m := Window{Server: first.Server, T0: first.T0, Span: last.T0.Add(last.Span).Sub(first.T0), Cadence: first.Cadence}
	g := merger{windows: windows, base: make([]int16, len(windows)), shift: make([]int32, len(windows))}
	ticks := 0
	for i, w := range windows {
		g.base[i] = int16(ticks)
		g.shift[i] = int32(w.T0.Sub(first.T0).Milliseconds())
		ticks += len(w.TickOffset)
		g.samples += len(w.Tick)
		g.edges += len(w.EdgeTick)
		if m.XIDBase == 0 {
			m.XIDBase = w.XIDBase
		}
	}
	g.ledger(&m)
	g.mergeSamples(&m)
	g.mergeEdges(&m)
	m.Minute.Samples = int32(g.samples)
	return m
}

// merger is windows that become one.
type merger struct {
	windows        []*Window
	base           []int16 // of each window: ticks before its own
	shift          []int32 // of each window: milliseconds from the first
	samples, edges int
}

func (g *merger) ledger(m *Window) {
	for i, w := range g.windows {
		for _, offset := range w.TickOffset {
			m.TickOffset = append(m.TickOffset, moved(offset, g.shift[i]))
		}
		m.TickDuration = append(m.TickDuration, w.TickDuration...)
		m.TickBackends = append(m.TickBackends, w.TickBackends...)
	}
	m.TickOutcome = g.optional16(func(w *Window) []int16 { return w.TickOutcome })
	m.TickReason = g.optional16(func(w *Window) []int16 { return w.TickReason })
	if slices.ContainsFunc(g.windows, func(w *Window) bool { return len(w.TickBurst) > 0 }) {
		for _, w := range g.windows {
			burst := w.TickBurst
			if len(burst) == 0 {
				burst = make([]bool, len(w.TickOffset))
			}
			m.TickBurst = append(m.TickBurst, burst...)
		}
	}
}

// optional16 concatenates what is nil in windows whose ticks were all ok.
func (g *merger) optional16(of func(*Window) []int16) (all []int16) {
	if !slices.ContainsFunc(g.windows, func(w *Window) bool { return len(of(w)) > 0 }) {
		return nil
	}
	for _, w := range g.windows {
		list := of(w)
		if len(list) == 0 {
			list = make([]int16, len(w.TickOffset))
		}
		all = append(all, list...)
	}
	return all
}

// A run is consecutive elements of one window that belong to one key.
type run[K any] struct {
	key      K
	window   int
	from, to int
}

// runs finds the runs of each window and sorts them by key, then window, so
// that the elements of a key are in the order of their ticks.
func runs[K comparable](g *merger, n func(*Window) int, key func(w *Window, i int) K, compare func(a, b K) int) []run[K] {
	var all []run[K]
	for i, w := range g.windows {
		from, end := 0, n(w)
		for at := 1; at <= end; at++ {
			if k := key(w, from); at == end || key(w, at) != k {
				all = append(all, run[K]{k, i, from, at})
				from = at
			}
		}
	}
	slices.SortStableFunc(all, func(a, b run[K]) int { return compare(a.key, b.key) })
	return all
}

func (g *merger) mergeSamples(m *Window) {
	n := g.samples
	m.Tick, m.Wait = make([]int16, 0, n), make([]int16, 0, n)
	m.Session, m.Query, m.QueryStart, m.XactLead = make([]int32, 0, n), make([]int32, 0, n), make([]int32, 0, n), make([]int32, 0, n)
	lag, age, blocker := g.optional32(func(w *Window) []int32 { return w.StateLag }),
		g.optional32(func(w *Window) []int32 { return w.XminAge }), g.optional32(func(w *Window) []int32 { return w.Blocker })
	for _, r := range runs(g, func(w *Window) int { return len(w.Tick) }, func(w *Window, i int) int32 { return w.Session[i] }, cmp.Compare[int32]) {
		w := g.windows[r.window]
		for _, tick := range w.Tick[r.from:r.to] {
			m.Tick = append(m.Tick, tick+g.base[r.window])
		}
		for _, start := range w.QueryStart[r.from:r.to] {
			m.QueryStart = append(m.QueryStart, moved(start, g.shift[r.window]))
		}
		m.Session = append(m.Session, w.Session[r.from:r.to]...)
		m.Wait = append(m.Wait, w.Wait[r.from:r.to]...)
		m.Query = append(m.Query, w.Query[r.from:r.to]...)
		m.XactLead = append(m.XactLead, w.XactLead[r.from:r.to]...)
		lag.add(w.StateLag, r.from, r.to)
		age.add(w.XminAge, r.from, r.to)
		blocker.add(w.Blocker, r.from, r.to)
	}
	m.StateLag, m.XminAge, m.Blocker = lag.all, age.all, blocker.all
}

func (g *merger) mergeEdges(m *Window) {
	if g.edges == 0 {
		return
	}
	key := func(w *Window, i int) Edge {
		return Edge{Blocked: w.EdgeBlocked[i], Blocker: w.EdgeBlocker[i], Lock: w.EdgeLock[i]}
	}
	order := func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Blocked, b.Blocked), cmp.Compare(a.Blocker, b.Blocker), cmp.Compare(a.Lock, b.Lock))
	}
	for _, r := range runs(g, func(w *Window) int { return len(w.EdgeTick) }, key, order) {
		w := g.windows[r.window]
		for _, tick := range w.EdgeTick[r.from:r.to] {
			m.EdgeTick = append(m.EdgeTick, tick+g.base[r.window])
		}
		m.EdgeBlocked = append(m.EdgeBlocked, w.EdgeBlocked[r.from:r.to]...)
		m.EdgeBlocker = append(m.EdgeBlocker, w.EdgeBlocker[r.from:r.to]...)
		m.EdgeLock = append(m.EdgeLock, w.EdgeLock[r.from:r.to]...)
	}
}

// optional is an array that is nil where no window has it.
type optional struct {
	wanted bool
	all    []int32
}

func (g *merger) optional32(of func(*Window) []int32) optional {
	o := optional{wanted: slices.ContainsFunc(g.windows, func(w *Window) bool { return len(of(w)) > 0 })}
	if o.wanted {
		o.all = make([]int32, 0, g.samples)
	}
	return o
}

func (o *optional) add(list []int32, from, to int) {
	switch {
	case !o.wanted:
	case len(list) == 0:
		for range to - from {
			o.all = append(o.all, Unset)
		}
	default:
		o.all = append(o.all, list[from:to]...)
	}
}

// moved counts milliseconds from an earlier instant. It keeps what is Unset,
// and the instant also of what was clamped.
func moved(ms, shift int32) int32 {
	if ms == Unset {
		return Unset
	}
	return int32(min(int64(ms)+int64(shift), math.MaxInt32))
}
