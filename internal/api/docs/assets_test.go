package docs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "take the assets anew from -from")
	from   = flag.String("from", "", "folder node_modules that holds the packages of web/docs")
)

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// What is committed is what its makers have published, but for what the table
// says.
func TestAssets(t *testing.T) {
	t.Parallel()
	if *update {
		fetch(t)
	}
	for _, a := range assets() {
		content := unpacked(t, a.name)
		if got := sumOf(content); got != a.sha256 {
			t.Errorf("%s has SHA-256 %s, want %s", a.name, got, a.sha256)
		}
		if a.foreign == "" {
			continue
		}
		if n := bytes.Count(content, []byte(nowhere)); n != 1 {
			t.Errorf("%s holds %q %d times: it cannot be put back", a.name, nowhere, n)
		}
		if got := sumOf(bytes.Replace(content, []byte(nowhere), []byte(a.foreign), 1)); got != a.published {
			t.Errorf("%s was changed otherwise than by its table: with %s its SHA-256 is %s, want %s", a.name, a.foreign, got, a.published)
		}
	}
	entries, err := os.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	for _, a := range assets() {
		want = append(want, a.name+".gz")
	}
	for _, l := range licences() {
		want = append(want, l.name)
		if info, err := os.Stat("assets/" + l.name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v: the licence must be there", l.name, err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("assets/ holds\n%q, want\n%q", got, want)
	}
}

func unpacked(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("assets", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := File{Gzip: packed}.Plain()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// fetch writes the assets; the checksums say whether they are the right ones.
func fetch(t *testing.T) {
	t.Helper()
	read := func(source string) []byte {
		content, err := os.ReadFile(filepath.Join(*from, filepath.FromSlash(source)))
		if err != nil {
			t.Fatalf("run make docs-assets: %v", err)
		}
		return content
	}
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join("assets", name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("assets", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, a := range assets() {
		content := read(a.source)
		if a.foreign != "" {
			content = bytes.Replace(content, []byte(a.foreign), []byte(nowhere), 1)
		}
		packed, err := pack(content)
		if err != nil {
			t.Fatal(err)
		}
		write(a.name+".gz", packed)
	}
	for _, l := range licences() {
		write(l.name, read(l.source))
	}
}

// All that a page refers to is among the files, and nothing else is loaded.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, f := range files {
		if paths[f.Path] {
			t.Errorf("%s is there twice", f.Path)
		}
		paths[f.Path] = true
	}
	loads := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for _, f := range files {
		r, err := f.Plain()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil || len(content) == 0 {
			t.Fatalf("%s: %d bytes, %v", f.Path, len(content), err)
		}
		if page := strings.HasPrefix(f.Media, "text/html"); page != (f.Policy != "") || page && f.Fixed {
			t.Errorf("%s: policy %q, fixed %t, %s", f.Path, f.Policy, f.Fixed, f.Media)
		}
		if f.Policy == "" {
			continue
		}
		if bytes.Contains(content, []byte("{{")) || bytes.Contains(content, []byte("<style")) || regexp.MustCompile(`<script>|\son[a-z]+=`).Match(content) {
			t.Errorf("%s holds a script, a style or an unknown name:\n%s", f.Path, content)
		}
		for _, m := range loads.FindAllSubmatch(content, -1) {
			if to := string(m[1]); !paths[to] && to != "data:," && to != "/openapi.json" {
				t.Errorf("%s refers to %s", f.Path, to)
			}
		}
	}
	for _, want := range []string{"/docs", "/redoc", "/docs/oauth2-redirect", "/docs/licences.txt"} {
		if !paths[want] {
			t.Errorf("no %s", want)
		}
	}
}
