// Package sampletest makes ticks to test with: of every kind that there is, told
// differently by different looks at the same second.
package sampletest

import (
	"math/rand/v2"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// Ticks makes the ticks of a bucket: some seconds are missing, some are there
// twice or three times, told differently by different collectors. Those of one
// second stand together.
func Ticks(rnd *rand.Rand, bucket time.Time, sessions int) []sample.Tick {
	var ticks []sample.Tick
	cadence := time.Duration(1+rnd.IntN(3)) * time.Second
	phase := time.Duration(rnd.IntN(10)) * 100 * time.Millisecond
	for at := phase; at < sample.BucketLength; at += cadence {
		switch rnd.IntN(400) {
		case 0:
			cadence = time.Duration(1+rnd.IntN(5)) * time.Second
		case 1:
			at += time.Duration(rnd.IntN(90)) * cadence // nobody was running
			continue
		}
		if at >= sample.BucketLength {
			break
		}
		for range []int{1, 1, 1, 1, 2, 3}[rnd.IntN(6)] {
			ticks = append(ticks, Tick(rnd, bucket.Add(at), cadence, sessions))
		}
	}
	return ticks
}

// Tick makes one look, planned at an instant, at up to so many sessions.
func Tick(rnd *rand.Rand, planned time.Time, cadence time.Duration, sessions int) sample.Tick {
	t := sample.Tick{
		Planned: planned, Started: planned.Add(time.Duration(rnd.IntN(3)) * time.Millisecond), Cadence: cadence,
		Duration: time.Duration(rnd.IntN(3)) * time.Millisecond, Backends: int32(rnd.IntN(2)), NextXID: 1 << 33,
		Burst: rnd.IntN(4) == 0, Outcome: sample.Outcome(max(0, rnd.IntN(8)-4)),
	}
	if t.Outcome != sample.OK {
		t.Reason = sample.Reason(1 + rnd.IntN(3))
	}
	if !t.Outcome.Answered() {
		t.Backends, t.NextXID = sample.Unset, 0
		return t
	}
	for s := range sessions {
		if rnd.IntN(3) == 0 {
			continue
		}
		wait := sample.Key(1 + rnd.IntN(20))
		n := sample.Session{
			Session: sample.Key(1 + s), Wait: wait, Class: sample.WaitClass(wait) % (sample.NumClasses + 1), Query: sample.Key(rnd.IntN(50)),
			Xmin: uint32(rnd.IntN(2)) * 4_000_000_000,
		}
		n.QueryStart = planned.UnixMicro() - rnd.Int64N(1e8)
		n.XactStart, n.StateChange = n.QueryStart-rnd.Int64N(2)*1e6, n.QueryStart+rnd.Int64N(2)*5_000
		if rnd.IntN(5) == 0 {
			n.Blocked, n.Blocker = true, sample.Key(rnd.IntN(sessions+5))
			t.Edges = append(t.Edges, sample.Edge{Blocked: n.Session, Blocker: n.Blocker, Lock: sample.Key(rnd.IntN(4))})
		}
		t.Sessions = append(t.Sessions, n)
	}
	return t
}
