package v1

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
)

type lockRow struct {
	Type        string  `json:"type" example:"transactionid" doc:"As in pg_locks."`
	Mode        string  `json:"mode" example:"ShareLock" doc:"The mode that was asked for."`
	Relation    *string `json:"relation" doc:"Schema and name; null: not about a relation, or its name is not known."`
	RelationOID *uint32 `json:"relation_oid"`
	DatabaseOID *uint32 `json:"database_oid"`
}

type partyRow struct {
	PID         int32   `json:"pid" doc:"0: a prepared transaction."`
	Transaction *string `json:"prepared_transaction" doc:"Identifier of a prepared transaction; null: it is a session."`
}

type rootRow struct {
	Kind            string     `json:"kind" enum:"active,idle_in_transaction,idle,not_tracked,prepared_transaction,not_seen" doc:"What it does; idle: it holds a lock of its session; not_tracked: its track_activities is off."`
	PID             *int32     `json:"pid" doc:"0: a prepared transaction; null: not seen."`
	Transaction     *string    `json:"prepared_transaction" doc:"Identifier of a prepared transaction."`
	Ring            []partyRow `json:"ring" nullable:"false" doc:"The sessions of a deadlock that PostgreSQL is about to find; empty: it is none."`
	SessionsBehind  int        `json:"sessions_behind" doc:"Sessions that wait for it, directly or through others, each once."`
	WaitDirectly    int        `json:"wait_directly"`
	Depth           int        `json:"depth" doc:"Steps from the last of them to it."`
	Lock            *lockRow   `json:"lock" doc:"What most of those who wait directly wait for."`
	Database        *string    `json:"database"`
	User            *string    `json:"user"`
	Application     *string    `json:"application"`
	ClientAddr      *string    `json:"client_addr"`
	BackendType     *string    `json:"backend_type"`
	BackendStart    *time.Time `json:"backend_start" doc:"Of a prepared transaction, when it was prepared."`
	State           *string    `json:"state"`
	WaitEventType   *string    `json:"wait_event_type"`
	WaitEvent       *string    `json:"wait_event"`
	QueryID         *string    `json:"query_id"`
	Query           *string    `json:"query" doc:"What it runs, or ran last."`
	QueryAgeSeconds *float64   `json:"query_age_seconds"`
	XactAgeSeconds  *float64   `json:"xact_age_seconds"`
	StateAgeSeconds *float64   `json:"state_age_seconds"`
}

type edgeRow struct {
	Blocked partyRow  `json:"blocked"`
	Blocker *partyRow `json:"blocker" doc:"Null: it was not seen."`
	Lock    *lockRow  `json:"lock" doc:"Null: not known."`
	Depth   int       `json:"depth" doc:"Steps from the blocked session to what holds it up in the end; 0: it is in a ring."`
}

type blockingRow struct {
	Waiting int       `json:"waiting" doc:"Sessions that wait for another."`
	Roots   []rootRow `json:"roots" nullable:"false" doc:"What holds others up and waits for nobody: the one with the most behind it first."`
	Edges   []edgeRow `json:"edges" nullable:"false" doc:"Who waits for whom."`
}

func lockOf(l *history.Lock) *lockRow {
	if l == nil {
		return nil
	}
	return &lockRow{l.Type, l.Mode, l.Relation, l.RelationOID, l.DatabaseOID}
}

func partyOf(s *history.Session) *partyRow {
	if s == nil {
		return nil
	}
	party := &partyRow{PID: s.PID}
	if s.Prepared() {
		party.Transaction = s.Application
	}
	return party
}

func rootOf(b history.RootBlocker, at time.Time) rootRow {
	row := rootRow{
		Kind: string(b.Kind), Ring: []partyRow{}, SessionsBehind: b.Behind, WaitDirectly: b.Direct, Depth: b.Depth, Lock: lockOf(b.Lock),
	}
	for _, m := range b.Ring {
		if party := partyOf(m); party != nil {
			row.Ring = append(row.Ring, *party)
		}
	}
	s := b.Session
	if s == nil {
		return row
	}
	row.PID, row.Database, row.User, row.Application = &s.PID, s.Database, s.User, s.Application
	row.ClientAddr, row.BackendType, row.BackendStart = s.ClientAddr, s.BackendType, utcOrNull(s.BackendStart)
	if s.Prepared() {
		row.Transaction, row.Application = s.Application, nil
	}
	row.State, row.WaitEventType, row.WaitEvent = textOrNull(s.State), textOrNull(s.WaitEventType), textOrNull(s.WaitEvent)
	row.QueryID, row.Query = idText(s.QueryID), s.Query
	row.QueryAgeSeconds, row.XactAgeSeconds, row.StateAgeSeconds = age(s.QueryStart, at), age(s.XactStart, at), age(s.StateChange, at)
	return row
}

// age is the time since an instant, in seconds; null: it is not known.
func age(since *time.Time, at time.Time) *float64 {
	if since == nil {
		return nil
	}
	seconds := max(at.Sub(*since).Seconds(), 0)
	return &seconds
}

