package journal

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
)

// ErrLocked says that another process holds the journal.
var ErrLocked = errors.New("another collector holds the journal")

// ErrFormat says that the journal is one of another version of pgam.
var ErrFormat = errors.New("the journal cannot be read")

const (
	// FileName is the journal's, in the data folder.
	FileName    = "journal.db"
	lockTimeout = 2 * time.Second
	maxUnsynced = 64 << 20 // bytes kept in memory while the disk fails
	tellEvery   = time.Minute
)

// The buckets.
var (
	bucketRecords    = []byte("records")
	bucketMeta       = []byte("meta")
	bucketDone       = []byte("done")
	bucketQuarantine = []byte("quarantine")
	keyTargets       = []byte("targets")
	keyCounts        = []byte("counts")
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

// Journal is an open journal. It is safe for concurrent use.
type Journal struct {
	cfg  Config
	db   *bbolt.DB
	lock *os.File // the folder, locked as long as the journal is open

	syncing sync.Mutex // held over the disk work of Sync
	stored  int        // records on disk, whether done or not
	start   start      // as in its file
	floored time.Time  // when the floor in it was written

	mu       sync.Mutex
	encoder  encoder
	pending  []byte // visits added since the last Sync, encoded
	unsynced []raw  // records that are not on disk yet
	sizes    map[uint64]int64
	done     []uint64              // to be deleted
	kept     map[uint64]doneRecord // done, and not deleted
	marks    map[uint64]bool       // of those, to be marked, or no more, with the next Sync
	last     uint64
	bytes    int64
	stats    Stats
	told     time.Time // when it was last logged that visits were dropped
	untold   int64     // visits dropped since then
}

// raw is a record as on disk: its check sum, and visits one after the other.
type raw struct {
	seq   uint64
	value []byte
}

// maxSeq is more than a journal ever counts to, at one record a second.
const maxSeq = 1 << 40

// Open opens or makes the journal in cfg.Dir. A file that is damaged is set aside,
// and one begun with every record that is whole in it; the two last ones that
// were set aside are kept.
func Open(cfg Config) (*Journal, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder %s: %w: give a folder that this user may write in PGAM_DATA_DIR", cfg.Dir, err)
	}
	if cfg.MaxAside == 0 {
		cfg.MaxAside = maxAside
	}
	path := filepath.Join(cfg.Dir, FileName)
	j := &Journal{cfg: cfg}
	err := j.lockFolder()
	if err == nil {
		err = j.readStart()
	}
	if err == nil {
		err = j.openOrBegin(path)
	}
	if err != nil {
		j.unlockFolder()
		return nil, err
	}
	return j, nil
}

// openOrBegin opens the file, or sets it aside and begins one with what is whole in it.
func (j *Journal) openOrBegin(path string) error {
	err := j.open(path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return locked(path)
	case errors.Is(err, ErrFormat):
		return err
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open %s: %w: give a folder that this user may write in PGAM_DATA_DIR", path, err)
	case errors.As(err, new(syscall.Errno)):
		return fmt.Errorf("open %s: %w", path, err) // the disk is full or broken, not what is in the file
	}
	j.salvage(path, err)
	if err := j.open(path); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return nil
}

func locked(path string) error {
	return fmt.Errorf("open %s: %w: stop it, or give this one another PGAM_DATA_DIR", path, ErrLocked)
}

func (j *Journal) open(path string) (err error) {
	// bbolt reports some damage by panicking.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged: %v", r)
		}
	}()
	if err := rebuild(path, j.cfg.Log); err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, options())
	if err != nil {
		return err
	}
	if err = errors.Join(makeBuckets(db), db.View(j.load)); err != nil {
		_ = db.Close() // the first error counts
		return err
	}
	j.db = db
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
	buckets := [][]byte{bucketRecords, bucketMeta, bucketQuarantine} // done: when it is needed
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
	for _, b := range [][]byte{bucketRecords, bucketMeta, bucketQuarantine, bucketDone} {
		if slices.Equal(name, b) {
			return true
		}
	}
	return false
}

