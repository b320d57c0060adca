package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// ErrLocked says that another process holds the journal.
var ErrLocked = errors.New("another collector holds the journal")

const (
	// FileName is the journal's, in the data folder.
	FileName    = "journal.db"
	lockTimeout = 2 * time.Second
	maxUnsynced = 64 << 20 // bytes kept in memory while the disk fails
	tellEvery   = time.Minute
)

// The buckets.
var (
	bucketRecords    = []byte("records")    //nolint:gochecknoglobals // constant
	bucketNext       = []byte("next_ids")   //nolint:gochecknoglobals // constant
	bucketMeta       = []byte("meta")       //nolint:gochecknoglobals // constant
	bucketDone       = []byte("done")       //nolint:gochecknoglobals // constant
	bucketQuarantine = []byte("quarantine") //nolint:gochecknoglobals // constant
	keyTargets       = []byte("targets")    //nolint:gochecknoglobals // constant
	keyCounts        = []byte("counts")     //nolint:gochecknoglobals // constant
)

// Config is what Open needs.
type Config struct {
	// Dir is the folder of the journal; it is made when missing.
	Dir string
	// MaxBytes bounds the records waiting; the oldest go first.
	MaxBytes int64
	// MaxAside bounds what is set aside, in bytes; 0 means 64 MiB.
	MaxAside int64
	// KeepDone is how long records that are done are kept for Again, within
	// MaxBytes; 0: not at all.
	KeepDone time.Duration
	Log      *slog.Logger
}

// Stats says how the journal is doing.
type Stats struct {
	Records       int
	Bytes         int64 // of records waiting, on disk and in memory
	MemoryBytes   int64 // of those, not on disk
	DroppedVisits int64 // since the process started
	Quarantined   int64 // records set aside since the process started
	Aside         int64 // records that are set aside
	AsideBytes    int64 // of those
	AsideDropped  int64 // of those, given up since the process started, because there were too many
	Failing       bool  // the last Sync failed
	MaxBytes      int64 // the limit of Bytes
}

// Spool is an open journal. It is safe for concurrent use.
type Spool struct {
	cfg  Config
	db   *bbolt.DB
	lock *os.File // the folder, locked as long as the journal is open

	syncing sync.Mutex // held over the disk work of Sync
	stored  int        // records on disk, whether done or not
	start   start      // as in its file
	floored time.Time  // when the floor in it was written

	mu       sync.Mutex
	pending  []byte // visits added since the last Sync, encoded
	visits   int64  // in pending
	unsynced []raw  // records that are not on disk yet
	sizes    map[uint64]int64
	done     []uint64              // to be deleted
	kept     map[uint64]doneRecord // done, and not deleted
	marks    map[uint64]bool       // of those, to be marked, or no more, with the next Sync
	last     uint64
	bytes    int64
	next     map[target.ID]sample.NextIDs
	dirty    map[target.ID]bool
	stats    Stats
	told     time.Time // when it was last logged that visits were dropped
	untold   int64     // visits dropped since then
}

// raw is a record as on disk: its check sum, and visits behind their lengths.
type raw struct {
	seq   uint64
	value []byte
}

// maxSeq is more than a journal ever counts to, at one record a second.
const maxSeq = 1 << 40

// Open opens or makes the journal in cfg.Dir. A file that is damaged is set aside,
// and one begun with every record that is whole in it; the two last ones that
// were set aside are kept.
func Open(cfg Config) (*Spool, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder %s: %w: give a folder that this user may write in PGAM_DATA_DIR", cfg.Dir, err)
	}
	if cfg.MaxAside == 0 {
		cfg.MaxAside = maxAside
	}
	path := filepath.Join(cfg.Dir, FileName)
	s := &Spool{cfg: cfg, dirty: make(map[target.ID]bool)}
	err := s.lockFolder()
	if err == nil {
		err = s.readStart()
	}
	if err == nil {
		err = s.openOrBegin(path)
	}
	if err != nil {
		s.unlockFolder()
		return nil, err
	}
	return s, nil
}

