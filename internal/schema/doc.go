// Package schema applies the migrations of stats_db. It is the only importer
// of tern.
//
// Up is run from one place at a time: it holds an advisory lock and waits for
// another holder at most a minute. The daemons never migrate; store.Open
// checks the version for them, so that they need not link tern.
package schema
