package v1

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/history"
)

type eventRow struct {
	At      time.Time `json:"at"`
	Scope   string    `json:"scope" enum:"server,monitor" doc:"What it is about: the server, or pgam itself."`
	Kind    string    `json:"kind" doc:"restart, crash, promotion, demotion, instance, version, setting, statistics_reset, database_created, database_dropped, database_renamed, collector_started, collector_stopped, collector_gap, collector_clock, server_added, server_changed, server_paused, server_removed, burst_started, burst_ended, clock_differs, clock_agrees; later versions know more."`
	Subject *string   `json:"subject" doc:"A setting's or a database's name; null: the server, or pgam itself."`
	Old     *string   `json:"old"`
	New     *string   `json:"new"`
	Detail  *string   `json:"detail" doc:"For a person."`
}

func eventOf(e history.Event) eventRow {
	row := eventRow{At: utc(e.At), Scope: "server", Kind: string(e.Kind), Subject: textOrNull(e.Subject), Old: e.Old, New: e.New, Detail: e.Detail}
	if e.Monitor {
		row.Scope = "monitor"
	}
	return row
}

type eventsBody struct {
	Server   string      `json:"server"`
	From     time.Time   `json:"from"`
	To       time.Time   `json:"to"`
	Items    []eventRow  `json:"items" nullable:"false" doc:"The newest first."`
	Next     *string     `json:"next_cursor" doc:"Null: this is the last page."`
	Coverage coverageRow `json:"coverage" doc:"Of the visits to the server, which look for what events tell."`
}

type eventsInput struct {
	ServerPath
	From   string   `query:"from" doc:"RFC 3339, included; default seven days before to." example:"2026-11-22T03:00:00Z"`
	To     string   `query:"to" doc:"RFC 3339, left out; default now." example:"2026-11-22T04:00:00Z"`
	Kinds  []string `query:"kinds" doc:"Kinds, with commas between them; default all." example:"restart,setting"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string   `query:"cursor" doc:"next_cursor of the page before; its range counts, not from and to."`
}

// eventPlace is where a page of events begins, and of which range.
type eventPlace struct {
	From time.Time        `json:"f"`
	To   time.Time        `json:"t"`
	Key  history.EventKey `json:"k"`
}

// eventRange is how far back events are shown where nothing else is asked.
const eventRange = 7 * 24 * time.Hour

func (in *eventsInput) question(now time.Time) (q history.EventQuestion, err error) {
	to, err1 := parseInstant("to", in.To, now)
	from, err2 := parseInstant("from", in.From, to.Add(-eventRange))
	kinds, err3 := history.ParseEventKinds(in.Kinds)
	place, later, err4 := readCursor[eventPlace](in.Cursor)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return q, err
	}
	q.Kinds, q.Limit = kinds, in.Limit+1
	if later {
		from, to, q.Before = place.From, place.To, &place.Key
		if strings.ContainsRune(place.Key.Kind+place.Key.Subject, 0) { // PostgreSQL knows no such text
			return q, errCursor
		}
	}
	q.Range, err = history.NewRange(from, to)
	return q, err
}

func (r routes) historyEvents(ctx context.Context, in *eventsInput) (*output[eventsBody], error) {
	q, err := in.question(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	events, err1 := r.History.Events(ctx, t, q)
	covered, err2 := r.History.Coverage(ctx, t, q.Range)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	body := eventsBody{Server: t.Name, From: utc(q.Range.From), To: utc(q.Range.To), Items: []eventRow{}, Coverage: coverage(covered)}
	if len(events) > in.Limit {
		events = events[:in.Limit]
		body.Next = writeCursor(eventPlace{q.Range.From, q.Range.To, events[in.Limit-1].Key()})
	}
	for _, e := range events {
		body.Items = append(body.Items, eventOf(e))
	}
	return say(body), nil
}
