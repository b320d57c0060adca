package v1

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/history"
)

type whoRow struct {
	PID          *int32     `json:"pid" doc:"0: a prepared transaction; null: not seen, or who it is is not known."`
	BackendStart *time.Time `json:"backend_start" doc:"With pid it names a backend; of a prepared transaction, when it was prepared."`
	Transaction  *string    `json:"prepared_transaction" doc:"Identifier of a prepared transaction; null: it is a session."`
	Database     *string    `json:"database"`
	User         *string    `json:"user"`
	Application  *string    `json:"application"`
	ClientAddr   *string    `json:"client_addr"`
	BackendType  *string    `json:"backend_type"`
}

func whoOf(s *history.Session) whoRow {
	if s == nil {
		return whoRow{}
	}
	who := whoRow{
		PID: &s.PID, BackendStart: utcOrNull(s.BackendStart), Database: s.Database, User: s.User, Application: s.Application,
		ClientAddr: s.ClientAddr, BackendType: s.BackendType,
	}
	if s.Prepared() {
		who.Transaction, who.Application = s.Application, nil
	}
	return who
}

type waiterRow struct {
	Session       whoRow  `json:"session"`
	WaitedSeconds float64 `json:"waited_seconds"`
}

type episodeRow struct {
	BlockerRow
	EndedAt         time.Time   `json:"ended_at" doc:"When the tick after last_at was due: it was over by then, unless it is ongoing."`
	DurationSeconds float64     `json:"duration_seconds" doc:"From first_at to ended_at; blocked_seconds is less where nobody waited for a tick or two, or nobody looked."`
	Ongoing         bool        `json:"ongoing" doc:"No later tick of the range says that it is over."`
	Before          bool        `json:"from_before" doc:"No earlier tick of the range is without it: it may have begun before."`
	Waiters         []waiterRow `json:"longest_waiters" nullable:"false" doc:"The ten who waited longest, directly or through others."`
}

// TransformSchema implements huma.SchemaTransformer.
func (pairRow) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "lock")
}

type pairRow struct {
	Blocked       whoRow    `json:"blocked"`
	Blocker       whoRow    `json:"blocker"`
	Lock          *lockRow  `json:"lock" doc:"As last seen; null: not known."`
	FirstAt       time.Time `json:"first_at"`
	LastAt        time.Time `json:"last_at"`
	Ticks         int       `json:"ticks" doc:"At so many ticks the one waited for the other."`
	WaitedSeconds float64   `json:"waited_seconds" doc:"The ticks by their cadence."`
}

func pairsOf(pairs []history.Pair) []pairRow {
	rows := make([]pairRow, len(pairs))
	for i, p := range pairs {
		rows[i] = pairRow{whoOf(p.Blocked), whoOf(p.Blocker), lockOf(p.Lock), utc(p.First), utc(p.Last), p.Ticks, p.Waited.Seconds()}
	}
	return rows
}

type blockingHistoryBody struct {
	Server        string       `json:"server"`
	From          time.Time    `json:"from" doc:"Later than asked where truncated."`
	To            time.Time    `json:"to"`
	Truncated     bool         `json:"truncated" doc:"Too much to read, or no longer kept: only the newest part of the range is answered."`
	Episodes      []episodeRow `json:"episodes" nullable:"false" doc:"Times in which one backend held others up and itself waited for nobody; three ticks without it end one, or a minute in which nothing is known of it. Those first for which most time was waited."`
	EpisodesTotal int          `json:"episodes_total"`
	Pairs         []pairRow    `json:"pairs" nullable:"false" doc:"Who waited directly for whom, over the whole range; those first who waited longest."`
	PairsTotal    int          `json:"pairs_total"`
	Coverage      coverageRow  `json:"coverage"`
}

