package journal

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestMain(m *testing.M) {
	if child, ok := os.LookupEnv(childEnv); ok { //nolint:forbidigo // how a test tells its child what to be
		os.Exit(runChild(child))
	}
	goleak.VerifyTestMain(m)
}

const plenty = 1 << 30

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func mustOpen(t *testing.T, dir string, maxBytes int64) *Journal {
	t.Helper()
	s, err := Open(Config{Dir: dir, MaxBytes: maxBytes, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openHere opens a journal that is closed when the test ends.
func openHere(t *testing.T, dir string, maxBytes int64) *Journal {
	t.Helper()
	s := mustOpen(t, dir, maxBytes)
	t.Cleanup(func() { mustClose(t, s) })
	return s
}

func mustClose(t *testing.T, s *Journal) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func mustSync(t *testing.T, s *Journal) {
	t.Helper()
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
}

// at is when the visit with this number was planned, where that is of interest.
func at(n int64) time.Time {
	return time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
}

// numbered is a visit that can be told from others.
func numbered(n int64) *sample.Visit {
	return &sample.Visit{Server: 1, Tick: &sample.Tick{NextXID: n}}
}

// numbers gives what waits after seq, as the numbers of visits by record.
func numbers(t *testing.T, s *Journal, seq uint64, maxBytes int64) (out [][]int64, last uint64) {
	t.Helper()
	records, err := s.Next(seq, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		var ns []int64
		for _, v := range r.Visits {
			ns = append(ns, v.Tick.NextXID)
		}
		out, last = append(out, ns), r.Seq
	}
	return out, last
}

func wantNumbers(t *testing.T, s *Journal, want ...[]int64) {
	t.Helper()
	got, _ := numbers(t, s, 0, plenty)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waiting visits (-want +got):\n%s", diff)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	s.Append(numbered(1))
	s.Append(numbered(2))
	wantNumbers(t, s) // nothing before Sync
	mustSync(t, s)
	mustSync(t, s) // no visit, no record
	if s.db.NoSync || s.db.NoGrowSync {
		t.Error("the file is not synced, which only a power failure would show")
	}
	s.Append(numbered(3))
	mustSync(t, s)
	wantNumbers(t, s, []int64{1, 2}, []int64{3})
	wantNumbers(t, s, []int64{1, 2}, []int64{3}) // as often as asked

	first, seq := numbers(t, s, 0, 1)
	if diff := cmp.Diff([][]int64{{1, 2}}, first); diff != "" {
		t.Errorf("a chunk (-want +got):\n%s", diff)
	}
	second, last := numbers(t, s, seq, 1)
	if diff := cmp.Diff([][]int64{{3}}, second); diff != "" {
		t.Errorf("the next chunk (-want +got):\n%s", diff)
	}
	if none, _ := numbers(t, s, last, 1); none != nil {
		t.Errorf("after the last: %v", none)
	}
	if st := s.Stats(); st.Records != 2 || st.MemoryBytes != 0 || st.Bytes == 0 || st.DroppedVisits != 0 || st.Failing {
		t.Errorf("stats %+v", st)
	}
	s.Done(seq)
	s.Done(seq, 99) // again, and one that never was
	wantNumbers(t, s, []int64{3})
	s.Append(numbered(4)) // Close syncs
	mustClose(t, s)

	s = openHere(t, dir, plenty)
	wantNumbers(t, s, []int64{3}, []int64{4})
	records, err := s.Next(0, plenty)
	if err != nil {
		t.Fatal(err)
	}
	s.Done(records[0].Seq, records[1].Seq)
	mustSync(t, s)
	if st := s.Stats(); st.Records != 0 || st.Bytes != 0 {
		t.Errorf("all is done: %+v", st)
	}
	s.Append(numbered(5))
	mustSync(t, s)
	if _, again := numbers(t, s, 0, plenty); again <= records[1].Seq {
		t.Errorf("number %d comes after %d", again, records[1].Seq)
	}
}

// TestNumbersOutliveRecords says that an empty journal goes on counting.
func TestNumbersOutliveRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	for n := range int64(3) {
		s.Append(numbered(n))
		mustSync(t, s)
	}
	s.Done(1, 2, 3)
	mustClose(t, s)
	s = openHere(t, dir, plenty)
	s.Append(numbered(9))
	mustSync(t, s)
	if _, seq := numbers(t, s, 0, plenty); seq != 4 {
		t.Errorf("the fourth record has the number %d", seq)
	}
}

// TestDoneIsSkippedInChunks has a long stretch of records that are done but
// not yet deleted: what comes after it must be found all the same.
func TestDoneIsSkippedInChunks(t *testing.T) {
	t.Parallel()
	s := openHere(t, t.TempDir(), plenty)
	for n := range int64(20) {
		s.Append(numbered(n))
		mustSync(t, s)
	}
	for seq := range uint64(19) {
		s.Done(seq + 1)
	}
	if got, _ := numbers(t, s, 0, 1); len(got) != 1 || got[0][0] != 19 {
		t.Errorf("behind 19 records that are done: %v, want the last one", got)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openHere(t, dir, plenty)
	_, err := Open(Config{Dir: dir, MaxBytes: plenty, Log: quiet()})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "PGAM_DATA_DIR") {
		t.Errorf("a second Open: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("a second Open left %v", left)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: filepath.Join(file, "below"), MaxBytes: plenty, Log: quiet()})
	if err == nil || !strings.Contains(err.Error(), "PGAM_DATA_DIR") {
		t.Errorf("a folder that cannot be made: %v", err)
	}
}

// filled makes a journal of many pages and gives its file.
func filled(t *testing.T, dir string) (path string, intact []byte) {
	t.Helper()
	s := mustOpen(t, dir, plenty)
	long := strings.Repeat("select something that takes some room, ", 200)
	for n := range int64(60) {
		v := numbered(n)
		v.Tick.Planned = at(n)
		v.Entries.Queries = []sample.QueryEntry{{Key: n, Text: long}}
		s.Append(v)
		mustSync(t, s)
	}
	mustClose(t, s)
	path = filepath.Join(dir, FileName)
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, intact
}

// TestDamagedFile damages a journal in many ways. Open must never fail or
// crash: it reads the file, as far as check sums are right, or sets it aside.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	_, intact := filled(t, t.TempDir())
	d := newDice(1)
	type damage struct {
		name string
		do   func([]byte) []byte
	}
	damages := []damage{
		{"other file", func([]byte) []byte { return []byte(strings.Repeat("this is no journal\n", 4000)) }},
		{"one byte", func([]byte) []byte { return []byte{1} }},
		{"both metas", func(b []byte) []byte { clear(b[:8192]); return b }},
		{"all but the metas", func(b []byte) []byte { clear(b[8192:]); return b }},
		{"noise behind the metas", func(b []byte) []byte {
			for i := range b[8192:] {
				b[8192+i] = byte(d.IntN(256))
			}
			return b
		}},
	}
	for range 25 {
		n := d.IntN(len(intact))
		damages = append(damages, damage{"cut", func(b []byte) []byte { return b[:n] }})
	}
	for range 60 {
		damages = append(damages, damage{"flipped bytes", func(b []byte) []byte {
			for range 1 + d.IntN(40) {
				b[d.IntN(len(b))] ^= byte(1 + d.IntN(255))
			}
			return b
		}})
	}
	for range 60 { // page headers are where damage hurts most
		damages = append(damages, damage{"flipped header", func(b []byte) []byte {
			b[d.IntN(len(b)/4096)*4096+d.IntN(64)] ^= byte(1 + d.IntN(255))
			return b
		}})
	}
	aside := 0
	for i, c := range damages {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, c.do(slices.Clone(intact)), 0o600); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, dir, plenty)
		records, err := s.Next(0, plenty)
		if err != nil {
			t.Fatalf("%d, %s: %v", i, c.name, err)
		}
		for _, r := range records {
			if len(r.Visits) != 1 || len(r.Visits[0].Entries.Queries) != 1 || r.Visits[0].Tick.NextXID != r.Visits[0].Entries.Queries[0].Key {
				t.Errorf("%d, %s: record %d was changed unseen", i, c.name, r.Seq)
			}
		}
		s.Append(numbered(1000))
		mustSync(t, s)
		mustClose(t, s)
		if kept, _ := filepath.Glob(path + ".damaged-*"); len(kept) > 0 {
			aside++
		}
	}
	if aside < 15 {
		t.Errorf("only %d of %d damaged files were set aside", aside, len(damages))
	}
}

// TestGarbledRecord flips a byte of one record inside the file's structure:
// it is quarantined, and what is around it is read.
func TestGarbledRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	for n := range int64(3) {
		s.Append(numbered(n))
		mustSync(t, s)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRecords)
		v := slices.Clone(b.Get(key(2)))
		v[len(v)-2] ^= 6 // in a number: only the check sum tells
		return b.Put(key(2), v)
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantNumbers(t, s, []int64{0}, []int64{2})
	}
	if st := s.Stats(); st.Quarantined != 1 || st.Records != 2 {
		t.Errorf("stats %+v", st)
	}
	mustClose(t, s)
	s = openHere(t, dir, plenty)
	wantNumbers(t, s, []int64{0}, []int64{2})
	if list := setAside(t, s); len(list) != 1 || list[0].Visits != 0 || !strings.Contains(list[0].Why, "check sum") {
		t.Errorf("%+v is set aside, want one record", list)
	}
	if n, err := s.Replay(nil); n != 0 || err != nil || len(setAside(t, s)) != 1 {
		t.Errorf("%d were replayed, %v: what cannot be read stays", n, err)
	}
}

