package sample

import (
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
	// Missing are locations that could not be looked at, with why.
	Missing []MissingLocation
}

// MissingLocation is a location whose file system is not known.
type MissingLocation struct {
	Location
	Reason Reason
}

// Of gives the file system that holds a use, such as "data".
func (d *Disks) Of(use string) (FileSystem, bool) {
	for _, f := range d.FileSystems {
		for _, u := range f.Uses {
			if u == use {
				return f, true
			}
		}
	}
	return FileSystem{}, false
}
