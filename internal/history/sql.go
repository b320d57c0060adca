package history

import "embed"

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
