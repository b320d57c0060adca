package history

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForest(t *testing.T) {
	t.Parallel()
	wait := func(pairs ...int64) []Waiting {
		var list []Waiting
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, Waiting{Blocked: pairs[i], Blocker: pairs[i+1]})
		}
		return list
	}
	for _, tt := range []struct {
		name  string
		waits []Waiting
		want  Forest
	}{
		{"nobody", nil, Forest{Places: map[int64]Place{}}},
		{"himself", wait(7, 7), Forest{Places: map[int64]Place{}}},
		{"one", wait(2, 1), Forest{
			Roots:  []Root{{Members: []int64{1}, Behind: 1, Direct: 1, Depth: 1}},
			Places: map[int64]Place{2: {0, 1, 1}},
		}},
		{"told twice", wait(2, 1, 2, 1), Forest{
			Roots:  []Root{{Members: []int64{1}, Behind: 1, Direct: 1, Depth: 1}},
			Places: map[int64]Place{2: {0, 1, 1}},
		}},
		{"a queue: each waits for all before", wait(2, 1, 3, 1, 3, 2, 4, 1, 4, 2, 4, 3), Forest{
			Roots:  []Root{{Members: []int64{1}, Behind: 3, Direct: 3, Depth: 1}},
			Places: map[int64]Place{2: {0, 1, 1}, 3: {0, 1, 1}, 4: {0, 1, 1}},
		}},
		{"a chain", wait(2, 1, 3, 2, 4, 3), Forest{
			Roots:  []Root{{Members: []int64{1}, Behind: 3, Direct: 1, Depth: 3}},
			Places: map[int64]Place{2: {0, 1, 1}, 3: {0, 2, 2}, 4: {0, 3, 3}},
		}},
		{"two roots hold the same: counted behind each, placed once", wait(3, 1, 3, 2, 4, 2), Forest{
			Roots:  []Root{{Members: []int64{2}, Behind: 2, Direct: 2, Depth: 1}, {Members: []int64{1}, Behind: 1, Direct: 1, Depth: 1}},
			Places: map[int64]Place{3: {0, 2, 1}, 4: {0, 2, 1}},
		}},
		{"not seen", wait(2, NotSeen, 3, NotSeen), Forest{
			Roots:  []Root{{Members: []int64{NotSeen}, Behind: 2, Direct: 2, Depth: 1}},
			Places: map[int64]Place{2: {0, NotSeen, 1}, 3: {0, NotSeen, 1}},
		}},
		{"a deadlock with one behind", wait(1, 2, 2, 3, 3, 1, 4, 2), Forest{
			Roots:  []Root{{Members: []int64{1, 2, 3}, Behind: 1, Direct: 1, Depth: 1}},
			Places: map[int64]Place{4: {0, 2, 1}},
		}},
		{"a ring that waits for another ring", wait(1, 2, 2, 1, 3, 4, 4, 3, 4, 1), Forest{
			Roots:  []Root{{Members: []int64{1, 2}, Behind: 2, Direct: 1, Depth: 2}},
			Places: map[int64]Place{4: {0, 1, 1}, 3: {0, 4, 2}},
		}},
		{"a ring that waits for a session is no root", wait(1, 2, 2, 1, 2, 3), Forest{
			Roots:  []Root{{Members: []int64{3}, Behind: 2, Direct: 1, Depth: 2}},
			Places: map[int64]Place{2: {0, 3, 1}, 1: {0, 2, 2}},
		}},
	} {
		if diff := cmp.Diff(tt.want, NewForest(tt.waits)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// checkForest holds a forest against what its edges say, worked out the slow
// way.
func checkForest(t *testing.T, waits []Waiting) {
	t.Helper()
	f := NewForest(waits)
	edges := map[int64]map[int64]bool{}
	nodes := map[int64]bool{}
	for _, w := range waits {
		if w.Blocked == w.Blocker || w.Blocked == NotSeen {
			continue
		}
		if edges[w.Blocked] == nil {
			edges[w.Blocked] = map[int64]bool{}
		}
		edges[w.Blocked][w.Blocker] = true
		nodes[w.Blocked], nodes[w.Blocker] = true, true
	}
	reach := map[int64]map[int64]bool{} // whom one waits for, through others too
	for n := range nodes {
		seen, queue := map[int64]bool{}, []int64{n}
		for len(queue) > 0 {
			next := queue[0]
			queue = queue[1:]
			for b := range edges[next] {
				if !seen[b] {
					seen[b] = true
					queue = append(queue, b)
				}
			}
		}
		reach[n] = seen
	}
	isRoot := map[int64]bool{}
	for i, r := range f.Roots {
		for _, m := range r.Members {
			isRoot[m] = true
			for b := range reach[m] {
				if !slices.Contains(r.Members, b) {
					t.Fatalf("%v: the root %v waits for %d", waits, r.Members, b)
				}
			}
			if len(r.Members) > 1 && !reach[m][m] {
				t.Fatalf("%v: %d is in no ring of %v", waits, m, r.Members)
			}
		}
		behind := 0
		for n := range nodes {
			if reach[n][r.Members[0]] && !slices.Contains(r.Members, n) {
				behind++
			}
		}
		if r.Behind != behind || r.Direct > r.Behind || (behind > 0) != (r.Depth > 0) {
			t.Fatalf("%v: %+v has %d behind", waits, r, behind)
		}
		if i > 0 && f.Roots[i-1].Behind < r.Behind {
			t.Fatalf("%v: roots out of order", waits)
		}
	}
	for n := range nodes {
		place, placed := f.Places[n]
		if placed == isRoot[n] {
			t.Fatalf("%v: %d is root %v and placed %v", waits, n, isRoot[n], placed)
		}
		if !placed {
			continue
		}
		root := f.Roots[place.Root]
		if !edges[n][place.Parent] || !reach[n][root.Members[0]] || place.Depth > root.Depth {
			t.Fatalf("%v: %d at %+v", waits, n, place)
		}
		if parent, ok := f.Places[place.Parent]; ok && parent.Root == place.Root && parent.Depth != place.Depth-1 {
			t.Fatalf("%v: %d at %+v below %+v", waits, n, place, parent)
		}
	}
}

func TestForestProperties(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(4, 2))
	for range 3000 {
		sessions := 1 + random.Int64N(12)
		waits := make([]Waiting, random.IntN(25))
		for i := range waits {
			waits[i] = Waiting{Blocked: random.Int64N(sessions + 1), Blocker: random.Int64N(sessions + 1)}
		}
		checkForest(t, waits)
	}
}

func FuzzForest(f *testing.F) {
	f.Add([]byte{2, 1, 3, 2})
	f.Add([]byte{1, 2, 2, 1, 3, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var waits []Waiting
		for i := 0; i+1 < len(data) && i < 80; i += 2 {
			waits = append(waits, Waiting{Blocked: int64(data[i] % 16), Blocker: int64(data[i+1] % 16)})
		}
		checkForest(t, waits)
	})
}
