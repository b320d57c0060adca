package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// ticksApart is how many ticks that do not tell of it end an episode, goneAfter
	// how long nothing may be told of it at all, or as many ticks if that is longer.
	ticksApart = 3
	goneAfter  = time.Minute
	// mostWaiters bounds those who are named of an episode.
	mostWaiters = 10
)

// Blockers gives what held others up over a range, at most limit of them: those
// first for which most time was waited.
func (r *Reader) Blockers(ctx context.Context, server target.ID, span Range, limit int) ([]Blocker, error) {
	w := newWaitSums(r, server)
	_, err := r.newestFirst(ctx, server, span, parts{edges: true}, w.take, func() (bool, error) { return true, w.add(ctx) })
	if err != nil {
		return nil, fmt.Errorf("read blockers: %w", statsdb.Classify(err))
	}
	list := w.longest(limit)
	if err := w.name(ctx, list, nil); err != nil {
		return nil, fmt.Errorf("read blockers: %w", statsdb.Classify(err))
	}
	blockers := make([]Blocker, len(list))
	for i := range list {
		blockers[i] = list[i].Blocker
	}
	return blockers, nil
}

// waitSums sums up who waited for whom, tick by tick, the newest first.
type waitSums struct {
	r       *Reader
	server  target.ID
	apart   bool // into episodes; else all of a root is one
	inPairs bool

	// A session that names its application anew has another key: first is that of
	// the backend which was met first, by any, and who says which backend it is.
	first    map[sample.Key]sample.Key
	backends map[backend]sample.Key
	who      map[sample.Key]*Session

	pending []waitTick                 // taken and not added, in the order of time
	current map[sample.Key]*blockerSum // the episode of a root that is added to
	all     []*blockerSum
	pairs   map[[2]sample.Key]*pairSum
	told    int // ticks that told for whom everybody waits
	edges   int // that were read

	// The tick after and what was made of it: most waits go on for many ticks.
	waits  []Waiting
	forest Forest
	behind [][]sample.Key // of each root
}

func newWaitSums(r *Reader, server target.ID) *waitSums {
	return &waitSums{
		r: r, server: server, first: make(map[sample.Key]sample.Key), backends: make(map[backend]sample.Key), who: make(map[sample.Key]*Session),
		current: make(map[sample.Key]*blockerSum), pairs: make(map[[2]sample.Key]*pairSum),
	}
}

// backend names one as PostgreSQL does.
type backend struct {
	pid   int32
	start time.Time
}

// waitTick is an answered tick.
type waitTick struct {
	planned, started time.Time
	cadence          time.Duration
	waits            []Waiting
}

// blockerSum is a root while it is summed up.
type blockerSum struct {
	Episode

	root           sample.Key
	most, earliest time.Time    // when the tick of MostAt, and that of First, was planned
	members        []sample.Key // then
	victims        map[sample.Key]time.Duration
	locks          map[sample.Key]int // ticks by lock that was waited for directly
	told           int                // ticks that told, by First
}

// pairSum is a pair while it is summed up.
type pairSum struct {
	Pair

	blocked, blocker, lock sample.Key
}

// take notes the answered ticks of a row that lie in a range.
func (w *waitSums) take(row *sample.Row, within Range) error {
	w.pending = append(w.pending, waitTicks(row, within)...)
	return nil
}

// waitTicks gives the answered ticks of a row that lie in a range.
func waitTicks(row *sample.Row, within Range) []waitTick {
	byTick := make([][]Waiting, len(row.Planned))
	for i, tick := range row.EdgeTick {
		byTick[tick-1] = append(byTick[tick-1], waitingOf(row, i))
	}
	ticks := make([]waitTick, 0, len(byTick))
	for i, waits := range byTick {
		answered := row.Outcome == nil || sample.Outcome(row.Outcome[i]).Answered()
		if at := row.PlannedAt(i); answered && within.Holds(at) {
			ticks = append(ticks, waitTick{at, row.StartedAt(i), time.Duration(row.Cadence[i]) * time.Millisecond, waits})
		}
	}
	return ticks
}

// add adds up what was taken.
func (w *waitSums) add(ctx context.Context) error {
	if err := w.meet(ctx); err != nil {
		return err
	}
	for i := len(w.pending) - 1; i >= 0; i-- {
		w.addTick(&w.pending[i])
	}
	w.pending = w.pending[:0]
	return nil
}

