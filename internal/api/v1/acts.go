package v1

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/target"
)

// registerActs adds acting on sessions, and the audit of it.
func (r routes) registerActs(op func(id, method, path, summary, tag string) huma.Operation) {
	const session = "/servers/{name}/sessions/{pid}/"
	for act, summary := range map[target.SessionControl]string{
		target.ControlCancel:    "Cancel what a session runs: the statement fails, the session goes on",
		target.ControlTerminate: "End a session: its transaction is rolled back, its client loses the connection",
	} {
		o := op(string(act)+"-session", http.MethodPost, session+string(act), summary, "now")
		o.Description = "Off unless session_control of the server, or PGAM_SESSION_CONTROL of the API, allows it. " +
			"The session must have the pid and have begun at exactly backend_start, or nothing is signalled. " +
			"Each is a row of the audit, also where it is refused; at most sixty a minute of one user."
		o.Metadata = map[string]any{route.MetaAudit: "session." + string(act)}
		route.Register(r.Group, o, account.Operator, []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout,
		}, func(ctx context.Context, in *actInput) (*output[actBody], error) { return r.act(ctx, in, act) })
	}
	route.Register(r.Group, op("audit", http.MethodGet, "/audit", "What was done to sessions, and what was refused, the newest first", "users"), account.Admin,
		[]int{http.StatusBadRequest, http.StatusUnprocessableEntity}, r.audit)
}

type actInput struct {
	ServerPath
	PID  int32 `path:"pid" minimum:"1" doc:"Process id of the session."`
	Body struct {
		BackendStart time.Time `json:"backend_start" doc:"When the session began, as /activity, /stream and the history say it: to the microsecond." example:"2026-11-22T03:04:05.678901Z"`
	}
}

type actBody struct {
	Server    string `json:"server"`
	PID       int32  `json:"pid"`
	Action    string `json:"action" enum:"cancel,terminate"`
	Signalled bool   `json:"signalled" doc:"PostgreSQL says that it has sent the signal. What the session makes of it is seen in its state."`
}

// act signals a session, where that is allowed.
func (r routes) act(ctx context.Context, in *actInput, act target.SessionControl) (*output[actBody], error) {
	began := utc(in.Body.BackendStart)
	detail := map[string]any{"pid": in.PID, "backend_start": began}
	err := r.Audited(ctx, "session."+string(act), in.Name, detail, func(ctx context.Context) (map[string]any, error) {
		t, err := r.Live.Server(in.Name)
		if err != nil {
			return nil, err
		}
		if now := r.control(t); !now.Allows(act) {
			return nil, route.NewError(http.StatusForbidden, refusedAct(act, now))
		}
		done, err := r.Live.Signal(ctx, t, in.PID, began, act)
		if err != nil {
			return nil, err
		}
		var whose map[string]any
		if !done.Gone() {
			whose = map[string]any{"database": done.Database, "user": done.User, "application": done.Application, "client_addr": done.ClientAddr}
		}
		status := http.StatusForbidden
		if done.Gone() || done.Refusal == "" {
			status = http.StatusNotFound
		}
		if why := done.Explain(in.PID); why != "" {
			return whose, route.NewError(status, why)
		}
		return whose, nil
	})
	if err != nil {
		return nil, err
	}
	return say(actBody{Server: in.Name, PID: in.PID, Action: string(act), Signalled: true}), nil
}

// control is what may be done with the sessions of a server.
func (r routes) control(t target.Target) target.SessionControl {
	return t.SessionControl.Or(r.SessionControl)
}

// refusedAct says which setting forbids an act.
func refusedAct(act, now target.SessionControl) string {
	what := "Cancelling statements"
	if act == target.ControlTerminate {
		what = "Ending sessions"
	}
	return what + " is not allowed here: session control is " + string(now) +
		". An administrator allows it with session_control of the server, or for all with PGAM_SESSION_CONTROL of the API"
}

type auditRow struct {
	ID         int64          `json:"id"`
	At         time.Time      `json:"at"`
	Account    string         `json:"account" doc:"Login of who asked."`
	ClientAddr *string        `json:"client_addr" doc:"From where; null: not known."`
	Action     string         `json:"action" doc:"session.cancel or session.terminate; later versions know more."`
	Server     *string        `json:"server" doc:"Its name then; null: there was none of this name."`
	Detail     map[string]any `json:"detail" doc:"What it was done to: pid, backend_start, user, application, database, client_addr."`
	Outcome    *string        `json:"outcome" enum:"ok,refused,failed" doc:"Null: not known; it is under way, or the API was ended meanwhile."`
	Reason     *string        `json:"reason" doc:"What who asked was told; null: it was done."`
}

type auditPage struct {
	Items []auditRow `json:"items" nullable:"false" doc:"The newest first."`
	Next  *string    `json:"next_cursor" doc:"Null: this is the last page."`
}

type auditInput struct {
	From    string `query:"from" doc:"RFC 3339, included; default: since the oldest." example:"2026-11-22T03:00:00Z"`
	To      string `query:"to" doc:"RFC 3339, left out; default: until now." example:"2026-11-22T04:00:00Z"`
	Server  string `query:"server" doc:"Only of the server that had this name."`
	Account string `query:"account" doc:"Only of this login."`
	Action  string `query:"action" doc:"Only this action." example:"session.cancel"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor  string `query:"cursor" doc:"next_cursor of the page before, with the same questions."`
}

func (r routes) audit(ctx context.Context, in *auditInput) (*output[auditPage], error) {
	q := account.AuditQuestion{Server: in.Server, Account: in.Account, Action: in.Action, Limit: in.Limit + 1}
	var err error
	if q.From, err = parseInstant("from", in.From, time.Time{}); err != nil {
		return nil, err
	}
	if q.To, err = parseInstant("to", in.To, time.Time{}); err != nil {
		return nil, err
	}
	if q.Before, _, err = readCursor[int64](in.Cursor); err != nil {
		return nil, err
	}
	body := auditPage{Items: []auditRow{}}
	if strings.ContainsRune(in.Server+in.Account+in.Action, 0) { // PostgreSQL knows no such text
		return say(body), nil
	}
	entries, err := r.Catalog.Audit(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(entries) > in.Limit {
		entries = entries[:in.Limit]
		body.Next = writeCursor(entries[in.Limit-1].ID)
	}
	for _, e := range entries {
		row := auditRow{
			ID: e.ID, At: utc(e.At), Account: e.Account, Action: e.Action, Server: textOrNull(e.Server), Detail: e.Detail,
			Outcome: textOrNull(string(e.Outcome)), Reason: textOrNull(e.Reason),
		}
		if e.Client.IsValid() {
			row.ClientAddr = textOrNull(e.Client.String())
		}
		body.Items = append(body.Items, row)
	}
	return say(body), nil
}
