package spool

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
func (s *Spool) keep(seq uint64) bool {
	size, waits := s.sizes[seq]
	if !waits || slices.ContainsFunc(s.unsynced, func(r raw) bool { return r.seq == seq }) {
		return false
	}
	s.bytes -= size
	delete(s.sizes, seq)
	s.kept[seq] = doneRecord{size, time.Now()}
	s.marks[seq] = true
	return true
}

// expire gives up what was kept for long enough, or stands in the way of what
// waits. The lock is held.
func (s *Spool) expire(now time.Time) {
	if len(s.kept) == 0 {
		return
	}
	held := s.bytes
	for _, r := range s.kept {
		held += r.size
	}
	for _, seq := range slices.Sorted(maps.Keys(s.kept)) {
		r := s.kept[seq]
		if held <= s.cfg.MaxBytes && now.Sub(r.at) < s.cfg.KeepDone && !now.Before(r.at) {
			continue
		}
		held -= r.size
		delete(s.kept, seq)
		delete(s.marks, seq)
		s.done = append(s.done, seq)
	}
}

// Again brings back what is done and still kept: stats_db may have lost it.
func (s *Spool) Again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq, r := range s.kept {
		s.sizes[seq] = r.size
		s.bytes += r.size
		s.marks[seq] = true
	}
	clear(s.kept)
}

// allDone gives a record up to which all are done. The lock is held.
func (s *Spool) allDone() uint64 {
	if len(s.kept) == 0 {
		return 0
	}
	done := s.last
	for seq := range s.sizes {
		done = min(done, seq-1)
	}
	return done
}

// takeMarks gives the marks to be written: when a record was done, zero: it is
// not. The lock is held.
func (s *Spool) takeMarks() map[uint64]time.Time {
	taken := make(map[uint64]time.Time, len(s.marks))
	for seq := range s.marks {
		taken[seq] = s.kept[seq].at
	}
	clear(s.marks)
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
func (s *Spool) loadDone(tx *bbolt.Tx) error {
	s.kept, s.marks = make(map[uint64]doneRecord), make(map[uint64]bool)
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
		if size, there := s.sizes[seq]; there {
			s.kept[seq] = doneRecord{size, time.Unix(0, int64(binary.BigEndian.Uint64(v)))}
			s.bytes -= size
			delete(s.sizes, seq)
		}
		return nil
	})
}
