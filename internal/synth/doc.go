// Package synth makes history up: servers with the load of a working week,
// sessions, statements and waits in the proportions of real ones, now and then
// an incident. It is for trying dashboards and for measuring how fast a month
// of a fleet is stored and answered.
//
// Nothing here talks to anything. The same seed makes the same history, each
// server's day by itself, in any order.
package synth
