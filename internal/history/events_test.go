package history

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	s := openStats(t)
	server := s.server
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	of := func(id target.ID, events ...sample.Event) {
		t.Helper()
		s.append(t, id, &sample.Visit{Events: events})
	}
	of(
		server.ID,
		sample.Event{At: at(0), Kind: sample.EventRestart, Detail: "the postmaster started at 11:59:58"},
		sample.Event{At: at(5), Kind: sample.EventSetting, Subject: "work_mem", Old: "4MB", New: "64MB"},
		sample.Event{At: at(5), Kind: sample.EventSetting, Subject: "Work_mem", Old: "x"},
		sample.Event{At: at(9), Kind: sample.EventDatabaseDropped, Subject: "größe"},
	)
	of(server.ID+1, sample.Event{At: at(6), Kind: sample.EventCrash})
	of(
		sample.TheMonitor,
		sample.Event{At: at(5), Kind: sample.EventCollectorStarted},
		sample.Event{At: at(20), Kind: sample.EventCollectorStopped},
	)
	ask := func(q EventQuestion) []string {
		t.Helper()
		var all []string
		for pages := 0; ; pages++ {
			page, err := s.Events(t.Context(), server, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				name := e.At.Format("15:04 ") + string(e.Kind)
				if e.Subject != "" {
					name += " " + e.Subject
				}
				if e.Monitor {
					name += " (monitor)"
				}
				all = append(all, name)
			}
			if len(page) < q.Limit || pages > 20 {
				return all
			}
			key := page[len(page)-1].Key()
			q.Before = &key
		}
	}
	want := []string{
		"12:09 database_dropped größe", "12:05 collector_started (monitor)", "12:05 setting work_mem", "12:05 setting Work_mem", "12:00 restart",
	}
	for limit := 1; limit < 8; limit++ {
		got := ask(EventQuestion{Range: Range{From: at(0), To: at(20)}, Limit: limit})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	got := ask(EventQuestion{
		Range: Range{From: at(0), To: at(30)}, Kinds: []sample.EventKind{sample.EventSetting, sample.EventCollectorStopped}, Limit: 2,
	})
	if diff := cmp.Diff([]string{"12:20 collector_stopped (monitor)", "12:05 setting work_mem", "12:05 setting Work_mem"}, got); diff != "" {
		t.Errorf("by kind (-want +got):\n%s", diff)
	}
	one, err := s.Events(t.Context(), server, EventQuestion{Range: Range{From: at(5), To: at(6)}, Kinds: []sample.EventKind{sample.EventSetting}, Limit: 1})
	if err != nil || len(one) != 1 || *one[0].Old != "4MB" || *one[0].New != "64MB" || one[0].Detail != nil {
		t.Errorf("got %+v, %v", one, err)
	}
}
