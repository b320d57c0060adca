// Package store owns every statement on stats_db, one file a subject.
//
// Nouns of target, sample and account go in and out; driver errors stop here
// and become the nouns' sentinels or an error of this package. Secrets are
// sealed on the way in and opened on the way out, bound to the row they belong
// to. The collector is the only writer of the schema history.
package store
