package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
)

func TestBlockers(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	pileUp(t, s, s.server.ID)
	got, err := s.Blockers(t.Context(), s.server.ID, Range{noon, noon.Add(time.Hour)}, 10)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Kind                   BlockerKind
		PID, Ring              int
		Behind, Depth, Victims int
		First, Last, Most      float64 // seconds
		Blocked, SessionTime   float64
		Lock                   string
	}
	var rows []row
	for _, b := range got {
		r := row{
			Kind: b.Kind, PID: -1, Ring: len(b.Ring), Behind: b.Behind, Depth: b.Depth, Victims: b.Victims, First: b.First.Sub(noon).Seconds(),
			Last: b.Last.Sub(noon).Seconds(), Most: b.MostAt.Sub(noon).Seconds(), Blocked: b.Blocked.Seconds(), SessionTime: b.SessionTime.Seconds(),
		}
		if b.Session != nil {
			r.PID = int(b.Session.PID)
		}
		if b.Lock != nil {
			r.Lock = b.Lock.Type
			if b.Lock.Relation != nil {
				r.Lock += " of " + *b.Lock.Relation
			}
		}
		rows = append(rows, r)
	}
	const late = 0.2
	want := []row{
		{IdleInXact, 4711, 0, 17, 1, 17, 70 + late, 239 + late, 239 + late, 170, 10 * 17 * 18 / 2, "transactionid"},
		{PreparedBlocker, 0, 0, 2, 2, 2, 120 + late, 179 + late, 179 + late, 60, 120, "relation of public.t"},
		{NotSeenKind, -1, 0, 1, 1, 1, 120 + late, 179 + late, 179 + late, 60, 60, ""},
		{IdleBlocker, 4713, 0, 1, 1, 1, 120 + late, 179 + late, 179 + late, 60, 60, "advisory"},
		{ActiveBlocker, 5034, 2, 0, 0, 2, 290 + late, 299 + late, 299 + late, 10, 20, "transactionid"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("blockers (-want +got):\n%s", diff)
	}
	if q := got[0].Session.Query; q == nil || *q != "update t set v = $1" || got[0].Session.State != "idle in transaction" {
		t.Errorf("the holder: %+v", got[0].Session)
	}
	// Compacted it is the same, and so is a part of it.
	s.compact(t, s.server.ID, noon)
	again, err := s.Blockers(t.Context(), s.server.ID, Range{noon, noon.Add(time.Hour)}, 10)
	if diff := cmp.Diff(got, again); diff != "" || err != nil {
		t.Errorf("compacted: %v (-before +after):\n%s", err, diff)
	}
	got, err = s.Blockers(t.Context(), s.server.ID, Range{noon.Add(75 * time.Second), noon.Add(90 * time.Second)}, 1)
	if err != nil || len(got) != 1 || got[0].Blocked != 15*time.Second || got[0].Behind != 2 || got[0].Victims != 2 {
		t.Errorf("a part: %+v, %v", got, err)
	}
}

// Whoever waits for two is a victim of both.
func TestVictimsOfTwo(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	s.write(t, s.server.ID, []sample.Tick{{
		Planned: noon, Started: noon, Cadence: time.Second,
		Edges: []sample.Edge{{Blocked: 3, Blocker: 1}, {Blocked: 3, Blocker: 2}, {Blocked: 4, Blocker: 3}, {Blocked: 5, Blocker: 2}},
	}}, sample.Entries{})
	got, err := s.Blockers(t.Context(), s.server.ID, Range{noon, noon.Add(time.Minute)}, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, behind := range []int{3, 2} {
		if got[i].Behind != behind || got[i].Victims != behind {
			t.Errorf("blocker %d: %d behind it, %d victims", i, got[i].Behind, got[i].Victims)
		}
	}
}
