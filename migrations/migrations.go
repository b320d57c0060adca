// Package migrations owns the schema of stats_db: numbered, append-only files
// for tern, embedded into the programs, and the dump of what they make.
//
// A file that has been released is never edited. Every file runs through
// text/template, so two opening braces in a row are code, not SQL.
package migrations

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.sql
var files embed.FS

// FS holds the migration files, and only them, at its root.
func FS() fs.FS { return numbered{files} }

// Latest is the version the programs were built for: the number of the newest
// file.
func Latest() int32 {
	entries, err := fs.ReadDir(FS(), ".")
	if err != nil {
		return 0
	}
	return int32(len(entries)) //nolint:gosec // a handful of files
}

// numbered hides schema.sql, which is for people.
type numbered struct{ embed.FS }

// ReadDir lists the files that tern applies.
func (n numbered) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := n.FS.ReadDir(name)
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for _, e := range all {
		if e.Name()[0] >= '0' && e.Name()[0] <= '9' && strings.HasSuffix(e.Name(), ".sql") {
			kept = append(kept, e)
		}
	}
	return kept, nil
}