// meet has what was taken be about backends: it finds out which ones the sessions
// are that were not met before.
func (w *waitSums) meet(ctx context.Context) error {
	w.first[NotSeen] = NotSeen
	strangers := &tick{}
	for i := range w.pending {
		for _, one := range w.pending[i].waits {
			for _, key := range []sample.Key{one.Blocked, one.Blocker} {
				if _, met := w.first[key]; !met {
					w.first[key] = key
					strangers.planned, strangers.waits = w.pending[i].planned, append(strangers.waits, Waiting{Blocked: key})
				}
			}
		}
	}
	if len(strangers.waits) > 0 {
		if err := w.learn(ctx, strangers); err != nil {
			return err
		}
	}
	for i := range w.pending {
		waits := w.pending[i].waits
		w.edges += len(waits)
		for n := range waits {
			waits[n].Blocked, waits[n].Blocker = w.first[waits[n].Blocked], w.first[waits[n].Blocker]
		}
	}
	return nil
}

func (w *waitSums) learn(ctx context.Context, strangers *tick) error {
	n, err := w.r.names(ctx, w.server, strangers) // what is read at once is of one day
	if err != nil {
		return err
	}
	for _, one := range strangers.waits {
		s, known := n.sessions[one.Blocked]
		if !known {
			continue
		}
		w.who[one.Blocked] = &s
		if s.PID == 0 || s.BackendStart == nil {
			continue // a prepared transaction, or one of which nothing is told
		}
		b := backend{s.PID, *s.BackendStart}
		if _, met := w.backends[b]; !met {
			w.backends[b] = one.Blocked
		}
		w.first[one.Blocked] = w.backends[b]
	}
	return nil
}

func (w *waitSums) addTick(t *waitTick) {
	told := w.told
	if !slices.ContainsFunc(t.waits, func(one Waiting) bool { return one.Blocker == NotSeen }) {
		told++
	}
	if len(t.waits) > 0 {
		if !slices.Equal(t.waits, w.waits) {
			w.waits, w.forest = t.waits, NewForest(t.waits)
			waiters := waitersFor(t.waits)
			w.behind = w.behind[:0]
			for _, root := range w.forest.Roots {
				w.behind = append(w.behind, behind(waiters, root.Members))
			}
		}
		for n := range w.forest.Roots {
			w.addRoot(&w.forest.Roots[n], w.behind[n], t, told)
		}
		if w.inPairs {
			w.addPairs(t)
		}
	}
	w.told = told
}

// waitersFor lists who waits for each session.
func waitersFor(waits []Waiting) map[sample.Key][]sample.Key {
	waiters := make(map[sample.Key][]sample.Key)
	for _, w := range waits {
		if w.Blocked != w.Blocker && w.Blocked != NotSeen {
			waiters[w.Blocker] = append(waiters[w.Blocker], w.Blocked)
		}
	}
	return waiters
}

// behind lists whoever waits for members, directly or through others, and the
// members of a ring: one who waits for several roots is behind each.
func behind(waiters map[sample.Key][]sample.Key, members []sample.Key) (list []sample.Key) {
	reached := make(map[sample.Key]bool)
	for _, m := range members {
		reached[m] = true
		if len(members) > 1 {
			list = append(list, m)
		}
	}
	for queue := slices.Clone(members); len(queue) > 0; queue = queue[1:] {
		for _, one := range waiters[queue[0]] {
			if !reached[one] {
				reached[one] = true
				queue, list = append(queue, one), append(list, one)
			}
		}
	}
	return list
}

// addRoot counts one tick of a root, with which so many have told.
func (w *waitSums) addRoot(root *Root, waiting []sample.Key, t *waitTick, told int) {
	sum := w.current[root.Members[0]]
	if sum == nil || w.apart && (w.told-sum.told >= ticksApart || sum.earliest.Sub(t.planned) > max(goneAfter, ticksApart*t.cadence)) {
		sum = &blockerSum{root: root.Members[0], victims: make(map[sample.Key]time.Duration), locks: make(map[sample.Key]int)}
		sum.Last, sum.End, sum.Ongoing = t.started, t.started.Add(t.cadence), w.told == 0
		w.current[sum.root], w.all = sum, append(w.all, sum)
	}
	sum.First, sum.earliest = t.started, t.planned
	sum.Blocked += t.cadence
	sum.SessionTime += time.Duration(len(waiting)) * t.cadence
	for _, one := range waiting {
		sum.victims[one] += t.cadence
	}
	// Of several such ticks the last one, when it had gone on for longest.
	if sum.MostAt.IsZero() || len(waiting) > sum.Behind+len(sum.ring()) {
		sum.MostAt, sum.most, sum.members = t.started, t.planned, root.Members
		sum.Behind, sum.Direct, sum.Depth = root.Behind, root.Direct, root.Depth
	}
	sum.told = told
	for _, one := range w.waits {
		if one.Lock != 0 && slices.Contains(root.Members, one.Blocker) {
			sum.locks[one.Lock]++
		}
	}
}

