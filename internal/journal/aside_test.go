package journal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// of is a visit of a server that can be told from others, with a tick of its own
// second.
func of(server target.ID, n int64) *sample.Visit {
	at := time.Unix(1_700_000_000+n, 0).UTC()
	return &sample.Visit{Server: server, Tick: &sample.Tick{NextXID: n, Planned: at, Started: at}}
}

// together is a journal of n records, each of a visit of servers 1 and 2.
func together(t *testing.T, dir string, n int64) *Journal {
	t.Helper()
	s := mustOpen(t, dir, plenty)
	for i := range n {
		s.Append(of(1, 10+i))
		s.Append(of(2, 20+i))
		mustSync(t, s)
	}
	return s
}

// TestSetAside: of one server only, once, with what is to be known of it; the
// record itself waits for the rest of it to be stored; over restarts.
func TestSetAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := together(t, dir, 2)
	s.Append(of(2, 22)) // in memory only
	for range 3 {
		if err := s.Quarantine(2, "refused (SQLSTATE 23514)", 1, 2, 3, 77); err != nil {
			t.Fatal(err)
		}
	}
	wantNumbers(t, s, []int64{10, 20}, []int64{11, 21})
	mustSync(t, s)
	wantNumbers(t, s, []int64{10, 20}, []int64{11, 21}, []int64{22})
	s.Done(1, 2, 3)
	mustClose(t, s)
	s = openHere(t, dir, plenty)
	wantNumbers(t, s)
	list := setAside(t, s)
	if len(list) != 2 {
		t.Fatalf("set aside: %+v", list)
	}
	for i, one := range list {
		at := time.Unix(1_700_000_020+int64(i), 0).UTC()
		if one.Seq != uint64(i+1) || one.Server != 2 || one.Why != "refused (SQLSTATE 23514)" || one.Visits != 1 || !one.From.Equal(at) || !one.To.Equal(at) || one.At.IsZero() {
			t.Errorf("set aside: %+v", one)
		}
	}
	if st := s.Stats(); st.Aside != 2 || st.AsideBytes != list[0].Bytes+list[1].Bytes {
		t.Errorf("stats %+v", st)
	}
}

// TestReplay: what was set aside stands where it stood, beside what is there.
func TestReplay(t *testing.T) {
	t.Parallel()
	s := together(t, t.TempDir(), 4)
	t.Cleanup(func() { mustClose(t, s) })
	for _, server := range []target.ID{1, 2} {
		if err := s.Quarantine(server, "why not", 1, 3); err != nil {
			t.Fatal(err)
		}
	}
	s.Done(1, 2)
	mustSync(t, s)
	if err := s.Keep(map[uint64][]target.ID{3: {1}}); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, s, []int64{12}, []int64{13, 23})
	one := target.ID(2)
	if n, err := s.Replay(&one); n != 2 || err != nil {
		t.Errorf("%d were replayed, %v", n, err)
	}
	wantNumbers(t, s, []int64{20}, []int64{12, 22}, []int64{13, 23})
	if list := setAside(t, s); len(list) != 2 || list[0].Server != 1 {
		t.Errorf("set aside: %+v", list)
	}
	s.Append(of(1, 99))
	mustSync(t, s)
	if n, err := s.Replay(nil); n != 2 || err != nil {
		t.Errorf("%d were replayed, %v", n, err)
	}
	wantNumbers(t, s, []int64{20, 10}, []int64{12, 22, 12}, []int64{13, 23}, []int64{99})
	if st := s.Stats(); st.Aside != 0 || st.AsideBytes != 0 || st.Records != 4 {
		t.Errorf("stats %+v", st)
	}
}

// TestKeep: what the store has of a record leaves it, on disk and in memory.
func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := together(t, dir, 2)
	before := s.Stats().Bytes
	if err := s.Keep(map[uint64][]target.ID{1: {2}, 2: {1, 2}, 77: {1}}); err != nil {
		t.Fatal(err)
	}
	after := s.Stats().Bytes
	mustClose(t, s)
	s = openHere(t, dir, plenty)
	wantNumbers(t, s, []int64{20}, []int64{11, 21})
	if after >= before || s.Stats().Bytes != after {
		t.Errorf("%d bytes before, %d after, %d at the next start", before, after, s.Stats().Bytes)
	}
}

// TestAsideIsBounded: in bytes; the oldest go first, and are counted.
func TestAsideIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := together(t, dir, 20)
	if err := s.Quarantine(1, "why not", 1); err != nil {
		t.Fatal(err)
	}
	s.cfg.MaxAside = 5*s.Stats().AsideBytes + 9 // numbers have one byte or two
	for seq := uint64(2); seq <= 20; seq++ {
		if err := s.Quarantine(1, "why not", seq); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.AsideBytes > s.cfg.MaxAside {
			t.Errorf("%d bytes are set aside", st.AsideBytes)
		}
	}
	var seqs []uint64
	for _, one := range setAside(t, s) {
		seqs = append(seqs, one.Seq)
	}
	if diff := cmp.Diff([]uint64{16, 17, 18, 19, 20}, seqs); diff != "" {
		t.Error(diff)
	}
	if st := s.Stats(); st.AsideDropped != 15 || st.Quarantined != 20 || st.Aside != 5 {
		t.Errorf("stats %+v", st)
	}
	mustClose(t, s)
}
