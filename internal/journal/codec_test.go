package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// sameVisit takes an empty list for none, as readers do.
func sameVisit() cmp.Options { return cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()} }

// fill gives every field that is exported another value, and every list an element.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMicro(1_800_000_000_000_000 + *n).UTC()))
			return
		}
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.String:
		v.SetString(string(rune('a' + *n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Int, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(*n)
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(*n) % 256)
	default:
		panic("a kind of field that is not known: " + v.Type().String())
	}
}

// wholeVisit is a visit of which every field has a value.
func wholeVisit() *sample.Visit {
	v, n := new(sample.Visit), int64(0)
	fill(reflect.ValueOf(v).Elem(), &n)
	v.Locations, v.Load = nil, sample.Load{} // which are not kept
	return v
}

// TestEveryFieldIsKept: also one that package sample has got meanwhile.
func TestEveryFieldIsKept(t *testing.T) {
	t.Parallel()
	v := wholeVisit()
	got, rest, err := decodeVisit(mustEncode(t, v))
	if err != nil || len(rest) > 0 {
		t.Fatal(err, rest)
	}
	if diff := cmp.Diff(v, &got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFormat says when the number of the format must grow: journals are read by the
// version that wrote them.
func TestFormat(t *testing.T) {
	t.Parallel()
	const of5 = "fec2991b902cee16"
	sum := sha256.Sum256(mustEncode(t, wholeVisit()))
	if got := hex.EncodeToString(sum[:8]); format != 5 || got != of5 {
		t.Errorf("what is written has changed: raise format, and note here that it writes %s", got)
	}
}

func mustEncode(tb testing.TB, v *sample.Visit) []byte {
	tb.Helper()
	b, err := new(encoder).visit(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

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

func (d dice) visit() *sample.Visit {
	v := &sample.Visit{Server: target.ID(d.int64())}
	if d.often() {
		v.Tick = d.tick()
	}
	for range d.IntN(4) {
		v.Entries.Sessions = append(v.Entries.Sessions, sample.SessionEntry{
			Key: d.int64(), Day: d.int32(), PID: d.int32(), BackendStart: d.int64(), DatabaseOID: d.uint32(), UserOID: d.uint32(), LeaderPID: d.int32(),
			Database: d.str(), User: d.str(), Application: d.str(), ClientAddr: d.str(), BackendType: d.str(),
		})
		v.Entries.Waits = append(v.Entries.Waits, sample.WaitEntry{Key: d.int64(), State: d.str(), Type: d.str(), Event: d.str()})
		v.Entries.Queries = append(v.Entries.Queries, sample.QueryEntry{
			Key: d.int64(), Day: d.int32(), QueryID: d.int64(), Own: d.often(), Text: d.str(), Full: d.often(),
		})
	}
	for range d.IntN(3) {
		s := sample.DatabaseStat{At: d.time(), OID: d.uint32(), StatsReset: d.int64(), ChecksumLastFailure: d.int64()}
		if d.often() {
			s.PreviousAt, s.Backends = d.time(), sample.Int{V: d.int64(), Known: true}
		}
		for i := range s.Counters {
			if d.often() {
				s.Counters[i] = sample.Int{V: d.int64(), Known: true}
			}
		}
		for i := range s.Timers {
			if d.often() {
				s.Timers[i] = sample.Float{V: d.NormFloat64() * 1e9, Known: true}
			}
		}
		v.Databases = append(v.Databases, s)
	}
	return v
}

func (d dice) tick() *sample.Tick {
	planned := d.time()
	t := &sample.Tick{
		Cadence: time.Second, Planned: planned, Started: planned.Add(time.Duration(d.Int64N(1e6)) * time.Microsecond),
		Outcome: sample.Outcome(d.IntN(4)), Reason: sample.Reason(d.IntN(21)), Duration: time.Duration(d.int64()),
		Backends: d.int32(), NextXID: d.int64(), Burst: d.often(),
	}
	for range d.IntN(8) {
		s := sample.Session{
			Session: d.int64(), Wait: d.int64(), Class: sample.WaitClass(d.IntN(int(sample.NumClasses))), Query: d.int64(),
			Xmin: d.uint32(), Blocked: d.often(), QueryStart: d.int64(), XactStart: d.int64(), StateChange: d.int64(),
		}
		if s.Blocked {
			s.Blocker = d.int64()
		}
		t.Sessions = append(t.Sessions, s)
		t.Edges = append(t.Edges, sample.Edge{Blocked: d.int64(), Blocker: d.int64(), Lock: d.int64()})
	}
	return t
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		v := newDice(seed).visit()
		got, rest, err := decodeVisit(append(mustEncode(t, v), "after"...))
		if err != nil || string(rest) != "after" {
			t.Fatalf("seed %d: %v, %q", seed, err, rest)
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
		b := mustEncode(t, newDice(seed).visit())
		for n := range b {
			if _, _, err := decodeVisit(b[:n]); !errors.Is(err, errGarbled) {
				t.Fatalf("seed %d: %d of %d bytes are read: %v", seed, n, len(b), err)
			}
		}
	}
}

func FuzzDecodeVisit(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(mustEncode(f, newDice(seed).visit()))
	}
	f.Add(mustEncode(f, wholeVisit()))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := decodeVisit(b)
		if err != nil {
			return
		}
		b, err = new(encoder).visit(&v)
		if err != nil {
			return // an instant of another age
		}
		again, _, err := decodeVisit(b)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(v, again, sameVisit()); diff != "" {
			t.Fatalf("another visit (-first +second):\n%s", diff)
		}
	})
}

// busy is a tick of a server with n active sessions, of which half are in longer
// transactions and one in twenty is blocked.
func busy(d dice, server target.ID, n int) *sample.Visit {
	planned := at(0)
	t := &sample.Tick{Cadence: time.Second, Planned: planned, Started: planned.Add(2 * time.Millisecond), Duration: 4 * time.Millisecond, Backends: 300, NextXID: 4_000_000_000}
	var waits [12]sample.Key
	for i := range waits {
		waits[i] = sample.Key(d.Uint64())
	}
	for range n {
		start := planned.UnixMicro() - int64(d.ExpFloat64()*2e6)
		s := sample.Session{
			Session: sample.Key(d.Uint64()), Wait: waits[d.IntN(len(waits))], Query: sample.Key(d.Uint64()),
			QueryStart: start, XactStart: start, StateChange: start + d.Int64N(60),
		}
		if d.IntN(2) == 0 {
			s.XactStart -= int64(d.ExpFloat64() * 1e6)
		}
		if d.often() {
			s.Xmin = uint32(t.NextXID - d.Int64N(50))
		}
		if d.IntN(20) == 0 {
			s.Blocked, s.Blocker = true, sample.Key(d.Uint64())
		}
		t.Sessions = append(t.Sessions, s)
	}
	return &sample.Visit{Server: server, Tick: t}
}

// BenchmarkCodec measures a second of 50 servers with 50 active sessions each. The
// codec before, by hand to the last byte and with ids of four bytes in the place of
// keys of eight, took 22.5 bytes, 55 ns to write and 135 ns to read a sample; this
// one takes 30.5 bytes, 1.4 times as long to write and 1.6 times as long to read.
// Twice the old is the limit. Compression was tried: s2 saves a tenth of the bytes
// and takes 40 to 70 ns, zstd saves no more and takes longer; plain arrays of CBOR
// take 36 bytes and more than four times as long to write.
func BenchmarkCodec(b *testing.B) {
	const servers, sessions = 50, 50
	d := newDice(1)
	var visits []*sample.Visit
	for id := range target.ID(servers) {
		visits = append(visits, busy(d, id+1, sessions))
	}
	perSample := func(b *testing.B) {
		b.Helper()
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*servers*sessions), "ns/sample")
	}
	var (
		e      encoder
		record []byte
	)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			record = record[:0]
			for _, v := range visits {
				one, err := e.visit(v)
				if err != nil {
					b.Fatal(err)
				}
				record = append(record, one...)
			}
		}
		perSample(b)
		b.ReportMetric(float64(len(record))/(servers*sessions), "bytes/sample")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for rest := record; len(rest) > 0; {
				var err error
				if _, rest, err = decodeVisit(rest); err != nil {
					b.Fatal(err)
				}
			}
		}
		perSample(b)
	})
}
