package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// startFile keeps what a start without stats_db needs. It is a file of its own,
	// beside that of the lease: damage to the journal does not take it along.
	startFile = "start.json"
	// floorEvery is how often the floor is written.
	floorEvery = time.Minute
)

// start is what is in it.
type start struct {
	// Targets is what PutTargets kept.
	Targets []byte `json:"targets,omitempty"`
	// Floor is a number below which every record is done. What a damaged journal
	// still has of those is left over in free pages.
	Floor uint64 `json:"floor,omitempty"`
}

// readStart reads the file. One that is damaged is as none: what is in it, the
// journal has too, and is written again.
func (j *Journal) readStart() error {
	j.start = start{}
	data, err := readWhole(filepath.Join(j.cfg.Dir, startFile))
	if err == nil {
		err = json.Unmarshal(data, &j.start)
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
	case errors.As(err, new(*fs.PathError)):
		return fmt.Errorf("read what a start without stats_db needs: %w", err)
	default:
		j.start = start{}
		j.cfg.Log.Error("what is kept for a start without stats_db is damaged and was taken from the journal", "file", startFile, "error", err)
	}
	return nil
}

// putStart changes what is in the file. j.syncing is held.
func (j *Journal) putStart(change func(*start)) error {
	changed := j.start
	change(&changed)
	data, err := json.Marshal(changed)
	if err == nil {
		err = writeWhole(filepath.Join(j.cfg.Dir, startFile), data)
	}
	if err != nil {
		return fmt.Errorf("keep what a start without stats_db needs: %w", err)
	}
	j.start = changed
	return nil
}

// putFloor writes the floor now and then, first after a start: it may be that of
// another journal, and too high. That it cannot be written is no matter later: a
// lower one is as right. j.syncing is held.
func (j *Journal) putFloor(now time.Time, last bool) {
	if !last && !now.Before(j.floored) && now.Sub(j.floored) < floorEvery {
		return
	}
	j.mu.Lock()
	floor := j.last + 1
	for seq := range j.sizes {
		floor = min(floor, seq)
	}
	for seq := range j.kept {
		floor = min(floor, seq)
	}
	j.mu.Unlock()
	if floor == j.start.Floor || j.putStart(func(st *start) { st.Floor = floor }) == nil {
		j.floored = now
	}
}

// PutTargets keeps what is watched, with its secrets sealed, for a start
// while stats_db is away.
func (j *Journal) PutTargets(sealed []byte) error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if err := j.putStart(func(st *start) { st.Targets = slices.Clone(sealed) }); err != nil {
		return err
	}
	err := j.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyTargets, sealed) })
	if err != nil {
		return fmt.Errorf("keep targets: %w", err)
	}
	return nil
}

// Targets gives what PutTargets kept, nil for nothing.
func (j *Journal) Targets() (sealed []byte, err error) {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	return slices.Clone(j.start.Targets), nil
}

// sumLine is before the check sum at the end of a small file.
const sumLine = "\ncrc32c "

// writeWhole puts data and a check sum into a file, durably: it has all of it, or
// what it had before.
func writeWhole(path string, data []byte) (err error) {
	tmp := path + ".new"
	defer func() {
		if err != nil {
			_ = os.Remove(tmp) // if there is one
		}
	}()
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // in the data folder
	if err != nil {
		return err
	}
	_, err = f.Write(fmt.Appendf(slices.Clone(data), "%s%08x\n", sumLine, crc32.Checksum(data, castagnoli())))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if folder, err := os.Stat(filepath.Dir(path)); err == nil {
		keepOwner(tmp, folder)
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// readWhole reads what writeWhole wrote.
func readWhole(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // in the data folder
	if err != nil {
		return nil, err
	}
	data, end, found := bytes.Cut(data, []byte(sumLine))
	said, err := strconv.ParseUint(string(bytes.TrimSpace(end)), 16, 32)
	if !found || err != nil || uint32(said) != crc32.Checksum(data, castagnoli()) {
		return nil, fmt.Errorf("%w: its check sum differs", errGarbled)
	}
	return data, nil
}
