package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
)

//go:embed assets/*.gz assets/*.txt
var assetFiles embed.FS

//go:embed pages
var pageFiles embed.FS

// The policies of the pages. ReDoc writes styles into the page, and searches
// in a worker that it makes of text.
const (
	swaggerPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	redocPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	redirectPolicy = "default-src 'none'; script-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// File is something to serve with GET.
type File struct {
	Path  string // from the root of the host
	Media string // Content-Type
	// Policy is the Content-Security-Policy of a page; empty: it is none.
	Policy string
	// Fixed says that the path changes with the bytes: they may be kept for ever.
	Fixed bool
	// Gzip is the content, compressed.
	Gzip []byte
}

// Plain gives the content as it is.
func (f File) Plain() (io.Reader, error) {
	reader, err := gzip.NewReader(bytes.NewReader(f.Gzip))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	return reader, nil
}

// page is an HTML page and the scripts and styles of ours that it refers to.
type page struct {
	path, name, policy string
	parts              []string
}

func pages() []page {
	return []page{
		{"/docs", "docs.html", swaggerPolicy, []string{"docs.js"}},
		{"/docs/oauth2-redirect", "oauth2-redirect.html", redirectPolicy, nil},
		{"/redoc", "redoc.html", redocPolicy, []string{"redoc.js", "redoc.css"}},
	}
}

// Files gives the pages, which show the document at /openapi.json, all that
// they refer to, and the licences of what is not ours.
func Files() ([]File, error) {
	var list []File
	refer := make([]string, 0, 16) // pairs of a name in braces and its path
	add := func(name, sum string, packed []byte) {
		f := File{Path: "/docs/assets/" + sum[:16] + "/" + name, Media: MediaOf(name), Fixed: true, Gzip: packed}
		list, refer = append(list, f), append(refer, "{{"+name+"}}", f.Path)
	}
	for _, a := range assets() {
		packed, err := assetFiles.ReadFile("assets/" + a.name + ".gz")
		if err != nil {
			return nil, fmt.Errorf("read asset: %w", err)
		}
		add(a.name, a.sha256, packed)
	}
	for _, p := range pages() {
		for _, name := range p.parts {
			text, err := pageFiles.ReadFile("pages/" + name)
			if err != nil {
				return nil, fmt.Errorf("read page: %w", err)
			}
			sum := sha256.Sum256(text)
			packed, err := pack(text)
			if err != nil {
				return nil, err
			}
			add(name, hex.EncodeToString(sum[:]), packed)
		}
	}
	fill := strings.NewReplacer(refer...)
	for _, p := range pages() {
		text, err := pageFiles.ReadFile("pages/" + p.name)
		if err != nil {
			return nil, fmt.Errorf("read page: %w", err)
		}
		packed, err := pack([]byte(fill.Replace(string(text))))
		if err != nil {
			return nil, err
		}
		list = append(list, File{Path: p.path, Media: MediaOf(p.name), Policy: p.policy, Gzip: packed})
	}
	notices, err := notices()
	if err != nil {
		return nil, err
	}
	return append(list, File{Path: "/docs/licences.txt", Media: MediaOf("licences.txt"), Gzip: notices}), nil
}

// notices joins the texts that must go along with the assets.
func notices() (packed []byte, err error) {
	var all bytes.Buffer
	for _, l := range licences() {
		text, err := assetFiles.ReadFile("assets/" + l.name)
		if err != nil {
			return nil, fmt.Errorf("read licence: %w", err)
		}
		fmt.Fprintf(&all, "==> %s <==\n\n%s\n", l.name, text)
	}
	return pack(all.Bytes())
}

// MediaOf gives the Content-Type of a file by its name.
func MediaOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return "text/html; charset=utf-8"
}

// pack compresses; the same bytes always give the same.
func pack(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}