type blockingHistoryInput struct {
	ServerPath
	RangeQuery
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"Of episodes, and of pairs."`
}

func (r routes) historyBlocking(ctx context.Context, in *blockingHistoryInput) (*output[blockingHistoryBody], error) {
	span, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	b, err := r.History.BlockingOver(ctx, t, span, in.Limit)
	if err != nil {
		return nil, err
	}
	body := blockingHistoryBody{
		Server: t.Name, From: utc(b.Range.From), To: utc(b.Range.To), Truncated: b.Truncated, Episodes: make([]episodeRow, len(b.Episodes)),
		EpisodesTotal: b.EpisodesTotal, Pairs: pairsOf(b.Pairs), PairsTotal: b.PairsTotal, Coverage: coverage(b.Coverage),
	}
	for i := range b.Episodes {
		body.Episodes[i] = episodeOf(&b.Episodes[i])
	}
	return say(body), nil
}

func episodeOf(e *history.Episode) episodeRow {
	row := episodeRow{
		BlockerRow: blockerOf(e.Blocker), EndedAt: utc(e.End), DurationSeconds: e.End.Sub(e.First).Seconds(), Ongoing: e.Ongoing, Before: e.Before,
		Waiters: make([]waiterRow, len(e.Waiters)),
	}
	for i, w := range e.Waiters {
		row.Waiters[i] = waiterRow{whoOf(w.Session), w.Waited.Seconds()}
	}
	return row
}

type spanRow struct {
	Kind          string     `json:"kind" enum:"sampled,not_active,not_seen" doc:"not_active: it was idle, or not there; not_seen: nobody looked, or the server did not answer."`
	From          time.Time  `json:"from"`
	To            time.Time  `json:"to"`
	Ticks         int        `json:"ticks" doc:"Answered ticks."`
	State         *string    `json:"state" doc:"Null, as all that follows but blocks: it is not sampled."`
	WaitEventType *string    `json:"wait_event_type"`
	WaitEvent     *string    `json:"wait_event"`
	WaitClass     *string    `json:"wait_class"`
	QueryID       *string    `json:"query_id"`
	Query         *string    `json:"query"`
	QueryStart    *time.Time `json:"query_start" doc:"As of the first tick: the same statement may have been run again since."`
	XactStart     *time.Time `json:"xact_start"`
	BlockedTicks  int        `json:"blocked_ticks" doc:"At so many ticks it waited for another."`
	BlockedBy     []whoRow   `json:"blocked_by" nullable:"false" doc:"For whom, the one of most ticks first, at most five."`
	Blocks        int        `json:"blocks" doc:"Most sessions that waited for it directly at one tick."`
}

type sessionHistoryBody struct {
	Server     string      `json:"server"`
	From       time.Time   `json:"from" doc:"What the spans cover: later than asked where truncated, or where the server was added later."`
	To         time.Time   `json:"to" doc:"Not after what is stored while a collector runs."`
	Truncated  bool        `json:"truncated" doc:"Too much to read or to list, or no longer kept: only the newest part of the range is answered."`
	Session    *whoRow     `json:"session" doc:"Null: it was never sampled on these days."`
	LeaderPID  *int32      `json:"leader_pid" doc:"Of a parallel worker."`
	Spans      []spanRow   `json:"spans" nullable:"false" doc:"One for each state, wait and statement, in the order of time."`
	Pairs      []pairRow   `json:"pairs" nullable:"false" doc:"For whom it waited directly, and who for it; those first that took longest."`
	PairsTotal int         `json:"pairs_total"`
	Coverage   coverageRow `json:"coverage"`
}

// TransformSchema implements huma.SchemaTransformer.
func (sessionHistoryBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "session")
}

type sessionHistoryInput struct {
	ServerPath
	RangeQuery
	PID          int32  `query:"pid" required:"true" minimum:"1" example:"4711"`
	BackendStart string `query:"backend_start" doc:"RFC 3339, to the microsecond, as in any answer; left out: the last backend with this pid." example:"2026-11-22T03:00:00.123456Z"`
	Limit        int    `query:"limit" minimum:"1" maximum:"10000" default:"2000" doc:"Of spans."`
}

func (r routes) historySession(ctx context.Context, in *sessionHistoryInput) (*output[sessionHistoryBody], error) {
	span, err := in.parse(r.Now())
	if err != nil {
		return nil, err
	}
	q := history.SessionQuestion{Range: span, PID: in.PID, Limit: in.Limit}
	if in.BackendStart != "" {
		start, err := parseInstant("backend_start", in.BackendStart, span.To)
		if err != nil {
			return nil, err
		}
		q.BackendStart = &start
	}
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	h, err := r.History.SessionOver(ctx, t, q)
	if err != nil {
		return nil, err
	}
	body := sessionHistoryBody{
		Server: t.Name, From: utc(h.Range.From), To: utc(h.Range.To), Truncated: h.Truncated, Spans: make([]spanRow, len(h.Spans)),
		Pairs: pairsOf(h.Pairs), PairsTotal: h.PairsTotal, Coverage: coverage(h.Coverage),
	}
	if h.Session != nil {
		who := whoOf(h.Session)
		body.Session, body.LeaderPID = &who, h.Session.LeaderPID
	}
	for i := range h.Spans {
		body.Spans[i] = spanOf(&h.Spans[i])
	}
	return say(body), nil
}

func spanOf(s *history.SessionSpan) spanRow {
	row := spanRow{
		Kind: string(s.Kind), From: utc(s.Range.From), To: utc(s.Range.To), Ticks: s.Ticks, BlockedTicks: s.Blocked, Blocks: s.Blocks,
		BlockedBy: make([]whoRow, len(s.Blockers)),
	}
	for i, b := range s.Blockers {
		row.BlockedBy[i] = whoOf(b)
	}
	if did := s.Session; did != nil {
		class := did.Class.String()
		row.State, row.WaitEventType, row.WaitEvent, row.WaitClass = textOrNull(did.State), textOrNull(did.WaitEventType), textOrNull(did.WaitEvent), &class
		row.QueryID, row.Query, row.QueryStart, row.XactStart = idText(did.QueryID), did.Query, utcOrNull(did.QueryStart), utcOrNull(did.XactStart)
	}
	return row
}