// setAside gives what is set aside.
func setAside(t *testing.T, s *Journal) []SetAside {
	t.Helper()
	list, err := s.Aside()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	s.Append(numbered(0))
	mustSync(t, s)
	size := s.Stats().Bytes
	mustClose(t, s)

	s = mustOpen(t, dir, 3*size+size/2) // three records of one visit each
	for n := int64(1); n <= 10; n++ {
		s.Append(numbered(n))
		mustSync(t, s)
		if st := s.Stats(); st.Bytes > 3*size+size/2 {
			t.Fatalf("after visit %d: %d bytes wait", n, st.Bytes)
		}
	}
	wantNumbers(t, s, []int64{8}, []int64{9}, []int64{10})
	if st := s.Stats(); st.DroppedVisits != 8 || st.Records != 3 {
		t.Errorf("stats %+v, want 8 visits dropped", st)
	}
	for n := range int64(50) {
		s.Append(numbered(100 + n)) // one record larger than the bound
	}
	mustSync(t, s)
	got, _ := numbers(t, s, 0, plenty)
	if len(got) != 1 || len(got[0]) != 50 {
		t.Errorf("the newest record must stay: %v", got)
	}
	if st := s.Stats(); st.DroppedVisits != 11 {
		t.Errorf("%d visits dropped, want 11", st.DroppedVisits)
	}
	mustClose(t, s)
	s = openHere(t, dir, plenty)
	if again, _ := numbers(t, s, 0, plenty); !cmp.Equal(got, again) {
		t.Errorf("dropped records are back: %v", again)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir, plenty)
	if got, err := s.Targets(); got != nil || err != nil {
		t.Errorf("nothing was kept: %q, %v", got, err)
	}
	for _, sealed := range []string{"first", "second"} {
		if err := s.PutTargets([]byte(sealed)); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, s)
	s = openHere(t, dir, plenty)
	if got, err := s.Targets(); string(got) != "second" || err != nil {
		t.Errorf("kept %q, %v", got, err)
	}
}

