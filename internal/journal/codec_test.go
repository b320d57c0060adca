package spool

import (
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"strings"
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
			Epoch: d.time(), Interval: time.Duration(d.int64()), Held: time.Duration(d.int64()), BackendSeconds: d.NormFloat64() * 1e9,
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
	if d.often() {
		v.Disks = d.disks()
	}
	return v
}

func (d dice) disks() *sample.Disks {
	v := &sample.Disks{At: d.time(), Source: target.DiskSource(d.str()), Duration: time.Duration(d.int64())}
	for range d.IntN(4) {
		f := sample.FileSystem{
			MountPoint: d.str(), Device: d.str(), Total: d.known(), Free: d.known(), Inodes: d.known(), InodesFree: d.known(),
		}
		for range d.IntN(3) {
			f.Uses = append(f.Uses, d.str())
		}
		v.FileSystems = append(v.FileSystems, f)
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
		e.Queries = append(e.Queries, sample.QueryEntry{ID: d.int32(), Day: d.int32(), QueryID: d.int64(), Own: d.often(), Text: d.str(), Full: d.often()})
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
	for _, version := range []byte{0, codecVersion + 1} {
		b := encodeVisit(nil, &sample.Visit{})
		b[0] = version
		if _, err := decodeVisit(b); !errors.Is(err, errGarbled) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// visitOfVersion1 is what testdata/visit_v1.hex holds, as the first version of
// the codec wrote it.
func visitOfVersion1() *sample.Visit {
	at := time.Date(2026, 11, 22, 12, 0, 7, 123456000, time.UTC)
	v := &sample.Visit{
		Server: 4711,
		Tick: &sample.Tick{
			Planned: at, Started: at.Add(3 * time.Millisecond), Window: at.Truncate(15 * time.Second), Span: 15 * time.Second, Cadence: time.Second,
			Outcome: sample.Degraded, Reason: sample.LockTimeout, Duration: 900 * time.Microsecond, Backends: 77, NextXID: 1 << 33,
			Sessions: []sample.Session{{
				Session: 9, Wait: 3, Class: sample.ClassLock, Query: 12, QueryStart: at.UnixMicro() - 5_000_000,
				XactStart: at.UnixMicro() - 6_000_000, StateChange: at.UnixMicro() - 5_000_000, Xmin: 4_000_000_000, Blocker: sample.Unset,
			}},
		},
		Entries: sample.Entries{
			Sessions: []sample.SessionEntry{{ID: 9, Day: 20779, PID: 1234, BackendStart: at.UnixMicro() - 1, DatabaseOID: 5, UserOID: 10, Database: "shop", User: "größe", BackendType: "client backend"}},
			Waits:    []sample.WaitEntry{{ID: 3, State: "active", Type: "Lock", Event: "tuple"}},
			Queries:  []sample.QueryEntry{{ID: 12, Day: 20779, QueryID: -8123456789012345678, Text: "select $1"}},
		},
		Identity:  &sample.Identity{At: at, VersionNum: 150018, Version: "15.18", SystemIdentifier: -5, TimelineID: 2, PostmasterStart: at.Add(-time.Hour)},
		Inventory: &sample.Inventory{At: at, Since: at.Add(-time.Minute), Databases: []sample.Database{{OID: 5, Name: "shop", AllowConnect: true, Encoding: "UTF8"}}},
		Sizes:     []sample.DatabaseSize{{At: at, OID: 5, Bytes: sample.Int{V: 1 << 40, Known: true}, Duration: time.Millisecond}, {At: at, OID: 6, Reason: sample.LockTimeout}},
	}
	for oid := range uint32(2) {
		d := sample.DatabaseStat{
			At: at, OID: oid, StatsReset: at.UnixMicro() - 9, Epoch: at.Add(-time.Minute), Interval: 10 * time.Second,
		}
		if oid > 0 {
			d.Backends = sample.Int{V: 3, Known: true}
		}
		for i := 1; i < len(d.Counters); i += 2 {
			d.Counters[i], d.CounterDeltas[i-1] = sample.Int{V: int64(i) * 1000, Known: true}, sample.Int{V: int64(i), Known: true}
		}
		for i := 1; i < len(d.Timers); i++ {
			d.Timers[i], d.TimerDeltas[i-1] = sample.Float{V: float64(i) * 1.5, Known: true}, sample.Float{V: float64(i) / 3, Known: true}
		}
		v.Databases = append(v.Databases, d)
	}
	return v
}

// TestCodecReadsVersion1 says that a journal drains after an upgrade.
func TestCodecReadsVersion1(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/visit_v1.hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeVisit(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(visitOfVersion1(), &got, sameVisit()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for n := range b {
		if _, err := decodeVisit(b[:n]); !errors.Is(err, errGarbled) {
			t.Fatalf("%d of %d bytes are read: %v", n, len(b), err)
		}
	}
}

func FuzzDecodeVisit(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(encodeVisit(nil, newDice(seed).visit()))
	}
	f.Add(append([]byte{codecWithoutHeld}, encodeVisit(nil, newDice(1).visit())[1:]...))
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
