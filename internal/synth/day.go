package synth

import (
	"math/rand/v2"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Day is what is kept of a server's UTC day.
type Day struct {
	Sessions []sample.SessionEntry
	Windows  []sample.Window
	// Minutes are all of the day's; those of the windows are only the first of
	// each, where a window is longer than a minute.
	Minutes []sample.Minute
}

// life is what a session does from tick to tick.
type life struct {
	busy       bool
	left       int // ticks until that changes
	wait       int
	query      int32
	queryStart int32 // milliseconds from the start of the day
	xactLead   int32
}

// Day makes a server's day, which begins at a midnight.
func (g *Generator) Day(id target.ID, midnight time.Time) Day {
	s := g.server(id)
	d := g.dice(uint64(id), uint64(midnight.Unix())) //nolint:gosec // bits
	ticks := int(24 * time.Hour / g.cfg.Cadence)
	day := Day{Minutes: make([]sample.Minute, 24*60)}
	for i := range day.Minutes {
		m := &day.Minutes[i]
		m.Start, m.MaxBackends = midnight.Add(time.Duration(i)*time.Minute), int32(len(s.sessions)) //nolint:gosec // few
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
	offset := int32(d.IntN(int(cadence / time.Millisecond / 10))) //nolint:gosec // below a second
	perMinute := int(time.Minute / cadence)
	backends := int32(len(lives)) //nolint:gosec // few
	for i := range per {
		at := int32(i)*int32(cadence.Milliseconds()) + offset //nolint:gosec // within five minutes
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
			w.QueryStart = append(w.QueryStart, l.queryStart-int32(time.Duration(first)*cadence/time.Millisecond)) //nolint:gosec // within a day
			w.XactLead = append(w.XactLead, l.xactLead)
			if blocked {
				w.EdgeTick, w.EdgeBlocked = append(w.EdgeTick, int16(k+1)), append(w.EdgeBlocked, who.entry.ID)
				w.EdgeBlocker, w.EdgeLock = append(w.EdgeBlocker, s.sessions[0].entry.ID), append(w.EdgeLock, 0)
			}
			m := &day.Minutes[tick/perMinute]
			m.Samples++
			m.Classes[classes[waits]]++
			atOnce[k]++
			m.MaxSessions = max(m.MaxSessions, atOnce[k])
		}
	}
	w.Minute = day.Minutes[first/perMinute]
	return w
}

// lockWait is where waits has the lock of a pile-up.
const lockWait = 5

// step goes on to the next tick.
func (l *life) step(d *rand.Rand, chance float64, who *session, tick int, cadence time.Duration) {
	if l.left--; l.left > 0 {
		return
	}
	l.busy = d.Float64() < chance
	l.left = 1 + d.IntN(5)
	if !l.busy {
		return
	}
	l.wait = drawWait(d)
	l.query = who.query[d.IntN(1+d.IntN(len(who.query)))]
	l.queryStart = int32(time.Duration(tick)*cadence/time.Millisecond) - int32(d.IntN(900)) //nolint:gosec // within a day
	l.xactLead = int32(d.IntN(3) * d.IntN(400))                                             //nolint:gosec // small
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
		c[i] = sample.ClassOf(w.state, w.typ)
	}
	return c
}()
