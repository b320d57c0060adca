package history

import (
	"cmp"
	"slices"
)

// NotSeen is the number of a blocker that nobody has seen.
const NotSeen int64 = 0

// Waiting says that one session waits for another. Sessions are known by
// numbers of the caller's choice.
type Waiting struct {
	Blocked, Blocker int64
	// Lock is the number of what is waited for; 0: it is not known.
	Lock int64
}

// Root is what holds others up and itself waits for nobody, or sessions that
// wait for each other in a ring: a deadlock that PostgreSQL is about to find.
type Root struct {
	// Members is the one session, or the ring in the order of its numbers.
	Members []int64
	// Behind counts the sessions that wait for it, directly or through others,
	// each once; Direct those that wait for it directly. Members are not counted.
	Behind, Direct int
	// Depth is the longest of the shortest ways to it.
	Depth int
}

// Ring reports whether the members wait for each other.
func (r *Root) Ring() bool { return len(r.Members) > 1 }

// Place is where a waiting session stands: with the root that most others wait
// for too.
type Place struct {
	Root   int   // index into Forest.Roots
	Parent int64 // the blocker that is next to the root
	Depth  int   // 1: waits for the root itself
}

// Forest is who waits for whom at one moment.
type Forest struct {
	// Roots are ordered by Behind, the most first, then by number.
	Roots []Root
	// Places are those of all sessions that wait and are in no ring that is a
	// root.
	Places map[int64]Place
}

// NewForest sorts out who waits for whom. Whoever waits for himself is not
// waiting.
func NewForest(waits []Waiting) Forest {
	g := newWaitGraph(waits)
	members := g.sinks()
	if rest := g.unreached(members); len(rest) > 0 {
		members = append(members, g.rings(rest)...)
	}
	f := Forest{Places: make(map[int64]Place, len(g.ids))}
	walks := make([]walk, 0, len(members))
	for _, m := range members {
		walks = append(walks, g.walkFrom(m))
	}
	slices.SortFunc(walks, func(a, b walk) int {
		return cmp.Or(cmp.Compare(b.root.Behind, a.root.Behind), cmp.Compare(a.root.Members[0], b.root.Members[0]))
	})
	for i, w := range walks {
		f.Roots = append(f.Roots, w.root)
		for _, s := range w.steps {
			if _, placed := f.Places[g.ids[s.node]]; !placed {
				f.Places[g.ids[s.node]] = Place{Root: i, Parent: g.ids[s.parent], Depth: s.depth}
			}
		}
	}
	return f
}

// waitGraph numbers sessions by their place in ids.
type waitGraph struct {
	ids      []int64
	blockers [][]int // of each, whom it waits for
	victims  [][]int // of each, who waits for it
}

func newWaitGraph(waits []Waiting) *waitGraph {
	pairs := make([][2]int64, 0, len(waits))
	ids := make([]int64, 0, 2*len(waits))
	for _, w := range waits {
		if w.Blocked != w.Blocker && w.Blocked != NotSeen {
			pairs = append(pairs, [2]int64{w.Blocked, w.Blocker})
			ids = append(ids, w.Blocked, w.Blocker)
		}
	}
	slices.SortFunc(pairs, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	pairs = slices.Compact(pairs)
	slices.Sort(ids)
	g := &waitGraph{ids: slices.Compact(ids)}
	index := make(map[int64]int, len(g.ids))
	for i, id := range g.ids {
		index[id] = i
	}
	g.blockers, g.victims = make([][]int, len(g.ids)), make([][]int, len(g.ids))
	for _, p := range pairs {
		blocked, blocker := index[p[0]], index[p[1]]
		g.blockers[blocked] = append(g.blockers[blocked], blocker)
		g.victims[blocker] = append(g.victims[blocker], blocked)
	}
	return g
}

// sinks are those who wait for nobody.
func (g *waitGraph) sinks() [][]int {
	var list [][]int
	for i := range g.ids {
		if len(g.blockers[i]) == 0 {
			list = append(list, []int{i})
		}
	}
	return list
}

// unreached are those whose every way ends in a ring.
func (g *waitGraph) unreached(roots [][]int) []int {
	reached := make([]bool, len(g.ids))
	var queue []int
	for _, r := range roots {
		for _, n := range r {
			reached[n] = true
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, v := range g.victims[n] {
			if !reached[v] {
				reached[v] = true
				queue = append(queue, v)
			}
		}
	}
	var rest []int
	for n, is := range reached {
		if !is {
			rest = append(rest, n)
		}
	}
	return rest
}

// rings gives the rings among nodes that nobody in them waits to leave: the
// strongly connected components without an edge out of them.
func (g *waitGraph) rings(nodes []int) [][]int {
	component := g.components(nodes)
	leaves := make(map[int]bool)
	members := make(map[int][]int)
	for _, n := range nodes {
		c := component[n]
		members[c] = append(members[c], n)
		for _, b := range g.blockers[n] {
			if component[b] != c {
				leaves[c] = true
			}
		}
	}
	var list [][]int
	for _, n := range nodes { // in the order of numbers
		if c := component[n]; !leaves[c] && members[c][0] == n {
			list = append(list, members[c])
		}
	}
	return list
}

// components numbers the strongly connected components of nodes, none of which
// waits for another node (Tarjan's algorithm, without recursion).
func (g *waitGraph) components(nodes []int) map[int]int {
	type frame struct{ node, next int }
	var (
		number    = make(map[int]int, len(nodes)) // in the order of discovery, from 1
		low       = make(map[int]int, len(nodes))
		component = make(map[int]int, len(nodes))
		open      []int
		isOpen    = make(map[int]bool, len(nodes))
		count     int
	)
	for _, start := range nodes {
		if number[start] != 0 {
			continue
		}
		stack := []frame{{start, 0}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			n := top.node
			if top.next == 0 {
				count++
				number[n], low[n] = count, count
				open, isOpen[n] = append(open, n), true
			}
			if top.next < len(g.blockers[n]) {
				b := g.blockers[n][top.next]
				top.next++
				switch {
				case number[b] == 0:
					stack = append(stack, frame{b, 0})
				case isOpen[b]:
					low[n] = min(low[n], number[b])
				}
				continue
			}
			if low[n] == number[n] {
				for {
					last := open[len(open)-1]
					open, isOpen[last] = open[:len(open)-1], false
					component[last] = number[n]
					if last == n {
						break
					}
				}
			}
			stack = stack[:len(stack)-1]
			if len(stack) > 0 {
				below := stack[len(stack)-1].node
				low[below] = min(low[below], low[n])
			}
		}
	}
	return component
}

// walk is a root and who waits for it, the nearest first.
type walk struct {
	root  Root
	steps []step
}

type step struct{ node, parent, depth int }

func (g *waitGraph) walkFrom(members []int) walk {
	w := walk{root: Root{Members: make([]int64, len(members))}}
	reached := make([]bool, len(g.ids))
	queue := make([]step, 0, len(members))
	for i, m := range members {
		w.root.Members[i] = g.ids[m]
		reached[m] = true
		queue = append(queue, step{node: m})
	}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, v := range g.victims[from.node] {
			if reached[v] {
				continue
			}
			reached[v] = true
			next := step{v, from.node, from.depth + 1}
			w.root.Behind++
			if next.depth == 1 {
				w.root.Direct++
			}
			w.root.Depth = max(w.root.Depth, next.depth)
			w.steps = append(w.steps, next)
			queue = append(queue, next)
		}
	}
	return w
}
