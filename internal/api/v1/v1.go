package v1

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
)

// routes answers /api/v1.
type routes struct {
	*route.Group
}

// Register adds /api/v1 to a route.
func Register(f *route.Group) {
	r := routes{f}
	op := func(id, method, path, summary, tag string) huma.Operation {
		return huma.Operation{
			OperationID: "v1-" + id, Method: method, Path: "/api/v1" + path, Summary: summary, Tags: []string{tag},
			RejectUnknownQueryParameters: true,
		}
	}
	const (
		all, one     = "/servers", "/servers/{name}"
		servers, now = "servers", "now"
		past         = "history"
	)
	missing, unfit := http.StatusNotFound, http.StatusUnprocessableEntity
	route.Register(f, op("list-servers", http.MethodGet, all, "All servers, by name", servers), account.Viewer, []int{unfit}, r.listServers)
	create := op("create-server", http.MethodPost, all, "Add a server", servers)
	create.DefaultStatus = http.StatusCreated
	route.Register(f, create, account.Operator, []int{http.StatusBadRequest, http.StatusConflict, unfit}, r.createServer)
	route.Register(f, op("get-server", http.MethodGet, one, "A server", servers), account.Viewer, []int{missing}, r.getServer)
	route.Register(f, op("change-server", http.MethodPatch, one, "Change what is sent, keep the rest", servers), account.Operator,
		[]int{http.StatusBadRequest, missing, http.StatusConflict, unfit}, r.changeServer)
	route.Register(f, op("delete-server", http.MethodDelete, one, "Remove a server; its history stays until retention, or goes with purge", servers), account.Operator,
		[]int{missing, unfit}, r.deleteServer)
	route.Register(f, op("test-server", http.MethodPost, one+"/test", "Connect to a server and say what is missing", servers), account.Operator,
		[]int{missing, http.StatusTooManyRequests}, r.testServer)
	route.Register(f, op("activity", http.MethodGet, one+"/activity", "Sessions, now", now), account.Viewer,
		[]int{missing, unfit, http.StatusBadGateway, http.StatusGatewayTimeout}, r.activity)
	route.Register(f, op("disks", http.MethodGet, one+"/disks", "File systems of the server's host, now or as last sampled", now), account.Viewer,
		[]int{missing}, r.disks)
	route.Register(f, op("history-activity", http.MethodGet, one+"/history/activity", "Sessions over time, by wait class or any other dimension", past), account.Viewer,
		[]int{http.StatusBadRequest, missing, http.StatusGone, unfit, http.StatusServiceUnavailable}, r.historyActivity)
	route.Register(f, op("history-top", http.MethodGet, one+"/history/top", "What took the time between two instants", past), account.Viewer,
		[]int{http.StatusBadRequest, missing, http.StatusGone, unfit, http.StatusServiceUnavailable}, r.historyTop)
	route.Register(f, op("history-compare", http.MethodGet, one+"/history/compare", "What took the time, in two ranges side by side", past), account.Viewer,
		[]int{http.StatusBadRequest, missing, http.StatusGone, unfit, http.StatusServiceUnavailable}, r.historyCompare)
	route.Register(f, op("history-at", http.MethodGet, one+"/history/at", "Every session of one instant", past), account.Viewer,
		[]int{http.StatusBadRequest, missing, http.StatusGone, unfit}, r.historyAt)
	route.Register(f, op("history-disks", http.MethodGet, one+"/history/disks", "File systems of the server's host over time", past), account.Viewer,
		[]int{http.StatusBadRequest, missing, http.StatusGone, unfit}, r.historyDisks)
	route.Register(f, op("storage", http.MethodGet, "/storage", "What the history takes and how long it stays", past), account.Viewer, nil, r.storage)
	r.registerSession(op)
	r.registerDatabases(op)
	r.registerKeys(op)
	r.registerSettings(op)
	r.registerUsers(op)
	r.registerIncident(op)
	r.registerActs(op)
}

// output is an answer with a body.
type output[T any] struct {
	Body T
}

func say[T any](body T) *output[T] { return &output[T]{body} }

// ServerPath is the server that an operation is about.
type ServerPath struct {
	Name string `path:"name" doc:"The server's name."`
}

// utc is an instant to the microsecond, as PostgreSQL has it.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func utcOrNull(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	u := utc(*t)
	return &u
}
