package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Blockers gives what held others up over a range, at most limit of them: those
// first for which most time was waited.
func (r *Reader) Blockers(ctx context.Context, server target.ID, span Range, limit int) ([]Blocker, error) {
	sums := blockerSums{byRoot: make(map[sample.Key]*blockerSum)}
	err := r.rows(ctx, server, []Range{span}, parts{edges: true}, func(row *sample.Row, within Range) error {
		sums.add(row, within)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read blockers: %w", statsdb.Classify(err))
	}
	list := slices.SortedFunc(maps.Values(sums.byRoot), func(a, b *blockerSum) int {
		return cmp.Or(cmp.Compare(b.SessionTime, a.SessionTime), a.First.Compare(b.First), cmp.Compare(a.root, b.root))
	})
	list = list[:min(limit, len(list))]
	if err := r.nameBlockers(ctx, server, list); err != nil {
		return nil, fmt.Errorf("read blockers: %w", statsdb.Classify(err))
	}
	blockers := make([]Blocker, len(list))
	for i := range list {
		blockers[i] = list[i].Blocker
	}
	return blockers, nil
}

// blockerSum is a root while it is summed up.
type blockerSum struct {
	Blocker

	root    sample.Key
	most    time.Time    // when the tick of MostAt was planned
	members []sample.Key // then
	victims map[sample.Key]bool
	locks   map[sample.Key]int // ticks by lock that was waited for directly
}

type blockerSums struct {
	byRoot map[sample.Key]*blockerSum
	// The tick before and what was made of it: most waits go on for many ticks.
	waits  []Waiting
	forest Forest
}

// add counts the ticks of a row that lie in a range.
func (b *blockerSums) add(row *sample.Row, within Range) {
	byTick := make([][]Waiting, len(row.Planned))
	for i, tick := range row.EdgeTick {
		byTick[tick-1] = append(byTick[tick-1], waitingOf(row, i))
	}
	for tick, waits := range byTick {
		if len(waits) == 0 || !within.Holds(row.PlannedAt(tick)) {
			continue
		}
		same := slices.Equal(waits, b.waits)
		if !same {
			b.waits, b.forest = waits, NewForest(waits)
		}
		for n := range b.forest.Roots {
			b.addRoot(&b.forest.Roots[n], row, tick)
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
func waitersFor(waits []Waiting) map[sample.Key][]sample.Key {
	waiters := make(map[sample.Key][]sample.Key)
	for _, w := range waits {
		if w.Blocked != w.Blocker && w.Blocked != NotSeen {
			waiters[w.Blocker] = append(waiters[w.Blocker], w.Blocked)
		}
	}
	return waiters
}

// addWaiters adds whoever waits for members, directly or through others: one who
// waits for several roots is a victim of each.
func addWaiters(waiters map[sample.Key][]sample.Key, members []sample.Key, victims map[sample.Key]bool) {
	reached := make(map[sample.Key]bool)
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

// addRoot counts one tick of a root.
func (b *blockerSums) addRoot(root *Root, row *sample.Row, tick int) {
	sum, at := b.byRoot[root.Members[0]], row.StartedAt(tick)
	if sum == nil {
		sum = &blockerSum{root: root.Members[0], victims: make(map[sample.Key]bool), locks: make(map[sample.Key]int)}
		sum.First = at
		b.byRoot[sum.root] = sum
	}
	sum.Last = at
	cadence := time.Duration(row.Cadence[tick]) * time.Millisecond
	sum.Blocked += cadence
	waiting := root.Behind
	if root.Ring() {
		waiting += len(root.Members)
	}
	sum.SessionTime += time.Duration(waiting) * cadence
	// Of several such ticks the last one, when it had gone on for longest.
	if sum.MostAt.IsZero() || waiting >= sum.Behind+len(sum.ring()) {
		sum.MostAt, sum.most, sum.members = at, row.PlannedAt(tick), root.Members
		sum.Behind, sum.Direct, sum.Depth = root.Behind, root.Direct, root.Depth
	}
	for _, w := range b.waits {
		if w.Lock != 0 && slices.Contains(root.Members, w.Blocker) {
			sum.locks[w.Lock]++
		}
	}
}

// ring are the members, where they wait for each other.
func (b *blockerSum) ring() []sample.Key {
	if len(b.members) > 1 {
		return b.members
	}
	return nil
}

// nameBlockers finds out who they were, as of when most waited for them, and what
// for.
func (r *Reader) nameBlockers(ctx context.Context, server target.ID, list []*blockerSum) error {
	var planned []time.Time
	for _, b := range list {
		planned = append(planned, b.most)
	}
	slices.SortFunc(planned, time.Time.Compare)
	ticks, err := r.ticksAt(ctx, server, slices.CompactFunc(planned, time.Time.Equal))
	if err != nil {
		return err
	}
	// What most waited for may be none of these ticks'.
	for _, b := range list {
		if lock, known := mostOf(b.locks); known {
			ticks = append(ticks, &tick{planned: b.most, waits: []Waiting{{Lock: lock}}})
		}
	}
	b := &pgx.Batch{}
	n := queueNames(b, server, ticks...)
	if err := r.send(ctx, b); err != nil {
		return err
	}
	for _, b := range list {
		at := slices.IndexFunc(ticks, func(t *tick) bool { return t.planned.Equal(b.most) })
		sessions := map[sample.Key]*Session{}
		if at >= 0 {
			sessions = n.known(ticks[at], n.named(ticks[at]))
		}
		b.Session = sessions[b.members[0]]
		b.Kind = KindOf(b.Session)
		for _, m := range b.ring() {
			b.Ring = append(b.Ring, sessions[m])
		}
		b.Victims = len(b.victims) + len(b.ring())
		if lock, known := mostOf(b.locks); known {
			b.Lock = n.locks[lock]
		}
	}
	return nil
}
