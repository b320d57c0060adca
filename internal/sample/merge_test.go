package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

var five = time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC)

// said is everything a window says of a tick, a sample or an edge, with the
// instants that it stands for.
type said struct {
	At                       time.Time
	Cadence                  time.Duration
	Outcome, Reason          int16
	Duration, Backends       int32
	Burst                    bool
	Session, Query           int32
	Wait                     int16
	Start, Xact, Change      time.Time
	XminAge, Blocker         int32
	Blocked, BlockedBy, Lock int32
}

func instantOf(w *Window, ms int64) time.Time {
	return w.T0.Add(time.Duration(ms) * time.Millisecond)
}

// everything lists what windows say, in the order of the sessions' ids within
// each tick, as the views show it.
func everything(windows []*Window) (ticks, samples, edges []said) {
	at := func(list []int32, i int) int32 {
		if list == nil {
			return Unset
		}
		return list[i]
	}
	for _, w := range windows {
		for i := range w.TickOffset {
			k := said{At: instantOf(w, int64(w.TickOffset[i])), Cadence: w.Cadence, Duration: w.TickDuration[i], Backends: w.TickBackends[i]}
			if w.TickOutcome != nil {
				k.Outcome, k.Reason = w.TickOutcome[i], w.TickReason[i]
			}
			k.Burst = w.TickBurst != nil && w.TickBurst[i]
			ticks = append(ticks, k)
		}
		for i := range w.Tick {
			n := said{
				At: instantOf(w, int64(w.TickOffset[w.Tick[i]-1])), Session: w.Session[i], Query: w.Query[i], Wait: w.Wait[i],
				XminAge: at(w.XminAge, i), Blocker: at(w.Blocker, i),
			}
			if start := int64(w.QueryStart[i]); w.QueryStart[i] != Unset {
				n.Start, n.Change = instantOf(w, start), instantOf(w, start)
				if w.XactLead[i] != Unset {
					n.Xact = instantOf(w, start-int64(w.XactLead[i]))
				}
				if lag := at(w.StateLag, i); lag != Unset {
					n.Change = instantOf(w, start+int64(lag))
				}
			}
			samples = append(samples, n)
		}
		for i := range w.EdgeTick {
			edges = append(edges, said{
				At: instantOf(w, int64(w.TickOffset[w.EdgeTick[i]-1])), Blocked: w.EdgeBlocked[i], BlockedBy: w.EdgeBlocker[i], Lock: w.EdgeLock[i],
			})
		}
	}
	order := func(a, b said) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Session, b.Session), cmp.Compare(a.Blocked, b.Blocked), cmp.Compare(a.BlockedBy, b.BlockedBy), cmp.Compare(a.Lock, b.Lock))
	}
	slices.SortStableFunc(samples, order)
	slices.SortStableFunc(edges, order)
	return ticks, samples, edges
}

// anyWindow makes a window of random ticks: quiet or not, with clamped times
// and every kind of what is not known.
func anyWindow(r *rand.Rand, t0 time.Time, span, cadence time.Duration) *Window {
	chance := func(p float64) bool { return r.Float64() < p }
	quiet, waits := chance(0.4), chance(0.4)
	xid := int64(1000 + r.IntN(100_000))
	var ticks []Tick
	for at := t0; at.Before(t0.Add(span)); at = at.Add(cadence) {
		k := Tick{
			Planned: at, Started: at.Add(time.Duration(r.IntN(900)) * time.Millisecond), Window: t0, Span: span, Cadence: cadence,
			Duration: time.Duration(r.IntN(1e6)) * time.Microsecond, Backends: r.Int32N(100), Burst: !quiet && chance(0.1),
		}
		if !quiet && chance(0.2) {
			k.Outcome, k.Reason, k.Backends = Failed, Timeout, Unset
			ticks = append(ticks, k)
			continue
		}
		if chance(0.8) {
			k.NextXID = xid + int64(r.IntN(50))
		}
		for id := range int32(8) {
			if chance(0.5) {
				continue
			}
			n := Session{Session: id + 1, Wait: int16(1 + r.IntN(3)), Class: ClassCPU, Query: r.Int32N(3), Blocker: Unset}
			if chance(0.8) {
				n.QueryStart = at.Add(-time.Duration(r.Int64N(int64(40 * 24 * time.Hour)))).UnixMicro() // clamped from 24.9 days on
				if chance(0.1) {
					n.QueryStart = at.Add(30 * 24 * time.Hour).UnixMicro() // clocks differ
				}
				n.StateChange, n.XactStart = n.QueryStart, n.QueryStart
				if !quiet {
					n.StateChange += r.Int64N(1e9)
					n.XactStart -= r.Int64N(1e12)
				}
			}
			if waits && chance(0.5) {
				n.Xmin = uint32(k.NextXID) - uint32(r.IntN(5000))
				n.Blocker = r.Int32N(8)
				k.Edges = append(k.Edges, Edge{Blocked: n.Session, Blocker: n.Blocker, Lock: r.Int32N(3)})
			}
			k.Sessions = append(k.Sessions, n)
		}
		ticks = append(ticks, k)
	}
	w := NewWindow(1, ticks)
	return &w
}

