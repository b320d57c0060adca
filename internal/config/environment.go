package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prefix begins the name of every setting.
const prefix = "PGAM_"

// credentials names systemd's folder of credentials.
const credentials = "CREDENTIALS_DIRECTORY"

// fileSuffix, after the name of a secret, names a variable that holds a path.
const fileSuffix = "_FILE"

// maxSecretFileBytes bounds the reading of a secret's file.
const maxSecretFileBytes = 64 << 10

// environment is variables by name, without the empty ones.
type environment map[string]string

func newEnvironment(environ []string) environment {
	env := make(environment, len(environ))
	for _, entry := range environ {
		name, value, found := strings.Cut(entry, "=")
		if _, taken := env[name]; found && !taken && value != "" {
			env[name] = value
		}
	}
	return env
}

// find returns the text of a setting and the variable or file it came from;
// source is "" where it is not set.
func (e environment) find(f field) (text, source string, err error) {
	type place struct{ text, source string }
	var places []place
	if text := e[f.name]; f.secret || strings.TrimSpace(text) != "" {
		if text != "" {
			places = append(places, place{text, f.name})
		}
	}
	if f.secret {
		if path := e[f.name+fileSuffix]; path != "" {
			text, err := readSecret(path, true)
			if err != nil {
				return "", "", fmt.Errorf("%s%s: %w", f.name, fileSuffix, err)
			}
			places = append(places, place{text, f.name + fileSuffix})
		}
		if folder := e[credentials]; folder != "" {
			name := strings.ToLower(f.name)
			text, err := readSecret(filepath.Join(folder, name), false)
			if err == nil {
				places = append(places, place{text, "credential " + name})
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", "", fmt.Errorf("credential %s: %w", name, err)
			}
		}
	}
	if len(places) > 1 {
		return "", "", fmt.Errorf("%s: set in two places: keep one of %s and %s", f.name, places[0].source, places[1].source)
	}
	if len(places) == 1 {
		return places[0].text, places[0].source, nil
	}
	if text := e[f.pythonName]; strings.TrimSpace(text) != "" {
		if strings.Trim(text, "0123456789") == "" {
			text += f.pythonUnit
		}
		return text, f.pythonName, nil
	}
	return "", "", nil
}

// readSecret reads the secret that stands alone in a file, without the line
// ends after it. Its errors name the path, never the content.
func readSecret(path string, refuseOthers bool) (string, error) {
	info, err := os.Stat(filepath.Clean(path))
	if err != nil {
		return "", fmt.Errorf("file %s: %w", path, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("file %s: not a regular file: name a file that holds the secret alone", path)
	}
	if refuseOthers && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("file %s: anyone can read it (mode %04o): run: chmod o= %s", path, info.Mode().Perm(), path)
	}
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return "", fmt.Errorf("file %s: %w", path, errors.Unwrap(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecretFileBytes+1))
	if err != nil {
		return "", fmt.Errorf("file %s: read: %w", path, errors.Unwrap(err))
	}
	text := strings.TrimRight(string(data), "\r\n")
	switch {
	case len(data) > maxSecretFileBytes:
		return "", fmt.Errorf("file %s: larger than %d bytes: name a file that holds the secret alone", path, maxSecretFileBytes)
	case text == "":
		return "", fmt.Errorf("file %s: empty: write the secret into it", path)
	case strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("file %s: more than one line: name a file that holds the secret alone", path)
	}
	return text, nil
}

// unknown returns a fault for every variable with our prefix that no program
// reads, in order of name.
func (e environment) unknown() []error {
	known := make(map[string]bool)
	for _, setting := range Describe() {
		known[setting.Name] = true
		if setting.Secret {
			known[setting.Name+fileSuffix] = true
		}
	}
	var faults []error
	for _, name := range sortedKeys(e) {
		if known[name] || !strings.HasPrefix(strings.ToUpper(name), prefix) {
			continue
		}
		if whole, isFile := strings.CutSuffix(strings.ToUpper(name), fileSuffix); isFile && known[whole] {
			faults = append(faults, fmt.Errorf("%q: only secrets may come from a file: set %s itself", name, whole))
		} else if near := nearest(strings.ToUpper(name), sortedKeys(known)); near != "" {
			faults = append(faults, fmt.Errorf("%q: unknown setting: did you mean %s?", name, near))
		} else {
			faults = append(faults, fmt.Errorf("%q: unknown setting: unset it; docs/OPERATIONS.md lists those there are", name))
		}
	}
	return faults
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// nearest returns the name with the fewest edits from wrong, or "" where none
// is near enough to be what was meant.
func nearest(wrong string, names []string) string {
	best, fewest := "", 1+(len(wrong)-len(prefix))/3
	for _, name := range names {
		if count := edits(wrong, name); count <= fewest && (best == "" || count < fewest) {
			best, fewest = name, count
		}
	}
	return best
}

// edits is the Levenshtein distance: insertions, deletions and replacements of
// one byte.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
