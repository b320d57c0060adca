package v1

import (
	"context"
	"strconv"
	"time"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/live"
)

type sessionNow struct {
	PID               int32      `json:"pid"`
	LeaderPID         *int32     `json:"leader_pid" doc:"Leader of a parallel worker; PostgreSQL 13 and later."`
	Database          *string    `json:"database"`
	User              *string    `json:"user"`
	Application       *string    `json:"application"`
	ClientAddr        *string    `json:"client_addr" doc:"Null: a Unix socket or a background process."`
	BackendType       *string    `json:"backend_type"`
	State             *string    `json:"state"`
	WaitEventType     *string    `json:"wait_event_type" doc:"Null: it runs on the CPU."`
	WaitEvent         *string    `json:"wait_event"`
	WaitClass         string     `json:"wait_class" enum:"cpu,lock,lwlock,io,ipc,client,timeout,buffer,extension,other,idle_in_transaction,idle" doc:"idle: no load, for it waits for work or sleeps because a throttle says so."`
	QueryID           *string    `json:"query_id" doc:"As text, for it does not fit a JavaScript number. PostgreSQL 14 and later, with compute_query_id."`
	Query             *string    `json:"query" doc:"To a viewer as query_texts of the server says: without literals, or null."`
	BackendStart      *time.Time `json:"backend_start" doc:"When it connected, to the microsecond: with the pid it names the session."`
	BackendAgeSeconds *float64   `json:"backend_age_seconds"`
	XactAgeSeconds    *float64   `json:"xact_age_seconds" doc:"Null: not in a transaction."`
	QueryAgeSeconds   *float64   `json:"query_age_seconds" doc:"Since the current statement began, or the last one."`
	StateAgeSeconds   *float64   `json:"state_age_seconds"`
	BlockedBy         []int32    `json:"blocked_by" nullable:"false" doc:"Pids of what holds or waits ahead for the lock that this session waits for; 0 is a prepared transaction."`
}

type activityBody struct {
	Server    string       `json:"server"`
	At        time.Time    `json:"at"`
	Sessions  []sessionNow `json:"sessions" nullable:"false" doc:"By pid; the monitor's own left out."`
	Hidden    int          `json:"hidden" doc:"Sessions of which the monitoring user may see nothing."`
	Untracked int          `json:"untracked" doc:"Sessions with track_activities off, idle ones too: what they run is not told, nor before PostgreSQL 14 whether they are idle."`
	Note      *string      `json:"note" doc:"What is missing and what to do; null: nothing."`
}

type activityInput struct {
	ServerPath
	All bool `query:"all" doc:"Idle sessions and background processes in their main loop too."`
}

func (r routes) activity(ctx context.Context, in *activityInput) (*output[activityBody], error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	now, err := r.Live.Activity(ctx, t, in.All)
	if err != nil {
		return nil, err
	}
	shown, err := route.Shown(ctx, t, now.Sessions)
	if err != nil {
		return nil, err
	}
	body := activityBody{Server: t.Name, At: utc(now.At), Hidden: now.Hidden, Untracked: now.Untracked, Note: now.Note(), Sessions: make([]sessionNow, len(now.Sessions))}
	for i, s := range shown {
		body.Sessions[i] = sessionRow(s)
	}
	return say(body), nil
}

func sessionRow(s live.Session) sessionNow {
	row := sessionNow{
		PID: s.PID, LeaderPID: s.LeaderPID, Database: s.Database, User: s.User, Application: s.Application,
		ClientAddr: s.ClientAddr, BackendType: s.BackendType, State: s.State,
		WaitEventType: s.WaitEventType, WaitEvent: s.WaitEvent, WaitClass: s.Class.String(), QueryID: idText(s.QueryID), Query: s.Query,
		BackendStart: utcOrNull(s.BackendStart), BackendAgeSeconds: s.BackendAge, XactAgeSeconds: s.XactAge, QueryAgeSeconds: s.QueryAge, StateAgeSeconds: s.StateAge,
		BlockedBy: s.BlockedBy,
	}
	if row.BlockedBy == nil {
		row.BlockedBy = []int32{}
	}
	return row
}

func idText(id *int64) *string {
	if id == nil {
		return nil
	}
	text := strconv.FormatInt(*id, 10)
	return &text
}
