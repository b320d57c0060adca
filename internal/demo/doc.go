// Package demo owns a load that gives something to see: a small shop on one
// database, with updates, scans, a queue of sessions that wait for one another's
// locks, and a session that idles in its transaction.
//
// It is paced, not driven: about a quarter of one processor, whatever the
// machine. Every session has an application_name of its own. A session that is
// cut, or finds no server, comes back by itself.
package demo
