// Package sample owns what one visit to a server yields: the tick with its
// outcome and sessions, database counters, the inventory and sizes; the
// dictionaries that turn texts into ids; and, as pure functions, what counters
// grew by between two rows.
//
// Nothing here talks to anything. What must hold: every planned tick has
// exactly one outcome; an id never changes its meaning; no delta is negative
// or crosses an epoch; instants are UTC, units are in the names, and unknown
// is a null, never a zero.
package sample
