package history

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// BlockerKind says what somebody does who holds others up.
type BlockerKind string

// The kinds. NotSeenKind is a blocker that was gone, or not visible, when its
// victims were looked at.
const (
	ActiveBlocker   BlockerKind = "active"
	IdleInXact      BlockerKind = "idle_in_transaction"
	NotTracked      BlockerKind = "not_tracked" // track_activities is off: what it does is not told
	IdleBlocker     BlockerKind = "idle"        // it holds a lock of its session
	PreparedBlocker BlockerKind = "prepared_transaction"
	NotSeenKind     BlockerKind = "not_seen"
)

// KindOf names a blocker by its state; nil: it was not seen.
func KindOf(s *Session) BlockerKind {
	switch {
	case s == nil:
		return NotSeenKind
	case s.Prepared():
		return PreparedBlocker
	case strings.HasPrefix(s.State, "idle in transaction"):
		return IdleInXact
	case s.State == sample.Untracked:
		return NotTracked
	case s.State == "idle" || s.State == "":
		return IdleBlocker
	}
	return ActiveBlocker
}

// Prepared reports whether the session stands for a prepared transaction, whose
// identifier is then its Application.
func (s *Session) Prepared() bool {
	return s.BackendType != nil && *s.BackendType == sample.PreparedType
}

// Lock is what is waited for.
type Lock struct {
	Type, Mode string // as in pg_locks
	// Relation is schema and name; nil: not about one, or its name is not known.
	Relation    *string
	RelationOID *uint32
	DatabaseOID *uint32
}

// Blocking is who waits for whom at one moment.
type Blocking struct {
	Roots []RootBlocker // the one with the most behind it first
	Edges []BlockingEdge
	// Waiting counts the sessions that wait for another.
	Waiting int
}

// RootBlocker is one that holds others up and waits for nobody, or a ring.
type RootBlocker struct {
	Kind BlockerKind
	// Session is the blocker, the first member of a ring; nil: not seen. Of one
	// that is idle nothing is known but who it is.
	Session *Session
	// Ring are the sessions of a deadlock; nil: it is none.
	Ring                  []*Session
	Behind, Direct, Depth int
	// Lock is what most wait for that wait for it directly; nil: not known.
	Lock *Lock
}

// BlockingEdge is one session waiting for another; a nil Blocker was not seen.
type BlockingEdge struct {
	Blocked, Blocker *Session
	Lock             *Lock // nil: not known
	// Depth is how many steps Blocked is from what holds it up in the end: 1
	// waits for it directly; 0 is a member of a ring.
	Depth int
}

// NewBlocking names the trees of waits: sessions by their numbers, locks by
// theirs. What is in neither is not known.
func NewBlocking(waits []Waiting, sessions map[int64]*Session, locks map[int64]*Lock) Blocking {
	forest := NewForest(waits)
	b := Blocking{Waiting: len(forest.Places)}
	directly := make(map[int64]int) // members of roots
	for i, r := range forest.Roots {
		root := RootBlocker{Session: sessions[r.Members[0]], Behind: r.Behind, Direct: r.Direct, Depth: r.Depth}
		root.Kind = KindOf(root.Session)
		if r.Ring() {
			b.Waiting += len(r.Members)
			for _, m := range r.Members {
				root.Ring = append(root.Ring, sessions[m])
			}
		}
		for _, m := range r.Members {
			directly[m] = i
		}
		b.Roots = append(b.Roots, root)
	}
	count := make([]map[int64]int, len(b.Roots))
	for _, w := range waits {
		if w.Blocked == w.Blocker || w.Blocked == NotSeen {
			continue
		}
		b.Edges = append(b.Edges, BlockingEdge{
			Blocked: sessions[w.Blocked], Blocker: sessions[w.Blocker], Lock: locks[w.Lock], Depth: forest.Places[w.Blocked].Depth,
		})
		if i, direct := directly[w.Blocker]; direct && locks[w.Lock] != nil {
			if count[i] == nil {
				count[i] = make(map[int64]int)
			}
			count[i][w.Lock]++
		}
	}
	for i := range b.Roots {
		if lock, known := mostOf(count[i]); known {
			b.Roots[i].Lock = locks[lock]
		}
	}
	return b
}

// mostOf gives the key that is counted most often, of several the smallest.
func mostOf(count map[int64]int) (most int64, known bool) {
	for key, n := range count {
		if !known || n > count[most] || n == count[most] && key < most {
			most, known = key, true
		}
	}
	return most, known
}

// XminHolder is something that keeps rows from being vacuumed.
type XminHolder struct {
	// Holder is session, or a sample.Holder.
	Holder string
	// Name is that of the transaction, slot or standby; of a session its
	// application.
	Name      string
	PID       *int32
	Age       int64 // transactions
	SampledAt time.Time
}

// SessionHolder is the Holder of an XminHolder that is a session.
const SessionHolder = "session"

// Oldest keeps the n holders with the oldest xmin, the oldest first.
func Oldest(holders []XminHolder, n int) []XminHolder {
	slices.SortStableFunc(holders, func(a, b XminHolder) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Holder, b.Holder), cmp.Compare(a.Name, b.Name))
	})
	return holders[:min(n, len(holders))]
}

// Blocker is what held others up over a range.
type Blocker struct {
	RootBlocker // when most were behind it

	// First and Last are the first and the last tick at which somebody waited
	// for it, MostAt the last one at which most did.
	First, Last, MostAt time.Time
	// Blocked is the time in which somebody waited for it: its ticks by their
	// cadence. SessionTime is that of all who waited, added up.
	Blocked, SessionTime time.Duration
	// Victims counts the sessions that waited for it, each once.
	Victims int
}

// Episode is a time in which one backend held others up and waited for nobody: it
// ends when three ticks in a row told of others only, or nothing was told of it for
// a minute.
type Episode struct {
	Blocker

	// End is when the tick after Last was due.
	End time.Time
	// Ongoing and Before say that no later, and no earlier, tick of the range told
	// that nobody waits for it.
	Ongoing, Before bool
	// Waiters are those who waited for longest, at most some of them.
	Waiters []Waiter
}

// Waiter is one who waited, directly or through others.
type Waiter struct {
	Session *Session // who it is; nil: not known
	Waited  time.Duration
}

// Pair is one session that waited for another over a range.
type Pair struct {
	Blocked *Session // who it is; nil: not known
	Blocker *Session // who it is; nil: not seen
	Lock    *Lock    // as last seen; nil: not known
	// First and Last are the ticks at which it waited first and last, Ticks counts
	// all of them, Waited adds them up by their cadence.
	First, Last time.Time
	Ticks       int
	Waited      time.Duration
}
