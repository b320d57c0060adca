package console_test

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/api/console"
	"github.com/pgam/pgam/internal/api/docs"
)

// All of it together stays small enough for a bad connection.
const budget = 100_000

func plain(t *testing.T, f docs.File) string {
	t.Helper()
	r, err := f.Plain()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The page loads the files that are there, and nothing else; names change with
// the content, so that a browser may keep them.
func TestFiles(t *testing.T) {
	t.Parallel()
	index, files, err := console.Files()
	if err != nil {
		t.Fatal(err)
	}
	text := plain(t, index)
	if strings.Contains(text, "{{") || strings.Contains(text, "<style") || regexp.MustCompile(`<script>|\son[a-z]+=`).MatchString(text) {
		t.Errorf("the page holds a script, a style or an unknown name:\n%s", text)
	}
	referred := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[1], "data:") {
			continue
		}
		if referred[m[1]] = true; files[m[1]].Gzip == nil {
			t.Errorf("the page refers to %s, which is not there", m[1])
		}
	}
	total := len(index.Gzip)
	for path, f := range files {
		total += len(f.Gzip)
		if f.Path != path || f.Policy != "" || f.Fixed != referred[path] {
			t.Errorf("%s: %q, fixed %t, referred to %t", path, f.Path, f.Fixed, referred[path])
		}
		if f.Fixed && !regexp.MustCompile(`-[A-Z0-9]{8}\.(js|css)$`).MatchString(path) {
			t.Errorf("%s may be kept for ever, and has no hash in its name", path)
		}
		if strings.HasSuffix(path, ".js") && regexp.MustCompile(`\beval\(|new Function|\.innerHTML=[^=]*\bdata`).MatchString(plain(t, f)) {
			t.Errorf("%s makes code or markup of text", path)
		}
	}
	if len(files) != 3 || files["/ui/licences.txt"].Gzip == nil {
		t.Errorf("%d files, want a script, a style sheet and licences", len(files))
	}
	t.Logf("%d bytes in all", total)
	if total > budget {
		t.Errorf("%d bytes compressed, want at most %d", total, budget)
	}
}
