package journal

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/pgam/pgam/internal/sample"
)

// places tells on which pages of a file each record stands, by its number.
func places(t *testing.T, path string, intact []byte) (pageSize int, on map[uint64][]int) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, options())
	if err != nil {
		t.Fatal(err)
	}
	on = make(map[uint64][]int)
	err = db.View(func(tx *bbolt.Tx) error {
		pageSize = db.Info().PageSize
		return tx.Bucket(bucketRecords).ForEach(func(k, v []byte) error {
			for from := 0; ; {
				i := bytes.Index(intact[from:], v)
				if i < 0 {
					t.Errorf("record %x is on no page", k)
					return nil
				}
				first, last := (from+i)/pageSize, (from+i+len(v)-1)/pageSize
				for ; ; first-- { // to the page that it hangs on
					p, err := tx.Page(first)
					if err != nil {
						return err
					}
					if p.Type == "leaf" && first+p.OverflowCount >= last {
						for ; first <= last; first++ {
							on[binary.BigEndian.Uint64(k)] = append(on[binary.BigEndian.Uint64(k)], first)
						}
						return nil
					}
					if p.Type != "free" && binary.NativeEndian.Uint64(intact[first*pageSize:]) == uint64(first) || first == 2 {
						break // an old copy
					}
				}
				from += i + 1
			}
		})
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pageSize, on
}

// TestDamageCostsItsPages damages a journal of 60 records in every way that disks
// know: what does not stand on a damaged page is there, and nothing is wrong.
func TestDamageCostsItsPages(t *testing.T) {
	t.Parallel()
	path, intact := filled(t, t.TempDir())
	pageSize, on := places(t, path, intact)
	pages := len(intact) / pageSize
	page := func(b []byte, n int) []byte { return b[n*pageSize : (n+1)*pageSize] }
	noise := func(d dice, b []byte) {
		for i := range b {
			b[i] = byte(d.IntN(256))
		}
	}
	for name, damage := range map[string]func(d dice, b []byte) (damaged []byte, hit []int){
		"truncated": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(len(b))
			hit := []int{}
			for p := n / pageSize; p < pages; p++ {
				hit = append(hit, p)
			}
			return b[:n], hit
		},
		"random page": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(pages)
			noise(d, page(b, n))
			return b, []int{n}
		},
		"zeroed page": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(pages)
			clear(page(b, n))
			return b, []int{n}
		},
		"swapped pages": func(d dice, b []byte) ([]byte, []int) {
			n, m := d.IntN(pages), d.IntN(pages)
			was := slices.Clone(page(b, n))
			copy(page(b, n), page(b, m))
			copy(page(b, m), was)
			return b, []int{n, m}
		},
		"64 bytes": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(len(b) - 64)
			noise(d, b[n:n+64])
			return b, []int{n / pageSize, (n + 63) / pageSize}
		},
		"64 bytes of a head": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(pages)
			noise(d, page(b, n)[:64])
			return b, []int{n}
		},
		"one bit": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(len(b))
			b[n] ^= 1 << d.IntN(8)
			return b, []int{n / pageSize}
		},
		"one bit of a head": func(d dice, b []byte) ([]byte, []int) {
			n := d.IntN(pages)
			page(b, n)[d.IntN(96)] ^= 1 << d.IntN(8)
			return b, []int{n}
		},
		"both metas": func(d dice, b []byte) ([]byte, []int) {
			noise(d, b[:2*pageSize])
			return b, []int{0, 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, none, fewer, saved := 0, 0, 0, 0
			for seed := range seeds() {
				d := newDice(seed)
				b, hit := damage(d, slices.Clone(intact))
				dir := t.TempDir()
				path := filepath.Join(dir, FileName)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				s := mustOpen(t, dir, plenty)
				records, err := s.Next(0, plenty)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				there := make(map[uint64]bool)
				for _, r := range records {
					v := r.Visits[0]
					if v.Tick == nil { // what is told of the damage
						continue
					}
					n := v.Tick.NextXID
					if len(r.Visits) != 1 || len(v.Entries.Queries) != 1 || n != v.Entries.Queries[0].Key || r.Seq != uint64(n)+1 || there[r.Seq] {
						t.Errorf("seed %d: record %d is not what it was", seed, r.Seq)
					}
					there[r.Seq] = true
				}
				missing := 0
				for seq, pages := range on {
					if !there[seq] && !slices.ContainsFunc(pages, func(p int) bool { return slices.Contains(hit, p) }) {
						missing++
					}
				}
				if missing > 0 {
					t.Errorf("seed %d: %d of 60 records are missing that stand on no damaged page", seed, missing)
				}
				switch saved += len(there); {
				case len(there) == 60:
					whole++
				case len(there) == 0:
					none++
				default:
					fewer++
				}
				s.Append(numbered(1000)) // it goes on, with another number
				mustSync(t, s)
				newest := uint64(0)
				for seq := range there {
					newest = max(newest, seq)
				}
				if records, err := s.Next(newest, plenty); err != nil || len(records) == 0 {
					t.Errorf("seed %d: there is nothing after record %d, %v", seed, newest, err)
				}
				mustClose(t, s)
			}
			t.Logf("of %d: all records %d, some %d, none %d; records saved %d", seeds(), whole, fewer, none, saved)
		})
	}
}

