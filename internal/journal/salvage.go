package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pgam/pgam/internal/sample"
)

const (
	// keptDamaged is how many damaged files are kept.
	keptDamaged = 2
	// salvageBytes is how much is written in one transaction.
	salvageBytes = 8 << 20

	// The layout of bbolt's files: pages with a head, in which leaves have elements
	// of four numbers (flags, where the key is, its length, that of the value
	// behind it); the first two pages hold the metas.
	headBytes    = 16
	elementBytes = 16
	metaBytes    = 64
	metaMagic    = 0xED0CDAED
	bucketFlag   = 1
	bucketBytes  = 16 // root page, 0 if the only one follows; sequence
)

// wreck is a damaged journal, and what is whole in it.
type wreck struct {
	file    *os.File
	size    int64
	page    int64  // its length
	floor   uint64 // records below it are done
	last    uint64 // the highest number that a record ever had
	records map[uint64]extent
	aside   map[string]extent

	missing  uint64    // numbers from the floor to the last without a whole record; those that were done early, too
	from, to time.Time // what was seen in between may be lost; zero where that cannot be told
}

// extent is where a value stands in the file.
type extent struct{ at, n int64 }

// salvage begins a new file with every record that is whole in the damaged one,
// which is set aside. Records of which only old copies were left, in free pages,
// come back too: what is written twice is stored once. If nothing can be saved, as
// for want of room, the new file is left to be made.
func (j *Journal) salvage(path string, cause error) {
	damaged := fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405Z"))
	w, err := j.save(path, path+".copy")
	if err != nil {
		_ = os.Remove(path + ".copy") // if there is one
		if renameErr := os.Rename(path, damaged); renameErr != nil {
			return // Opening it again says what is wrong.
		}
		j.cfg.Log.Error("journal is damaged and was set aside; a new one is begun, as nothing could be saved", "file", damaged, "error", cause, "save_error", err)
		removeDamaged(path)
		return
	}
	// In this order, that there is a journal at every moment.
	if err := os.Link(path, damaged); err != nil {
		_ = os.Rename(path, damaged) // on a file system without links
	}
	if err := os.Rename(path+".copy", path); err != nil {
		return // Opening it again says what is wrong.
	}
	syncFolder(filepath.Dir(path))
	removeDamaged(path)
	attrs := []any{"file", damaged, "error", cause, "saved", len(w.records), "missing_at_most", w.missing}
	if !w.from.IsZero() {
		attrs = append(attrs, "from", w.from, "to", w.to)
	}
	j.cfg.Log.Error("journal is damaged: what is whole in it was saved, and the file set aside", attrs...)
	if w.missing > 0 && !w.from.IsZero() {
		stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
		j.Append(&sample.Visit{Server: sample.TheMonitor, Events: []sample.Event{{
			At: w.from, Kind: sample.EventCollectorGap, Subject: "journal", Old: stamp(w.from), New: stamp(w.to),
			Detail: fmt.Sprintf("the journal was damaged: of what was seen in this time up to %d records are lost, %d were saved", w.missing, len(w.records)),
		}}})
	}
}

// save copies what is whole in a damaged file to a new one.
func (j *Journal) save(path, to string) (*wreck, error) {
	f, err := os.Open(path) //nolint:gosec // the journal
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w := &wreck{file: f, size: info.Size(), floor: j.start.Floor, records: make(map[uint64]extent), aside: make(map[string]extent)}
	w.last = max(w.floor, 1) - 1
	w.scan()
	_ = os.Remove(to) // of an earlier try
	if err := w.copyTo(to); err != nil {
		return nil, err
	}
	keepOwner(to, info)
	w.gaps()
	return w, nil
}

// removeDamaged bounds how many damaged files are kept.
func removeDamaged(path string) {
	kept, _ := filepath.Glob(path + ".damaged-*") // in the order of time
	for len(kept) > keptDamaged {
		_ = os.Remove(kept[0])
		kept = kept[1:]
	}
}

// readMeta gives the length of pages that a meta page tells, and false if it is
// not whole.
func readMeta(f io.ReaderAt, at int64) (pageSize int64, ok bool) {
	b := make([]byte, headBytes+metaBytes)
	if _, err := f.ReadAt(b, at); err != nil {
		return 0, false
	}
	meta, sum := b[headBytes:], fnv.New64a()
	_, _ = sum.Write(meta[:metaBytes-8])
	ok = binary.NativeEndian.Uint32(meta) == metaMagic && binary.NativeEndian.Uint64(meta[metaBytes-8:]) == sum.Sum64()
	return int64(binary.NativeEndian.Uint32(meta[8:])), ok
}

// metas gives the length of pages, and how many of the two metas are whole.
func metas(f io.ReaderAt) (pageSize int64, n int) {
	pageSize, ok := readMeta(f, 0)
	if ok {
		n++
	}
	for at := int64(1 << 10); at <= 1<<16; at <<= 1 {
		if size, ok := readMeta(f, at); ok && size == at {
			return size, n + 1
		}
	}
	if n == 0 {
		pageSize = int64(os.Getpagesize())
	}
	return pageSize, n
}

// scan looks for whole records on every page. It goes by no tree, and by no head of
// a page: what a check sum vouches for is whole, wherever it stands.
func (w *wreck) scan() {
	w.page, _ = metas(w.file)
	b := make([]byte, w.page)
	for at := int64(0); at < w.size; at += w.page {
		n, _ := w.file.ReadAt(b, at) // a page that cannot be read is a damaged one
		w.leaf(at, b[:n], true)
	}
}

