// Package probe owns what is asked of a target: the questions, their SQL for
// each server version, and the reading of the answers into a sample.Visit.
//
// The SQL is one file a question and minimum version, sql/<question>.<version
// number>.sql; the newest that the server knows is used. Everything that is
// due is sent as one batch of prepared statements on one connection, in one
// implicit transaction, with the question about sessions first, so that a
// lock in the way of a later one cannot cost a tick. The questions about
// sessions touch no catalog. Texts are asked for only where an id is new.
//
// How full the disks of a server's host are is asked beside that, over SSH by one
// script, or of this machine (DiskReader). A folder's name stands in the script in
// single quotes only, and what df prints is framed by a random word, so that
// neither names nor noise on the host change what is run or read.
package probe