// seeds is how many times each damage is tried.
func seeds() uint64 {
	if testing.Short() {
		return 10
	}
	return 40
}

// ruined gives a journal's file other bytes, so that no tree of it can be read.
func ruined(t *testing.T, dir string, do func(b []byte)) {
	t.Helper()
	path := filepath.Join(dir, FileName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	do(b)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func bothMetas(b []byte) { clear(b[:2*os.Getpagesize()]) }

// TestSalvageLeavesWhatIsDone: of records that are done, pages that are free still
// have copies. What is set aside is saved too, and a record that was brought back
// to below the others.
func TestSalvageLeavesWhatIsDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := together(t, dir, 9)
	for seq := range uint64(6) {
		s.Done(seq + 1)
	}
	if err := s.Quarantine(2, "why not", 1, 2, 8); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	ruined(t, dir, bothMetas)
	s = mustOpen(t, dir, plenty)
	wantNumbers(t, s, []int64{16, 26}, []int64{17, 27}, []int64{18, 28})
	list := setAside(t, s)
	if len(list) != 3 || list[0].Why != "why not" || list[2].Seq != 8 || s.Stats().Aside != 3 {
		t.Errorf("set aside: %+v", list)
	}
	if n, err := s.Replay(nil); n != 3 || err != nil {
		t.Errorf("%d were replayed, %v", n, err)
	}
	mustClose(t, s)
	ruined(t, dir, bothMetas)
	s = mustOpen(t, dir, plenty)
	if got, _ := numbers(t, s, 0, plenty); len(got) != 5 || !slices.Equal(got[0], []int64{20}) {
		t.Errorf("after replay: %v", got)
	}
	mustClose(t, s)

	// One that is begun anew counts from 1: the floor of the one before is not its own.
	if err := os.Remove(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, plenty)
	for n := range int64(2) {
		s.Append(numbered(n))
		mustSync(t, s)
	}
	mustClose(t, s)
	ruined(t, dir, bothMetas)
	s = openHere(t, dir, plenty)
	wantNumbers(t, s, []int64{0}, []int64{1})
}

// TestSalvageTellsWhatIsMissing: by one line of the log, and by an event. No more
// damaged files are kept than two.
func TestSalvageTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, intact := filled(t, dir)
	pageSize, on := places(t, path, intact)
	for day := range 3 {
		if err := os.WriteFile(path+".damaged-2026010"+strconv.Itoa(day)+"T000000Z", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ruined(t, dir, func(b []byte) {
		clear(b[on[30][0]*pageSize:][:pageSize])
	})
	var log bytes.Buffer
	s, err := Open(Config{Dir: dir, MaxBytes: plenty, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, s) })
	saved := s.Stats().Records
	for _, want := range []string{"saved=" + strconv.Itoa(saved), "missing_at_most=" + strconv.Itoa(60-saved), "from=2026-03-12T10:00:", "level=ERROR"} {
		if !strings.Contains(log.String(), want) || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("the log has no %s:\n%s", want, log.String())
		}
	}
	mustSync(t, s)
	records, err := s.Next(60, plenty)
	if err != nil || len(records) != 1 || len(records[0].Visits[0].Events) != 1 {
		t.Fatalf("after the last record: %+v, %v", records, err)
	}
	e := records[0].Visits[0].Events[0]
	if e.Kind != sample.EventCollectorGap || e.Subject != "journal" || !e.At.Before(at(30)) || !strings.Contains(e.Detail, strconv.Itoa(60-saved)+" records are lost") {
		t.Errorf("event %+v", e)
	}
	if kept, _ := filepath.Glob(path + ".damaged-*"); len(kept) != keptDamaged || !strings.Contains(kept[0], "20260102") {
		t.Errorf("kept %v", kept)
	}
}

// TestSalvageOnFullDisk: without room for a new file the journal is begun anew.
func TestSalvageOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	filled(t, dir)
	ruined(t, dir, bothMetas)
	if out, err := child(t, "salvage", dir).Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "journal*")); len(kept) != 2 {
		t.Errorf("left in the folder: %v", kept)
	}
}
