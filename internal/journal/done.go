package journal

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// doneRecord is a record that stats_db has, kept in case that it loses it.
type doneRecord struct {
	size int64
	at   time.Time
}

// keep keeps a record that is done, and reports false for one that is not on disk.
// The lock is held.
func (j *Journal) keep(seq uint64) bool {
	size, waits := j.sizes[seq]
	if !waits || slices.ContainsFunc(j.unsynced, func(r raw) bool { return r.seq == seq }) {
		return false
	}
	j.bytes -= size
	delete(j.sizes, seq)
	j.kept[seq] = doneRecord{size, time.Now()}
	j.marks[seq] = true
	return true
}

// expire gives up what was kept for long enough, or stands in the way of what
// waits. The lock is held.
func (j *Journal) expire(now time.Time) {
	if len(j.kept) == 0 {
		return
	}
	held := j.bytes
	for _, r := range j.kept {
		held += r.size
	}
	for _, seq := range slices.Sorted(maps.Keys(j.kept)) {
		r := j.kept[seq]
		if held <= j.cfg.MaxBytes && now.Sub(r.at) < j.cfg.KeepDone && !now.Before(r.at) {
			continue
		}
		held -= r.size
		delete(j.kept, seq)
		delete(j.marks, seq)
		j.done = append(j.done, seq)
	}
}

// Again brings back what is done and still kept: stats_db may have lost it.
func (j *Journal) Again() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for seq, r := range j.kept {
		j.sizes[seq] = r.size
		j.bytes += r.size
		j.marks[seq] = true
	}
	clear(j.kept)
}

// allDone gives a record up to which all are done. The lock is held.
func (j *Journal) allDone() uint64 {
	if len(j.kept) == 0 {
		return 0
	}
	done := j.last
	for seq := range j.sizes {
		done = min(done, seq-1)
	}
	return done
}

// takeMarks gives the marks to be written: when a record was done, zero: it is
// not. The lock is held.
func (j *Journal) takeMarks() map[uint64]time.Time {
	taken := make(map[uint64]time.Time, len(j.marks))
	for seq := range j.marks {
		taken[seq] = j.kept[seq].at
	}
	clear(j.marks)
	return taken
}

// writeMarks notes which records are done and kept.
func writeMarks(tx *bbolt.Tx, marks map[uint64]time.Time, deleted []uint64) error {
	b := tx.Bucket(bucketDone)
	if b == nil {
		if len(marks) == 0 {
			return nil
		}
		var err error
		if b, err = tx.CreateBucket(bucketDone); err != nil {
			return err
		}
	}
	for seq, at := range marks {
		if at.IsZero() {
			deleted = append(deleted, seq)
			continue
		}
		if err := b.Put(key(seq), withSum(key(seq), key(uint64(at.UnixNano())))); err != nil {
			return err
		}
	}
	for _, seq := range deleted {
		if err := b.Delete(key(seq)); err != nil {
			return err
		}
	}
	return nil
}

// loadDone tells records that are done from those that wait.
func (j *Journal) loadDone(tx *bbolt.Tx) error {
	j.kept, j.marks = make(map[uint64]doneRecord), make(map[uint64]bool)
	b := tx.Bucket(bucketDone)
	if b == nil {
		return nil
	}
	return b.ForEach(func(k, v []byte) error {
		v, ok := withoutSum(k, v)
		if !ok || len(k) != 8 || len(v) != 8 {
			return nil // A mark that cannot be read is none: what is written twice is stored once.
		}
		seq := binary.BigEndian.Uint64(k)
		if size, there := j.sizes[seq]; there {
			j.kept[seq] = doneRecord{size, time.Unix(0, int64(binary.BigEndian.Uint64(v)))}
			j.bytes -= size
			delete(j.sizes, seq)
		}
		return nil
	})
}