// leaf looks at a page as one of elements.
func (w *wreck) leaf(at int64, page []byte, top bool) {
	for i := headBytes; i+elementBytes <= len(page); i += elementBytes {
		number := func(n int) int64 { return int64(binary.NativeEndian.Uint32(page[i+4*n:])) }
		flags, pos, size := number(0), int64(i)+number(1), number(2)
		v := extent{at + pos + size, number(3)}
		if size < 4 || size > 16 || flags > bucketFlag || v.at+v.n > w.size {
			continue
		}
		k := make([]byte, size)
		if pos+size <= int64(len(page)) {
			copy(k, page[pos:])
		} else if _, err := w.file.ReadAt(k, v.at-size); err != nil {
			continue
		}
		switch {
		case flags == bucketFlag:
			if top {
				w.bucket(k, v)
			}
		case size == 8:
			w.record(binary.BigEndian.Uint64(k), v)
		case size == 16:
			w.setAside(k, v)
		}
	}
}

// bucket looks at the head of a bucket, and at its only page if that follows.
func (w *wreck) bucket(name []byte, v extent) {
	if v.n < bucketBytes || v.n > w.page || !isBucket(name) {
		return
	}
	b := make([]byte, v.n)
	if _, err := w.file.ReadAt(b, v.at); err != nil {
		return
	}
	if seq := binary.NativeEndian.Uint64(b[8:]); slices.Equal(name, bucketRecords) && seq <= maxSeq {
		w.last = max(w.last, seq)
	}
	if binary.NativeEndian.Uint64(b) == 0 {
		w.leaf(v.at+bucketBytes, b[bucketBytes:], false)
	}
}

// record notes a record if it is whole. Of several versions the largest counts: one
// got smaller only when stats_db, or what is aside, had the rest.
func (w *wreck) record(seq uint64, v extent) {
	if seq < w.floor || seq > maxSeq || v.n <= sumBytes || v.n <= w.records[seq].n {
		return
	}
	said := make([]byte, sumBytes)
	if _, err := w.file.ReadAt(said, v.at); err != nil {
		return
	}
	sum := crc32.New(castagnoli())
	_, _ = sum.Write(append(key(seq), format))
	if _, err := io.Copy(sum, io.NewSectionReader(w.file, v.at+sumBytes, v.n-sumBytes)); err != nil {
		return
	}
	if binary.BigEndian.Uint32(said) == sum.Sum32() {
		w.records[seq], w.last = v, max(w.last, seq)
	}
}

// setAside notes what was set aside, if it is whole.
func (w *wreck) setAside(k []byte, v extent) {
	if binary.BigEndian.Uint64(k) > maxSeq || v.n > maxAside || v.n <= w.aside[string(k)].n {
		return
	}
	if b, err := w.read(v); err == nil {
		if _, record := aside(k, b); record != nil {
			w.aside[string(k)] = v
		}
	}
}

func (w *wreck) read(v extent) ([]byte, error) {
	b := make([]byte, v.n)
	_, err := w.file.ReadAt(b, v.at)
	return b, err
}

// copyTo writes what was found.
func (w *wreck) copyTo(path string) error {
	o := options()
	o.NoSync = true // until it is whole
	dst, err := bbolt.Open(path, 0o600, o)
	if err != nil {
		return err
	}
	err = makeBuckets(dst)
	seqs, asides := slices.Sorted(maps.Keys(w.records)), slices.Sorted(maps.Keys(w.aside))
	for err == nil && len(seqs)+len(asides) > 0 {
		err = dst.Update(func(tx *bbolt.Tx) error {
			room := int64(salvageBytes)
			put := func(bucket, k []byte, v extent) error {
				b, err := w.read(v)
				if err != nil {
					return err
				}
				room -= v.n
				tx.Bucket(bucket).FillPercent = 1 // as keys come in their order
				return tx.Bucket(bucket).Put(k, b)
			}
			for ; len(seqs) > 0 && room > 0; seqs = seqs[1:] {
				if err := put(bucketRecords, key(seqs[0]), w.records[seqs[0]]); err != nil {
					return err
				}
			}
			for ; len(asides) > 0 && room > 0; asides = asides[1:] {
				if err := put(bucketQuarantine, []byte(asides[0]), w.aside[asides[0]]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err == nil {
		err = dst.Update(func(tx *bbolt.Tx) error {
			return errors.Join(tx.Bucket(bucketRecords).SetSequence(w.last), putCounts(tx, len(w.records), int64(len(w.aside))))
		})
	}
	return errors.Join(err, dst.Sync(), dst.Close())
}

// gaps tells what may be missing, and from when to when it was seen.
func (w *wreck) gaps() {
	before := max(w.floor, 1) - 1
	for i, seq := range slices.Sorted(maps.Keys(w.records)) {
		if i == 0 && w.floor == 0 {
			before = seq - 1
		}
		if seq > before+1 {
			w.missing += seq - before - 1
			w.to, _ = w.seen(seq)
			_, last := w.seen(before)
			w.from = cmp.Or(w.from, last)
		}
		before = seq
	}
	if w.last > before {
		w.missing, w.to = w.missing+w.last-before, time.Now()
		_, last := w.seen(before)
		w.from = cmp.Or(w.from, last)
	}
}

// seen gives the first and the last planned tick of a record.
func (w *wreck) seen(seq uint64) (from, to time.Time) {
	b, err := w.read(w.records[seq])
	if err != nil {
		return from, to
	}
	visits, _ := decodeRecord(seq, b)
	return seen(visits)
}
