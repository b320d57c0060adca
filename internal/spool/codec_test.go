package spool

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// sameVisit takes an empty list for none, as readers do.
func sameVisit() cmp.Options { return cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()} }

// dice makes random visits.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice {
	return dice{rand.New(rand.NewPCG(seed, 5))}
}

func (d dice) often() bool { return d.IntN(3) > 0 }

// int64 gives all sizes of numbers, the extremes too.
func (d dice) int64() int64 {
	switch d.IntN(6) {
	case 0:
		return 0
	case 1:
		return []int64{math.MinInt64, math.MaxInt64, -1, 1}[d.IntN(4)]
	}
	return int64(d.Uint64()) >> d.IntN(64)
}

func (d dice) int32() int32    { return int32(d.int64()) }
func (d dice) uint32() uint32  { return d.Uint32() >> d.IntN(32) }
func (d dice) time() time.Time { return time.UnixMicro(d.Int64N(1 << 52)).UTC() }

func (d dice) str() string {
	if d.IntN(4) == 0 {
		return ""
	}
	b := make([]byte, d.IntN(40))
	for i := range b {
		b[i] = byte(d.IntN(256)) // also what is no UTF-8
	}
	return string(b)
}

func (d dice) known() sample.Int {
	if d.often() {
		return sample.Int{V: d.int64(), Known: true}
	}
	return sample.Int{}
}

func (d dice) knownFloat() sample.Float {
	if d.often() {
		return sample.Float{V: d.NormFloat64() * 1e9, Known: true}
	}
	return sample.Float{}
}

func (d dice) visit() *sample.Visit {
	v := &sample.Visit{Server: target.ID(d.int64())}
	if d.often() {
		v.Tick = d.tick()
	}
	if d.often() {
		v.Entries = d.entries()
	}
	if d.often() {
		v.Identity = &sample.Identity{
			At: d.time(), VersionNum: d.int32(), Version: d.str(), SystemIdentifier: d.int64(), TimelineID: d.int32(), InRecovery: d.often(),
		}
		if d.often() {
			v.Identity.PostmasterStart = d.time()
		}
	}
	for range d.IntN(3) {
		s := sample.DatabaseStat{
			At: d.time(), OID: d.uint32(), Backends: d.known(), StatsReset: d.int64(), ChecksumLastFailure: d.int64(),
			Epoch: d.time(), Interval: time.Duration(d.int64()),
		}
		for i := range s.Counters {
			s.Counters[i], s.CounterDeltas[i] = d.known(), d.known()
		}
		for i := range s.Timers {
			s.Timers[i], s.TimerDeltas[i] = d.knownFloat(), d.knownFloat()
		}
		v.Databases = append(v.Databases, s)
	}
	if d.often() {
		v.Inventory = &sample.Inventory{At: d.time()}
		for range d.IntN(4) {
			v.Inventory.Databases = append(v.Inventory.Databases, sample.Database{
				OID: d.uint32(), Name: d.str(), IsTemplate: d.often(), AllowConnect: d.often(), Encoding: d.str(),
			})
		}
	}
	for range d.IntN(3) {
		v.Sizes = append(v.Sizes, sample.DatabaseSize{
			At: d.time(), OID: d.uint32(), Bytes: d.known(), Duration: time.Duration(d.int64()), Reason: sample.Reason(d.IntN(20)),
		})
	}
	return v
}

func (d dice) tick() *sample.Tick {
	window := d.time().Truncate(time.Second)
	planned := window.Add(time.Duration(d.Int64N(int64(15 * time.Second))))
	t := &sample.Tick{
		Window: window, Span: 15 * time.Second, Cadence: time.Second, Planned: planned, Started: planned.Add(time.Duration(d.Int64N(1e9))),
		Outcome: sample.Outcome(d.IntN(4)), Reason: sample.Reason(d.IntN(21)), Duration: time.Duration(d.int64()),
		Backends: d.int32(), NextXID: d.int64(),
	}
	for range d.IntN(8) {
		s := sample.Session{
			Session: d.int32(), Wait: int16(d.int32()), Class: sample.WaitClass(d.IntN(int(sample.NumClasses))), Query: d.int32(),
			Xmin: d.uint32(), Blocker: d.int32(), QueryStart: d.int64(), XactStart: d.int64(), StateChange: d.int64(),
		}
		if d.IntN(4) == 0 {
			s.Blocker = sample.Unset
		}
		t.Sessions = append(t.Sessions, s)
	}
	return t
}

func (d dice) entries() (e sample.Entries) {
	for range d.IntN(4) {
		e.Sessions = append(e.Sessions, sample.SessionEntry{
			ID: d.int32(), Day: d.int32(), PID: d.int32(), BackendStart: d.int64(), DatabaseOID: d.uint32(), UserOID: d.uint32(), LeaderPID: d.int32(),
			Database: d.str(), User: d.str(), Application: d.str(), ClientAddr: d.str(), BackendType: d.str(),
		})
		e.Waits = append(e.Waits, sample.WaitEntry{ID: int16(d.int32()), State: d.str(), Type: d.str(), Event: d.str()})
		e.Queries = append(e.Queries, sample.QueryEntry{ID: d.int32(), Day: d.int32(), QueryID: d.int64(), Own: d.often(), Text: d.str()})
	}
	return e
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		v := newDice(seed).visit()
		b := encodeVisit([]byte("before"), v)
		got, err := decodeVisit(b[len("before"):])
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(v, &got, sameVisit()); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

// TestCodecCut says that no part of a visit is taken for a visit.
func TestCodecCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		b := encodeVisit(nil, newDice(seed).visit())
		for n := range b {
			if _, err := decodeVisit(b[:n]); !errors.Is(err, errGarbled) {
				t.Fatalf("seed %d: %d of %d bytes are read: %v", seed, n, len(b), err)
			}
		}
		if _, err := decodeVisit(append(b, 0)); !errors.Is(err, errGarbled) {
			t.Fatalf("seed %d: a byte too many is read: %v", seed, err)
		}
	}
}

func TestCodecRefuses(t *testing.T) {
	t.Parallel()
	v := &sample.Visit{Tick: &sample.Tick{Outcome: 4}}
	if _, err := decodeVisit(encodeVisit(nil, v)); !errors.Is(err, errGarbled) {
		t.Errorf("an outcome that is none: %v", err)
	}
	b := encodeVisit(nil, &sample.Visit{})
	b[0]++
	if _, err := decodeVisit(b); !errors.Is(err, errGarbled) {
		t.Errorf("another version: %v", err)
	}
}

func FuzzDecodeVisit(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(encodeVisit(nil, newDice(seed).visit()))
	}
	f.Add([]byte{codecVersion, 0, hasSizes, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeVisit(b)
		if err != nil {
			return
		}
		again, err := decodeVisit(encodeVisit(nil, &v))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(v, again, sameVisit()); diff != "" {
			t.Fatalf("another visit (-first +second):\n%s", diff)
		}
	})
}
