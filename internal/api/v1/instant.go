package v1

import (
	"context"
	"sort"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
)

type sessionThen struct {
	PID             int32      `json:"pid"`
	LeaderPID       *int32     `json:"leader_pid"`
	BackendStart    *time.Time `json:"backend_start"`
	Database        *string    `json:"database"`
	User            *string    `json:"user"`
	Application     *string    `json:"application"`
	ClientAddr      *string    `json:"client_addr"`
	BackendType     *string    `json:"backend_type"`
	State           string     `json:"state"`
	WaitEventType   string     `json:"wait_event_type" doc:"CPU where PostgreSQL reported no wait, empty where it does not tell."`
	WaitEvent       string     `json:"wait_event"`
	WaitClass       string     `json:"wait_class" enum:"cpu,lock,lwlock,io,ipc,client,timeout,buffer,extension,other,idle_in_transaction,idle" doc:"idle: no load, for it waited for work or slept because a throttle said so; in no average, peak or burst."`
	QueryID         *string    `json:"query_id" doc:"As text, for it does not fit a JavaScript number."`
	QueryIDIsOwn    bool       `json:"query_id_is_own" doc:"query_id is pgam's fingerprint, not PostgreSQL's."`
	Query           *string    `json:"query" doc:"Normalized text."`
	QueryStart      *time.Time `json:"query_start"`
	XactStart       *time.Time `json:"xact_start" doc:"Null: it is in no transaction that others may have to wait for; VACUUM and walsenders never are."`
	StateChange     *time.Time `json:"state_change"`
	QueryAgeSeconds *float64   `json:"query_age_seconds"`
	XactAgeSeconds  *float64   `json:"xact_age_seconds"`
	XminAge         *int32     `json:"xmin_age" doc:"Transactions since the session's xmin."`
	Blocked         bool       `json:"blocked"`
	BlockedByPID    *int32     `json:"blocked_by_pid" doc:"First session that blocked it; null where blocked: a prepared transaction, or one that was not seen."`
}

type xminRow struct {
	Holder    string    `json:"holder" enum:"session,prepared_transaction,replication_slot,standby"`
	Name      string    `json:"name" doc:"Of the transaction, slot or standby; of a session its application."`
	PID       *int32    `json:"pid" doc:"Null: it is no session."`
	XminAge   int64     `json:"xmin_age" doc:"Transactions since its xmin."`
	SampledAt time.Time `json:"sampled_at"`
}

type instantBody struct {
	Server    string        `json:"server"`
	Asked     time.Time     `json:"asked"`
	SampledAt *time.Time    `json:"sampled_at" doc:"The newest answered tick that is not after the instant; null: none is near, see coverage."`
	Outcome   *string       `json:"outcome" enum:"ok,degraded"`
	Backends  *int32        `json:"backends" doc:"Connections of what max_connections allows, idle ones too: client backends."`
	Burst     bool          `json:"burst" doc:"The tick was taken in full detail."`
	Sessions  []sessionThen `json:"sessions" nullable:"false" doc:"Sessions that were not idle, by pid: those of this page."`
	Total     int           `json:"sessions_total" doc:"On all pages."`
	Next      *string       `json:"next_cursor" doc:"Null: this is the last page."`
	Blocking  blockingRow   `json:"blocking" doc:"Who waited for whom: all roots, and the edges of the sessions of this page."`
	Xmin      []xminRow     `json:"oldest_xmin" nullable:"false" doc:"What kept rows from being vacuumed, the oldest first."`
	Coverage  coverageRow   `json:"coverage" doc:"Of the minute before the instant."`
}

type atInput struct {
	ServerPath
	At     string `query:"at" doc:"RFC 3339; default now." example:"2026-11-22T03:12:00Z"`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"500" doc:"Sessions on a page."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before: its instant counts, not at."`
}

// sessionPlace is where a page of sessions begins: behind a session of a tick.
type sessionPlace struct {
	At  time.Time `json:"a"`
	PID int32     `json:"p"`
	ID  int64     `json:"i"`
}

func (r routes) historyAt(ctx context.Context, in *atInput) (*output[instantBody], error) {
	at, err := parseInstant("at", in.At, r.Now())
	if err != nil {
		return nil, err
	}
	place, later, err := readCursor[sessionPlace](in.Cursor)
	if err != nil {
		return nil, err
	}
	if later {
		at = place.At
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	instant, err := r.History.At(ctx, t, at)
	if err != nil {
		return nil, err
	}
	return say(instantOf(t.Name, instant, place, in.Limit)), nil
}

// instantOf shows the page of sessions behind a place.
func instantOf(server string, instant history.Instant, place sessionPlace, limit int) instantBody {
	first := sort.Search(len(instant.Sessions), func(i int) bool {
		s := instant.Sessions[i]
		return s.PID > place.PID || s.PID == place.PID && s.ID > place.ID
	})
	last := min(first+limit, len(instant.Sessions))
	page := instant.Sessions[first:last]
	shown := make(map[sample.Key]bool, len(page))
	for _, s := range page {
		shown[s.ID] = true
	}
	body := instantBody{
		Server: server, Asked: utc(instant.Asked), SampledAt: utcOrNull(&instant.At), Backends: instant.Backends, Burst: instant.Burst,
		Sessions: make([]sessionThen, len(page)), Total: len(instant.Sessions), Xmin: make([]xminRow, len(instant.Xmin)),
		Blocking: blockingOf(instant.Blocking, instant.At, func(s *history.Session) bool { return shown[s.ID] }),
		Coverage: coverage(instant.Coverage),
	}
	if last < len(instant.Sessions) {
		body.Next = writeCursor(sessionPlace{instant.At, page[len(page)-1].PID, page[len(page)-1].ID})
	}
	if body.SampledAt != nil {
		outcome := instant.Outcome.String()
		body.Outcome = &outcome
	}
	for i, s := range page {
		body.Sessions[i] = sessionOf(s, instant.At)
	}
	for i, h := range instant.Xmin {
		body.Xmin[i] = xminRow{h.Holder, h.Name, h.PID, h.Age, utc(h.SampledAt)}
	}
	return body
}

func sessionOf(s history.Session, at time.Time) sessionThen {
	return sessionThen{
		PID: s.PID, LeaderPID: s.LeaderPID, BackendStart: utcOrNull(s.BackendStart),
		Database: s.Database, User: s.User, Application: s.Application, ClientAddr: s.ClientAddr, BackendType: s.BackendType,
		State: s.State, WaitEventType: s.WaitEventType, WaitEvent: s.WaitEvent, WaitClass: s.Class.String(),
		QueryID: idText(s.QueryID), QueryIDIsOwn: s.OwnFingerprint, Query: s.Query,
		QueryStart: utcOrNull(s.QueryStart), XactStart: utcOrNull(s.XactStart), StateChange: utcOrNull(s.StateChange),
		QueryAgeSeconds: age(s.QueryStart, at), XactAgeSeconds: age(s.XactStart, at),
		XminAge: s.XminAge, Blocked: s.Blocked, BlockedByPID: s.BlockedByPID,
	}
}
