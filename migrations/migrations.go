// Package migrations owns the schema of stats_db: numbered, append-only files
// for tern, embedded into the programs, and the dump of what they make.
//
// A file that has been released is never edited. Every file runs through
// text/template, so two opening braces in a row are code, not SQL.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed [0-9]*.sql
var files embed.FS

// FS holds the migration files, and only them, at its root.
func FS() fs.FS { return files }

// Latest is the version the programs were built for: the number of the newest
// file.
func Latest() int32 {
	entries, err := files.ReadDir(".")
	if err != nil {
		return 0
	}
	return int32(len(entries))
}
