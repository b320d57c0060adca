package store

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Windows come back as they were stored, in their order, those of the range
// only.
func TestReadWindows(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	server, batches := seedDay(t, s, "db1", 5)
	other, _ := seedDay(t, s, "db2", 6)
	var want []sample.Window
	for _, b := range batches {
		w := b.Windows[0]
		w.Minute, w.Ticks = sample.Minute{Samples: w.Minute.Samples}, nil // what is stored of them
		want = append(want, w)
	}
	read := func(id target.ID, r history.Range) (got []sample.Window) {
		t.Helper()
		if err := s.readWindows(t.Context(), id, r, func(w *sample.Window) error {
			got = append(got, *w)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	day := noon.Truncate(24 * time.Hour)
	if diff := cmp.Diff(want, read(server.ID, history.Range{From: day, To: day.Add(24 * time.Hour)})); diff != "" {
		t.Errorf("read back (-stored +read):\n%s", diff)
	}
	if got := read(other.ID, history.Range{From: noon.Add(6 * time.Minute), To: noon.Add(7 * time.Minute)}); len(got) == 0 || !got[0].T0.After(noon.Add(time.Minute)) {
		t.Errorf("%d windows of a range", len(got))
	}
	errStop := errors.New("enough")
	n := 0
	err := s.readWindows(t.Context(), server.ID, history.Range{From: day, To: day.Add(24 * time.Hour)}, func(*sample.Window) error {
		if n++; n == 3 {
			return errStop
		}
		return nil
	})
	if n != 3 || !errors.Is(err, errStop) {
		t.Errorf("stopped after %d: %v", n, err)
	}
	mustPack(t, s, packNow)
	merged := read(server.ID, history.Range{From: day, To: day.Add(24 * time.Hour)})
	if samples := func(all []sample.Window) (n int32) {
		for i := range all {
			n += all[i].Minute.Samples
		}
		return n
	}; samples(merged) != samples(want) || len(merged) >= len(want) {
		t.Errorf("%d packed windows of %d samples", len(merged), samples(merged))
	}
}

// Any bytes give arrays or a fault, and what was written is read.
func FuzzArrays(f *testing.F) {
	var p params
	r := rand.New(rand.NewPCG(1, 1))
	for range 4 {
		list := make([]int32, r.IntN(5))
		for i := range list {
			if list[i] = r.Int32(); r.IntN(3) == 0 {
				list[i] = sample.Unset
			}
		}
		p.int4s(list, false)
		p.int2s([]int16{1, -2, 3}[:r.IntN(4)], false)
		p.bools([]bool{true, false})
	}
	for _, b := range p.list() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var (
			a     arrays
			four  []int32
			two   []int16
			bools []bool
		)
		a.int4s(b, &four)
		if !a.malformed && b != nil && four == nil {
			t.Error("an array that is not null is nil")
		}
		if len(four) > 0 {
			var p params
			p.int4s(four, false)
			var again []int32
			if a.int4s(p.list()[0], &again); a.malformed || cmp.Diff(four, again) != "" {
				t.Errorf("%v was read as %v", four, again)
			}
		}
		a.int2s(b, &two)
		a.bools(b, &bools)
		if len(four)+len(two)+len(bools) > len(b) {
			t.Error("more elements than bytes")
		}
	})
}