// openOrBegin opens the file, or sets it aside and begins one with what is whole in it.
func (s *Spool) openOrBegin(path string) error {
	err := s.open(path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return locked(path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open %s: %w: give a folder that this user may write in PGAM_DATA_DIR", path, err)
	case errors.As(err, new(syscall.Errno)):
		return fmt.Errorf("open %s: %w", path, err) // the disk is full or broken, not what is in the file
	}
	s.salvage(path, err)
	if err := s.open(path); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return nil
}

func locked(path string) error {
	return fmt.Errorf("open %s: %w: stop it, or give this one another PGAM_DATA_DIR", path, ErrLocked)
}

func (s *Spool) open(path string) (err error) {
	// bbolt reports some damage by panicking.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged: %v", r)
		}
	}()
	if err := rebuild(path, s.cfg.Log); err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, options())
	if err != nil {
		return err
	}
	if err = errors.Join(makeBuckets(db), db.View(s.load)); err != nil {
		_ = db.Close() // the first error counts
		return err
	}
	s.db = db
	return nil
}

// options are those of a file that is written. Free pages are not listed in
// it, which would cost a page or more a Sync.
func options() *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true}
}

// makeBuckets writes only to a new file: an existing journal can be opened
// when the disk is full.
func makeBuckets(db *bbolt.DB) error {
	buckets := [][]byte{bucketRecords, bucketNext, bucketMeta, bucketQuarantine} // done: when it is needed
	missing := false
	err := db.View(func(tx *bbolt.Tx) error {
		missing = slices.ContainsFunc(buckets, func(name []byte) bool { return tx.Bucket(name) == nil })
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// isBucket tells whether a name is that of a bucket.
func isBucket(name []byte) bool {
	for _, b := range [][]byte{bucketRecords, bucketNext, bucketMeta, bucketQuarantine, bucketDone} {
		if slices.Equal(name, b) {
			return true
		}
	}
	return false
}

// load learns what is waiting.
func (s *Spool) load(tx *bbolt.Tx) error {
	s.sizes, s.bytes, s.next = make(map[uint64]int64), 0, make(map[target.ID]sample.NextIDs)
	s.last = tx.Bucket(bucketRecords).Sequence()
	c := tx.Bucket(bucketRecords).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		seq := binary.BigEndian.Uint64(k)
		s.sizes[seq] = int64(len(v))
		s.bytes += int64(len(v))
		s.last = max(s.last, seq)
	}
	s.stored = len(s.sizes)
	if err := s.loadDone(tx); err != nil {
		return err
	}
	err := tx.Bucket(bucketNext).ForEach(func(k, v []byte) error {
		ids, ok := decodeIDs(k, v)
		if ok {
			s.next[target.ID(binary.BigEndian.Uint64(k))] = ids
		} else if len(s.start.Next) == 0 {
			return errGarbled
		}
		return nil
	})
	s.loadStart(tx)
	return errors.Join(err, s.loadAside(tx))
}

// Close syncs what is pending and releases the file.
func (s *Spool) Close() error {
	err := s.Sync()
	s.syncing.Lock()
	s.putFloor(time.Now(), true)
	s.syncing.Unlock()
	err = errors.Join(err, s.db.Close())
	s.unlockFolder()
	return err
}

// Append adds a visit. It does no I/O and keeps no reference to v.
func (s *Spool) Append(v *sample.Visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const prefix = 4
	if len(s.pending) == 0 {
		s.pending = append(s.pending, make([]byte, sumBytes)...)
	}
	at := len(s.pending)
	s.pending = encodeVisit(append(s.pending, 0, 0, 0, 0), v)
	binary.BigEndian.PutUint32(s.pending[at:], uint32(len(s.pending)-at-prefix))
	s.visits++
	s.learn(v)
}

// Sync makes a record of what was appended since the last Sync and puts it on
// disk, with one fsync, together with whatever failed before; records that are
// done leave. On an error the visits wait in memory, bounded.
func (s *Spool) Sync() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	if len(s.pending) > 0 {
		s.last++
		binary.BigEndian.PutUint32(s.pending, sum(s.last, s.pending))
		s.unsynced = append(s.unsynced, raw{s.last, s.pending})
		s.sizes[s.last] = int64(len(s.pending))
		s.bytes += int64(len(s.pending))
		s.pending, s.visits = make([]byte, 0, len(s.pending)+len(s.pending)/4), 0
	}
	s.expire(time.Now())
	s.bound()
	writing, done, marks := slices.Clone(s.unsynced), s.done, s.takeMarks()
	s.done = nil
	ids := make(map[target.ID]sample.NextIDs, len(s.dirty))
	for id := range s.dirty {
		ids[id] = s.next[id]
	}
	last := s.last
	s.mu.Unlock()
	if len(writing)+len(done)+len(ids)+len(marks) == 0 {
		return nil
	}
	err := s.putNext(ids)
	if err == nil {
		err = s.write(writing, done, ids, marks, last)
	}
	s.putFloor(time.Now(), false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Failing = err != nil
	if err != nil {
		s.done = append(s.done, done...)
		for seq := range marks {
			s.marks[seq] = true
		}
		return fmt.Errorf("write journal: %w", err)
	}
	if n := len(writing); n > 0 {
		s.unsynced = slices.DeleteFunc(s.unsynced, func(r raw) bool { return r.seq <= writing[n-1].seq })
	}
	for id, v := range ids {
		if s.next[id] == v {
			delete(s.dirty, id)
		}
	}
	return nil
}

func (s *Spool) write(records []raw, done []uint64, ids map[target.ID]sample.NextIDs, marks map[uint64]time.Time, last uint64) error {
	s.mu.Lock()
	stored, aside := s.stored, s.stats.Aside
	s.mu.Unlock()
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRecords)
		if err := writeMarks(tx, marks, done); err != nil {
			return err
		}
		for _, seq := range done {
			if b.Get(key(seq)) != nil {
				stored--
			}
			if err := b.Delete(key(seq)); err != nil {
				return err
			}
		}
		b.FillPercent = 1 // keys only grow
		for _, r := range records {
			if b.Get(key(r.seq)) == nil {
				stored++
			}
			if err := b.Put(key(r.seq), r.value); err != nil {
				return err
			}
		}
		for id, n := range ids {
			if err := tx.Bucket(bucketNext).Put(key(uint64(id)), encodeIDs(id, n)); err != nil {
				return err
			}
		}
		// The sequence outlives the records: a number never comes twice.
		return errors.Join(b.SetSequence(last), putCounts(tx, stored, aside))
	})
	if err == nil {
		s.stored = stored
	}
	return err
}

