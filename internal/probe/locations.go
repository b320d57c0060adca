package probe

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/sample"
)

// maxPath bounds a location's path; PostgreSQL allows 1024 bytes.
const maxPath = 4096

// locations reads where the server keeps its data. What it finds is not nil,
// also where the role may see nothing.
func (r *reader) locations(rr *answer) error {
	found, data := []sample.Location{}, ""
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 2 {
			return errShape
		}
		l := sample.Location{Use: cleanText(v[0]), Path: string(v[1])}
		if l.Use == "data" {
			data = l.Path
		}
		found = append(found, l)
	}
	for i := range found {
		found[i].Path = locationPath(found[i].Path, data)
	}
	r.found.locations = slices.DeleteFunc(found, func(l sample.Location) bool { return l.Path == "" })
	return nil
}

// locationPath gives an absolute path that is good to be handed to a host;
// empty for one that is not. A tablespace inside the data directory is told
// relative to it.
func locationPath(told, data string) string {
	if strings.HasPrefix(told, "pg_tblspc/") && data != "" {
		told = path.Join(data, told)
	}
	if !strings.HasPrefix(told, "/") || len(told) > maxPath || !utf8.ValidString(told) || strings.ContainsRune(told, 0) {
		return ""
	}
	return told
}
