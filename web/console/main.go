// Command console makes what the API serves at /ui/ from the sources in this
// folder, with Go alone:
//
//	go run ./web/console          types of the API from its document, and the bundle
//	go run ./web/console -vendor  also fetches the libraries anew, by npm
//
// Both are committed; tests hold them against the sources.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Paths from the root of the repository.
const (
	sources  = "web/console"
	document = "internal/api/testdata/openapi.json"
	assets   = "internal/api/console/assets"
	types    = sources + "/src/schema.ts"
	// What tests put into a page.
	inTests = "internal/browsertest/libraries"
)

func main() {
	fetch := flag.Bool("vendor", false, "fetch the libraries anew")
	flag.Parse()
	if err := run(".", *fetch); err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

func run(root string, fetch bool) error {
	if fetch {
		if err := errors.Join(vendor(filepath.Join(root, sources, "vendor"), served()), vendor(filepath.Join(root, inTests), tested())); err != nil {
			return err
		}
	}
	text, err := typesOf(filepath.Join(root, document))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(root, types), text); err != nil {
		return err
	}
	files, err := bundle(filepath.Join(root, sources))
	if err != nil {
		return err
	}
	return writeAssets(filepath.Join(root, assets), files)
}

// writeAssets leaves these files in a folder, compressed, and no others. What is
// there and has the same content is left alone: another version of Go may
// compress it otherwise.
func writeAssets(dir string, files map[string][]byte) error {
	old, err := readAssets(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for name, content := range old {
		if want, ok := files[name]; ok && bytes.Equal(want, content) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name+".gz")); err != nil {
			return fmt.Errorf("remove asset: %w", err)
		}
	}
	total := 0
	for name, content := range files {
		packed, err := pack(content)
		if err != nil {
			return err
		}
		total += len(packed)
		if bytes.Equal(old[name], content) && old[name] != nil {
			continue
		}
		if err := writeFile(filepath.Join(dir, name+".gz"), packed); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d files, %d bytes compressed\n", dir, len(files), total)
	return nil
}

// readAssets gives the files of a folder by name, as they are served to who does
// not understand gzip.
func readAssets(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	files := make(map[string][]byte, len(entries))
	for _, e := range entries {
		packed, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read asset: %w", err)
		}
		content, err := unpack(packed)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Name(), err)
		}
		files[strings.TrimSuffix(e.Name(), ".gz")] = content
	}
	return files, nil
}

func writeFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