// unsyncedBytes counts the records that are not on disk. The lock is held.
func (s *Spool) unsyncedBytes() (n int64) {
	for _, r := range s.unsynced {
		n += int64(len(r.value))
	}
	return n
}

// bound drops the oldest records above the limits, but never the newest, and
// says so at once and then every minute. The lock is held.
func (s *Spool) bound() {
	if s.bytes > s.cfg.MaxBytes || s.unsyncedBytes() > maxUnsynced {
		s.dropOldest()
	}
	if s.untold == 0 || time.Since(s.told) < tellEvery {
		return
	}
	s.cfg.Log.Error("journal is full: the oldest visits were dropped", "visits", s.untold, "bytes", s.bytes, "max_bytes", s.cfg.MaxBytes)
	s.told, s.untold = time.Now(), 0
}

// dropOldest gives up records until the rest is within the limits. The lock is
// held.
func (s *Spool) dropOldest() {
	seqs := make([]uint64, 0, len(s.sizes))
	for seq := range s.sizes {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	before := s.stats.DroppedVisits
	for i := 0; i < len(seqs)-1 && s.bytes > s.cfg.MaxBytes; i++ {
		s.drop(seqs[i])
	}
	for len(s.unsynced) > 1 && s.unsyncedBytes() > maxUnsynced {
		s.drop(s.unsynced[0].seq)
	}
	s.untold += s.stats.DroppedVisits - before
}

// drop gives up a record. The lock is held.
func (s *Spool) drop(seq uint64) {
	if i := slices.IndexFunc(s.unsynced, func(r raw) bool { return r.seq == seq }); i >= 0 {
		s.stats.DroppedVisits += countVisits(s.unsynced[i].value)
	} else {
		_ = s.db.View(func(tx *bbolt.Tx) error {
			s.stats.DroppedVisits += countVisits(tx.Bucket(bucketRecords).Get(key(seq)))
			return nil
		})
	}
	s.forget(seq)
}

// forget marks a record as done. The lock is held. A Sync may be writing the
// record just now: the one after it deletes it.
func (s *Spool) forget(seq uint64) {
	s.unsynced = slices.DeleteFunc(s.unsynced, func(r raw) bool { return r.seq == seq })
	if size, ok := s.sizes[seq]; ok {
		s.bytes -= size
		delete(s.sizes, seq)
		s.done = append(s.done, seq)
	}
}

// Next gives the records after seq in their order, on disk or not, until
// they hold maxBytes; none when there are no more. A record that cannot be
// read is quarantined and left out.
func (s *Spool) Next(seq uint64, maxBytes int64) ([]sample.Record, error) {
	for {
		found, err := s.read(seq, maxBytes)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		records, err := s.decode(found)
		if err != nil || len(records) > 0 {
			return records, err
		}
		seq = found[len(found)-1].seq // none of these counts any more
	}
}

// read gives the records after seq as they are, also those that are done but
// not yet deleted.
func (s *Spool) read(seq uint64, maxBytes int64) ([]raw, error) {
	s.mu.Lock()
	waiting := slices.Clone(s.unsynced)
	seq = max(seq, s.allDone())
	s.mu.Unlock()
	var found []raw
	total := int64(0)
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketRecords).Cursor()
		for k, v := c.Seek(key(seq + 1)); k != nil && total < maxBytes; k, v = c.Next() {
			found = append(found, raw{binary.BigEndian.Uint64(k), slices.Clone(v)})
			total += int64(len(v))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	for _, r := range waiting {
		if r.seq > seq && total < maxBytes && (len(found) == 0 || r.seq > found[len(found)-1].seq) {
			found = append(found, r)
			total += int64(len(r.value))
		}
	}
	return found, nil
}

// decode reads the visits of records that are not done.
func (s *Spool) decode(found []raw) ([]sample.Record, error) {
	records := make([]sample.Record, 0, len(found))
	for _, r := range found {
		s.mu.Lock()
		_, live := s.sizes[r.seq]
		s.mu.Unlock()
		if !live {
			continue // done, but not yet deleted
		}
		visits, err := decodeRecord(r.seq, r.value)
		if err != nil {
			s.cfg.Log.Error("journal record cannot be read and was set aside", "seq", r.seq, "error", err)
			if err := s.unreadable(r, err); err != nil {
				return nil, err
			}
			s.Done(r.seq)
			continue
		}
		records = append(records, sample.Record{Seq: r.seq, Visits: visits})
	}
	return records, nil
}

// Done says that stats_db has everything in these records; they leave with
// the next Sync, or are kept for Again.
func (s *Spool) Done(seqs ...uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range seqs {
		if s.cfg.KeepDone == 0 || !s.keep(seq) {
			s.forget(seq)
		}
	}
}

// Stats tells how the journal is doing.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Records, st.Bytes = len(s.sizes), s.bytes+int64(len(s.pending))
	st.MemoryBytes = int64(len(s.pending))
	st.MemoryBytes += s.unsyncedBytes()
	st.MaxBytes = s.cfg.MaxBytes
	return st
}

// Dropped counts the visits that were given up since the process started because
// there was no room for them.
func (s *Spool) Dropped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.DroppedVisits
}

func key(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// split walks over the encoded visits of a record.
func split(value []byte, each func([]byte) error) error {
	if len(value) < sumBytes {
		return errGarbled
	}
	value = value[sumBytes:]
	for len(value) > 0 {
		if len(value) < 4 {
			return errGarbled
		}
		n := int(binary.BigEndian.Uint32(value))
		if n > len(value)-4 {
			return errGarbled
		}
		if err := each(value[4 : 4+n]); err != nil {
			return err
		}
		value = value[4+n:]
	}
	return nil
}

func decodeRecord(seq uint64, value []byte) (visits []sample.Visit, err error) {
	if !whole(seq, value) {
		return nil, fmt.Errorf("%w: its check sum differs", errGarbled)
	}
	err = split(value, func(b []byte) error {
		v, err := decodeVisit(b)
		visits = append(visits, v)
		return err
	})
	return visits, err
}

func countVisits(value []byte) (n int64) {
	_ = split(value, func([]byte) error { n++; return nil }) // as many as can be told
	return n
}
