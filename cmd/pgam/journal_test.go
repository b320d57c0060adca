package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// TestJournalCommand: what is set aside is listed by server and reason, and comes
// back; a journal in use is left alone, and one that is not there is not made.
func TestJournalCommand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "journal")
	d := desk{environ: []string{"PGAM_DATA_DIR=" + dir}}
	if code, _, errOut := d.try(t, "journal", "list"); code != 2 || !strings.Contains(errOut, "PGAM_DATA_DIR") {
		t.Errorf("exit code %d without a journal: %s", code, errOut)
	}
	open := func() *journal.Journal {
		t.Helper()
		opened, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	waiting := open()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for i := range 3 {
		for id := target.ID(7); id <= 8; id++ {
			planned := at.Add(time.Duration(i) * time.Second)
			waiting.Append(&sample.Visit{Server: id, Tick: &sample.Tick{Planned: planned, Started: planned}})
		}
		if err := waiting.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		waiting.Quarantine(7, "check no_seven (SQLSTATE 23514)", 1, 2, 3), waiting.Quarantine(8, "out of range (SQLSTATE 22003)", 2),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting.Done(1, 2, 3)
	if code, _, errOut := d.try(t, "journal", "replay"); code != 1 || !strings.Contains(errOut, "systemctl stop pgam-collector") {
		t.Errorf("exit code %d while a collector runs: %s", code, errOut)
	}
	if err := waiting.Close(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(d.do(t, "journal", "list")) {
		fields := strings.Fields(line)
		lines = append(lines, strings.Join(append(append(fields[:2:2], fields[3:5]...), fields[6:]...), " "))
	}
	want := []string{
		"SERVER RECORDS FROM TO ASIDE REASON",
		"7 3 2026-03-04T05:06:07Z 2026-03-04T05:06:09Z check no_seven (SQLSTATE 23514)",
		"8 1 2026-03-04T05:06:08Z 2026-03-04T05:06:08Z out of range (SQLSTATE 22003)",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("listed %q", lines)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"1 record ", []string{"--server", "8"}}, {"3 records ", nil}, {"0 records ", nil},
	} {
		if code, _, errOut := d.try(t, append([]string{"journal", "replay"}, c.args...)...); code != 0 || !strings.Contains(errOut, c.says) {
			t.Errorf("replay %v: exit code %d: %s", c.args, code, errOut)
		}
	}
	waiting = open()
	defer func() { _ = waiting.Close() }()
	if st := waiting.Stats(); st.Aside != 0 || st.Records != 3 {
		t.Errorf("afterwards: %+v", st)
	}
}
