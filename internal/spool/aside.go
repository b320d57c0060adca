package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// maxAside bounds, in bytes, what is set aside: the oldest go first.
const maxAside = 64 << 20

// SetAside is what a record had of one server and stats_db refused, or a record
// that cannot be read.
type SetAside struct {
	Seq    uint64
	Server target.ID // 0: the record cannot be read, or is of the monitor itself
	At     time.Time // when it was set aside; zero: by a version that did not note it
	Why    string
	Bytes  int64
	Visits int // 0: it cannot be read
	// From and To are the first and the last planned tick; zero: it has none.
	From, To time.Time
}

// Quarantine sets copies aside of what these records have of a server, because
// stats_db refuses it; Replay brings them back. What else is in the records may
// still be wanted: they wait until Done.
func (s *Spool) Quarantine(server target.ID, why string, seqs ...uint64) error {
	return s.setAside(why, seqs, server, func(seq uint64, value []byte) []byte { return only(seq, value, server) })
}

// setAside keeps what part gives of records, once for each server.
func (s *Spool) setAside(why string, seqs []uint64, server target.ID, part func(uint64, []byte) []byte) error {
	s.syncing.Lock() // nobody deletes the records meanwhile
	defer s.syncing.Unlock()
	waiting := s.inMemory(seqs)
	var added, dropped, count, bytes int64
	err := s.db.Update(func(tx *bbolt.Tx) error {
		s.mu.Lock()
		count, bytes = s.stats.Aside, s.stats.AsideBytes
		s.mu.Unlock()
		added, dropped = 0, 0
		q := tx.Bucket(bucketQuarantine)
		for _, seq := range seqs {
			value := waiting[seq]
			if value == nil {
				value = tx.Bucket(bucketRecords).Get(key(seq))
			}
			at := append(key(seq), key(uint64(server))...)
			if value = part(seq, value); value == nil || q.Get(at) != nil {
				continue
			}
			e := encoder{}
			e.time(time.Now())
			e.str(why)
			if err := q.Put(at, append(e.b, value...)); err != nil {
				return err
			}
			added, count, bytes = added+1, count+1, bytes+int64(len(e.b)+len(value))
		}
		c := q.Cursor()
		for k, v := c.First(); k != nil && bytes > s.cfg.MaxAside && count > 1; k, v = c.First() {
			dropped, count, bytes = dropped+1, count-1, bytes-int64(len(v))
			if err := q.Delete(slices.Clone(k)); err != nil {
				return err
			}
		}
		return putCounts(tx, s.stored, count)
	})
	if err != nil {
		return fmt.Errorf("set records of server %d aside: %w", server, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Quarantined += added
	s.stats.AsideDropped += dropped
	s.stats.Aside, s.stats.AsideBytes = count, bytes
	return nil
}

// Keep lets everything in these records go that is not of these servers: stats_db
// has it. The rest waits where it was.
func (s *Spool) Keep(left map[uint64][]target.ID) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	seqs := make([]uint64, 0, len(left))
	for seq := range left {
		seqs = append(seqs, seq)
	}
	waiting := s.inMemory(seqs)
	kept := make(map[uint64][]byte, len(left))
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRecords)
		for _, seq := range seqs {
			value, onDisk := waiting[seq], false
			if value == nil {
				value, onDisk = b.Get(key(seq)), true
			}
			value = only(seq, value, left[seq]...)
			if value == nil {
				continue
			}
			kept[seq] = value
			if onDisk {
				if err := b.Put(key(seq), value); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep parts of records: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq, value := range kept {
		if size, live := s.sizes[seq]; live {
			s.bytes += int64(len(value)) - size
			s.sizes[seq] = int64(len(value))
		}
	}
	for i := range s.unsynced {
		if value := kept[s.unsynced[i].seq]; value != nil {
			s.unsynced[i].value = value
		}
	}
	return nil
}

// inMemory gives those of these records that are not on disk.
func (s *Spool) inMemory(seqs []uint64) map[uint64][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[uint64][]byte)
	for _, r := range s.unsynced {
		if slices.Contains(seqs, r.seq) {
			found[r.seq] = r.value
		}
	}
	return found
}

// only gives a record with the visits of these servers, nil if it has none.
func only(seq uint64, value []byte, servers ...target.ID) []byte {
	kept := make([]byte, sumBytes)
	_ = split(value, func(visit []byte) error { // as far as it can be read
		d := decoder{b: visit}
		_ = d.byte() // the version
		if slices.Contains(servers, target.ID(d.int())) && !d.bad {
			kept = append(binary.BigEndian.AppendUint32(kept, uint32(len(visit))), visit...)
		}
		return nil
	})
	if len(kept) == sumBytes {
		return nil
	}
	binary.BigEndian.PutUint32(kept, sum(seq, kept))
	return kept
}

// Aside lists what was set aside, the oldest first.
func (s *Spool) Aside() (list []SetAside, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketQuarantine).ForEach(func(k, v []byte) error {
			one, _ := aside(k, v)
			list = append(list, one)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list what was set aside: %w", err)
	}
	return list, nil
}

// aside reads what was set aside, and gives the record itself, nil if it cannot
// be read. Older versions kept whole records, and no reason.
func aside(k, v []byte) (one SetAside, record []byte) {
	one = SetAside{Seq: binary.BigEndian.Uint64(k), Bytes: int64(len(v))}
	record = v
	if len(k) == 16 {
		d := decoder{b: v}
		one.Server = target.ID(binary.BigEndian.Uint64(k[8:]))
		one.At, one.Why = d.time(), d.str()
		record = d.b
	}
	visits, err := decodeRecord(one.Seq, record)
	if err != nil {
		return one, nil
	}
	one.Visits = len(visits)
	one.From, one.To = seen(visits)
	return one, record
}

// seen gives the first and the last planned tick of visits, zero where there is none.
func seen(visits []sample.Visit) (from, to time.Time) {
	for i := range visits {
		t := visits[i].Tick
		if t == nil {
			continue
		}
		if from.IsZero() || t.Planned.Before(from) {
			from = t.Planned
		}
		if t.Planned.After(to) {
			to = t.Planned
		}
	}
	return from, to
}

// Replay brings what was set aside back to where it stood in the journal, for
// another try: of one server, or of all where server is nil. What cannot be read
// stays. It gives how many were brought back.
func (s *Spool) Replay(server *target.ID) (n int, err error) {
	if err := s.Sync(); err != nil { // Records in memory could not be joined.
		return 0, err
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	// What comes back may stand below the floor; the next Sync finds the new one.
	if err := s.putStart(func(st *start) { st.Floor = 0 }); err != nil {
		return 0, err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		n = 0
		q, b := tx.Bucket(bucketQuarantine), tx.Bucket(bucketRecords)
		var back [][]byte
		err := q.ForEach(func(k, v []byte) error {
			one, record := aside(k, v)
			if record == nil || server != nil && one.Server != *server {
				return nil
			}
			back = append(back, slices.Clone(k))
			if done := tx.Bucket(bucketDone); done != nil {
				if err := done.Delete(key(one.Seq)); err != nil {
					return err
				}
			}
			return b.Put(key(one.Seq), join(one.Seq, b.Get(key(one.Seq)), record))
		})
		for _, k := range back {
			err = errors.Join(err, q.Delete(k))
		}
		n = len(back)
		if err = errors.Join(err, s.load(tx)); err != nil {
			return err
		}
		return putCounts(tx, s.stored, s.stats.Aside)
	})
	if err != nil {
		return 0, fmt.Errorf("bring back what was set aside: %w", err)
	}
	return n, nil
}

// join gives one record with the visits of both.
func join(seq uint64, a, b []byte) []byte {
	both := slices.Clone(b)
	if a != nil {
		both = slices.Concat(a, b[sumBytes:])
	}
	binary.BigEndian.PutUint32(both, sum(seq, both))
	return both
}

// loadAside counts what is set aside.
func (s *Spool) loadAside(tx *bbolt.Tx) error {
	s.stats.Aside, s.stats.AsideBytes = 0, 0
	return tx.Bucket(bucketQuarantine).ForEach(func(_, v []byte) error {
		s.stats.Aside++
		s.stats.AsideBytes += int64(len(v))
		return nil
	})
}

// unreadable sets a record aside as it is.
func (s *Spool) unreadable(r raw, why error) error {
	return s.setAside("the record cannot be read: "+why.Error(), []uint64{r.seq}, 0, func(uint64, []byte) []byte { return r.value })
}
