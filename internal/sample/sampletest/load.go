package sampletest

import (
	"math/rand/v2"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// worker is one synthetic session.
type worker struct {
	id          sample.Key
	life        int // ticks between statements: 1 a new one every tick
	left        int
	query       sample.Key
	queryStart  int64
	xactStart   int64
	xmin        uint32 // of the statement's snapshot
	wait        sample.Key
	class       sample.WaitClass
	waitsLeft   int
	longestLife int
}

// Load makes ticks of fifty active sessions: some run for minutes, some for
// seconds, most a new statement at every tick.
type Load struct {
	rnd     *rand.Rand
	reuse   int
	zipf    *rand.Zipf
	workers []worker
	xid     int64
	keys    []sample.Key
}

// NewLoad makes a load that is the same for the same seed. A session runs so many
// statements, on average, before another takes its place: 1 is a connection for
// every statement, 0 a session that never ends.
func NewLoad(seed uint64, statements int) *Load {
	rnd := rand.New(rand.NewPCG(seed, 1))
	l := &Load{rnd: rnd, reuse: statements, zipf: rand.NewZipf(rnd, 1.2, 4, 299), xid: 1_000_000}
	for range 300 {
		l.keys = append(l.keys, sample.Key(rnd.Uint64()))
	}
	for i := range 50 {
		w := worker{id: sample.Key(rnd.Uint64())}
		switch {
		case i < 8:
			w.life, w.longestLife = 300, 6000
		case i < 20:
			w.life, w.longestLife = 5, 60
		default:
			w.life, w.longestLife = 1, 1
		}
		l.workers = append(l.workers, w)
	}
	return l
}

// Tick makes the tick that is planned at an instant.
func (l *Load) Tick(at time.Time) sample.Tick {
	t := sample.Tick{
		Planned: at, Started: at.Add(time.Duration(l.rnd.IntN(3)) * time.Millisecond),
		Cadence: time.Second, Duration: time.Duration(500+l.rnd.IntN(900)) * time.Microsecond, Backends: 150, NextXID: l.xid,
	}
	l.xid += int64(500 + l.rnd.IntN(500))
	for i := range l.workers {
		w := &l.workers[i]
		if w.left--; w.left < 0 {
			w.left = w.life
			if w.longestLife > w.life {
				w.left += l.rnd.IntN(w.longestLife - w.life)
			}
			if l.reuse > 0 && l.rnd.IntN(l.reuse) == 0 {
				w.id = sample.Key(l.rnd.Uint64())
			}
			w.query = l.keys[l.zipf.Uint64()]
			w.queryStart = at.UnixMicro() - int64(l.rnd.IntN(900_000))
			w.xactStart = w.queryStart
			if l.rnd.IntN(3) == 0 { // not the first statement of its transaction
				w.xactStart -= int64(l.rnd.IntN(200_000))
			}
			w.waitsLeft, w.xmin = 0, uint32(l.xid-int64(l.rnd.IntN(100)))
		}
		if w.waitsLeft--; w.waitsLeft < 0 {
			w.waitsLeft = l.rnd.IntN(max(1, w.life/3))
			n := int(min(l.rnd.ExpFloat64()*6, 42))
			w.wait, w.class = l.keys[n], sample.WaitClass(uint8(n)%uint8(sample.ClassOther))
		}
		t.Sessions = append(t.Sessions, sample.Session{
			Session: w.id, Wait: w.wait, Class: w.class, Query: w.query, QueryStart: w.queryStart, XactStart: w.xactStart,
			StateChange: w.queryStart, Xmin: w.xmin,
		})
	}
	return t
}
