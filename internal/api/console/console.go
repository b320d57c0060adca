package console

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/pgam/pgam/internal/api/docs"
)

//go:embed assets
var assets embed.FS

// Prefix is where the console is served, and all that is below it.
const Prefix = "/ui/"

// policy lets the page load what is ours and nothing else, and no text become a
// script, whatever a server or a statement is called.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"font-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'"

// Files gives the one page, which is what every path below Prefix shows but those
// of the files, and the files by their paths.
func Files() (index docs.File, files map[string]docs.File, err error) {
	entries, err := assets.ReadDir("assets")
	if err != nil {
		return index, nil, fmt.Errorf("read console: %w", err)
	}
	files = make(map[string]docs.File, len(entries))
	for _, e := range entries {
		packed, err := assets.ReadFile("assets/" + e.Name())
		if err != nil {
			return index, nil, fmt.Errorf("read console: %w", err)
		}
		name := strings.TrimSuffix(e.Name(), ".gz")
		f := docs.File{Path: Prefix + "assets/" + name, Media: docs.MediaOf(name), Fixed: true, Gzip: packed}
		switch {
		case name == "index.html":
			f.Path, f.Policy, f.Fixed = Prefix, policy, false
			index = f
			continue
		case path.Ext(name) == ".txt": // licences have no hash in their name
			f.Path, f.Fixed = Prefix+name, false
		}
		files[f.Path] = f
	}
	return index, files, nil
}
