package rollup

// Grid counts the samples of one window by key and tick. It keeps what it
// allocated for the next window.
type Grid struct {
	ticks  int
	slots  map[int32]int32
	keys   []int32
	counts []int32 // ticks of the first key, of the second, …
	// The last key, which the next sample often has too: samples are ordered by
	// session.
	last  int32
	start int32
}

// Begin forgets what was counted, for a window of so many ticks.
func (g *Grid) Begin(ticks int) {
	if g.slots == nil {
		g.slots = make(map[int32]int32)
	}
	clear(g.slots)
	g.ticks, g.keys, g.counts, g.start = ticks, g.keys[:0], g.counts[:0], -1
}

// Add counts a sample of a key in a tick, from 0.
func (g *Grid) Add(key int32, tick int) {
	if g.start < 0 || key != g.last {
		g.last, g.start = key, g.find(key)
	}
	g.counts[int(g.start)+tick]++
}

func (g *Grid) find(key int32) int32 {
	start, known := g.slots[key]
	if !known {
		start = int32(len(g.counts)) //nolint:gosec // a window's samples
		g.slots[key] = start
		g.keys = append(g.keys, key)
		for range g.ticks {
			g.counts = append(g.counts, 0)
		}
	}
	return start
}

// Each gives the counts of every key by tick.
func (g *Grid) Each(visit func(key int32, byTick []int32)) {
	for i, key := range g.keys {
		visit(key, g.counts[i*g.ticks:(i+1)*g.ticks])
	}
}