// blockingOf shows the edges that keep says.
func blockingOf(b history.Blocking, at time.Time, keep func(*history.Session) bool) blockingRow {
	row := blockingRow{Waiting: b.Waiting, Roots: make([]rootRow, len(b.Roots)), Edges: make([]edgeRow, 0, len(b.Edges))}
	for i, root := range b.Roots {
		row.Roots[i] = rootOf(root, at)
	}
	for _, e := range b.Edges {
		if blocked := partyOf(e.Blocked); blocked != nil && keep(e.Blocked) {
			row.Edges = append(row.Edges, edgeRow{Blocked: *blocked, Blocker: partyOf(e.Blocker), Lock: lockOf(e.Lock), Depth: e.Depth})
		}
	}
	return row
}

func all(*history.Session) bool { return true }

type locksBody struct {
	Server    string      `json:"server"`
	At        time.Time   `json:"at"`
	Blocking  blockingRow `json:"blocking"`
	Hidden    int         `json:"hidden" doc:"Sessions of which the monitoring user may see nothing: whether they wait is not known."`
	Untracked int         `json:"untracked" doc:"Sessions with track_activities off, idle ones too: what they run is not told, nor before PostgreSQL 14 whether they are idle."`
	Note      *string     `json:"note" doc:"What is missing and what to do; null: nothing."`
}

func (r routes) locks(ctx context.Context, in *ServerPath) (*output[locksBody], error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	now, err := r.Live.Locks(ctx, t)
	if err != nil {
		return nil, err
	}
	if now.Sessions, err = route.Shown(ctx, t, now.Sessions); err != nil {
		return nil, err
	}
	body := locksBody{Server: t.Name, At: utc(now.At), Blocking: blockingOf(blockingNow(now), now.At, all), Hidden: now.Hidden, Untracked: now.Untracked, Note: now.Note()}
	return say(body), nil
}

// blockingNow sorts out who waits for whom. Sessions are numbered by their pids,
// prepared transactions downwards from -1.
func blockingNow(now live.Locks) history.Blocking {
	sessions := make(map[int64]*history.Session, len(now.Sessions)+len(now.Prepared))
	for i := range now.Sessions {
		s := sessionThenOf(now.Sessions[i], now.At)
		sessions[int64(s.PID)] = &s
	}
	prepared := map[string]int64{}
	add := func(p live.Prepared) {
		kind := sample.PreparedType
		s := history.Session{BackendType: &kind, Database: p.Database, User: p.User, BackendStart: before(now.At, p.Age)}
		if p.ID != "" {
			s.Application = &p.ID
		}
		number := -1 - int64(len(prepared))
		prepared[p.ID], sessions[number] = number, &s
	}
	for _, p := range now.Prepared {
		add(p)
	}
	waits := make([]history.Waiting, len(now.Waits))
	locks := make(map[sample.Key]*history.Lock, len(now.Waits))
	for i, w := range now.Waits {
		waits[i] = history.Waiting{Blocked: int64(w.PID), Blocker: int64(w.Blocker), Lock: int64(w.PID)} // it waits for one lock at a time
		if w.Blocker == 0 {
			if _, known := prepared[w.Transaction]; !known {
				add(live.Prepared{ID: w.Transaction})
			}
			waits[i].Blocker = prepared[w.Transaction]
		}
		if l := w.Lock; l != nil {
			locks[int64(w.PID)] = &history.Lock{Type: l.Type, Mode: l.Mode, Relation: l.Relation, RelationOID: l.RelationOID, DatabaseOID: l.DatabaseOID}
		}
	}
	return history.NewBlocking(waits, sessions, locks)
}

// before gives the instant that is so many seconds before another.
func before(at time.Time, seconds *float64) *time.Time {
	if seconds == nil {
		return nil
	}
	then := at.Add(-time.Duration(*seconds * float64(time.Second)))
	return &then
}

// sessionThenOf gives a session of now the form of one of the past.
func sessionThenOf(s live.Session, at time.Time) history.Session {
	then := history.Session{
		PID: s.PID, LeaderPID: s.LeaderPID, Database: s.Database, User: s.User, Application: s.Application, ClientAddr: s.ClientAddr,
		BackendType: s.BackendType, WaitEventType: sample.CPU, QueryID: s.QueryID, Query: s.Query, BackendStart: before(at, s.BackendAge),
		QueryStart: before(at, s.QueryAge), XactStart: before(at, s.XactAge), StateChange: before(at, s.StateAge),
	}
	for to, text := range map[*string]*string{&then.State: s.State, &then.WaitEventType: s.WaitEventType, &then.WaitEvent: s.WaitEvent} {
		if text != nil {
			*to = *text
		}
	}
	return then
}

// nullable says of properties that are objects that they may be null: the
// framework takes objects for never null.
func nullable(s *huma.Schema, names ...string) *huma.Schema {
	for _, name := range names {
		p := s.Properties[name]
		s.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}, Description: p.Description}
	}
	return s
}

// TransformSchema implements huma.SchemaTransformer.
func (rootRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "lock")
}

// TransformSchema implements huma.SchemaTransformer.
func (edgeRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "blocker", "lock")
}