// addPairs counts one tick of each who waits for another.
func (w *waitSums) addPairs(t *waitTick) {
	for _, one := range t.waits {
		if one.Blocked == one.Blocker || one.Blocked == NotSeen {
			continue
		}
		sum := w.pairs[[2]sample.Key{one.Blocked, one.Blocker}]
		switch {
		case sum == nil:
			sum = &pairSum{blocked: one.Blocked, blocker: one.Blocker}
			sum.Last = t.started
			w.pairs[[2]sample.Key{one.Blocked, one.Blocker}] = sum
		case sum.First.Equal(t.started):
			continue // told twice
		}
		sum.First, sum.lock = t.started, cmp.Or(sum.lock, one.Lock)
		sum.Ticks++
		sum.Waited += t.cadence
	}
}

// ring are the members, where they wait for each other.
func (b *blockerSum) ring() []sample.Key {
	if len(b.members) > 1 {
		return b.members
	}
	return nil
}

// longest gives those for which most time was waited.
func (w *waitSums) longest(limit int) []*blockerSum {
	slices.SortFunc(w.all, func(a, b *blockerSum) int {
		return cmp.Or(cmp.Compare(b.SessionTime, a.SessionTime), a.First.Compare(b.First), cmp.Compare(a.root, b.root))
	})
	return w.all[:min(limit, len(w.all))]
}

// longestPairs gives those that waited longest.
func (w *waitSums) longestPairs(limit int) []*pairSum {
	list := slices.SortedFunc(maps.Values(w.pairs), func(a, b *pairSum) int {
		return cmp.Or(cmp.Compare(b.Waited, a.Waited), a.First.Compare(b.First), cmp.Compare(a.blocked, b.blocked), cmp.Compare(a.blocker, b.blocker))
	})
	return list[:min(limit, len(list))]
}

// name finds out who they were, roots as of when most waited for them, and what
// they waited for.
func (w *waitSums) name(ctx context.Context, list []*blockerSum, pairs []*pairSum) error {
	var planned []time.Time
	for _, b := range list {
		planned = append(planned, b.most)
	}
	slices.SortFunc(planned, time.Time.Compare)
	ticks, err := w.r.ticksAt(ctx, w.server, slices.CompactFunc(planned, time.Time.Equal))
	if err != nil {
		return err
	}
	at := make(map[time.Time]*tick, len(ticks))
	for _, t := range ticks {
		at[t.planned] = t
	}
	locks := &tick{planned: time.Unix(0, 0)} // what most waited for may be none of these ticks'
	for _, b := range list {
		if lock, known := mostOf(b.locks); known {
			locks.waits = append(locks.waits, Waiting{Lock: lock})
		}
	}
	for _, p := range pairs {
		locks.waits = append(locks.waits, Waiting{Lock: p.lock})
	}
	n, err := w.r.names(ctx, w.server, append(ticks, locks)...)
	if err != nil {
		return err
	}
	for _, b := range list {
		w.nameBlocker(b, n, at[b.most])
	}
	for _, p := range pairs {
		p.Blocked, p.Blocker, p.Lock = w.who[p.blocked], w.who[p.blocker], n.locks[p.lock]
	}
	return nil
}

func (w *waitSums) nameBlocker(b *blockerSum, n *names, t *tick) {
	sessions := map[sample.Key]*Session{}
	if t != nil {
		for key, s := range n.known(t, n.named(t)) {
			if first, waits := w.first[key]; waits {
				sessions[first] = s
			}
		}
	}
	b.Session = sessions[b.members[0]]
	b.Kind = KindOf(b.Session)
	for _, m := range b.ring() {
		b.Ring = append(b.Ring, sessions[m])
	}
	b.Victims = len(b.victims)
	if lock, known := mostOf(b.locks); known {
		b.Lock = n.locks[lock]
	}
	keys := slices.SortedFunc(maps.Keys(b.victims), func(x, y sample.Key) int {
		return cmp.Or(cmp.Compare(b.victims[y], b.victims[x]), cmp.Compare(x, y))
	})
	for _, key := range keys[:min(mostWaiters, len(keys))] {
		b.Waiters = append(b.Waiters, Waiter{w.who[key], b.victims[key]})
	}
}
