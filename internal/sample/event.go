package sample

import "time"

// EventKind says what happened. The names are stored: never give one another
// meaning.
type EventKind string

// The kinds of events.
const (
	EventRestart          EventKind = "restart"
	EventCrash            EventKind = "crash" // all sessions were lost while the postmaster lived on
	EventPromotion        EventKind = "promotion"
	EventDemotion         EventKind = "demotion"
	EventInstance         EventKind = "instance" // another cluster answers at the address
	EventVersion          EventKind = "version"
	EventSetting          EventKind = "setting"
	EventStatisticsReset  EventKind = "statistics_reset"
	EventDatabaseCreated  EventKind = "database_created"
	EventDatabaseDropped  EventKind = "database_dropped"
	EventDatabaseRenamed  EventKind = "database_renamed"
	EventCollectorStarted EventKind = "collector_started"
	EventCollectorStopped EventKind = "collector_stopped"
	EventCollectorGap     EventKind = "collector_gap"
	EventCollectorClock   EventKind = "collector_clock" // its host's clock was set, or planned seconds leapt
	EventServerAdded      EventKind = "server_added"
	EventServerChanged    EventKind = "server_changed"
	EventServerPaused     EventKind = "server_paused"
	EventServerRemoved    EventKind = "server_removed"
	EventBurstStarted     EventKind = "burst_started"
	EventBurstEnded       EventKind = "burst_ended"
	EventClockDiffers     EventKind = "clock_differs" // the server's from the collector's, by more than ClockTolerance
	EventClockAgrees      EventKind = "clock_agrees"
)

// ClockTolerance is by how much the clocks of a server and of who asks it may
// differ.
const ClockTolerance = time.Second

// TheMonitor is the Server of events that are about no server: the collector's
// own.
const TheMonitor = 0

// Event is something that explains a step in a chart.
type Event struct {
	At   time.Time
	Kind EventKind
	// Subject is what it is about, a setting's or a database's name; empty: the
	// server itself.
	Subject string
	// Old and New are values before and after; empty: there is none.
	Old, New string
	// Detail is for a person.
	Detail string
}

// Setting is one row of pg_settings, or of what is remembered of it.
type Setting struct {
	// Value is with its unit. One that may hold a secret is a fingerprint.
	Name, Value string
}

// Settings are what a look at pg_settings yielded: all of them, and after
// Series.Advance only what changed.
type Settings struct {
	At  time.Time
	Set []Setting
	// Gone are names that are not there any more.
	Gone []string
	// Hidden are names whose value is the asking session's own, and Loaded is
	// when the server had last read its files. They are not kept.
	Hidden []string
	Loaded time.Time
}

// Horizon is the oldest of its kind that keeps rows from being vacuumed, beside
// sessions.
type Horizon struct {
	At     time.Time
	Holder Holder
	Name   string // of the transaction, slot or standby
	Age    int64  // transactions
}

// Holder is a kind of Horizon.
type Holder string

// The holders.
const (
	HoldsPrepared Holder = "prepared_transaction"
	HoldsSlot     Holder = "replication_slot"
	HoldsStandby  Holder = "standby"
)
