package synth

import (
	"iter"
	"math/rand/v2"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// life is what a session does from tick to tick.
type life struct {
	busy       bool
	left       int // ticks until that changes
	began      int // tick
	wait       int
	query      int
	queryStart int64 // microseconds since the Unix epoch, as xactStart
	xactStart  int64
}

// Day makes a server's day, which begins at a midnight (UTC): what its ticks name,
// and the ticks in the order of time.
func (g *Generator) Day(id target.ID, midnight time.Time) (sample.Entries, iter.Seq[*sample.Tick]) {
	s := g.server(id)
	names := g.name(&s, sample.Day(midnight))
	return names.entries, func(yield func(*sample.Tick) bool) {
		m := maker{
			Generator: g, server: &s, names: &names, midnight: midnight, lives: make([]life, len(s.sessions)),
			dice: g.dice(uint64(id), uint64(midnight.Unix())),
		}
		ticks := int(24 * time.Hour / g.cfg.Cadence)
		m.pileUp(ticks)
		for tick := range ticks {
			if !yield(m.tick(tick)) {
				return
			}
		}
	}
}

// names are the keys of what a server shows on a day.
type names struct {
	entries  sample.Entries
	sessions []sample.Key
	queries  []sample.Key
	waits    [len(waits)]sample.Key
	lock     sample.Key
}

func (g *Generator) name(s *server, day int32) (n names) {
	d := sample.NewDictionary(g.cfg.Hash)
	for i := range s.sessions {
		n.sessions = append(n.sessions, d.Session(s.sessions[i].content(), day, func(e *sample.SessionEntry) {
			key := e.Key
			*e = s.sessions[i].entry
			e.Key, e.Day = key, day
		}))
	}
	for i, w := range waits {
		n.waits[i], _ = d.Wait([]byte(w.state), []byte(w.typ), []byte(w.event), day)
	}
	for _, q := range s.statements {
		key, _ := d.Query(q.id, false, day)
		n.queries = append(n.queries, key)
	}
	n.lock, _ = d.Lock(sample.LockEntry{Type: "transactionid", Mode: "ShareLock"}, day)
	n.entries = d.Take()
	for i := range n.entries.Queries { // in the order in which they were named
		n.entries.Queries[i].Text = s.statements[i].text
	}
	return n
}

// maker makes the ticks of a day.
type maker struct {
	*Generator

	server   *server
	names    *names
	midnight time.Time
	dice     *rand.Rand
	lives    []life
	from, to int // ticks of the pile-up behind a lock
}

// pileUp plans one on every third day.
func (m *maker) pileUp(ticks int) {
	if m.dice.IntN(3) == 0 {
		m.from = m.dice.IntN(ticks)
		m.to = m.from + int(90*time.Second/m.cfg.Cadence)
	}
}

// perTick is how many transactions a server begins from tick to tick.
const perTick = 37

func (m *maker) tick(tick int) *sample.Tick {
	planned := m.midnight.Add(time.Duration(tick) * m.cfg.Cadence)
	xid := 1_000_000 + planned.Unix()/int64(m.cfg.Cadence/time.Second)*perTick
	t := &sample.Tick{
		Planned: planned, Started: planned.Add(time.Duration(m.dice.IntN(4)) * time.Millisecond), Cadence: m.cfg.Cadence,
		Duration: time.Duration(700+m.dice.IntN(600)) * time.Microsecond, Backends: int32(len(m.lives)), NextXID: xid,
	}
	chance := m.server.load(planned) / m.server.size / spread
	for i := range m.lives {
		l, who := &m.lives[i], &m.server.sessions[i]
		if l.step(m.dice, chance, who, tick, planned); !l.busy {
			continue
		}
		wait := l.wait
		blocked := tick >= m.from && tick < m.to && i > 0 && i%2 == 0
		if blocked {
			wait = lockWait
		}
		s := sample.Session{
			Session: m.names.sessions[i], Wait: m.names.waits[wait], Class: classes[wait], Query: m.names.queries[l.query],
			QueryStart: l.queryStart, XactStart: l.xactStart, StateChange: l.queryStart,
			Xmin: uint32(xid - int64(tick-l.began)*perTick),
		}
		if wait == idleInTransaction {
			s.StateChange += 1000 + (l.queryStart-l.xactStart)/8
		}
		if blocked {
			s.Blocked, s.Blocker = true, m.names.sessions[0]
			t.Edges = append(t.Edges, sample.Edge{Blocked: s.Session, Blocker: s.Blocker, Lock: m.names.lock})
		}
		t.Sessions = append(t.Sessions, s)
	}
	return t
}

// Where waits has what sessions of a pile-up wait for, and what is told of a
// transaction that idles.
const (
	lockWait          = 5
	idleInTransaction = 4
)

// step goes on to the next tick.
func (l *life) step(d *rand.Rand, chance float64, who *session, tick int, planned time.Time) {
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
	l.queryStart = planned.UnixMicro() - d.Int64N(900)*1000
	l.xactStart = l.queryStart - d.Int64N(3)*d.Int64N(400)*1000
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
var classes = func() (c [len(waits)]sample.WaitClass) {
	for i, w := range waits {
		c[i] = sample.ClassOf(w.state, w.typ, w.event)
	}
	return c
}()