// All that windows say is said after they are merged too, and a merged window
// can be merged again.
func TestMergeKeepsEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		cadence := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second}[r.IntN(3)]
		windows := make([]*Window, 1+r.IntN(20))
		for i := range windows {
			windows[i] = anyWindow(r, five.Add(time.Duration(i)*15*time.Second), 15*time.Second, cadence)
			if i > 0 && !windows[i-1].Joins(windows[i]) {
				t.Fatalf("window %d does not join", i)
			}
		}
		m := MergeWindows(windows)
		if !m.Fits() || m.Span != time.Duration(len(windows))*15*time.Second || !m.T0.Equal(five) {
			t.Fatalf("seed %d: %+v", seed, m)
		}
		wantTicks, wantSamples, wantEdges := everything(windows)
		gotTicks, gotSamples, gotEdges := everything([]*Window{&m})
		for i := range wantSamples { // what is too far ahead is clamped once more
			if horizon := five.Add(math.MaxInt32 * time.Millisecond); wantSamples[i].Start.After(horizon) {
				over := wantSamples[i].Start.Sub(horizon)
				for _, at := range []*time.Time{&wantSamples[i].Start, &wantSamples[i].Xact, &wantSamples[i].Change} {
					if !at.IsZero() {
						*at = at.Add(-over)
					}
				}
			}
		}
		for what, diff := range map[string]string{
			"ticks": gocmp.Diff(wantTicks, gotTicks), "samples": gocmp.Diff(wantSamples, gotSamples), "edges": gocmp.Diff(wantEdges, gotEdges),
		} {
			if diff != "" {
				t.Fatalf("seed %d: %s (-windows +merged):\n%s", seed, what, diff)
			}
		}
		if again := MergeWindows([]*Window{&m}); gocmp.Diff(m, again) != "" {
			t.Fatalf("seed %d: merging one changes it:\n%s", seed, gocmp.Diff(m, again))
		}
		if n := len(windows); n > 2 {
			front, back := MergeWindows(windows[:n/2]), MergeWindows(windows[n/2:])
			if !front.Joins(&back) {
				t.Fatalf("seed %d: merged windows do not join", seed)
			}
			if both := MergeWindows([]*Window{&front, &back}); gocmp.Diff(m, both) != "" {
				t.Fatalf("seed %d: merging in two steps differs:\n%s", seed, gocmp.Diff(m, both))
			}
		}
		if !slices.IsSortedFunc(indexes(m.Tick), func(a, b int) int {
			return cmp.Or(cmp.Compare(m.Session[a], m.Session[b]), cmp.Compare(m.Tick[a], m.Tick[b]))
		}) {
			t.Fatalf("seed %d: samples are not in the order of sessions, then ticks", seed)
		}
	}
}

func indexes[T any](list []T) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

func TestJoins(t *testing.T) {
	t.Parallel()
	at := func(seconds float64, span, cadence time.Duration) *Window {
		return &Window{Server: 1, T0: five.Add(time.Duration(seconds * float64(time.Second))), Span: span, Cadence: cadence}
	}
	const window = 15 * time.Second
	other := at(15, window, time.Second)
	other.Server = 2
	for name, c := range map[string]struct {
		w, next *Window
		want    bool
	}{
		"next":                              {at(0, window, time.Second), at(15, window, time.Second), true},
		"a window is missing":               {at(0, window, time.Second), at(30, window, time.Second), false},
		"another stretch":                   {at(285, window, time.Second), at(300, window, time.Second), false},
		"end of the stretch":                {at(270, window, time.Second), at(285, window, time.Second), true},
		"another cadence":                   {at(0, window, time.Second), at(15, window, 2*time.Second), false},
		"another server":                    {at(0, window, time.Second), other, false},
		"the collector was started anew":    {at(0, window, time.Second), at(7.3, 7700*time.Millisecond, time.Second), false},
		"after a start":                     {at(7.3, 7700*time.Millisecond, time.Second), at(15, window, time.Second), true},
		"ticks are rarer than windows":      {at(0, window, time.Minute), at(60, window, time.Minute), true},
		"one of such ticks is missing":      {at(0, window, time.Minute), at(120, window, time.Minute), false},
		"not whole milliseconds apart":      {at(0.0000005, window, time.Second), at(15, window, time.Second), false},
		"merged, and what comes after them": {at(0, 150*time.Second, time.Second), at(150, window, time.Second), true},
	} {
		if got := c.w.Joins(c.next); got != c.want {
			t.Errorf("%s: joins %t", name, got)
		}
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for name, spoil := range map[string]func(*Window){
		"a sample's tick": func(w *Window) { w.Tick[0] = 16 },
		"a tick of zero":  func(w *Window) { w.Tick[0] = 0 },
		"an edge's tick": func(w *Window) {
			w.EdgeTick, w.EdgeBlocked, w.EdgeBlocker, w.EdgeLock = []int16{99}, []int32{1}, []int32{1}, []int32{1}
		},
		"an edge too few":   func(w *Window) { w.EdgeLock = append(w.EdgeLock, 1) },
		"a session too few": func(w *Window) { w.Session = w.Session[1:] },
		"a lag too many":    func(w *Window) { w.StateLag = make([]int32, len(w.Tick)+1) },
		"an outcome alone":  func(w *Window) { w.TickOutcome, w.TickReason = make([]int16, len(w.TickOffset)), nil },
		"a backend too few": func(w *Window) { w.TickBackends = w.TickBackends[1:] },
		"a burst too few":   func(w *Window) { w.TickBurst = []bool{true} },
	} {
		w := anyWindow(r, five, 15*time.Second, time.Second)
		if !w.Fits() {
			t.Fatalf("%s: it did not fit before", name)
		}
		if spoil(w); w.Fits() {
			t.Errorf("%s: it fits", name)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	windows := make([]*Window, 20)
	for i := range windows {
		windows[i] = anyWindow(r, five.Add(time.Duration(i)*15*time.Second), 15*time.Second, time.Second)
	}
	for b.Loop() {
		MergeWindows(windows)
	}
}
