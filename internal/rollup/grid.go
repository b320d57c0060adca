package rollup

// small is below which ids are looked up in a table: most are.
const small = 1 << 14

// index finds a number by id. It keeps what it allocated.
type index struct {
	table []int32 // by id; the number and 1
	large map[int32]int32
	ids   []int32
}

func (x *index) clear() {
	for _, id := range x.ids {
		if id >= 0 && id < small {
			x.table[id] = 0
		}
	}
	clear(x.large)
	x.ids = x.ids[:0]
}

// find gives the number of an id, from 0 in the order in which they came.
func (x *index) find(id int32) (number int32, known bool) {
	if id < 0 || id >= small {
		if number, known = x.large[id]; known {
			return number, true
		}
		if x.large == nil {
			x.large = make(map[int32]int32)
		}
		number = int32(len(x.ids))
		x.large[id] = number
		x.ids = append(x.ids, id)
		return number, false
	}
	if int(id) >= len(x.table) {
		x.table = append(x.table, make([]int32, int(id)+1-len(x.table))...)
	}
	if number = x.table[id]; number > 0 {
		return number - 1, true
	}
	x.ids = append(x.ids, id)
	x.table[id] = int32(len(x.ids))
	return x.table[id] - 1, false
}

// Grid counts the samples of one window by key and tick. It keeps what it
// allocated for the next window.
type Grid struct {
	ticks  int
	index  index
	counts []int32 // ticks of the first key, of the second, …
}

// Begin forgets what was counted, for a window of so many ticks.
func (g *Grid) Begin(ticks int) {
	g.index.clear()
	g.ticks, g.counts = ticks, g.counts[:0]
}

// Add counts a sample of a key in a tick, from 0.
func (g *Grid) Add(key int32, tick int) { g.counts[g.start(key)+tick]++ }

// start gives where the counts of a key begin.
func (g *Grid) start(key int32) int {
	number, known := g.index.find(key)
	if !known {
		for range g.ticks {
			g.counts = append(g.counts, 0)
		}
	}
	return int(number) * g.ticks
}

// Each gives the counts of every key by tick.
func (g *Grid) Each(visit func(key int32, byTick []int32)) {
	for i, key := range g.index.ids {
		visit(key, g.counts[i*g.ticks:(i+1)*g.ticks])
	}
}
