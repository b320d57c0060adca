package sample

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Identity says which instance answered. A change of any field starts a new
// epoch for all counters.
type Identity struct {
	At               time.Time
	VersionNum       int32
	Version          string
	SystemIdentifier int64 // 0 unknown
	TimelineID       int32 // 0 unknown
	PostmasterStart  time.Time
	InRecovery       bool
	// CheckpointerStart is when the checkpointer started, which a crash moves
	// while PostmasterStart stays; zero unknown.
	CheckpointerStart time.Time
}

// sameInstance reports whether counters of b continue those of a.
func (a Identity) sameInstance(b Identity) bool {
	return a.SystemIdentifier == b.SystemIdentifier && a.PostmasterStart.Equal(b.PostmasterStart) && a.InRecovery == b.InRecovery && !a.crashed(b)
}

// crashed reports whether all sessions were lost between a and b although the
// postmaster lived on.
func (a Identity) crashed(b Identity) bool {
	return a.PostmasterStart.Equal(b.PostmasterStart) && !a.CheckpointerStart.IsZero() && !b.CheckpointerStart.IsZero() &&
		!a.CheckpointerStart.Equal(b.CheckpointerStart)
}

// same reports whether nothing but the instant differs.
func (a Identity) same(b Identity) bool {
	return a.sameInstance(b) && a.VersionNum == b.VersionNum && a.Version == b.Version && a.TimelineID == b.TimelineID &&
		a.CheckpointerStart.Equal(b.CheckpointerStart)
}

// Instance is a number that differs where counters do not go on from each other;
// it is the same whoever looks, and 0 for who is not known.
func (a *Identity) Instance() int64 {
	if a == nil {
		return 0
	}
	micros := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMicro()
	}
	recovery := int64(0)
	if a.InRecovery {
		recovery = 1
	}
	h := fnv.New64a()
	for _, v := range []int64{a.SystemIdentifier, micros(a.PostmasterStart), micros(a.CheckpointerStart), recovery} {
		_ = binary.Write(h, binary.BigEndian, v)
	}
	return int64(max(1, h.Sum64()))
}

// Counter is one cumulative column of pg_stat_database.
type Counter int

// The integer counters, in the order of DatabaseStat.Counters.
const (
	XactCommit Counter = iota
	XactRollback
	BlksRead
	BlksHit
	TupReturned
	TupFetched
	TupInserted
	TupUpdated
	TupDeleted
	Conflicts
	TempFiles
	TempBytes
	Deadlocks
	ChecksumFailures
	Sessions
	SessionsAbandoned
	SessionsFatal
	SessionsKilled
	ParallelWorkersToLaunch
	ParallelWorkersLaunched
	NumCounters
)

// Timer is one cumulative column of pg_stat_database in milliseconds.
type Timer int

// The timers, in the order of DatabaseStat.Timers.
const (
	BlkReadTime Timer = iota
	BlkWriteTime
	SessionTime
	ActiveTime
	IdleInTransactionTime
	NumTimers
)

// Int is an integer that may be unknown.
type Int struct {
	V     int64
	Known bool
}

// Float is a number that may be unknown.
type Float struct {
	V     float64
	Known bool
}

// DatabaseStat is one row of pg_stat_database as PostgreSQL said it. Columns the
// server's version does not have are unknown.
type DatabaseStat struct {
	// Planned is the instant that the look belongs to, At when it was taken.
	Planned, At time.Time
	// PreviousAt is when the look before was taken, in which all was still as in the
	// row of the database that was kept last; zero: there was none in this instance.
	PreviousAt time.Time
	// Instance tells which counters go on from each other: see Identity.Instance.
	Instance int64
	OID      uint32 // 0 for shared objects
	// Backends is unknown for shared objects.
	Backends            Int
	StatsReset          int64 // microseconds since the Unix epoch, 0 never or unknown
	ChecksumLastFailure int64 // as StatsReset
	Counters            [NumCounters]Int
	Timers              [NumTimers]Float
}

// Look says that pg_stat_database was read: a database without a row of the look
// was as in its row before.
type Look struct {
	Planned, At time.Time
	// Databases is how many there were, shared objects too.
	Databases int
}

const (
	// MaxHeld is how long a row stands for what follows when no newer one is kept:
	// a little more than a quiet database goes without.
	MaxHeld = 330 * time.Second
	// longestDelta is how far two rows may be apart for what was added between them
	// to be known.
	longestDelta = 24 * time.Hour
)

// Delta is what was added between two rows of a database that follow each other.
type Delta struct {
	// Since is when the earlier row was taken, Until when the later one was: the
	// time that was counted. All was added after From, and before it nothing was.
	Since, From, Until time.Time
	Counters           [NumCounters]Int
	Timers             [NumTimers]Float
}

// Delta gives what was added since a row of the same database that was planned
// before; ok is false where that cannot be known: another instance or a reset of
// statistics lies between them, an integer counter went down, or too much time
// passed, or none. So none is negative. A timer that went down by itself (they are
// floating point, and rounded by some versions) counts as unchanged.
func (d *DatabaseStat) Delta(before *DatabaseStat) (delta Delta, ok bool) {
	if d.OID != before.OID || d.Instance != before.Instance || d.StatsReset != before.StatsReset || !d.At.After(before.At) ||
		d.Planned.Sub(before.Planned) > longestDelta {
		return Delta{}, false
	}
	delta = Delta{Since: before.At, From: before.At, Until: d.At}
	if d.PreviousAt.After(before.At) && d.PreviousAt.Before(d.At) {
		delta.From = d.PreviousAt
	}
	for i, c := range d.Counters {
		if b := before.Counters[i]; b.Known && c.Known {
			if c.V < b.V {
				return Delta{}, false
			}
			delta.Counters[i] = Int{c.V - b.V, true}
		}
	}
	for i, c := range d.Timers {
		if b := before.Timers[i]; b.Known && c.Known {
			delta.Timers[i] = Float{max(0, c.V-b.V), true}
		}
	}
	return delta, true
}

// same reports whether a later look says nothing new.
func (d *DatabaseStat) same(later *DatabaseStat) bool {
	return d.OID == later.OID && d.Instance == later.Instance && d.Backends == later.Backends && d.StatsReset == later.StatsReset &&
		d.ChecksumLastFailure == later.ChecksumLastFailure && d.Counters == later.Counters && d.Timers == later.Timers
}

// Database is one row of pg_database.
type Database struct {
	OID          uint32
	Name         string
	IsTemplate   bool
	AllowConnect bool
	Encoding     string
}

// Inventory is the list of databases at an instant.
type Inventory struct {
	At time.Time
	// Since is the inventory before of the same instance, zero if there is
	// none: a database that is new since then was created in between.
	Since     time.Time
	Databases []Database
}

// DatabaseSize is pg_database_size of one database.
type DatabaseSize struct {
	At       time.Time
	OID      uint32
	Bytes    Int // unknown when Reason is set
	Duration time.Duration
	Reason   Reason
}
