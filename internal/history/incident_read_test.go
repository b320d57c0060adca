package history

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// A pile-up behind a session idle in transaction, with what else happened.
func TestIncident(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	// Four minutes of the hour before had one session on the CPU.
	quiet := make([]sample.Tick, 240)
	for i := range quiet {
		quiet[i] = sample.Tick{
			Planned: at(i - 1800), Started: at(i - 1800), Cadence: time.Second, Backends: 5, Sessions: []sample.Session{{Session: 90, Wait: 9, Class: sample.ClassCPU}},
		}
	}
	s.write(t, s.server.ID, quiet, sample.Entries{
		Sessions: []sample.SessionEntry{{Key: 90, Day: sample.Day(noon), PID: 90, Database: "shop", User: "app", Application: "web"}},
		Waits:    []sample.WaitEntry{{Key: 9, State: "active", Type: sample.CPU}},
	})
	pileUp(t, s, s.server.ID)
	s.append(t, s.server.ID, diskVisit(at(-60), "/", 2<<30), maxConnections("51"), &sample.Visit{Events: []sample.Event{
		{At: at(30), Kind: sample.EventSetting, Subject: "work_mem", Old: "4MB", New: "64MB"},
		{At: at(299), Kind: sample.EventRestart},
		{At: at(3000), Kind: sample.EventCrash},
	}})
	q, err := NewIncidentQuestion(at(150), 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.Incident(t.Context(), s.server, q)
	if err != nil {
		t.Fatal(err)
	}
	if !q.Range.From.Equal(noon) || !i.Instant.At.Equal(noon.Add(149200*time.Millisecond)) || i.Coverage.OK != 300 || i.Coverage.Planned != 300 {
		t.Errorf("%v, instant at %s, coverage %+v", q, i.Instant.At, i.Coverage)
	}
	if len(i.Blockers) != 5 || i.Blockers[0].Session.PID != 4711 || i.Blockers[0].Behind != 17 || len(i.Events) != 2 || *i.MaxBackends != 50 || len(i.Disks.Disks) != 1 {
		t.Errorf("%d blockers, %d events, %d backends, %+v", len(i.Blockers), len(i.Events), *i.MaxBackends, i.Disks)
	}
	wait := i.Tops[0]
	if wait.Top.By != ByWaitEvent || len(wait.Rows) == 0 || wait.Top.Answered != 300 || wait.Other.Answered != 240 || i.BaselineAnswered != 240 {
		t.Errorf("top %+v, %d ticks and %d before", wait.Top.By, wait.Top.Answered, wait.Other.Answered)
	}
	for by, label := range map[Dimension]string{ByQuery: "77", ByUser: "app", ByApplication: "web", ByDatabase: "shop"} {
		found := false
		for _, c := range i.Tops {
			for _, row := range c.Rows {
				found = found || c.Top.By == by && row.Top != nil && row.Key.Label == label
			}
		}
		if !found {
			t.Errorf("by %s, %q is not among the tops", by, label)
		}
	}
	var said []string
	for _, f := range i.Findings() {
		said = append(said, string(f.Severity)+" "+f.Text)
	}
	for _, want := range []string{
		"critical 17 sessions waited for a lock of the type transactionid behind pid 4711, idle in transaction for 269 s, application billing, user app; somebody waited for it for 170 s",
		"critical connections reached 50 of 51",
		"critical 12:04:59: restart",
		"warning 2 sessions waited for a lock of the type relation on public.t behind a prepared transaction gid-7",
		"warning 2 sessions waited for each other and a lock of the type transactionid for 10 s",
		"% of the time was Lock:transactionid, and next to none the hour before",
		"query 77 (update t set v = $1)",
		"info 12:00:30: setting work_mem, from 4MB to 64MB",
		"critical 2.0 % of / was free",
	} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("no finding %q", want)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(said, "\n"))
	}
	if missing := i.Missing(); len(missing) != 1 || !strings.Contains(missing[0], "databases") {
		t.Errorf("missing: %q", missing)
	}

	// A time of which nothing is known says so.
	q, err = NewIncidentQuestion(noon.Add(6*time.Hour), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if i, err = s.Incident(t.Context(), s.server, q); err != nil || len(i.Missing()) != 5 || len(i.Findings()) != 1 || i.Findings()[0].Rule != "coverage" {
		t.Errorf("nothing: %q, %+v, %v", i.Missing(), i.Findings(), err)
	}
	// One that is kept no longer is refused.
	s.keepFrom(t, "activity", "bucket", "2026-11-22")
	s.server.CreatedAt = noon.AddDate(-2, 0, 0)
	q.Range, q.At = Range{noon.AddDate(0, -1, 0), noon.AddDate(0, -1, 0).Add(time.Minute)}, noon.AddDate(0, -1, 0)
	if _, err := s.Incident(t.Context(), s.server, q); !errors.Is(err, ErrGone) || !strings.Contains(fmt.Sprint(err), "since 2026-11-22") {
		t.Errorf("a month before: %v", err)
	}
	if _, err := s.At(t.Context(), s.server, q.At); !errors.Is(err, ErrGone) {
		t.Errorf("its instant: %v", err)
	}
}
