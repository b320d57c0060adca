// Package store owns every statement on the history in stats_db, one file a
// subject. Nouns of target, sample and history go in and out; driver errors stop
// here and become an error of statsdb or of this package. The collector is the
// only writer of the schema history.
package store
