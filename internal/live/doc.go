// Package live owns what is true now: it keeps the list of servers up to date,
// a pool of connections to each, and the caches over them and over the file
// systems of their hosts.
//
// A target and a question go in, an answer of this moment comes out, or an
// Error that carries a class of failure and no driver's text for the client.
// What must hold: a change of a server reaches its pool and its caches within
// two seconds in every process; no question waits longer than its deadline,
// whatever hangs, and none of one server waits for another; nobody is given an
// answer from before he asked, but from a cache that says how old it may be; a
// pooled connection that died never fails a question; nothing of one server is
// ever shown for another; no host is logged in to before its key was confirmed.
package live
