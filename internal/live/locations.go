package live

import (
	"context"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
)

// maxPathBytes bounds a location's path; PostgreSQL allows 1024 bytes.
const maxPathBytes = 4096

type locationRow struct {
	Use  string  `db:"use"`
	Path *string `db:"path"`
}

// locationsOf asks where the data lies. What cannot be read is left out: a
// status is good without it.
func locationsOf(ctx context.Context, conn *pgx.Conn) []sample.Location {
	rows, err := rowsOf[locationRow](ctx, conn, "locations")
	if err != nil {
		return nil
	}
	return locationsIn(rows)
}

// locationsIn takes over the paths that are good to be handed to a host. A
// tablespace inside the data directory is told relative to it.
func locationsIn(rows []locationRow) []sample.Location {
	var (
		found []sample.Location
		data  string
	)
	for _, r := range rows {
		if r.Path == nil {
			continue
		}
		told := *r.Path
		if r.Use == "data" {
			data = told
		}
		if strings.HasPrefix(told, "pg_tblspc/") && data != "" {
			told = path.Join(data, told)
		}
		if strings.HasPrefix(told, "/") && len(told) <= maxPathBytes && utf8.ValidString(told) && !strings.ContainsRune(told, 0) {
			found = append(found, sample.Location{Use: validText(r.Use), Path: told})
		}
	}
	return found
}
