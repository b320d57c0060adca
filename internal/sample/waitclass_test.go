package sample

import "testing"

func TestClassOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state, wait string
		want        WaitClass
	}{
		{"active", "", ClassCPU},
		{"active", "CPU", ClassCPU},
		{"active", "Lock", ClassLock},
		{"active", "LWLock", ClassLWLock},
		{"active", "LWLockNamed", ClassLWLock},
		{"active", "LWLockTranche", ClassLWLock},
		{"active", "IO", ClassIO},
		{"active", "IPC", ClassIPC},
		{"active", "Client", ClassClient},
		{"active", "Timeout", ClassTimeout},
		{"active", "BufferPin", ClassBufferPin},
		{"active", "Buffer", ClassBufferPin},
		{"active", "Extension", ClassExtension},
		{"active", "InjectionPoint", ClassOther},
		{"active", "lock", ClassOther},
		{"idle in transaction", "Client", ClassIdleInTransaction},
		{"idle in transaction (aborted)", "", ClassIdleInTransaction},
		{"idle", "Client", ClassClient},
		{"", "LWLock", ClassLWLock},
	} {
		if got := ClassOf(c.state, c.wait); got != c.want {
			t.Errorf("ClassOf(%q, %q) = %s, want %s", c.state, c.wait, got, c.want)
		}
	}
}

func TestNamesAreWhole(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for c := range NumClasses {
		if name := c.String(); name == "" || seen[name] {
			t.Errorf("class %d is called %q", c, name)
		} else {
			seen[name] = true
		}
	}
	if got := (NumClasses + 1).String(); got != "other" {
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
