// Package probe owns what is asked of a target: the questions, their SQL for
// each server version, and the reading of the answers into a sample.Visit.
//
// The SQL is one file a question and minimum version, sql/<question>.<version
// number>.sql; the newest that the server knows is used. Everything that is
// due is sent as one batch of prepared statements on one connection, in one
// implicit transaction, with the question about sessions first, so that a
// lock in the way of a later one cannot cost a tick. The questions about
// sessions touch no catalog. Texts are asked for only where an id is new.
package probe
