// Package api owns the HTTP API: the router, what happens to every request
// (its id, log line, limits, CORS and headers) and the OpenAPI document of both
// its forms, compat and v1.
//
// It knows nothing of the network or of processes: New gives an http.Handler.
// What must hold: every answer outside /healthz, /readyz and /metrics has the
// form of its group, errors included; the log never holds a query string, a
// body or a token; every operation is in the document, and the document is
// served as it was built.
package api
