// Package history owns questions about the past: what is asked, the SQL that asks
// stats_db, and the answers.
//
// What must hold: ranges are half-open and UTC; an answer is made of the coarsest
// rows that serve it and of finer ones where those are not there yet, so it does
// not depend on how far compaction has come; each tick counts once; in a Coverage,
// planned ticks are exactly those that were ok, degraded, failed or skipped;
// unknown is absent, never zero.
package history
