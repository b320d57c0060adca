package sample

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// Key is what a row of samples calls a session, a statement, a wait or a lock.
// 0 is none.
type Key = int64

const (
	// SlotLength is the stretch of time that is flushed together. Slots and buckets
	// begin at multiples of their length in UTC, so no slot crosses a bucket, and no
	// bucket a day.
	SlotLength = 15 * time.Second
	// BucketLength is the stretch of time that is compacted into one row.
	BucketLength = 10 * time.Minute
	// MaxPart is how many samples and edges one row of a bucket holds: more make
	// several parts. One tick may have more samples; of its edges so many are kept.
	MaxPart = 64 << 10
)

// Row is ticks of one server within one bucket, as parallel arrays: what is
// stored. All times are milliseconds from the start of the bucket, whatever part
// of it the row holds, so that merging moves nothing. It has its own dictionary:
// samples are indexes into its keys.
//
// A Row that NewRow, Merge or Split made is canonical: rows of the same ticks are
// the same, element by element, however the ticks came together.
type Row struct {
	Server target.ID
	Bucket time.Time

	// One element a tick, in the order of Planned, which is when it was to be
	// begun: at most one a second.
	Planned  []int32
	Delay    []int32 // from Planned to the start
	Cadence  []int32 // the interval in force
	Outcome  []int16 // nil when every tick was OK
	Reason   []int16 // nil when every tick was OK
	Duration []int32 // microseconds
	Backends []int32 // Unset where not known
	NextXID  []int64 // 0 where not known
	Burst    []bool  // nil when no tick was in full detail
	EdgesCut []int32 // edges over MaxPart; nil where none was cut

	// The dictionary: keys in ascending order, each used by some tick. WaitClass
	// is that of each wait.
	SessionKeys, WaitKeys, QueryKeys, LockKeys []Key
	WaitClass                                  []int16

	// One element a session sample, ordered by session, then tick. Indexes count
	// from 1; 0 is none, or not known.
	Tick       []int16
	Session    []int32
	Wait       []int16
	Query      []int32
	QueryStart []int32 // Unset where not known
	XactLead   []int32 // query start minus transaction start; Unset where not known
	StateLag   []int32 // state change minus query start, Unset where zero or not known; nil where all are
	Xmin       []int32 // backend_xmin, its four bytes as PostgreSQL has them, 0 for none; nil where all are
	Blocker    []int32 // Unset where nothing blocks; nil where all are

	// One element an edge, ordered by blocked session, blocker, lock, then tick.
	EdgeTick                           []int16
	EdgeBlocked, EdgeBlocker, EdgeLock []int32
}

// NewRow makes the row of ticks of one bucket, each of a later second than the one
// before.
func NewRow(server target.ID, ticks ...*Tick) Row {
	r := Row{Server: server, Bucket: ticks[0].Planned.Truncate(BucketLength)}
	n := 0
	for _, t := range ticks {
		n += len(t.Sessions)
	}
	r.makeLedger(len(ticks))
	r.makeSamples(n)
	sessions, waits, queries, locks := make(numbers, n), make(numbers), make(numbers, n), make(numbers)
	n = 0
	for i, t := range ticks {
		r.Planned[i], r.Delay[i] = clamped(t.Planned.Sub(r.Bucket).Milliseconds()), clamped(t.Started.Sub(t.Planned).Milliseconds())
		r.Cadence[i], r.Duration[i] = clamped(t.Cadence.Milliseconds()), clamped(t.Duration.Microseconds())
		r.Backends[i], r.NextXID[i], r.Outcome[i], r.Reason[i], r.Burst[i] = t.Backends, t.NextXID, int16(t.Outcome), int16(t.Reason), t.Burst
		// What a transaction that is younger than a tick holds back is over by the
		// next: it is not worth a few bytes in every sample of a busy server.
		young, t0 := t.Started.Add(-t.Cadence).UnixMicro(), r.Bucket.UnixMicro()
		for j := range t.Sessions {
			s := &t.Sessions[j]
			wait := waits.of(&r.WaitKeys, s.Wait)
			if int(wait) > len(r.WaitClass) {
				r.WaitClass = append(r.WaitClass, 0)
			}
			r.WaitClass[wait-1] = int16(s.Class)
			r.Tick[n], r.Session[n], r.Wait[n], r.Query[n] = int16(i+1), sessions.of(&r.SessionKeys, s.Session), int16(wait), queries.of(&r.QueryKeys, s.Query)
			r.QueryStart[n], r.XactLead[n] = millisBetween(t0, s.QueryStart), millisBetween(s.XactStart, s.QueryStart)
			if r.StateLag[n] = millisBetween(s.QueryStart, s.StateChange); r.StateLag[n] == 0 {
				r.StateLag[n] = Unset
			}
			if s.XactStart == 0 || s.XactStart <= young {
				r.Xmin[n] = int32(s.Xmin)
			}
			if r.Blocker[n] = Unset; s.Blocked {
				r.Blocker[n] = sessions.of(&r.SessionKeys, s.Blocker)
			}
			n++
		}
		edges := t.Edges
		if cut := len(edges) - MaxPart; cut > 0 {
			edges = slices.SortedFunc(slices.Values(edges), func(a, b Edge) int {
				return cmp.Or(cmp.Compare(a.Blocked, b.Blocked), cmp.Compare(a.Blocker, b.Blocker), cmp.Compare(a.Lock, b.Lock))
			})[:MaxPart]
			r.EdgesCut[i] = clamped(int64(cut))
		}
		for _, e := range edges {
			r.EdgeTick, r.EdgeBlocked = append(r.EdgeTick, int16(i+1)), append(r.EdgeBlocked, sessions.of(&r.SessionKeys, e.Blocked))
			r.EdgeBlocker, r.EdgeLock = append(r.EdgeBlocker, sessions.of(&r.SessionKeys, e.Blocker)), append(r.EdgeLock, locks.of(&r.LockKeys, e.Lock))
		}
	}
	return gather(server, r.Bucket, newMember(&r).moments())
}