// outage makes a journal of many megabytes and empties it but for two visits.
func outage(t *testing.T, dir string) {
	t.Helper()
	s := mustOpen(t, dir, plenty)
	big := numbered(1)
	big.Entries.Queries = []sample.QueryEntry{{Key: 1, Text: strings.Repeat("x", 1<<20)}}
	var seqs []uint64
	for n := range uint64(70) {
		s.Append(big)
		seqs = append(seqs, n+1)
		if n%10 == 9 {
			mustSync(t, s)
		}
	}
	s.Done(seqs...)
	for n := range int64(2) {
		s.Append(numbered(n))
		mustSync(t, s)
	}
	if err := s.PutTargets([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outage(t, dir)
	path := filepath.Join(dir, FileName)
	if before := fileSize(t, path); before < rebuildBelow {
		t.Fatalf("the file has only %d bytes: the test fills too little", before)
	}
	s := openHere(t, dir, plenty)
	if after := fileSize(t, path); after > 1<<20 {
		t.Errorf("the file has %d bytes", after)
	}
	wantNumbers(t, s, []int64{0}, []int64{1})
	if kept, err := s.Targets(); string(kept) != "kept" || err != nil {
		t.Errorf("targets %q, %v", kept, err)
	}
	s.Append(numbered(2))
	mustSync(t, s)
	if _, seq := numbers(t, s, 0, plenty); seq != 10 {
		t.Errorf("the tenth record has the number %d", seq)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "journal*")); len(left) != 1 {
		t.Errorf("left in the folder: %v", left)
	}
}

// TestConcurrentUse is for the race detector, and for locks taken in a wrong
// order.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := openHere(t, t.TempDir(), 300)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	loop := func(f func(n int64)) {
		go func() {
			defer func() { ended <- struct{}{} }()
			for n := int64(0); ctx.Err() == nil; n++ {
				f(n)
			}
		}()
	}
	loop(func(n int64) { s.Append(numbered(n)); runtime.Gosched() })
	loop(func(int64) { _ = s.Sync() })
	loop(func(int64) {
		records, err := s.Next(0, 4000)
		if err != nil {
			t.Error(err)
		}
		for i, r := range records {
			if i%7 == 0 {
				_ = s.Quarantine(1, "why not", r.Seq)
				_ = s.Keep(map[uint64][]target.ID{r.Seq: {1}})
			}
			if i%2 == 0 {
				s.Done(r.Seq)
			}
		}
	})
	loop(func(int64) { _ = s.Stats(); _, _ = s.Targets() })
	<-time.After(time.Second)
	pgtest.WaitFor(t, func() bool { return s.Stats().DroppedVisits > 0 && s.Stats().Quarantined > 0 }, "all of it to be reached")
	cancel()
	for range 4 {
		<-ended
	}
}
