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
		{"", "", otherEvent, ClassOther},
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
		{90624, WALSender, "active", "", ""},
		{100000, WALSender, "active", "", CPU},
	} {
		if got := WaitTypeOf(c.version, c.backendType, c.state, c.waited); got != c.want {
			t.Errorf("WaitTypeOf(%d, %q, %q, %q) = %q, want %q", c.version, c.backendType, c.state, c.waited, got, c.want)
		}
	}
}

// Whoever counts samples goes by the number of the wait alone.
func TestTheNumberOfAWaitTellsWhetherItIsLoad(t *testing.T) {
	t.Parallel()
	d := NewDictionary(NextIDs{})
	waits := [][3]string{{"active", "CPU", ""}, {"active", "Timeout", "VacuumDelay"}, {"", "", ""}, {"active", "IO", "DataFileRead"}}
	want := []int16{1, -2, -3, 4}
	for i, w := range waits {
		if id, class := d.Wait([]byte(w[0]), []byte(w[1]), []byte(w[2])); id != want[i] || class.Load() != (id > 0) {
			t.Errorf("%v: id %d, class %s, want id %d", w, id, class, want[i])
		}
	}
	entries := d.Take().Waits
	again := NewDictionary(NextIDs{})
	for _, e := range entries {
		again.KnowWait(e)
	}
	again.KnowWait(WaitEntry{ID: 5, State: "", Type: "Timeout", Event: "CheckpointWriteDelay"}) // from before it was no load
	for i, w := range waits {
		if id, _ := again.Wait([]byte(w[0]), []byte(w[1]), []byte(w[2])); id != want[i] {
			t.Errorf("%v: id %d after a restart, want %d", w, id, want[i])
		}
	}
	if id, class := again.Wait(nil, []byte("Timeout"), []byte("CheckpointWriteDelay")); id != -6 || class != ClassIdle {
		t.Errorf("what was load once has id %d, class %s", id, class)
	}
	if again.Next().Wait != 7 {
		t.Errorf("next id %d", again.Next().Wait)
	}
}

func TestWhatIsNoLoadIsListedAndInNoSum(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	session := func(id int32, wait int16, class WaitClass) Session {
		return Session{Session: id, Wait: wait, Class: class, Blocker: Unset}
	}
	var ticks []Tick
	for i := range 3 {
		at := start.Add(time.Duration(i) * time.Second)
		ticks = append(ticks, Tick{
			Planned: at, Started: at, Window: start, Span: 15 * time.Second, Cadence: time.Second, Backends: 2,
			Sessions: []Session{session(1, 1, ClassCPU), session(2, -2, ClassIdle), session(3, -3, ClassIdle)},
		})
	}
	w := NewWindow(1, ticks)
	if len(w.Tick) != 9 || !w.Fits() {
		t.Errorf("%d samples are kept, want 9", len(w.Tick))
	}
	if m := w.Minute; m.Samples != 3 || m.Classes[ClassCPU] != 3 || m.MaxSessions != 1 {
		t.Errorf("samples %d, cpu %d, most %d: want 3, 3, 1", m.Samples, m.Classes[ClassCPU], m.MaxSessions)
	}
}

func TestNamesAreWhole(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for c := range NumClasses + 1 {
		if name := c.String(); name == "" || seen[name] {
			t.Errorf("class %d is called %q", c, name)
		} else {
			seen[name] = true
		}
	}
	if got := (ClassIdle + 1).String(); got != "other" {
		t.Errorf("an unknown class is called %q", got)
	}
	clear(seen)
	for r := Timeout; r <= Truncated; r++ {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d is called %q", r, name)
		} else {
			seen[name] = true
		}
	}
	if None.String() != "" || Reason(-1).String() != "other" || Reason(999).String() != "other" {
		t.Errorf("reasons out of range: %q %q %q", None, Reason(-1), Reason(999))
	}
	for o, want := range map[Outcome]string{OK: "ok", Degraded: "degraded", Failed: "failed", Skipped: "skipped", 9: "unknown"} {
		if o.String() != want || o.Answered() != (o == OK || o == Degraded) {
			t.Errorf("outcome %d is called %q, answered %v", o, o, o.Answered())
		}
	}
}
