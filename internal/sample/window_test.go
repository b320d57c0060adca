package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tickAt is an answered tick of the window at start, seconds into it.
func tickAt(seconds int, sessions ...Session) Tick {
	at := start.Add(time.Duration(seconds) * time.Second)
	return Tick{
		Planned: at, Started: at.Add(5 * time.Millisecond), Window: start, Span: 15 * time.Second, Cadence: time.Second,
		Duration: 3 * time.Millisecond, Backends: int32(10 + seconds), NextXID: 1000 + int64(seconds), Sessions: sessions,
	}
}

// lone is a session of which nothing but the ids is known.
func lone(id int32) Session { return Session{Session: id, Wait: 1, Blocker: Unset} }

func TestNewWindowOrder(t *testing.T) {
	t.Parallel()
	again := tickAt(1, lone(7))
	again.Outcome, again.Reason = Skipped, Overrun
	w := NewWindow(4, []Tick{tickAt(2, lone(9), lone(1)), tickAt(1, lone(1)), again, tickAt(0)})
	if w.Server != 4 || !w.T0.Equal(start) || w.Span != 15*time.Second || w.Cadence != time.Second || w.XIDBase != 1000 {
		t.Errorf("window %+v", w)
	}
	if diff := cmp.Diff([]int32{5, 1005, 2005}, w.TickOffset); diff != "" {
		t.Errorf("offsets (-want +got):\n%s", diff)
	}
	if w.TickOutcome != nil || w.TickReason != nil {
		t.Errorf("outcomes %v, reasons %v of a window in which all was ok", w.TickOutcome, w.TickReason)
	}
	if diff := cmp.Diff([]int32{1, 1, 9}, w.Session); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int16{2, 3, 3}, w.Tick); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
	if w.StateLag != nil || w.XminAge != nil || w.Blocker != nil {
		t.Errorf("columns of nulls are kept: %v %v %v", w.StateLag, w.XminAge, w.Blocker)
	}
	if diff := cmp.Diff([]int32{Unset, Unset, Unset}, w.Query); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
	m := w.Minute
	if m.Planned != 3 || m.Outcomes != [4]int32{3, 0, 0, 0} || m.Samples != 3 || m.MaxSessions != 2 || m.MaxBackends != 12 {
		t.Errorf("minute %+v", m)
	}
}

func TestNewWindowOutcomes(t *testing.T) {
	t.Parallel()
	failed := tickAt(1)
	failed.Outcome, failed.Reason, failed.Backends, failed.NextXID = Failed, Refused, Unset, 0
	failed.Duration = time.Hour
	w := NewWindow(1, []Tick{failed, tickAt(2)})
	if diff := cmp.Diff([]int16{int16(Failed), int16(OK)}, w.TickOutcome); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int16{int16(Refused), int16(None)}, w.TickReason); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if w.XIDBase != 1002 || w.TickDuration[0] != math.MaxInt32 || w.TickBackends[0] != Unset || w.Minute.MaxBackends != 12 {
		t.Errorf("window %+v", w)
	}
	if w := NewWindow(1, []Tick{failed}); w.Minute.MaxBackends != Unset || w.XIDBase != 0 {
		t.Errorf("a window without an answer knows backends %d, xid %d", w.Minute.MaxBackends, w.XIDBase)
	}
}

func TestNewWindowInstants(t *testing.T) {
	t.Parallel()
	t0 := start.UnixMicro()
	day := (24 * time.Hour).Microseconds()
	known := func(query, xact, state int64) Session {
		s := lone(1)
		s.QueryStart, s.XactStart, s.StateChange = query, xact, state
		return s
	}
	for _, c := range []struct {
		name             string
		s                Session
		query, xact, lag int32
	}{
		{"unknown", known(0, 0, 0), Unset, Unset, Unset},
		{"before the window, rounded down", known(t0-1, t0-2001, t0-1), -1, 2, Unset},
		{"within", known(t0+1999, t0+1000, t0+4000), 1, 0, 2},
		{"older than four bytes hold", known(t0-60*day, t0-120*day, t0), Unset + 1, math.MaxInt32, math.MaxInt32},
		{"no transaction", known(t0+1000, 0, t0+1000), 1, Unset, Unset},
		{"state before the query", known(t0, t0, t0-1), 0, 0, -1},
	} {
		w := NewWindow(1, []Tick{tickAt(0, c.s, known(t0, t0, t0+9000))})
		if got := [3]int32{w.QueryStart[0], w.XactLead[0], w.StateLag[0]}; got != [3]int32{c.query, c.xact, c.lag} {
			t.Errorf("%s: got %v, want %v", c.name, got, [3]int32{c.query, c.xact, c.lag})
		}
	}
}

func TestNewWindowXmin(t *testing.T) {
	t.Parallel()
	holds := func(xmin uint32) Session {
		s := lone(1)
		s.Xmin = xmin
		return s
	}
	silent := tickAt(0)
	silent.Outcome, silent.Reason, silent.NextXID = Failed, Timeout, 0
	wrapped, later := tickAt(0), tickAt(1, holds(math.MaxUint32-9))
	wrapped.NextXID, later.NextXID = 1<<32+5, 1<<32+7
	for _, c := range []struct {
		name  string
		ticks []Tick
		want  int32
	}{
		{"first tick", []Tick{tickAt(0, holds(990))}, 10},
		{"first tick, none older", []Tick{tickAt(0, holds(1000))}, 0},
		{"older than the tick before", []Tick{tickAt(0), tickAt(1, holds(999))}, 1},
		{"younger than the tick before", []Tick{tickAt(0), tickAt(1, holds(1000))}, Unset},
		{"none", []Tick{tickAt(0), tickAt(1, holds(0))}, Unset},
		{"the tick before did not answer", []Tick{silent, tickAt(1, holds(1001))}, 0},
		{"ids wrapped around", []Tick{wrapped, later}, 15},
	} {
		w := NewWindow(1, c.ticks)
		if c.want == Unset {
			if w.XminAge != nil {
				t.Errorf("%s: kept as %v", c.name, w.XminAge)
			}
			continue
		}
		if len(w.XminAge) != 1 || w.XminAge[0] != c.want {
			t.Errorf("%s: got %v, want %d", c.name, w.XminAge, c.want)
		}
	}
}