// load learns what is waiting.
func (j *Journal) load(tx *bbolt.Tx) error {
	j.sizes, j.bytes = make(map[uint64]int64), 0
	j.last = tx.Bucket(bucketRecords).Sequence()
	c := tx.Bucket(bucketRecords).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		seq := binary.BigEndian.Uint64(k)
		j.sizes[seq] = int64(len(v))
		j.bytes += int64(len(v))
		j.last = max(j.last, seq)
	}
	j.stored = len(j.sizes)
	if j.start.Targets == nil {
		j.start.Targets = slices.Clone(tx.Bucket(bucketMeta).Get(keyTargets))
	}
	return errors.Join(j.loadDone(tx), j.loadAside(tx))
}

// Close syncs what is pending and releases the file.
func (j *Journal) Close() error {
	err := j.Sync()
	j.syncing.Lock()
	j.putFloor(time.Now(), true)
	j.syncing.Unlock()
	err = errors.Join(err, j.db.Close())
	j.unlockFolder()
	return err
}

// Append adds a visit. It does no I/O and keeps no reference to v.
func (j *Journal) Append(v *sample.Visit) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, err := j.encoder.visit(v)
	if err != nil { // a type that cannot be written, which tests find
		j.stats.DroppedVisits++
		j.cfg.Log.Error("visit cannot be encoded and was dropped; please report this", "server_id", v.Server, "error", err)
		return
	}
	if len(j.pending) == 0 {
		j.pending = append(j.pending, make([]byte, sumBytes)...)
	}
	j.pending = append(j.pending, b...)
}

// Sync makes a record of what was appended since the last Sync and puts it on
// disk, with one fsync, together with whatever failed before; records that are
// done leave. On an error the visits wait in memory, bounded.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	if len(j.pending) > 0 {
		j.last++
		binary.BigEndian.PutUint32(j.pending, sum(j.last, j.pending))
		j.unsynced = append(j.unsynced, raw{j.last, j.pending})
		j.sizes[j.last] = int64(len(j.pending))
		j.bytes += int64(len(j.pending))
		j.pending = make([]byte, 0, len(j.pending)+len(j.pending)/4)
	}
	j.expire(time.Now())
	j.bound()
	writing, done, marks := slices.Clone(j.unsynced), j.done, j.takeMarks()
	j.done = nil
	last := j.last
	j.mu.Unlock()
	if len(writing)+len(done)+len(marks) == 0 {
		return nil
	}
	err := j.write(writing, done, marks, last)
	j.putFloor(time.Now(), false)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Failing = err != nil
	if err != nil {
		j.done = append(j.done, done...)
		for seq := range marks {
			j.marks[seq] = true
		}
		return fmt.Errorf("write journal: %w", err)
	}
	if n := len(writing); n > 0 {
		j.unsynced = slices.DeleteFunc(j.unsynced, func(r raw) bool { return r.seq <= writing[n-1].seq })
	}
	return nil
}

func (j *Journal) write(records []raw, done []uint64, marks map[uint64]time.Time, last uint64) error {
	j.mu.Lock()
	stored, aside := j.stored, j.stats.Aside
	j.mu.Unlock()
	err := j.db.Update(func(tx *bbolt.Tx) error {
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
		// The sequence outlives the records: a number never comes twice.
		return errors.Join(b.SetSequence(last), putCounts(tx, stored, aside))
	})
	if err == nil {
		j.stored = stored
	}
	return err
}

// unsyncedBytes counts the records that are not on disk. The lock is held.
func (j *Journal) unsyncedBytes() (n int64) {
	for _, r := range j.unsynced {
		n += int64(len(r.value))
	}
	return n
}

// bound drops the oldest records above the limits, but never the newest, and
// says so at once and then every minute. The lock is held.
func (j *Journal) bound() {
	if j.bytes > j.cfg.MaxBytes || j.unsyncedBytes() > maxUnsynced {
		j.dropOldest()
	}
	if j.untold == 0 || time.Since(j.told) < tellEvery {
		return
	}
	j.cfg.Log.Error("journal is full: the oldest visits were dropped", "visits", j.untold, "bytes", j.bytes, "max_bytes", j.cfg.MaxBytes)
	j.told, j.untold = time.Now(), 0
}

