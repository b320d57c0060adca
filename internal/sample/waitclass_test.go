package sample

import (
	"testing"
	"time"
)

func TestClassOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state, wait, event string
		want               WaitClass
	}{
		{"active", "CPU", "", ClassCPU},
		{"active", "Lock", "tuple", ClassLock},
		{"active", "LWLock", "WALWrite", ClassLWLock},
		{"active", "LWLockNamed", "ProcArrayLock", ClassLWLock},
		{"active", "LWLockTranche", "buffer_content", ClassLWLock},
		{"active", "IO", "DataFileRead", ClassIO},
		{"active", "IPC", "SyncRep", ClassIPC},
		{"active", "Client", "ClientWrite", ClassClient},
		{"active", "Timeout", "PgSleep", ClassTimeout},
		{"active", "BufferPin", "BufferPin", ClassBuffer},
		{"active", "Buffer", "BufferExclusive", ClassBuffer},
		{"active", "Extension", "DblinkConnect", ClassExtension},
		{"active", "InjectionPoint", "x", ClassOther},
		{"active", "lock", "tuple", ClassOther},
		{"idle in transaction", "Client", "ClientRead", ClassIdleInTransaction},
		{"idle in transaction (aborted)", "", "", ClassIdleInTransaction},
		{"idle", "Client", "ClientRead", ClassClient},
		{"", "LWLock", "WALWrite", ClassLWLock},
		{"", "CPU", "", ClassCPU},
		{"", "", "(other)", ClassOther},
		// What a session is held up by is load.
		{"active", "Timeout", "CommitDelay", ClassTimeout},
		{"active", "Timeout", "SpinDelay", ClassTimeout},
		{"active", "Timeout", "VacuumTruncate", ClassTimeout},
		{"", "Timeout", "RegisterSyncRequest", ClassTimeout},
		{"active", "Client", "WalSenderWriteData", ClassClient},
		{"", "IPC", "RecoveryConflictSnapshot", ClassIPC},
		// Throttles.
		{"", "Timeout", "CheckpointWriteDelay", ClassIdle},
		{"active", "Timeout", "VacuumDelay", ClassIdle},
		{"active", "Timeout", "BaseBackupThrottle", ClassIdle},
		{"", "Timeout", "RecoveryApplyDelay", ClassIdle},
		{"", "Timeout", "RecoveryRetrieveRetryInterval", ClassIdle},
		{"", "Timeout", "WalSummarizerError", ClassIdle},
		{"", "IPC", "RecoveryPause", ClassIdle},
		// Waiting for work.
		{"active", "Client", "WalSenderWaitForWAL", ClassIdle},
		{"active", "Client", "WalSenderWaitForWal", ClassIdle},
		{"active", "Client", "WaitForStandbyConfirmation", ClassIdle},
		{"", "IPC", "WalReceiverUpstreamCatchup", ClassIdle},
		{"", "Activity", "CheckpointerMain", ClassIdle},
		{Untracked, "Client", "ClientRead", ClassIdle},
		{Untracked, "Lock", "relation", ClassLock},
		{Untracked, "CPU", "", ClassCPU},
		{"", "Extension", "Extension", ClassIdle},
		{"", "", "", ClassIdle},
		{"active", "", "", ClassIdle},
	} {
		if got := ClassOf(c.state, c.wait, c.event); got != c.want {
			t.Errorf("ClassOf(%q, %q, %q) = %s, want %s", c.state, c.wait, c.event, got, c.want)
		}
	}
}

func TestAWaitThatIsNotToldIsNotCPU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version                    int32
		backendType, state, waited string
		want                       string
	}{
		{100000, ClientBackend, "active", "", CPU},
		{100000, checkpointer, "", "", ""},
		{149999, checkpointer, "", "", ""},
		{140000, checkpointer, "", "IO", "IO"},
		{150000, checkpointer, "", "", CPU},
		{140000, "walwriter", "", "", CPU},
		{140000, ClientBackend, Untracked, "", CPU},
		{139999, ClientBackend, Untracked, "", ""},
		{90624, ClientBackend, "active", "", CPU},
		{90624, ClientBackend, "active", "Lock", "Lock"},
		{90624, "autovacuum worker", "active", "", CPU},
		{90624, "background worker", "", "", ""},
		{90624, walSender, "active", "", ""},
		{100000, walSender, "active", "", CPU},
	} {
		if got := WaitTypeOf(c.version, c.backendType, c.state, c.waited); got != c.want {
			t.Errorf("WaitTypeOf(%d, %q, %q, %q) = %q, want %q", c.version, c.backendType, c.state, c.waited, got, c.want)
		}
	}
}

// What is no load is listed with its instant, and is in no sum.
func TestWhatIsNoLoadIsListedAndInNoSum(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var rows []*Row
	for i := range 3 {
		tick := Tick{Planned: at.Add(time.Duration(i) * time.Second), Started: at.Add(time.Duration(i) * time.Second), Cadence: time.Second, Backends: 2}
		for k, class := range []WaitClass{ClassCPU, ClassIdle, ClassIdle} {
			tick.Sessions = append(tick.Sessions, Session{Session: Key(k + 1), Wait: Key(k + 1), Class: class})
		}
		r := NewRow(1, &tick)
		rows = append(rows, &r)
	}
	r := Merge(rows...)
	if len(r.Tick) != 9 {
		t.Errorf("%d samples are listed, want 9", len(r.Tick))
	}
	s := r.Summary(at, at.Add(time.Minute))
	if s.Samples != 3 || s.Classes[ClassCPU] != 3 || s.MaxSessions != 1 {
		t.Errorf("summary %+v", s)
	}
	var c Tally
	c.Add(&r, func(Key) Labels { return Labels{5} })
	for d := ByWait; d <= ByBackendType; d++ {
		if n := c.Rollup(d).Samples; n != 3 {
			t.Errorf("%d samples by dimension %d", n, d)
		}
	}
}
