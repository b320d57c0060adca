package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
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
	// Next are next ids of the servers as they were once. The journal has those
	// of now, which are never beyond their Leap.
	Next map[target.ID]nextIDs `json:"next,omitempty"`
	// Floor is a number below which every record is done. What a damaged journal
	// still has of those is left over in free pages.
	Floor uint64 `json:"floor,omitempty"`
}

type nextIDs struct {
	Session int32 `json:"session"`
	Query   int32 `json:"query"`
	Lock    int32 `json:"lock"`
	Wait    int16 `json:"wait"`
}

// readStart reads the file. One that is damaged is as none: what is in it, the
// journal has too, and is written again.
func (s *Spool) readStart() error {
	s.start = start{}
	data, err := readWhole(filepath.Join(s.cfg.Dir, startFile))
	if err == nil {
		err = json.Unmarshal(data, &s.start)
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
	case errors.As(err, new(*fs.PathError)):
		return fmt.Errorf("read what a start without stats_db needs: %w", err)
	default:
		s.start = start{}
		s.cfg.Log.Error("what is kept for a start without stats_db is damaged and was taken from the journal", "file", startFile, "error", err)
	}
	return nil
}

// putStart changes what is in the file. s.syncing is held.
func (s *Spool) putStart(change func(*start)) error {
	changed := s.start
	change(&changed)
	data, err := json.Marshal(changed)
	if err == nil {
		err = writeWhole(filepath.Join(s.cfg.Dir, startFile), data)
	}
	if err != nil {
		return fmt.Errorf("keep what a start without stats_db needs: %w", err)
	}
	s.start = changed
	return nil
}

// putNext notes next ids before any of them goes beyond what the file allows.
// s.syncing is held.
func (s *Spool) putNext(ids map[target.ID]sample.NextIDs) error {
	next := maps.Clone(s.start.Next)
	if next == nil {
		next = make(map[target.ID]nextIDs)
	}
	beyond := false
	for id, n := range ids {
		was, there := next[id]
		if most := sample.NextIDs(was).Leap(); !there || most.Max(n) != most {
			next[id], beyond = nextIDs(n), true
		}
	}
	if !beyond {
		return nil
	}
	return s.putStart(func(st *start) { st.Next = next })
}

// loadStart makes up for what only one of the file and the journal has.
func (s *Spool) loadStart(tx *bbolt.Tx) {
	if s.start.Targets == nil {
		s.start.Targets = slices.Clone(tx.Bucket(bucketMeta).Get(keyTargets))
	}
	for id, was := range s.start.Next {
		n := sample.NextIDs(was)
		if now, there := s.next[id]; there {
			s.next[id] = now.Max(n)
		} else {
			s.next[id] = n.Leap()
		}
	}
	for id := range s.next {
		if _, there := s.start.Next[id]; !there {
			s.dirty[id] = true
		}
	}
}

// putFloor writes the floor now and then, first after a start: it may be that of
// another journal, and too high. That it cannot be written is no matter later: a
// lower one is as right. s.syncing is held.
func (s *Spool) putFloor(now time.Time, last bool) {
	if !last && !now.Before(s.floored) && now.Sub(s.floored) < floorEvery {
		return
	}
	s.mu.Lock()
	floor := s.last + 1
	for seq := range s.sizes {
		floor = min(floor, seq)
	}
	for seq := range s.kept {
		floor = min(floor, seq)
	}
	s.mu.Unlock()
	if floor == s.start.Floor || s.putStart(func(st *start) { st.Floor = floor }) == nil {
		s.floored = now
	}
}

// PutTargets keeps what is watched, with its secrets sealed, for a start
// while stats_db is away.
func (s *Spool) PutTargets(sealed []byte) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	if err := s.putStart(func(st *start) { st.Targets = slices.Clone(sealed) }); err != nil {
		return err
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyTargets, sealed) })
	if err != nil {
		return fmt.Errorf("keep targets: %w", err)
	}
	return nil
}

// Targets gives what PutTargets kept, nil for nothing.
func (s *Spool) Targets() (sealed []byte, err error) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	return slices.Clone(s.start.Targets), nil
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
