package v1

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/api/route"
)

// registerIncident adds what tells what happened at a moment.
func (r routes) registerIncident(op func(id, method, path, summary, tag string) huma.Operation) {
	const one, now, past = "/servers/{name}", "now", "history"
	read := func(id, path, summary, tag string) huma.Operation {
		return op(id, http.MethodGet, one+path, summary, tag)
	}
	asked := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}
	live := []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusBadGateway, http.StatusGatewayTimeout}
	route.Register(r.Group, read("locks", "/locks", "Who blocks whom, now", now), account.Viewer, live, r.locks)
	route.Register(r.Group, r.describeStream(read("stream", "/stream", "Live ticks: sessions by wait class and what holds others up", now)), account.Viewer,
		[]int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests}, r.stream)
	asked = append(asked, http.StatusGone)
	route.Register(r.Group, read("incident", "/incident", "What happened at a moment, in one answer", past), account.Viewer, asked, r.incident)
	route.Register(r.Group, read("history-blocking", "/history/blocking", "Who held whom up: episodes and pairs", past), account.Viewer, asked, r.historyBlocking)
	route.Register(r.Group, read("history-session", "/history/session", "What one backend did", past), account.Viewer, asked, r.historySession)
	route.Register(r.Group, read("history-events", "/history/events", "What explains steps in charts, the newest first", past), account.Viewer, asked, r.historyEvents)
	route.Register(r.Group, read("history-coverage", "/history/coverage", "How much of a range was seen", past), account.Viewer, asked, r.historyCoverage)
	route.Register(r.Group, read("history-databases", "/history/databases", "What databases did over time", past), account.Viewer, asked, r.historyDatabases)
	route.Register(r.Group, read("history-sizes", "/history/sizes", "How large databases were over time", past), account.Viewer, asked, r.historySizes)
	route.Register(r.Group, op("fleet", http.MethodGet, "/fleet", "All servers on one screen, from their history", "fleet"), account.Viewer,
		[]int{http.StatusUnprocessableEntity}, r.fleet)
	route.Register(r.Group, op("fleet-activity", http.MethodGet, "/fleet/activity", "Sessions of all servers by wait class over time", "fleet"), account.Viewer,
		[]int{http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity}, r.fleetActivity)
	route.Register(r.Group, op("fleet-minutes", http.MethodGet, "/fleet/minutes", "Load of each server, minute by minute", "fleet"), account.Viewer,
		[]int{http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity}, r.fleetMinutes)
}
