package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Blockers gives what held others up over a range, at most limit of them: those
// first for which most time was waited.
func (s *Store) Blockers(ctx context.Context, id target.ID, r history.Range, limit int) ([]history.Blocker, error) {
	sums := blockerSums{byRoot: make(map[int64]*blockerSum)}
	if err := s.eachEdgeWindow(ctx, id, r, func(w *edgeWindow) { sums.window(w, r) }); err != nil {
		return nil, fmt.Errorf("read blockers: %w", statsdb.Classify(err))
	}
	list := slices.SortedFunc(maps.Values(sums.byRoot), func(a, b *blockerSum) int {
		return cmp.Or(cmp.Compare(b.SessionTime, a.SessionTime), a.First.Compare(b.First), cmp.Compare(a.root, b.root))
	})
	blockers := make([]history.Blocker, min(limit, len(list)))
	for i := range blockers {
		if err := s.nameBlocker(ctx, id, list[i]); err != nil {
			return nil, fmt.Errorf("read blockers: %w", statsdb.Classify(err))
		}
		blockers[i] = list[i].Blocker
	}
	return blockers, nil
}

// edgeWindow is who waited for whom in a window.
type edgeWindow struct {
	t0                     time.Time
	cadence                int32
	offset                 []int32
	tick                   []int16
	blocked, blocker, lock []int32
	byTick                 [][]history.Waiting // by index of the tick
}

func (w *edgeWindow) at(tick int) time.Time {
	return w.t0.Add(time.Duration(w.offset[tick]) * time.Millisecond).UTC()
}

// sort puts the edges in order by tick.
func (w *edgeWindow) sort() {
	if cap(w.byTick) < len(w.offset) {
		w.byTick = make([][]history.Waiting, len(w.offset))
	}
	w.byTick = w.byTick[:len(w.offset)]
	for i := range w.byTick {
		w.byTick[i] = w.byTick[i][:0]
	}
	for i, tick := range w.tick {
		n := int(tick) - 1
		w.byTick[n] = append(w.byTick[n], history.Waiting{Blocked: int64(w.blocked[i]), Blocker: int64(w.blocker[i]), Lock: w.lock[i]})
	}
}

// eachEdgeWindow gives the windows of a range in which somebody waited for a
// lock, in the order of time. What visit is given is valid until it returns.
func (s *Store) eachEdgeWindow(ctx context.Context, id target.ID, r history.Range, visit func(*edgeWindow)) error {
	const sql = `/* pgam:edges */
select t0, cadence_ms, tick_offset_ms, edge_tick, edge_blocked, edge_blocker, edge_lock
  from history.activity_window
 where server_id = $1
   and t0 > $2
   and t0 < $3
   and edge_tick is not null
 order by t0`
	rows, err := s.pool.Query(ctx, sql, id, r.From.Add(-maxSpan), r.To)
	if err != nil {
		return err
	}
	var w edgeWindow
	_, err = pgx.ForEachRow(rows, []any{&w.t0, &w.cadence, &w.offset, &w.tick, &w.blocked, &w.blocker, &w.lock}, func() error {
		if slices.ContainsFunc(w.offset, func(ms int32) bool { return ms < 0 }) || !ticksFit(len(w.offset), w.tick, len(w.blocked), len(w.blocker), len(w.lock)) {
			return errMalformedArray
		}
		w.sort()
		visit(&w)
		return nil
	})
	return err
}

// blockerSum is a root while it is summed up.
type blockerSum struct {
	history.Blocker

	root    int64
	t0      time.Time // of the window with MostAt
	tick    int       // 1-based, in that window
	members []int64   // then
	victims map[int64]bool
	locks   map[int32]int // ticks by lock that was waited for directly
}

type blockerSums struct {
	byRoot map[int64]*blockerSum
	// The tick before and what was made of it: most waits go on for many ticks.
	waits  []history.Waiting
	forest history.Forest
}

func (b *blockerSums) window(w *edgeWindow, r history.Range) {
	for i, waits := range w.byTick {
		at := w.at(i)
		if len(waits) == 0 || at.Before(r.From) || !at.Before(r.To) {
			continue
		}
		same := slices.Equal(waits, b.waits)
		if !same {
			b.waits, b.forest = append(b.waits[:0], waits...), history.NewForest(waits)
		}
		for n := range b.forest.Roots {
			b.add(&b.forest.Roots[n], w, i)
		}
		if same {
			continue
		}
		waiters := waitersFor(waits)
		for n := range b.forest.Roots {
			root := &b.forest.Roots[n]
			addWaiters(waiters, root.Members, b.byRoot[root.Members[0]].victims)
		}
	}
}

