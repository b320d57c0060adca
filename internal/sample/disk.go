package sample

import (
	"slices"
	"time"

	"github.com/pgam/pgam/internal/target"
)

// Location is a folder that PostgreSQL keeps data in, as it names it itself.
type Location struct {
	// Use is "data", "wal", or "tablespace:" and the tablespace's name.
	Use  string
	Path string
}

// FileSystem is a file system that holds locations, at an instant.
type FileSystem struct {
	MountPoint string
	// Device is what is mounted, e.g. /dev/sda1; empty: unknown.
	Device string
	// Uses are the locations' uses, sorted.
	Uses []string
	// Total and Free are bytes; Free is what an unprivileged process can use.
	Total, Free Int
	// Inodes and InodesFree are unknown where the file system has no fixed
	// number of them.
	Inodes, InodesFree Int
}

// Disks is one look at the file systems of a server's host.
type Disks struct {
	At          time.Time
	Source      target.DiskSource // ssh or local
	Duration    time.Duration
	FileSystems []FileSystem // by mount point
	// CPUs are the processors that the host has online; 0: it does not tell.
	CPUs int32
	// Missing are locations that could not be looked at, with why.
	Missing []MissingLocation
}

// MissingLocation is a location whose file system is not known.
type MissingLocation struct {
	Location
	Reason Reason
	// Detail is what the operating system or the host says of it, for a person;
	// empty: nothing more than the reason.
	Detail string
}

// Of gives the file system that holds a use, such as "data".
func (d *Disks) Of(use string) (FileSystem, bool) {
	for _, f := range d.FileSystems {
		if slices.Contains(f.Uses, use) {
			return f, true
		}
	}
	return FileSystem{}, false
}

// DiskSeries follows the file systems of one server's host from look to look.
// It is for one goroutine at a time.
type DiskSeries struct {
	stored map[string]storedFileSystem // by mount point
}

type storedFileSystem struct {
	at     time.Time
	source target.DiskSource
	FileSystem
}

// NewDiskSeries starts with nothing known: the first look is all news.
func NewDiskSeries() *DiskSeries {
	return &DiskSeries{stored: make(map[string]storedFileSystem)}
}

// Advance leaves in d only what is new: the file systems that changed since
// they were last left, or that were quiet for five minutes. Missing stays.
func (s *DiskSeries) Advance(d *Disks) {
	kept := make([]FileSystem, 0, len(d.FileSystems))
	next := make(map[string]storedFileSystem, len(d.FileSystems))
	for _, f := range d.FileSystems {
		before, known := s.stored[f.MountPoint]
		if known && before.source == d.Source && before.same(f) && d.At.Sub(before.at) < quietFor {
			next[f.MountPoint] = before
			continue
		}
		next[f.MountPoint] = storedFileSystem{d.At, d.Source, f}
		kept = append(kept, f)
	}
	s.stored = next
	d.FileSystems = kept
}

// same reports whether nothing differs.
func (f FileSystem) same(o FileSystem) bool {
	return f.MountPoint == o.MountPoint && f.Device == o.Device && f.Total == o.Total && f.Free == o.Free &&
		f.Inodes == o.Inodes && f.InodesFree == o.InodesFree && slices.Equal(f.Uses, o.Uses)
}
