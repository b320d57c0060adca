package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"

	"go.etcd.io/bbolt"
)

// rebuildBelow is how much may be in a journal that is copied at every start;
// a larger one is copied when the file is mostly empty.
const rebuildBelow = 64 << 20

// rebuild reads the whole file and copies it, before it is used. Damage that
// bbolt meets later is a panic in a goroutine of its own, or a fault of
// memory, and would end the process at every start again; here it is an error,
// and in a new file the pages that are free, which have no check sums, are
// known for sure. A copy is also how the file gets small again after an
// outage. Without room for one the file stays as it is.
func rebuild(path string, log *slog.Logger) (err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	// A page beyond the end of a file that was cut is a fault of memory.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged: %v", r)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// bbolt takes the other meta if one is damaged, and so goes back a Sync.
	f, err := os.Open(path) //nolint:gosec // the journal
	if err != nil {
		return err
	}
	_, n := metas(f)
	if _ = f.Close(); n < 2 {
		return fmt.Errorf("%w: %d of its 2 metas are whole", errGarbled, n)
	}
	held, err := check(db)
	if err != nil || held == 0 || held > rebuildBelow && info.Size() < rebuildBelow+4*held {
		return err
	}
	tmp := path + ".copy"
	_ = os.Remove(tmp) // of an earlier try
	if err := copyTo(tmp, db); err != nil {
		log.Warn("journal cannot be copied and is used as it is", "bytes", info.Size(), "error", err)
		_ = os.Remove(tmp) // if there is one
		return nil
	}
	keepOwner(tmp, info)
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// keepOwner gives a copy to the owner of what it replaces, where root makes it.
func keepOwner(path string, of fs.FileInfo) {
	if was, ok := of.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		_ = os.Chown(path, int(was.Uid), int(was.Gid))
	}
}

// syncFolder makes a rename last; where folders cannot be synced there is
// nothing better to do.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil { //nolint:gosec // the journal's own
		_, _ = d.Sync(), d.Close()
	}
}

// check reads every byte that is in use, and counts them. Damage may leave a tree
// that can be walked and has less in it, or other keys: what is there must be what
// was written.
func check(db *bbolt.DB) (held int64, err error) {
	// Not View: it would roll back, and so wait, when this panics.
	tx, err := db.Begin(false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	var (
		keys    = make(map[string]int)
		counts  []byte
		foreign error
	)
	err = tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		if b == nil || !isBucket(name) {
			foreign = fmt.Errorf("%w: %q is no bucket", errGarbled, name)
			return nil
		}
		n, last := 0, b.Sequence()
		var before []byte
		err := b.ForEach(func(k, v []byte) error {
			if v == nil || bytes.Compare(before, k) >= 0 {
				return fmt.Errorf("%w: keys of %q", errGarbled, name)
			}
			before = append(before[:0], k...)
			if string(name) == string(bucketMeta) && string(k) == string(keyCounts) {
				counts = slices.Clone(v)
			}
			_ = crc32.ChecksumIEEE(v) // reads it
			held += int64(len(v))
			n++
			return nil
		})
		if string(name) == string(bucketRecords) && (last > maxSeq || n > 0 && bytes.Compare(before, key(last)) > 0) {
			err = errors.Join(err, fmt.Errorf("%w: the last record has the number %d", errGarbled, last))
		}
		keys[string(name)] = n
		return err
	})
	if err == nil {
		err = checkFormat(counts, db.Path())
	}
	if err = cmp.Or(err, foreign); err != nil {
		return 0, err
	}
	if len(keys) == 0 {
		if tx.ID() > 1 { // the first transaction made them
			err = fmt.Errorf("%w: it has no buckets", errGarbled)
		}
		return 0, err
	}
	return held, checkCounts(tx, keys)
}

func copyTo(path string, db *bbolt.DB) error {
	dst, err := bbolt.Open(path, 0o600, options())
	if err != nil {
		return err
	}
	return errors.Join(bbolt.Compact(dst, db, 1<<20), dst.Close())
}
