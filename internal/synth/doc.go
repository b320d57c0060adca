// Package synth makes history up: servers with the load of a working week,
// sessions, statements and waits in the proportions of real ones, now and then
// an incident. It is for trying dashboards and for measuring how fast a month
// of a fleet is stored and answered.
//
// The same seed makes the same history, each server's day by itself, in any order.
// A Generator talks to nothing; Fill stores what it makes in a stats_db.
package synth
