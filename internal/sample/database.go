package sample

import "time"

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

// SameInstance reports whether counters of b continue those of a.
func (a Identity) SameInstance(b Identity) bool {
	return a.SystemIdentifier == b.SystemIdentifier && a.PostmasterStart.Equal(b.PostmasterStart) && a.InRecovery == b.InRecovery && !a.crashed(b)
}

// crashed reports whether all sessions were lost between a and b although the
// postmaster lived on.
func (a Identity) crashed(b Identity) bool {
	return a.PostmasterStart.Equal(b.PostmasterStart) && !a.CheckpointerStart.IsZero() && !b.CheckpointerStart.IsZero() &&
		!a.CheckpointerStart.Equal(b.CheckpointerStart)
}

// Same reports whether nothing but the instant differs.
func (a Identity) Same(b Identity) bool {
	return a.SameInstance(b) && a.VersionNum == b.VersionNum && a.Version == b.Version && a.TimelineID == b.TimelineID &&
		a.CheckpointerStart.Equal(b.CheckpointerStart)
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

// DatabaseStat is one row of pg_stat_database with what was added since the
// row before. Columns the server's version does not have are unknown.
type DatabaseStat struct {
	At  time.Time
	OID uint32 // 0 for shared objects
	// Backends is unknown for shared objects.
	Backends            Int
	StatsReset          int64 // microseconds since the Unix epoch, 0 never or unknown
	ChecksumLastFailure int64 // as StatsReset
	Counters            [NumCounters]Int
	Timers              [NumTimers]Float

	// Epoch is the instant of the first sample of this series of counters.
	Epoch time.Time
	// Interval is what the deltas cover, 0 for the first sample of an epoch.
	Interval      time.Duration
	CounterDeltas [NumCounters]Int
	TimerDeltas   [NumTimers]Float

	// Held is the time since the stored sample before: the deltas cover its end,
	// and nothing was counted in the rest. BackendSeconds is the integral of that
	// sample's Backends over the time, as far as it stands, which is at most
	// MaxHeld. Both are 0 for the first sample of an epoch, and where Backends is
	// unknown.
	Held           time.Duration
	BackendSeconds float64
}

// MaxHeld is how long a stored sample stands for what follows when no newer
// one is stored: a little more than a quiet database goes without.
const MaxHeld = 330 * time.Second

// Since computes the deltas of cur against prev, the sample before of the
// same database. sameInstance is false when the server restarted or is
// another one in between. The rules: another instance, another oid, another
// stats_reset, an integer counter that went back, or time that did not pass
// start a new epoch, whose first sample has no deltas; otherwise the epoch
// goes on and no delta is negative. A timer that went back by itself (they
// are floating point, and rounded by some versions) counts as unchanged.
func (cur *DatabaseStat) Since(prev *DatabaseStat, sameInstance bool) {
	cur.Epoch, cur.Interval = cur.At, 0
	cur.CounterDeltas, cur.TimerDeltas = [NumCounters]Int{}, [NumTimers]Float{}
	if prev == nil || !sameInstance || prev.OID != cur.OID || prev.StatsReset != cur.StatsReset || !cur.At.After(prev.At) {
		return
	}
	for i, c := range cur.Counters {
		if p := prev.Counters[i]; p.Known && c.Known && c.V < p.V {
			return
		}
	}
	cur.Epoch, cur.Interval = prev.Epoch, cur.At.Sub(prev.At)
	for i, c := range cur.Counters {
		if p := prev.Counters[i]; p.Known && c.Known {
			cur.CounterDeltas[i] = Int{c.V - p.V, true}
		}
	}
	for i, c := range cur.Timers {
		if p := prev.Timers[i]; p.Known && c.Known {
			cur.TimerDeltas[i] = Float{max(0, c.V-p.V), true}
		}
	}
}

// Unchanged reports whether the sample says nothing new: same epoch, no
// delta, as many backends as before.
func (cur *DatabaseStat) Unchanged(prev *DatabaseStat) bool {
	if cur.Interval == 0 || prev == nil || cur.Backends != prev.Backends || cur.ChecksumLastFailure != prev.ChecksumLastFailure {
		return false
	}
	for _, d := range cur.CounterDeltas {
		if d.V != 0 {
			return false
		}
	}
	for _, d := range cur.TimerDeltas {
		if d.V != 0 {
			return false
		}
	}
	return true
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
