// Package statsdb is the leaf under everything that talks to stats_db: it owns how
// connections are made, how a change is committed, and what errors mean. It knows
// no table.
package statsdb
