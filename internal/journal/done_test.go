package journal

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestAgain: what is done comes again for a while, over a restart too, and does
// not wait meanwhile; it makes room for what waits.
func TestAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		open := func(maxBytes int64) *Journal {
			t.Helper()
			s, err := Open(Config{Dir: dir, MaxBytes: maxBytes, KeepDone: time.Minute, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open(plenty)
		for n := range int64(4) {
			s.Append(numbered(n))
			mustSync(t, s)
		}
		size := s.Stats().Bytes / 4
		s.Done(1, 2, 4)
		wantNumbers(t, s, []int64{2})
		if st := s.Stats(); st.Records != 1 || st.Bytes != size {
			t.Errorf("stats %+v", st)
		}
		mustClose(t, s)
		s = open(plenty)
		wantNumbers(t, s, []int64{2})
		s.Done(3)
		wantNumbers(t, s)
		if oldest, ok, err := s.Oldest(); ok || err != nil {
			t.Errorf("the oldest that waits: %v, %v", oldest, err)
		}
		s.Again()
		mustSync(t, s)
		mustClose(t, s)
		s = open(plenty)
		wantNumbers(t, s, []int64{0}, []int64{1}, []int64{2}, []int64{3})
		s.Done(1, 2, 3, 4)
		mustSync(t, s)
		<-time.After(30 * time.Second)
		s.Append(numbered(4))
		mustSync(t, s)
		s.Done(5)
		<-time.After(31 * time.Second)
		mustSync(t, s)
		mustClose(t, s)
		s = open(plenty)
		s.Again()
		wantNumbers(t, s, []int64{4}) // the others were kept for a minute
		mustClose(t, s)

		s = open(3*size + size/2)
		s.Done(5)
		for n := int64(5); n < 10; n++ {
			s.Append(numbered(n))
			mustSync(t, s)
		}
		if st := s.Stats(); st.DroppedVisits != 2 { // of five, where there is room for three
			t.Errorf("stats %+v", st)
		}
		s.Again()
		wantNumbers(t, s, []int64{7}, []int64{8}, []int64{9})
		mustClose(t, s)
	})
}
