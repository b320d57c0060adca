// Package statsdb is the leaf under everything that talks to stats_db: it owns how
// connections are made, how a change is committed, what errors mean, and whether
// the schema is the one this program was built for. It knows no table but the one
// of the schema's version.
package statsdb
