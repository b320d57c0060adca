package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
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
	At     time.Time // when it was set aside
	Why    string
	Bytes  int64
	Visits int // 0: it cannot be read
	// From and To are the first and the last planned tick; zero: it has none.
	From, To time.Time
}

// Quarantine sets copies aside of what these records have of a server, because
// stats_db refuses it; Replay brings them back. What else is in the records may
// still be wanted: they wait until Done.
func (j *Journal) Quarantine(server target.ID, why string, seqs ...uint64) error {
	return j.setAside(why, seqs, server, func(seq uint64, value []byte) []byte { return only(seq, value, server) })
}

// setAside keeps what part gives of records, once for each server.
func (j *Journal) setAside(why string, seqs []uint64, server target.ID, part func(uint64, []byte) []byte) error {
	j.syncing.Lock() // nobody deletes the records meanwhile
	defer j.syncing.Unlock()
	waiting := j.inMemory(seqs)
	var added, dropped, count, bytes int64
	err := j.db.Update(func(tx *bbolt.Tx) error {
		j.mu.Lock()
		count, bytes = j.stats.Aside, j.stats.AsideBytes
		j.mu.Unlock()
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
			label, err := cbor.Marshal(asideLabel{At: time.Now().UnixMicro(), Why: why})
			if err != nil {
				return err
			}
			label = append(label, value...)
			if err := q.Put(at, label); err != nil {
				return err
			}
			added, count, bytes = added+1, count+1, bytes+int64(len(label))
		}
		c := q.Cursor()
		for k, v := c.First(); k != nil && bytes > j.cfg.MaxAside && count > 1; k, v = c.First() {
			dropped, count, bytes = dropped+1, count-1, bytes-int64(len(v))
			if err := q.Delete(slices.Clone(k)); err != nil {
				return err
			}
		}
		return putCounts(tx, j.stored, count)
	})
	if err != nil {
		return fmt.Errorf("set records of server %d aside: %w", server, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Quarantined += added
	j.stats.AsideDropped += dropped
	j.stats.Aside, j.stats.AsideBytes = count, bytes
	return nil
}

// Keep lets everything in these records go that is not of these servers: stats_db
// has it. The rest waits where it was.
func (j *Journal) Keep(left map[uint64][]target.ID) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	seqs := make([]uint64, 0, len(left))
	for seq := range left {
		seqs = append(seqs, seq)
	}
	waiting := j.inMemory(seqs)
	kept := make(map[uint64][]byte, len(left))
	err := j.db.Update(func(tx *bbolt.Tx) error {
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
	j.mu.Lock()
	defer j.mu.Unlock()
	for seq, value := range kept {
		if size, live := j.sizes[seq]; live {
			j.bytes += int64(len(value)) - size
			j.sizes[seq] = int64(len(value))
		}
	}
	for i := range j.unsynced {
		if value := kept[j.unsynced[i].seq]; value != nil {
			j.unsynced[i].value = value
		}
	}
	return nil
}

// inMemory gives those of these records that are not on disk.
func (j *Journal) inMemory(seqs []uint64) map[uint64][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	found := make(map[uint64][]byte)
	for _, r := range j.unsynced {
		if slices.Contains(seqs, r.seq) {
			found[r.seq] = r.value
		}
	}
	return found
}

// only gives a record with the visits of these servers, nil if it has none.
func only(seq uint64, value []byte, servers ...target.ID) []byte {
	kept := make([]byte, sumBytes)
	split(value, func(server target.ID, visit []byte) {
		if slices.Contains(servers, server) {
			kept = append(kept, visit...)
		}
	})
	if len(kept) == sumBytes {
		return nil
	}
	binary.BigEndian.PutUint32(kept, sum(seq, kept))
	return kept
}

// Aside lists what was set aside, the oldest first.
func (j *Journal) Aside() (list []SetAside, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
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

// asideLabel stands before a record that is set aside.
type asideLabel struct {
	_   struct{} `cbor:",toarray"`
	At  int64    // microseconds since the Unix epoch
	Why string
}

// aside reads what was set aside, and gives the record itself, nil if it cannot
// be read.
func aside(k, v []byte) (one SetAside, record []byte) {
	one = SetAside{Seq: binary.BigEndian.Uint64(k), Server: target.ID(binary.BigEndian.Uint64(k[8:])), Bytes: int64(len(v))}
	var label asideLabel
	record, err := decoding.UnmarshalFirst(v, &label)
	if err != nil {
		return one, nil
	}
	one.At, one.Why = time.UnixMicro(label.At).UTC(), label.Why
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
func (j *Journal) Replay(server *target.ID) (n int, err error) {
	if err := j.Sync(); err != nil { // Records in memory could not be joined.
		return 0, err
	}
	j.syncing.Lock()
	defer j.syncing.Unlock()
	// What comes back may stand below the floor; the next Sync finds the new one.
	if err := j.putStart(func(st *start) { st.Floor = 0 }); err != nil {
		return 0, err
	}
	err = j.db.Update(func(tx *bbolt.Tx) error {
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
		if err = errors.Join(err, j.load(tx)); err != nil {
			return err
		}
		return putCounts(tx, j.stored, j.stats.Aside)
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
func (j *Journal) loadAside(tx *bbolt.Tx) error {
	j.stats.Aside, j.stats.AsideBytes = 0, 0
	return tx.Bucket(bucketQuarantine).ForEach(func(_, v []byte) error {
		j.stats.Aside++
		j.stats.AsideBytes += int64(len(v))
		return nil
	})
}

// unreadable sets a record aside as it is.
func (j *Journal) unreadable(r raw, why error) error {
	return j.setAside("the record cannot be read: "+why.Error(), []uint64{r.seq}, 0, func(uint64, []byte) []byte { return r.value })
}