// numbers are the places of keys in a list, from 1, in the order in which they came.
type numbers map[Key]int32

// of gives the place of a key, which is added if it is new; of none, 0.
func (n numbers) of(keys *[]Key, k Key) int32 {
	if k == 0 {
		return 0
	}
	at, known := n[k]
	if !known {
		*keys = append(*keys, k)
		at = int32(len(*keys))
		n[k] = at
	}
	return at
}

// makeLedger makes the arrays of n ticks.
func (r *Row) makeLedger(n int) {
	ints := make([]int32, 6*n)
	for i, a := range []*[]int32{&r.Planned, &r.Delay, &r.Cadence, &r.Duration, &r.Backends, &r.EdgesCut} {
		*a = ints[i*n : (i+1)*n : (i+1)*n]
	}
	r.NextXID, r.Outcome, r.Reason, r.Burst = make([]int64, n), make([]int16, n), make([]int16, n), make([]bool, n)
}

// makeSamples makes the arrays of n samples.
func (r *Row) makeSamples(n int) {
	shorts, ints := make([]int16, 2*n), make([]int32, 7*n)
	r.Tick, r.Wait = shorts[:n:n], shorts[n:]
	for i, a := range []*[]int32{&r.Session, &r.Query, &r.QueryStart, &r.XactLead, &r.StateLag, &r.Xmin, &r.Blocker} {
		*a = ints[i*n : (i+1)*n : (i+1)*n]
	}
}

// dropUnused makes arrays nil that say nothing.
func (r *Row) dropUnused() {
	for _, a := range []struct {
		list *[]int32
		same int32
	}{{&r.StateLag, Unset}, {&r.Xmin, 0}, {&r.Blocker, Unset}, {&r.EdgesCut, 0}} {
		if !slices.ContainsFunc(*a.list, func(v int32) bool { return v != a.same }) {
			*a.list = nil
		}
	}
	some := func(v int16) bool { return v != 0 }
	if !slices.ContainsFunc(r.Outcome, some) && !slices.ContainsFunc(r.Reason, some) {
		r.Outcome, r.Reason = nil, nil
	}
	if !slices.Contains(r.Burst, true) {
		r.Burst = nil
	}
}

func clamped(n int64) int32 { return int32(max(min(n, math.MaxInt32), int64(Unset)+1)) }

// orSame gives an element of an array that is nil where all are the same.
func orSame[T any](list []T, i int, same T) T {
	if list == nil {
		return same
	}
	return list[i]
}

// Fits reports whether arrays that belong together have one length, and indexes
// are of what is there: what a row that was read must hold before anything else
// is done with it.
func (r *Row) Fits() bool {
	ticks, samples, edges := len(r.Planned), len(r.Tick), len(r.EdgeTick)
	same := func(n int, nullable bool, lengths ...int) bool {
		return !slices.ContainsFunc(lengths, func(l int) bool { return l != n && (l != 0 || !nullable) })
	}
	if !same(ticks, false, len(r.Delay), len(r.Cadence), len(r.Duration), len(r.Backends), len(r.NextXID)) ||
		!same(ticks, true, len(r.Outcome), len(r.Reason), len(r.Burst), len(r.EdgesCut)) || len(r.Outcome) != len(r.Reason) ||
		!same(samples, false, len(r.Session), len(r.Wait), len(r.Query), len(r.QueryStart), len(r.XactLead)) ||
		!same(samples, true, len(r.StateLag), len(r.Xmin), len(r.Blocker)) ||
		!same(edges, false, len(r.EdgeBlocked), len(r.EdgeBlocker), len(r.EdgeLock)) || len(r.WaitClass) != len(r.WaitKeys) {
		return false
	}
	in := func(i int32, least, most int) bool { return int(i) >= least && int(i) <= most }
	for i, at := range r.Planned {
		if !in(at, 0, int(BucketLength/time.Millisecond)-1) || i > 0 && at/1000 <= r.Planned[i-1]/1000 || r.Outcome != nil && !in(int32(r.Outcome[i]), int(OK), int(Skipped)) {
			return false
		}
	}
	for i := range r.Tick {
		if !in(int32(r.Tick[i]), 1, ticks) || !in(int32(r.Wait[i]), 1, len(r.WaitKeys)) || !in(r.Session[i], 1, len(r.SessionKeys)) ||
			!in(r.Query[i], 0, len(r.QueryKeys)) || r.Blocker != nil && r.Blocker[i] != Unset && !in(r.Blocker[i], 0, len(r.SessionKeys)) {
			return false
		}
	}
	for i := range r.EdgeTick {
		if !in(int32(r.EdgeTick[i]), 1, ticks) || !in(r.EdgeBlocked[i], 0, len(r.SessionKeys)) || !in(r.EdgeBlocker[i], 0, len(r.SessionKeys)) ||
			!in(r.EdgeLock[i], 0, len(r.LockKeys)) {
			return false
		}
	}
	return true
}

// millisBetween gives b - a in milliseconds, rounded down and clamped to four
// bytes; Unset when one is unknown.
func millisBetween(a, b int64) int32 {
	if a == 0 || b == 0 {
		return Unset
	}
	d := b - a
	ms := d / 1000
	if d%1000 < 0 {
		ms--
	}
	return int32(max(min(ms, math.MaxInt32), int64(Unset)+1))
}
