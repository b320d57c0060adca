package compat

import (
	"context"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
)

// routes answers the contract.
type routes struct {
	*route.Group
}

// Register adds the contract to a route.
func Register(f *route.Group) {
	r := routes{f}
	route.Register(f, huma.Operation{
		OperationID: "root", Method: http.MethodGet, Path: "/", Summary: "What this is", Tags: []string{"health"},
	}, "", nil, r.root)
	route.Register(f, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/api/health", Summary: "Whether it works", Tags: []string{"health"},
	}, "", []int{http.StatusServiceUnavailable}, r.health)
	known := f.Document("/api/health").Get.Responses
	known["503"].Content = known["200"].Content // the truth has the same form
	route.Register(f, huma.Operation{
		OperationID: "pools-status", Method: http.MethodGet, Path: "/api/pools/status",
		Summary: "Pools of connections to the servers, by host:port:user:database", Tags: []string{"health"},
	}, account.Viewer, nil, r.poolsStatus)
	route.Register(f, huma.Operation{
		OperationID: "favicon", Method: http.MethodGet, Path: "/api/favicon.ico", Hidden: true,
	}, "", []int{http.StatusNotFound}, r.favicon)
	for _, prefix := range []string{"", "/api"} {
		r.registerAt(prefix)
	}
	r.registerLater()
}

// registerAt adds the routes that are served twice.
func (r routes) registerAt(prefix string) {
	op := func(id, method, path, summary string) huma.Operation {
		tag := "Python contract"
		if prefix != "" {
			id, tag = id+"-"+strings.Trim(prefix, "/"), tag+" under /api"
		}
		return huma.Operation{OperationID: id, Method: method, Path: prefix + path, Summary: summary, Tags: []string{tag}}
	}
	const one, server = "/servers/{server_name}", "/server/{server_name}"
	r.registerToken(op("token", http.MethodPost, "/token", "Log in"))
	route.Register(r.Group, op("list-servers", http.MethodGet, "/servers", "All servers with their status"), account.Viewer, nil, r.listServers)
	route.Register(r.Group, op("add-server", http.MethodPost, "/servers", "Add a server"), account.Operator,
		[]int{http.StatusBadRequest, http.StatusUnprocessableEntity}, r.addServer)
	route.Register(r.Group, op("update-server", http.MethodPut, one, "Change a server; another name renames it"), account.Operator,
		[]int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}, r.updateServer)
	route.Register(r.Group, op("delete-server", http.MethodDelete, one, "Remove a server; its history stays until retention, or goes with purge"), account.Operator,
		[]int{http.StatusNotFound, http.StatusUnprocessableEntity}, r.deleteServer)
	route.Register(r.Group, op("server-sessions", http.MethodGet, "/server_stats/{server_name}", "Sessions of a server, now"), account.Viewer,
		[]int{http.StatusNotFound}, r.serverSessions)
	route.Register(r.Group, op("server-stats", http.MethodGet, server+"/stats", "Databases of a server over time"), account.Viewer,
		[]int{http.StatusBadRequest, http.StatusNotFound}, r.serverStats)
	route.Register(r.Group, op("database-now", http.MethodGet, server+"/db/{db_name}", "A database, as last seen"), account.Viewer,
		[]int{http.StatusNotFound}, r.databaseNow)
	route.Register(r.Group, op("database-stats", http.MethodGet, server+"/db/{db_name}/stats", "A database over time"), account.Viewer,
		[]int{http.StatusBadRequest, http.StatusNotFound}, r.databaseStats)
}

// output is an answer with a body.
type output[T any] struct {
	Body T
}

func say[T any](body T) *output[T] { return &output[T]{body} }

type rootBody struct {
	Message string `json:"message"`
	Docs    string `json:"docs"`
	ReDoc   string `json:"redoc"`
}

func (r routes) root(context.Context, *struct{}) (*output[rootBody], error) {
	return say(rootBody{"PostgreSQL Activity Monitor API " + r.Version, "/docs", "/redoc"}), nil
}

type noIcon struct {
	Status int
	Body   messageBody
}

// favicon is what browsers ask for by themselves; the contract has an answer of
// its own for it.
func (r routes) favicon(context.Context, *struct{}) (*noIcon, error) {
	return &noIcon{http.StatusNotFound, messageBody{"Not Found"}}, nil
}

type healthBody struct {
	Status     string `json:"status" doc:"ok, or error with status 503."`
	Timestamp  string `json:"timestamp"`
	PoolsCount int    `json:"pools_count" doc:"Pools of connections to the servers."`
	Version    string `json:"version"`
}

type healthOutput struct {
	Status int
	Body   healthBody
}

// health tells the truth: without stats_db nothing but live questions works.
func (r routes) health(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	out := &healthOutput{Status: http.StatusOK, Body: healthBody{
		Status: "ok", Timestamp: isoTime(r.Now()), PoolsCount: len(r.Live.Pools()), Version: r.Version,
	}}
	if !r.Healthy(ctx) {
		out.Status, out.Body.Status = http.StatusServiceUnavailable, "error"
	}
	return out, nil
}

type poolBody struct {
	MinConn     int32   `json:"minconn"`
	MaxConn     int32   `json:"maxconn"`
	Closed      bool    `json:"closed"`
	Total       int32   `json:"total"`
	Acquired    int32   `json:"acquired"`
	Idle        int32   `json:"idle"`
	Waits       int64   `json:"waits" doc:"Questions that had to wait for a connection."`
	WaitSeconds float64 `json:"wait_seconds" doc:"How long they waited in all."`
}

func (r routes) poolsStatus(context.Context, *struct{}) (*output[map[string]poolBody], error) {
	body := make(map[string]poolBody)
	for _, p := range r.Live.Pools() {
		key := p.Key
		for _, taken := body[key]; taken; _, taken = body[key] {
			key += "'" // another server at the same address
		}
		body[key] = poolBody{
			MinConn: p.Size.Min, MaxConn: p.Size.Max, Total: p.Total, Acquired: p.Acquired, Idle: p.Idle,
			Waits: p.Waits, WaitSeconds: p.WaitTime.Seconds(),
		}
	}
	return say(body), nil
}

// isoTime writes an instant as Python's isoformat does, in UTC.
func isoTime(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05-07:00")
	}
	return t.Format("2006-01-02T15:04:05.000000-07:00")
}

func isoTimeOrNull(t *time.Time) *string {
	if t == nil {
		return nil
	}
	text := isoTime(*t)
	return &text
}

func round2(x float64) float64 { return math.Round(x*100) / 100 }
