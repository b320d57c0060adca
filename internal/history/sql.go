package history

import (
	"embed"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/*.sql
var files embed.FS

// sql gives a statement by the name of its file.
func sql(name string) string {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic(err) // the name is a constant
	}
	return string(text)
}

// each has visit called for each row of an answer.
func each(into []any, visit func() error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, into, visit)
		return err
	}
}
