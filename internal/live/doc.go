// Package live owns what is true now: it keeps the list of servers up to date,
// a pool of connections to each, and the caches over them.
//
// A target and a question go in, an answer of this moment comes out, or an
// Error that carries a class of failure and no driver's text for the client.
// What must hold: a change of a server reaches its pool within two seconds in
// every process; no question waits longer than its deadline, whatever hangs,
// and none of one server waits for another; a pooled connection that died
// never fails a question; nothing of one server is ever shown for another.
package live
