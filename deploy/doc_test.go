// Package deploy owns what pgam is installed with: units, packages, images, the
// stack, alerts and dashboards. Here are only tests that its files agree with the
// programs and with each other; scripts/check-*.sh run them for real.
package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/pgam/pgam/internal/config"
)

// fromTop is the path of a file that is named from the top of the repository.
func fromTop(path string) string { return filepath.Join("..", path) }

// read returns a file that is named from the top of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(fromTop(path))
	if err != nil {
		t.Fatal(err)
	}

	return string(content)
}

// readYAML decodes a file that is named from the top of the repository.
func readYAML[T any](t *testing.T, path string) T {
	t.Helper()
	var parsed T
	// A key beside a merge (<<) that has it too counts as a duplicate, and the later one holds.
	if err := yaml.UnmarshalWithOptions([]byte(read(t, path)), &parsed, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatalf("%s: %v", path, err)
	}

	return parsed
}

// exists tells whether there is such a file or folder, or one that a pattern fits.
func exists(t *testing.T, path string) bool {
	t.Helper()
	found, err := filepath.Glob(fromTop(path))
	if err != nil {
		t.Fatal(err)
	}

	return len(found) > 0
}

// setting finds what a variable sets: by its own name, or, a secret, by that of
// the file that holds it. program "" is any.
func setting(variable, program string) bool {
	return slices.ContainsFunc(config.Describe(), func(s config.Setting) bool {
		name := strings.TrimSuffix(variable, "_FILE")

		return (s.Name == variable || s.Secret && s.Name == name) && (program == "" || slices.Contains(s.Programs, program))
	})
}