// TestWindowRoundTrip packs random ticks and finds every sample again in the
// arrays, as a reader of the history does.
func TestWindowRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		ticks := randomTicks(r)
		want := make(map[[2]int64]Session) // by planned instant and session
		var classes [NumClasses]int32
		samples := 0
		for _, tick := range ticks {
			for _, s := range tick.Sessions {
				want[[2]int64{tick.Planned.UnixMicro(), int64(s.Session)}] = s
				classes[s.Class]++
				samples++
			}
		}
		planned := make([]time.Time, 0, len(ticks))
		for _, tick := range ticks {
			planned = append(planned, tick.Planned)
		}
		slices.SortFunc(planned, time.Time.Compare)
		w := NewWindow(1, ticks)
		if len(w.Tick) != samples || len(w.TickOffset) != len(planned) {
			t.Fatalf("seed %d: %d samples of %d ticks, want %d of %d", seed, len(w.Tick), len(w.TickOffset), samples, len(planned))
		}
		if w.Minute.Classes != classes || int(w.Minute.Samples) != samples || int(w.Minute.Planned) != len(planned) ||
			w.Minute.Outcomes[0]+w.Minute.Outcomes[1]+w.Minute.Outcomes[2]+w.Minute.Outcomes[3] != w.Minute.Planned {
			t.Fatalf("seed %d: minute %+v does not add up to %v", seed, w.Minute, classes)
		}
		for i := range w.Tick {
			at := planned[w.Tick[i]-1]
			key := [2]int64{at.UnixMicro(), int64(w.Session[i])}
			s, ok := want[key]
			if !ok {
				t.Fatalf("seed %d: a sample of session %d at %s was never seen, or comes twice", seed, w.Session[i], at)
			}
			delete(want, key)
			if diff := cmp.Diff(inMillis(s), unpack(&w, i)); diff != "" {
				t.Fatalf("seed %d, sample %d (-want +got):\n%s", seed, i, diff)
			}
			if i > 0 && (w.Session[i] < w.Session[i-1] || w.Session[i] == w.Session[i-1] && w.Tick[i] <= w.Tick[i-1]) {
				t.Fatalf("seed %d: sample %d is out of order", seed, i)
			}
		}
		if len(want) > 0 {
			t.Fatalf("seed %d: %d samples are lost", seed, len(want))
		}
	}
}

// randomTicks gives ticks of one window in no order. Their instants are whole
// milliseconds, so that nothing is rounded.
func randomTicks(r *rand.Rand) []Tick {
	var ticks []Tick
	t0 := start.UnixMicro()
	for sec := range 15 {
		if r.IntN(8) == 0 {
			continue
		}
		tick := tickAt(sec)
		if r.IntN(6) == 0 {
			tick.Outcome, tick.Reason, tick.NextXID, tick.Backends = Failed, Timeout, 0, Unset
		}
		for id := int32(1); id < 40 && tick.Outcome == OK; id++ {
			if r.IntN(2) == 0 {
				continue
			}
			s := Session{
				Session: id, Wait: int16(r.IntN(9)), Class: WaitClass(r.IntN(int(NumClasses))), Query: int32(r.IntN(4)),
				QueryStart: t0 - 1000*r.Int64N(1e6), Blocker: Unset,
			}
			if r.IntN(2) == 0 {
				s.XactStart = s.QueryStart - 1000*r.Int64N(1e6)
			}
			s.StateChange = s.QueryStart + 1000*r.Int64N(3)
			if r.IntN(5) == 0 {
				s.Blocker = int32(r.IntN(40))
			}
			tick.Sessions = append(tick.Sessions, s)
		}
		ticks = append(ticks, tick)
	}
	if len(ticks) == 0 {
		ticks = append(ticks, tickAt(3))
	}
	r.Shuffle(len(ticks), func(i, j int) { ticks[i], ticks[j] = ticks[j], ticks[i] })
	return ticks
}

// inMillis leaves out of a session what a window does not hold.
func inMillis(s Session) Session {
	s.Class = 0
	return s
}

// unpack reads sample i of a window.
func unpack(w *Window, i int) Session {
	s := Session{Session: w.Session[i], Wait: w.Wait[i], Blocker: Unset}
	if q := w.Query[i]; q != Unset {
		s.Query = q
	}
	if w.Blocker != nil {
		s.Blocker = w.Blocker[i]
	}
	s.QueryStart = w.T0.UnixMicro() + int64(w.QueryStart[i])*1000
	if lead := w.XactLead[i]; lead != Unset {
		s.XactStart = s.QueryStart - int64(lead)*1000
	}
	s.StateChange = s.QueryStart
	if w.StateLag != nil && w.StateLag[i] != Unset {
		s.StateChange += int64(w.StateLag[i]) * 1000
	}
	return s
}
