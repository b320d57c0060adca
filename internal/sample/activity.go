package sample

import (
	"time"

	"github.com/pgam/pgam/internal/target"
)

// Unset marks a four-byte value of a Session that is unknown or does not
// apply; it becomes a null in the history.
const Unset int32 = -1 << 31

// Session is one session of one tick: a backend that was not idle, by
// dictionary ids. A backend is idle when its state is idle or its wait is of
// type Activity (a background process in its main loop). Those of ClassIdle are
// listed, and are not load.
type Session struct {
	// Session, Wait and Query are ids of the server's dictionaries; Query is 0
	// for none.
	Session int32
	Wait    int16
	Class   WaitClass
	Query   int32
	// QueryStart, XactStart and StateChange are microseconds since the Unix
	// epoch; 0 is unknown.
	//
	// They are by the collector's clock, whatever the server's says: what is counted
	// from them to the tick is as long as on the server.
	//
	// XactStart is that of a transaction which others may have to wait for: VACUUM
	// and walsenders have none, nor has VACUUM an Xmin that holds anything back.
	QueryStart, XactStart, StateChange int64
	// Xmin is backend_xmin; 0 is none.
	Xmin uint32
	// Blocker is the Session id of the first that blocks this one, as in Edge; 0
	// where it is not known, Unset if nothing blocks it.
	Blocker int32
}

// Tick is one planned look at a server's sessions.
type Tick struct {
	// Planned is the instant the tick belongs to, Started when it was begun;
	// equal for one that never was.
	Planned, Started time.Time
	// Window is the start of the window that the tick belongs to, Span that
	// window's length.
	Window time.Time
	Span   time.Duration
	// Cadence is the interval in force.
	Cadence  time.Duration
	Outcome  Outcome
	Reason   Reason
	Duration time.Duration
	// Backends counts the connections that max_connections allows: client
	// backends, idle ones too, and before PostgreSQL 12 walsenders; Unset when not
	// answered.
	Backends int32
	// NextXID is the server's next transaction id; 0 when unknown.
	NextXID  int64
	Sessions []Session
	// Edges say who waits for whom; nil where nobody waits for a lock.
	Edges []Edge
	// Burst says that the tick was taken in full detail.
	Burst bool
}

// SessionEntry is a session's dictionary entry. A session that changes its
// application_name is a new entry.
type SessionEntry struct {
	ID int32
	// Day is the UTC day of the window that uses the entry, in days since the
	// Unix epoch: entries are stored once a day, so that they expire with it.
	Day          int32
	PID          int32
	BackendStart int64 // microseconds since the Unix epoch, 0 unknown
	DatabaseOID  uint32
	UserOID      uint32
	LeaderPID    int32 // 0 for none
	Database     string
	User         string
	Application  string
	ClientAddr   string // empty for a Unix socket
	BackendType  string
}

// WaitEntry is what a session was doing. Type is CPU, with no Event, where
// PostgreSQL reports no wait, and empty where it does not tell. The ID is
// negative where that is ClassIdle: whoever counts samples leaves those out by
// the number alone.
type WaitEntry struct {
	ID                 int16
	State, Type, Event string
}

// QueryEntry is a statement.
type QueryEntry struct {
	ID  int32
	Day int32 // as in SessionEntry
	// QueryID is PostgreSQL's query_id or, where Own is set, pgam's fingerprint.
	QueryID int64
	Own     bool
	// Text is as the server's query texts are kept, normalized by default; empty
	// while it was not seen, and where none are kept. Outside of bursts it is cut
	// at MaxText.
	Text string
	// Full says that Text is as the server showed it, literals included.
	Full bool
}

// MaxText is how many bytes of a text are kept that was seen outside of a burst:
// four times what PostgreSQL shows of one by default, and little enough for
// thousands of statements.
const MaxText = 4096

// Entries are dictionary entries that a visit met for the first time (that
// day). They are stored before or with the ticks that use them.
type Entries struct {
	Sessions []SessionEntry
	Waits    []WaitEntry
	Queries  []QueryEntry
	Locks    []LockEntry
}

// Empty reports whether there are none.
func (e *Entries) Empty() bool {
	return len(e.Sessions) == 0 && len(e.Waits) == 0 && len(e.Queries) == 0 && len(e.Locks) == 0
}

// Visit is everything one visit to a server yielded. Tick is nil for a visit
// of the slow connection, the others are nil when they were not asked.
type Visit struct {
	Server    target.ID
	Tick      *Tick
	Entries   Entries
	Identity  *Identity
	Databases []DatabaseStat
	Inventory *Inventory
	Sizes     []DatabaseSize
	Disks     *Disks
	Events    []Event
	Settings  *Settings
	// Horizon is empty, and not nil, where nothing holds it.
	Horizon []Horizon
	// Locations are for the collector's next look at disks, Load for what it does
	// next; they are not kept.
	Locations []Location
	Load      Load
}

// Load is how busy a server is, as far as bursts go. Counts are Unset where not
// known.
type Load struct {
	Active         int32 // sessions whose state is active, and that are load
	LockWaits      int32 // sessions that wait for a lock
	Connections    int32 // of what MaxConnections counts
	MaxConnections int32 // the setting
	// ClockOffset is by how much the server's clock is ahead of the collector's,
	// give or take ClockWithin, half of the way there and back.
	ClockOffset, ClockWithin time.Duration
	// Crowd is who holds most connections, the first ones only; nil unless asked.
	Crowd []Crowd
}

// Crowd is connections that have user and application in common.
type Crowd struct {
	User, Application string
	Connections       int32
}

// Ask says which questions are due besides the one about sessions, and in which
// detail.
type Ask struct {
	Databases bool
	Inventory bool
	Locations bool
	// Texts says how the texts of statements are kept; empty: normalized.
	Texts target.QueryTexts
	// Full asks for the blockers of every session that waits for a lock, and for
	// every text that is not known, at full length.
	Full bool
	// CrowdFrom is the number of connections from which to ask whose they are; 0:
	// never.
	CrowdFrom int32
}

// Record is the visits that went into the journal together.
type Record struct {
	Seq    uint64
	Visits []Visit
}

// Batch is what is written to the history together: closed windows of all
// servers, and visits for everything in them but their ticks.
type Batch struct {
	Windows []Window
	Visits  []*Visit
}

// Day gives the UTC day of an instant, in days since the Unix epoch.
func Day(t time.Time) int32 {
	return int32(t.Unix() / 86400)
}
