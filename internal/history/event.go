package history

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// Event is something that explains a step in a chart.
type Event struct {
	At time.Time
	// Monitor says that it is about the monitor itself, not the server.
	Monitor bool
	Kind    sample.EventKind
	// Subject is what it is about, a setting's or a database's name; empty: the
	// server, or the monitor.
	Subject string
	// Old and New are values before and after; nil: there is none.
	Old, New *string
	// Detail is for a person; nil: there is no more to say.
	Detail *string
}

// EventQuestion asks for events, the newest first.
type EventQuestion struct {
	Range Range
	Kinds []sample.EventKind // empty: all
	// Before is the last event of the page before; nil: the first page.
	Before *EventKey
	Limit  int
}

// EventKey is the place of an event in the order of pages.
type EventKey struct {
	At            time.Time
	Monitor       bool
	Kind, Subject string
}

// Key gives the place of the event.
func (e *Event) Key() EventKey { return EventKey{e.At, e.Monitor, string(e.Kind), e.Subject} }

// EventKinds lists the kinds there are.
func EventKinds() []sample.EventKind {
	return []sample.EventKind{
		sample.EventRestart, sample.EventCrash, sample.EventPromotion, sample.EventDemotion, sample.EventInstance, sample.EventVersion,
		sample.EventSetting, sample.EventStatisticsReset, sample.EventDatabaseCreated, sample.EventDatabaseDropped,
		sample.EventDatabaseRenamed, sample.EventCollectorStarted, sample.EventCollectorStopped, sample.EventCollectorGap, sample.EventCollectorClock,
		sample.EventServerAdded, sample.EventServerChanged, sample.EventServerPaused, sample.EventServerRemoved,
		sample.EventBurstStarted, sample.EventBurstEnded, sample.EventClockDiffers, sample.EventClockAgrees,
	}
}

// ParseEventKinds reads names of kinds. The error wraps ErrInvalid and lists
// those there are.
func ParseEventKinds(names []string) ([]sample.EventKind, error) {
	var kinds []sample.EventKind
	for _, name := range names {
		kind := sample.EventKind(strings.TrimSpace(name))
		if !slices.Contains(EventKinds(), kind) {
			all := make([]string, 0, len(EventKinds()))
			for _, k := range EventKinds() {
				all = append(all, string(k))
			}
			return nil, fmt.Errorf("%w: kinds names no kind of event: choose of %s", ErrInvalid, strings.Join(all, ", "))
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}
