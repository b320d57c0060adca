// Package statsdb is the leaf under everything that talks to stats_db: it owns how
// connections are made and what their errors mean, and knows no table.
package statsdb
