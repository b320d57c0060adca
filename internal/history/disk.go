package history

import "time"

// Disk is what is known of one file system of a server's host.
type Disk struct {
	MountPoint string
	Device     string // empty: unknown
	// Source is ssh, local, or import for what another program has seen.
	Source string
	Uses   []string // data, wal, tablespace:NAME
	At     time.Time
	// Bytes and inodes; nil: unknown. Free is what an unprivileged process can
	// use.
	Total, Free        *int64
	Inodes, InodesFree *int64
	// Trend is how Free changes, in bytes a second: the slope of the least
	// squares line through the samples of the last day; nil: less than an hour
	// is known.
	Trend *float64
	// FullIn is how long it takes until nothing is free if the trend goes on;
	// nil: it does not shrink, or no trend is known.
	FullIn *time.Duration
}

// DiskPoint is a file system in one bucket of a timeline.
type DiskPoint struct {
	At    time.Time
	Total *int64
	// Free is the newest of the bucket, MinFree the least.
	Free, MinFree *int64
	InodesFree    *int64
}

// DiskTimeline is how full the file systems were over a range.
type DiskTimeline struct {
	// Range is what was asked for, widened to whole hours where there is a Step.
	Range Range
	// Step is the width of the buckets; zero: every stored sample.
	Step  time.Duration
	Disks []DiskSeries // by mount point
}

// DiskSeries is one file system over time.
type DiskSeries struct {
	MountPoint string
	Device     string
	Uses       []string
	Points     []DiskPoint
}
