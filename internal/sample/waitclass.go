package sample

import "strings"

// WaitClass is what a session was doing, coarsely: PostgreSQL's
// wait_event_type, CPU where there is none, and idle in transaction, which is
// a class of its own whatever the session waits for.
type WaitClass uint8

// The classes, in the order of the columns of history.activity_minute. The last
// one has no column: its sessions are listed with those of their instant, and
// are in no sum, average, peak or burst.
const (
	ClassCPU WaitClass = iota
	ClassLock
	ClassLWLock
	ClassIO
	ClassIPC
	ClassClient
	ClassTimeout
	ClassBuffer
	ClassExtension
	ClassOther
	ClassIdleInTransaction
	NumClasses
	// ClassIdle is what is no load: a sleep that a throttle asks for, or a
	// process that waits for work.
	ClassIdle = NumClasses
)

// CPU is the wait_event_type stored where PostgreSQL reports none.
const CPU = "CPU"

// String gives the column name of the class.
func (c WaitClass) String() string {
	names := [NumClasses + 1]string{
		"cpu", "lock", "lwlock", "io", "ipc", "client", "timeout", "buffer", "extension", "other", "idle_in_transaction", "idle",
	}
	if c <= ClassIdle {
		return names[c]
	}
	return names[ClassOther]
}

// Load reports whether sessions of the class are part of a server's load.
func (c WaitClass) Load() bool { return c < NumClasses }

// The types of backends, in PostgreSQL's words, that are told apart.
const (
	ClientBackend = "client backend"
	walSender     = "walsender"
	checkpointer  = "checkpointer"
)

// Untracked is the state that PostgreSQL shows of sessions with track_activities
// off.
const Untracked = "disabled"

// WaitTypeOf gives the wait_event_type to store of a session of a server of
// some version. PostgreSQL reports none of a session that is on the CPU, and
// none where it does not tell: until 14 the checkpointer sleeps without a wait
// event, until 13 a session with track_activities off has none, and 9.6 knows the
// waits of clients only. That is empty.
func WaitTypeOf(version int32, backendType, state, waitType string) string {
	switch {
	case waitType != "":
		return waitType
	case version < 150000 && backendType == checkpointer,
		version < 140000 && state == Untracked,
		version < 100000 && (state == "" || backendType == walSender):
		return ""
	}
	return CPU
}

// ClassOf gives the class of a state and a wait. Types that later versions of
// PostgreSQL invent are ClassOther. An empty type is one that is not told.
func ClassOf(state, waitType, event string) WaitClass {
	if strings.HasPrefix(state, "idle in transaction") {
		return ClassIdleInTransaction
	}
	if isIdle(state, waitType, event) {
		return ClassIdle
	}
	switch waitType {
	case CPU:
		return ClassCPU
	case "Lock":
		return ClassLock
	case "LWLock", "LWLockNamed", "LWLockTranche": // the latter two until 9.6
		return ClassLWLock
	case "IO":
		return ClassIO
	case "IPC":
		return ClassIPC
	case "Client":
		return ClassClient
	case "Timeout":
		return ClassTimeout
	case "BufferPin", "Buffer": // the latter from 19 on, with what was LWLock:BufferContent
		return ClassBuffer
	case "Extension":
		return ClassExtension
	}
	return ClassOther
}

// isIdle reports whether a wait is no load, by PostgreSQL's table of wait events
// of 10 to 19.
//
// A deliberate sleep is none: of a checkpoint that is spread, of VACUUM by its
// cost, of a base backup by its rate, of a standby by recovery_min_apply_delay
// or because it is paused, of a process before it tries again. Nor is the wait
// of a walsender, a walreceiver or the startup process for more WAL, nor that of
// an extension's worker in its latch: it has no state, which a session that
// calls the extension has. What a session is held up by is load: CommitDelay is
// part of a commit, PgSleep of a statement, SpinDelay of contention,
// RegisterSyncRequest of a full queue, and VacuumTruncate waits for the locks of
// others.
func isIdle(state, waitType, event string) bool {
	switch waitType {
	case "":
		return event == "" // an event without a type: see otherWait
	case "Activity":
		return true // the main loop of a process: is not even sampled
	case "Extension":
		return state == ""
	case "Timeout":
		switch event {
		case "CheckpointWriteDelay", "VacuumDelay", "BaseBackupThrottle", "RecoveryApplyDelay", "RecoveryRetrieveRetryInterval", "WalSummarizerError":
			return true
		}
	case "Client":
		switch event {
		case "ClientRead":
			return state == Untracked // idle, in a transaction or not
		case "WalSenderWaitForWAL", "WalSenderWaitForWal", "WaitForStandbyConfirmation": // by versions
			return true
		}
	case "IPC":
		switch event {
		case "RecoveryPause", "WalReceiverUpstreamCatchup":
			return true
		}
	}
	return false
}
