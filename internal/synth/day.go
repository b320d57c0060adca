package synth

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Day is what is kept of a server's UTC day.
type Day struct {
	Sessions []sample.SessionEntry
	Windows  []sample.Window
	// Minutes are all of the day's. Those of the windows are their shares, of the
	// first minute only where a window is longer than one.
	Minutes []sample.Minute
}

// life is what a session does from tick to tick.
type life struct {
	busy       bool
	left       int // ticks until that changes
	began      int // tick
	wait       int
	query      int32
	queryStart int32 // milliseconds from the start of the day
	xactLead   int32
}

// Day makes a server's day, which begins at a midnight.
func (g *Generator) Day(id target.ID, midnight time.Time) Day {
	s := g.server(id)
	d := g.dice(uint64(id), uint64(midnight.Unix()))
	ticks := int(24 * time.Hour / g.cfg.Cadence)
	day := Day{Minutes: make([]sample.Minute, 24*60)}
	for i := range day.Minutes {
		m := &day.Minutes[i]
		m.Start, m.MaxBackends = midnight.Add(time.Duration(i)*time.Minute), int32(len(s.sessions))
	}
	lives := make([]life, len(s.sessions))
	for i := range s.sessions {
		e := s.sessions[i].entry
		e.Day = sample.Day(midnight)
		day.Sessions = append(day.Sessions, e)
	}
	per := int(g.cfg.Span / g.cfg.Cadence)
	pileUp := g.pileUp(d, ticks)
	for first := 0; first < ticks; first += per {
		day.Windows = append(day.Windows, g.window(&s, d, &day, lives, midnight, first, per, pileUp))
	}
	return day
}

// incident is a pile-up behind a lock, between two ticks; none where empty.
type incident struct{ from, to int }

// pileUp makes one on every third day.
func (g *Generator) pileUp(d *rand.Rand, ticks int) incident {
	if d.IntN(3) > 0 {
		return incident{}
	}
	from := d.IntN(ticks)
	return incident{from, from + int(90*time.Second/g.cfg.Cadence)}
}

func (g *Generator) window(s *server, d *rand.Rand, day *Day, lives []life, midnight time.Time, first, per int, pileUp incident) sample.Window {
	cadence := g.cfg.Cadence
	w := sample.Window{Server: s.id, T0: midnight.Add(time.Duration(first) * cadence), Span: g.cfg.Span, Cadence: cadence, XIDBase: 1_000_000 + int64(first)*37}
	offset := int32(d.IntN(int(cadence / time.Millisecond / 10)))
	perMinute := int(time.Minute / cadence)
	others := day.Minutes[first/perMinute] // of the windows before
	backends := int32(len(lives))
	for i := range per {
		at := int32(i)*int32(cadence.Milliseconds()) + offset
		w.TickOffset = append(w.TickOffset, at+d.Int32N(4))
		w.TickDuration = append(w.TickDuration, 700+d.Int32N(600))
		w.TickBackends = append(w.TickBackends, backends)
		m := &day.Minutes[(first+i)/perMinute]
		m.Planned++
		m.Outcomes[sample.OK]++
	}
	atOnce := make([]int32, per)
	chance := s.load(w.T0) / s.size / spread
	for i := range lives {
		l, who := &lives[i], &s.sessions[i]
		for k := range per {
			tick := first + k
			l.step(d, chance, who, tick, cadence)
			if !l.busy {
				continue
			}
			waits := l.wait
			blocked := tick >= pileUp.from && tick < pileUp.to && i > 0 && i%2 == 0
			if blocked {
				waits = lockWait
			}
			w.Tick, w.Session = append(w.Tick, int16(k+1)), append(w.Session, who.entry.ID)
			w.Wait, w.Query = append(w.Wait, waitID(waits)), append(w.Query, l.query)
			w.QueryStart = append(w.QueryStart, l.queryStart-int32(time.Duration(first)*cadence/time.Millisecond))
			w.XactLead = append(w.XactLead, l.xactLead)
			blocker, lag, age := sample.Unset, sample.Unset, sample.Unset
			if blocked {
				blocker = s.sessions[0].entry.ID
				w.EdgeTick, w.EdgeBlocked = append(w.EdgeTick, int16(k+1)), append(w.EdgeBlocked, who.entry.ID)
				w.EdgeBlocker, w.EdgeLock = append(w.EdgeBlocker, blocker), append(w.EdgeLock, pileUpLock)
			}
			if waits == idleInTransaction {
				lag = 1 + l.xactLead/8
			}
			if tick > l.began { // younger ones held nothing back
				age = int32(tick-l.began) * 37
			}
			w.Blocker, w.StateLag, w.XminAge = append(w.Blocker, blocker), append(w.StateLag, lag), append(w.XminAge, age)
			m := &day.Minutes[tick/perMinute]
			m.Samples++
			m.Classes[classes[waits]]++
			atOnce[k]++
			m.MaxSessions = max(m.MaxSessions, atOnce[k])
		}
	}
	for _, column := range []*[]int32{&w.Blocker, &w.StateLag, &w.XminAge} {
		if !slices.ContainsFunc(*column, func(v int32) bool { return v != sample.Unset }) {
			*column = nil
		}
	}
	w.Minute = share(&day.Minutes[first/perMinute], &others, atOnce[:min(per, perMinute)])
	return w
}

// share gives what a window adds to its minute; atOnce is of its ticks.
func share(m, others *sample.Minute, atOnce []int32) sample.Minute {
	s := *m
	s.Planned -= others.Planned
	s.Samples -= others.Samples
	for i, n := range others.Outcomes {
		s.Outcomes[i] -= n
	}
	for i, n := range others.Classes {
		s.Classes[i] -= n
	}
	s.MaxSessions = slices.Max(atOnce)
	return s
}

// Where waits has what sessions of a pile-up wait for, and what is told of a
// transaction that idles; and the lock's id in every server's dictionary.
const (
	lockWait          = 5
	idleInTransaction = 4
	pileUpLock        = 1
)

// step goes on to the next tick.
func (l *life) step(d *rand.Rand, chance float64, who *session, tick int, cadence time.Duration) {
	if l.left--; l.left > 0 {
		return
	}
	l.busy, l.began = d.Float64() < chance, tick
	l.left = 1 + d.IntN(5)
	if !l.busy {
		return
	}
	l.wait = drawWait(d)
	l.query = who.query[d.IntN(1+d.IntN(len(who.query)))]
	l.queryStart = int32(time.Duration(tick)*cadence/time.Millisecond) - int32(d.IntN(900))
	l.xactLead = int32(d.IntN(3) * d.IntN(400))
}

func drawWait(d *rand.Rand) int {
	n := d.IntN(1000)
	for i, w := range waits {
		if n -= w.share; n < 0 {
			return i
		}
	}
	return 0
}

// classes are those of waits.
var classes = func() (c [len(waits)]sample.WaitClass) { //nolint:gochecknoglobals // constant table
	for i, w := range waits {
		c[i] = sample.ClassOf(w.state, w.typ, w.event)
	}
	return c
}()
