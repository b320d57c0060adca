package sample

import "strings"

// WaitClass is what a session was doing, coarsely: PostgreSQL's
// wait_event_type, CPU where there is none, and idle in transaction, which is
// a class of its own whatever the session waits for.
type WaitClass uint8

// The classes, in the order of the columns of history.activity_minute.
const (
	ClassCPU WaitClass = iota
	ClassLock
	ClassLWLock
	ClassIO
	ClassIPC
	ClassClient
	ClassTimeout
	ClassBufferPin
	ClassExtension
	ClassOther
	ClassIdleInTransaction
	NumClasses
)

// CPU is the wait_event_type stored where PostgreSQL reports none.
const CPU = "CPU"

// String gives the column name of the class.
func (c WaitClass) String() string {
	names := [NumClasses]string{
		"cpu", "lock", "lwlock", "io", "ipc", "client", "timeout", "buffer_pin", "extension", "other", "idle_in_transaction",
	}
	if c < NumClasses {
		return names[c]
	}
	return names[ClassOther]
}

// ClassOf gives the class of a state and a wait_event_type. Types that later
// versions of PostgreSQL invent are ClassOther.
func ClassOf(state, waitType string) WaitClass {
	if strings.HasPrefix(state, "idle in transaction") {
		return ClassIdleInTransaction
	}
	switch waitType {
	case "", CPU:
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
	case "BufferPin", "Buffer":
		return ClassBufferPin
	case "Extension":
		return ClassExtension
	}
	return ClassOther
}