// waitersFor lists who waits for each session.
func waitersFor(waits []history.Waiting) map[int64][]int64 {
	waiters := make(map[int64][]int64)
	for _, w := range waits {
		if w.Blocked != w.Blocker && w.Blocked != history.NotSeen {
			waiters[w.Blocker] = append(waiters[w.Blocker], w.Blocked)
		}
	}
	return waiters
}

// addWaiters adds whoever waits for members, directly or through others: one who
// waits for several roots is a victim of each.
func addWaiters(waiters map[int64][]int64, members []int64, victims map[int64]bool) {
	reached := make(map[int64]bool)
	for _, m := range members {
		reached[m] = true
	}
	for queue := slices.Clone(members); len(queue) > 0; queue = queue[1:] {
		for _, w := range waiters[queue[0]] {
			if !reached[w] {
				reached[w], victims[w] = true, true
				queue = append(queue, w)
			}
		}
	}
}

// add counts one tick of a root.
func (b *blockerSums) add(root *history.Root, w *edgeWindow, tick int) {
	sum, at := b.byRoot[root.Members[0]], w.at(tick)
	if sum == nil {
		sum = &blockerSum{root: root.Members[0], victims: make(map[int64]bool), locks: make(map[int32]int)}
		sum.First = at
		b.byRoot[sum.root] = sum
	}
	sum.Last = at
	cadence := time.Duration(w.cadence) * time.Millisecond
	sum.Blocked += cadence
	waiting := root.Behind
	if root.Ring() {
		waiting += len(root.Members)
	}
	sum.SessionTime += time.Duration(waiting) * cadence
	// Of several such ticks the last one, when it had gone on for longest.
	if sum.MostAt.IsZero() || waiting >= sum.Behind+len(sum.ring()) {
		sum.MostAt, sum.t0, sum.tick, sum.members = at, w.t0, tick+1, root.Members
		sum.Behind, sum.Direct, sum.Depth = root.Behind, root.Direct, root.Depth
	}
	for _, e := range b.waits {
		if e.Lock != 0 && slices.Contains(root.Members, e.Blocker) {
			sum.locks[e.Lock]++
		}
	}
}

// ring are the members, where they wait for each other.
func (b *blockerSum) ring() []int64 {
	if len(b.members) > 1 {
		return b.members
	}
	return nil
}

// nameBlocker finds out who it was, as of when most waited for it, and what
// for.
func (s *Store) nameBlocker(ctx context.Context, id target.ID, b *blockerSum) error {
	ids := make([]int32, len(b.members))
	waits := make([]history.Waiting, len(b.members))
	for i, m := range b.members {
		ids[i] = int32(m)
		waits[i].Blocked = m
	}
	found, err := s.sessionsOf(ctx, id, b.t0, b.tick, ids)
	if err != nil {
		return err
	}
	sessions := make(map[int64]*history.Session)
	for i := range found {
		sessions[int64(found[i].ID)] = &found[i]
	}
	if err := s.addSessions(ctx, id, b.t0, waits, sessions); err != nil {
		return err
	}
	b.Session = sessions[b.members[0]]
	b.Kind = history.KindOf(b.Session)
	for _, m := range b.ring() {
		b.Ring = append(b.Ring, sessions[m])
	}
	b.Victims = len(b.victims) + len(b.ring())
	return s.nameLock(ctx, id, b)
}

// nameLock finds out what was waited for most.
func (s *Store) nameLock(ctx context.Context, id target.ID, b *blockerSum) error {
	var most int32
	for lock, n := range b.locks {
		if n > b.locks[most] || n == b.locks[most] && lock < most {
			most = lock
		}
	}
	if most == 0 {
		return nil
	}
	const sql = `/* pgam:lock */
select lock_type, mode, relation_name, relation_oid, database_oid from history.lock where server_id = $1 and id = $2`
	rows, err := s.pool.Query(ctx, sql, id, most)
	if err != nil {
		return err
	}
	var found storedLock
	_, err = pgx.ForEachRow(rows, found.fields(), func() error {
		b.Lock = found.lock()
		return nil
	})
	return err
}
