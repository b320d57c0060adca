package history

import "time"

// Database is a row of a server's inventory.
type Database struct {
	OID          uint32
	Name         string
	IsTemplate   bool
	AllowConnect bool
	Encoding     *string
	CreatedAt    *time.Time // nil: it was there before the first look
	FirstSeenAt  time.Time
	LastSeenAt   time.Time
	DroppedAt    *time.Time // nil: it is there
}

// DatabaseNow is the newest that is known of a database.
type DatabaseNow struct {
	Database Database
	// SampledAt is when connections and commits were read; nil: never.
	SampledAt   *time.Time
	Connections *int32
	// CommitsTotal counts since the statistics were last reset.
	CommitsTotal *int64
	SizeBytes    *int64
	SizeAt       *time.Time
}

// DatabasePoint is one database in one bucket.
type DatabasePoint struct {
	// At is the start of the bucket. What was counted between two samples is
	// shared out over the buckets by time.
	At time.Time
	// Database is the name; of one that was renamed in the bucket, the last.
	Database string
	// Connections is the average over time, or where the aggregation is Raw those
	// of the newest sample; MinConnections and MaxConnections are the extremes.
	Connections    float64
	MinConnections int32
	MaxConnections int32
	Commits        int64
	// SizeBytes is the newest known size at the end of the bucket; nil: none.
	SizeBytes *int64
}

// Timeline is what databases did over a range. Several may share one: it is not
// to be changed.
type Timeline struct {
	// Range is what was asked for, widened to whole hours unless all is Raw. The
	// first and the last bucket hold only what lies in it.
	Range       Range
	Aggregation Aggregation
	// LastSampleAt is the newest sample of the server, in the range or not;
	// nil: none.
	LastSampleAt *time.Time
	// Databases are those that existed in the range, templates left out, by
	// name.
	Databases []Database
	// Points are ordered by time, then name. At every instant there is one of
	// each database that was there; the last sample of one stands for MaxHeld.
	Points []DatabasePoint
	// Connections and SizeBytes are sums over the databases at the newest
	// sample of the range.
	Connections int64
	SizeBytes   int64
	// Commits were made in the range.
	Commits        int64
	MinConnections int32
	MaxConnections int32
}
