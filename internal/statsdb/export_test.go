package statsdb

import "github.com/jackc/pgx/v5/pgtype"

// ArrayMap is a map of types as a connection has it.
func ArrayMap() *pgtype.Map {
	m := pgtype.NewMap()
	registerArrays(m)
	return m
}
