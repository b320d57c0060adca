// Package history owns what a question about the past is and what its answer
// holds: a range, its grain, series, and how much of the range was seen.
//
// Package store fills these types and api shows them; nothing here talks
// to anything. What must hold: ranges are half-open and UTC; in a Coverage,
// planned ticks are exactly those that were ok, degraded, failed or skipped;
// unknown is absent, never zero.
package history
