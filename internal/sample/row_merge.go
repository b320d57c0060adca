package sample

import (
	"cmp"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// Merge makes one row of rows of the same bucket: each tick once, and of those
// with the same planned second the better one, whole and as it was. The order of
// the rows does not matter, nor does how often a tick is given.
//
// Better is, in this order: the outcome, full detail, the earlier start against
// its plan; then what was seen decides, so that the choice does not depend on who
// makes it.
func Merge(rows ...*Row) Row {
	if len(rows) == 1 {
		return *rows[0]
	}
	var all []moment
	for _, r := range rows {
		all = append(all, newMember(r).moments()...)
	}
	slices.SortFunc(all, moment.compare)
	all = slices.CompactFunc(all, func(a, b moment) bool { return a.second() == b.second() })
	return gather(rows[0].Server, rows[0].Bucket, all)
}

// Split cuts a row into parts of at most MaxPart samples and edges, or of one
// tick: runs of whole ticks in the order of time.
func Split(r *Row) []Row {
	if len(r.Tick)+len(r.EdgeTick) <= MaxPart {
		return []Row{*r}
	}
	size := make([]int, len(r.Planned))
	for _, ticks := range [][]int16{r.Tick, r.EdgeTick} {
		for _, tick := range ticks {
			size[tick-1]++
		}
	}
	n := 0
	return divide(r, func(tick int) bool {
		n += size[tick]
		if n <= MaxPart {
			return false
		}
		n = size[tick]
		return true
	})
}

// divide cuts a row before the ticks, from 0, that begin another.
func divide(r *Row, begins func(tick int) bool) (parts []Row) {
	var part []moment
	m := newMember(r)
	for tick := range r.Planned {
		if begins(tick) && len(part) > 0 {
			parts, part, m = append(parts, gather(r.Server, r.Bucket, part)), nil, newMember(r)
		}
		part = append(part, moment{m, tick})
	}
	if len(parts) == 0 {
		return []Row{*r}
	}
	return append(parts, gather(r.Server, r.Bucket, part))
}

// member is a row of which ticks are taken into another.
type member struct {
	*Row

	taken                           []int16 // of each tick: its number in the other row, from 1; 0: left out
	sessions, waits, queries, locks []int32 // of each key, from 1: its index in the other row
}

func newMember(r *Row) *member {
	return &member{
		Row: r, taken: make([]int16, len(r.Planned)), sessions: make([]int32, len(r.SessionKeys)+1), waits: make([]int32, len(r.WaitKeys)+1),
		queries: make([]int32, len(r.QueryKeys)+1), locks: make([]int32, len(r.LockKeys)+1),
	}
}

func (m *member) moments() []moment {
	all := make([]moment, len(m.Planned))
	for tick := range all {
		all[tick] = moment{m, tick}
	}
	return all
}

// moment is a tick of a member, from 0.
type moment struct {
	of   *member
	tick int
}

// second is what a tick is told apart by: two with the same planned second are
// one.
func (m moment) second() int32 { return m.of.Planned[m.tick] / 1000 }

// compare orders ticks by time, and those of one second the better one first.
func (m moment) compare(o moment) int {
	if m.second() != o.second() {
		return cmp.Compare(m.second(), o.second())
	}
	if m == o {
		return 0
	}
	burst := func(m moment) int {
		if orSame(m.of.Burst, m.tick, false) {
			return 0
		}
		return 1
	}
	a, b, i, j := m.of, o.of, m.tick, o.tick
	if c := cmp.Or(
		cmp.Compare(orSame(a.Outcome, i, 0), orSame(b.Outcome, j, 0)), cmp.Compare(burst(m), burst(o)), cmp.Compare(a.Delay[i], b.Delay[j]),
		cmp.Compare(a.Planned[i], b.Planned[j]), cmp.Compare(a.Cadence[i], b.Cadence[j]), cmp.Compare(orSame(a.Reason, i, 0), orSame(b.Reason, j, 0)),
		cmp.Compare(a.Duration[i], b.Duration[j]), cmp.Compare(a.Backends[i], b.Backends[j]), cmp.Compare(a.NextXID[i], b.NextXID[j]),
		cmp.Compare(orSame(a.EdgesCut, i, 0), orSame(b.EdgesCut, j, 0)),
	); c != 0 {
		return c
	}
	return cmp.Or(slices.CompareFunc(a.seen(i), b.seen(j), slices.Compare[[]int64]), slices.CompareFunc(a.waiting(i), b.waiting(j), slices.Compare[[]int64]))
}

// seen gives the samples of a tick with keys in the place of indexes. It is for
// two looks at one second that are alike in all else.
func (r *Row) seen(tick int) (samples [][]int64) {
	for i, t := range r.Tick {
		if int(t) == tick+1 {
			samples = append(samples, r.content(i))
		}
	}
	return samples
}

// content is a sample with keys in the place of indexes.
func (r *Row) content(i int) []int64 {
	blocked, blocker := int64(0), Key(0)
	if b := orSame(r.Blocker, i, Unset); b != Unset {
		blocked, blocker = 1, key(r.SessionKeys, b)
	}
	return []int64{
		key(r.SessionKeys, r.Session[i]), key(r.WaitKeys, int32(r.Wait[i])), int64(r.WaitClass[r.Wait[i]-1]), key(r.QueryKeys, r.Query[i]),
		blocked, blocker, int64(r.QueryStart[i]), int64(r.XactLead[i]), int64(orSame(r.StateLag, i, Unset)), int64(orSame(r.Xmin, i, 0)),
	}
}

// waiting gives the edges of a tick as seen gives the samples.
func (r *Row) waiting(tick int) (edges [][]int64) {
	for i, t := range r.EdgeTick {
		if int(t) == tick+1 {
			edges = append(edges, []int64{key(r.SessionKeys, r.EdgeBlocked[i]), key(r.SessionKeys, r.EdgeBlocker[i]), key(r.LockKeys, r.EdgeLock[i])})
		}
	}
	return edges
}

func key(keys []Key, index int32) Key {
	if index == 0 {
		return 0
	}
	return keys[index-1]
}

// gather makes the row of ticks, which are in the order of time and one a second.
func gather(server target.ID, bucket time.Time, ticks []moment) Row {
	r := Row{Server: server, Bucket: bucket}
	var members []*member
	for i, t := range ticks {
		if len(members) == 0 || members[len(members)-1] != t.of && !slices.Contains(members, t.of) {
			members = append(members, t.of)
		}
		t.of.taken[t.tick] = int16(i + 1)
	}
	r.ledger(ticks)
	samples, edges := r.union(members)
	r.takeSamples(members, samples)
	r.takeEdges(members, edges)
	r.dropUnused()
	return r
}

func (r *Row) ledger(ticks []moment) {
	r.makeLedger(len(ticks))
	for i, t := range ticks {
		from, j := t.of, t.tick
		r.Planned[i], r.Delay[i], r.Cadence[i], r.Duration[i] = from.Planned[j], from.Delay[j], from.Cadence[j], from.Duration[j]
		r.Backends[i], r.NextXID[i], r.Outcome[i] = from.Backends[j], from.NextXID[j], orSame(from.Outcome, j, 0)
		r.Reason[i], r.Burst[i], r.EdgesCut[i] = orSame(from.Reason, j, 0), orSame(from.Burst, j, false), orSame(from.EdgesCut, j, 0)
	}
}

// union makes the dictionary of what the ticks that are taken use, and counts
// their samples and edges.
func (r *Row) union(members []*member) (samples, edges int) {
	for _, m := range members {
		for i, tick := range m.Tick {
			if m.taken[tick-1] == 0 {
				continue
			}
			samples++
			m.sessions[m.Session[i]], m.waits[m.Wait[i]], m.queries[m.Query[i]] = 1, 1, 1
			if b := orSame(m.Blocker, i, Unset); b != Unset {
				m.sessions[b] = 1
			}
		}
		for i, tick := range m.EdgeTick {
			if m.taken[tick-1] == 0 {
				continue
			}
			edges++
			m.sessions[m.EdgeBlocked[i]], m.sessions[m.EdgeBlocker[i]], m.locks[m.EdgeLock[i]] = 1, 1, 1
		}
	}
	r.SessionKeys = united(members, func(m *member) ([]Key, []int32) { return m.SessionKeys, m.sessions })
	r.WaitKeys = united(members, func(m *member) ([]Key, []int32) { return m.WaitKeys, m.waits })
	r.QueryKeys = united(members, func(m *member) ([]Key, []int32) { return m.QueryKeys, m.queries })
	r.LockKeys = united(members, func(m *member) ([]Key, []int32) { return m.LockKeys, m.locks })
	r.WaitClass = make([]int16, len(r.WaitKeys))
	for _, m := range members {
		for i, class := range m.WaitClass {
			if index := m.waits[i+1]; index > 0 {
				r.WaitClass[index-1] = class
			}
		}
	}
	return samples, edges
}

// united gives the keys that are marked, in order, and puts the place of each in
// that order where its mark was.
func united(members []*member, of func(*member) ([]Key, []int32)) []Key {
	all := []Key{} // not nil: a dictionary is there, if empty
	for _, m := range members {
		keys, marks := of(m)
		for i, k := range keys {
			if marks[i+1] > 0 {
				all = append(all, k)
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, m := range members {
		keys, marks := of(m)
		marks[0] = 0
		for i, k := range keys {
			if marks[i+1] > 0 {
				at, _ := slices.BinarySearch(all, k)
				marks[i+1] = int32(at + 1)
			}
		}
	}
	return all
}

// takeSamples puts the samples in order: counted by session, and within a session
// by tick.
func (r *Row) takeSamples(members []*member, n int) {
	r.makeSamples(n)
	next := make([]int32, len(r.SessionKeys)+1)
	for _, m := range members {
		for i, tick := range m.Tick {
			if m.taken[tick-1] > 0 {
				next[m.sessions[m.Session[i]]]++
			}
		}
	}
	ends := next[1:] // the samples of a session begin where those before end
	sum := int32(0)
	for i, count := range ends {
		ends[i], sum = sum, sum+count
	}
	for _, m := range members {
		for i, tick := range m.Tick {
			if m.taken[tick-1] == 0 {
				continue
			}
			session := m.sessions[m.Session[i]]
			at := next[session]
			// Rows of stretches that follow each other come in order; those of two
			// collectors do not.
			for at > 0 && r.Session[at-1] == session && r.Tick[at-1] > m.taken[tick-1] {
				r.moveSample(at-1, at)
				at--
			}
			next[session]++
			r.Tick[at], r.Session[at], r.Wait[at], r.Query[at] = m.taken[tick-1], session, int16(m.waits[m.Wait[i]]), m.queries[m.Query[i]]
			r.QueryStart[at], r.XactLead[at] = m.QueryStart[i], m.XactLead[i]
			r.StateLag[at], r.Xmin[at], r.Blocker[at] = orSame(m.StateLag, i, Unset), orSame(m.Xmin, i, 0), Unset
			if b := orSame(m.Blocker, i, Unset); b != Unset {
				r.Blocker[at] = m.sessions[b]
			}
		}
	}
}

func (r *Row) moveSample(from, to int32) {
	r.Tick[to], r.Wait[to] = r.Tick[from], r.Wait[from]
	for _, a := range [][]int32{r.Session, r.Query, r.QueryStart, r.XactLead, r.StateLag, r.Xmin, r.Blocker} {
		a[to] = a[from]
	}
}

func (r *Row) takeEdges(members []*member, n int) {
	if n == 0 {
		return
	}
	type edge struct {
		blocked, blocker, lock int32
		tick                   int16
	}
	all := make([]edge, 0, n)
	for _, m := range members {
		for i, tick := range m.EdgeTick {
			if taken := m.taken[tick-1]; taken > 0 {
				all = append(all, edge{m.sessions[m.EdgeBlocked[i]], m.sessions[m.EdgeBlocker[i]], m.locks[m.EdgeLock[i]], taken})
			}
		}
	}
	slices.SortFunc(all, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.blocked, b.blocked), cmp.Compare(a.blocker, b.blocker), cmp.Compare(a.lock, b.lock), cmp.Compare(a.tick, b.tick))
	})
	r.EdgeTick, r.EdgeBlocked, r.EdgeBlocker, r.EdgeLock = make([]int16, n), make([]int32, n), make([]int32, n), make([]int32, n)
	for i, e := range all {
		r.EdgeTick[i], r.EdgeBlocked[i], r.EdgeBlocker[i], r.EdgeLock[i] = e.tick, e.blocked, e.blocker, e.lock
	}
}