// dropOldest gives up records until the rest is within the limits. The lock is
// held.
func (j *Journal) dropOldest() {
	seqs := make([]uint64, 0, len(j.sizes))
	for seq := range j.sizes {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	before := j.stats.DroppedVisits
	for i := 0; i < len(seqs)-1 && j.bytes > j.cfg.MaxBytes; i++ {
		j.drop(seqs[i])
	}
	for len(j.unsynced) > 1 && j.unsyncedBytes() > maxUnsynced {
		j.drop(j.unsynced[0].seq)
	}
	j.untold += j.stats.DroppedVisits - before
}

// drop gives up a record. The lock is held.
func (j *Journal) drop(seq uint64) {
	if i := slices.IndexFunc(j.unsynced, func(r raw) bool { return r.seq == seq }); i >= 0 {
		j.stats.DroppedVisits += countVisits(j.unsynced[i].value)
	} else {
		_ = j.db.View(func(tx *bbolt.Tx) error {
			j.stats.DroppedVisits += countVisits(tx.Bucket(bucketRecords).Get(key(seq)))
			return nil
		})
	}
	j.forget(seq)
}

// forget marks a record as done. The lock is held. A Sync may be writing the
// record just now: the one after it deletes it.
func (j *Journal) forget(seq uint64) {
	j.unsynced = slices.DeleteFunc(j.unsynced, func(r raw) bool { return r.seq == seq })
	if size, ok := j.sizes[seq]; ok {
		j.bytes -= size
		delete(j.sizes, seq)
		j.done = append(j.done, seq)
	}
}

// readBytes of a journal are read at a time.
const readBytes = 256 << 10

// Next gives the records after seq in their order, on disk or not, until they take
// about maxBytes of memory; none when there are no more. A record that cannot be
// read is quarantined and left out.
func (j *Journal) Next(seq uint64, maxBytes int64) (records []sample.Record, err error) {
	for room := maxBytes; room > 0; {
		found, err := j.read(seq, min(maxBytes, readBytes))
		if err != nil || len(found) == 0 {
			return records, err
		}
		for _, r := range found {
			seq = r.seq
			record, ok, err := j.decode(r)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			records = append(records, record)
			if room -= int64(len(r.value)) + footprint(record.Visits); room <= 0 {
				break
			}
		}
	}
	return records, nil
}

// footprint is about what visits take in memory beside the text in them.
func footprint(visits []sample.Visit) (n int64) {
	const visitBytes, sessionBytes = 700, 72
	for i := range visits {
		n += visitBytes
		if t := visits[i].Tick; t != nil {
			n += int64(len(t.Sessions)) * sessionBytes
		}
	}
	return n
}

// read gives the records after seq as they are, also those that are done but
// not yet deleted.
func (j *Journal) read(seq uint64, maxBytes int64) ([]raw, error) {
	j.mu.Lock()
	waiting := slices.Clone(j.unsynced)
	seq = max(seq, j.allDone())
	j.mu.Unlock()
	var found []raw
	total := int64(0)
	err := j.db.View(func(tx *bbolt.Tx) error {
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

// decode reads the visits of a record, unless it is done.
func (j *Journal) decode(r raw) (record sample.Record, ok bool, err error) {
	j.mu.Lock()
	_, live := j.sizes[r.seq]
	j.mu.Unlock()
	if !live {
		return record, false, nil // done, but not yet deleted
	}
	visits, err := decodeRecord(r.seq, r.value)
	if err == nil {
		return sample.Record{Seq: r.seq, Visits: visits}, true, nil
	}
	j.cfg.Log.Error("journal record cannot be read and was set aside", "seq", r.seq, "error", err)
	if err := j.unreadable(r, err); err != nil {
		return record, false, err
	}
	j.Done(r.seq)
	return record, false, nil
}

// Done says that stats_db has everything in these records; they leave with
// the next Sync, or are kept for Again.
func (j *Journal) Done(seqs ...uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, seq := range seqs {
		if j.cfg.KeepDone == 0 || !j.keep(seq) {
			j.forget(seq)
		}
	}
}

// Stats tells how the journal is doing.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	st := j.stats
	st.Records, st.Bytes = len(j.sizes), j.bytes+int64(len(j.pending))
	st.MemoryBytes = int64(len(j.pending))
	st.MemoryBytes += j.unsyncedBytes()
	st.MaxBytes = j.cfg.MaxBytes
	return st
}

// Dropped counts the visits that were given up since the process started because
// there was no room for them.
func (j *Journal) Dropped() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stats.DroppedVisits
}

func key(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
