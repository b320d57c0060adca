package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pgam/pgam/internal/secret"
)

// envFile names the setting that names a file of settings.
const envFile = prefix + "ENV_FILE"

// maxEnvFileBytes bounds the reading of a file of settings.
const maxEnvFileBytes = 1 << 20

// withFile returns environ with the settings of the file that it names, where
// it does not have them itself. Its errors hold no value.
func withFile(environ []string) ([]string, error) {
	env := newEnvironment(environ)
	path := strings.TrimSpace(env[envFile])
	if path == "" {
		return environ, nil
	}
	lines, err := readEnvFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: file %s: %w", envFile, path, err)
	}
	var faults []error
	merged := slices.Clone(environ)
	seen := make(map[string]bool)
	for i, line := range lines {
		name, value, err := parseLine(line)
		switch {
		case err == nil && name == "":
			continue
		case err == nil && seen[name]:
			err = fmt.Errorf("%s stands in it twice: keep one", name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: file %s: line %d: %w", envFile, path, i+1, err))
		} else if env[name] == "" {
			merged = append(merged, name+"="+value)
		}
		seen[name] = true
	}
	return merged, errors.Join(faults...)
}

// readEnvFile returns the lines of a file of settings.
func readEnvFile(path string) ([]string, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("must be an absolute path")
	}
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("open: %w", errors.Unwrap(err))
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxEnvFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", errors.Unwrap(err))
	}
	if len(data) > maxEnvFileBytes || slices.Contains(data, 0) {
		return nil, errors.New("not a file of settings")
	}
	return strings.Split(string(data), "\n"), nil
}

// parseLine reads PGAM_NAME=value, where the value may stand in quotes of one
// kind and is taken as it is; name is "" for an empty line and a comment.
func parseLine(line string) (name, value string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", nil
	}
	name, value, found := strings.Cut(line, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found:
		return "", "", errors.New("must be NAME=value, or begin with #")
	case !strings.HasPrefix(name, prefix) || strings.ContainsAny(name, " \t"):
		return "", "", fmt.Errorf("only settings whose names begin with %s may stand here", prefix)
	case name == envFile:
		return "", "", errors.New("a file of settings cannot name another")
	}
	if quote := value[:min(1, len(value))]; quote == `"` || quote == "'" {
		if len(value) < 2 || !strings.HasSuffix(value, quote) {
			return "", "", fmt.Errorf("%s: a quote without its end", name)
		}
		value = value[1 : len(value)-1]
	}
	return name, value, nil
}

// Changes names the settings in which two configurations differ.
func Changes[T Collector | API](before, after T) []string {
	var names []string
	old, now := fieldsOf(&before), fieldsOf(&after)
	for i := range old {
		a, b := old[i].value.Interface(), now[i].value.Interface()
		same := reflect.DeepEqual(a, b)
		if held, ok := a.(secret.Value); ok {
			other, _ := b.(secret.Value)
			same = held.Equal(other)
		}
		if !same {
			names = append(names, old[i].name)
		}
	}
	return names
}

// setByUnit names what the units of deploy/systemd set; EnvironmentFile leaves
// it out.
func setByUnit() []string { return []string{envFile, prefix + "KEY_FILE", prefix + "DATA_DIR"} }

// EnvironmentFile returns the file of settings of a program ("collector" or
// "api") as it is installed: every setting explained, none set.
func EnvironmentFile(program string) string {
	var out strings.Builder
	fmt.Fprintf(&out, `# Settings of pgam-%[1]s. Every line is a comment and shows the default: take the
# # before PGAM_ away, change the value, and run
#
#   systemctl reload pgam-%[1]s     takes over the log level, checks everything, and
#                                 says in the journal what waits for a restart
#   systemctl restart pgam-%[1]s    takes over everything
#
# Values are taken as they stand; quotes around them are left off. Durations are
# written like 500ms, 15s, 90m, 30d. A name that is not known is refused.
`, program)
	for _, s := range Describe() {
		if !slices.Contains(s.Programs, program) || slices.Contains(setByUnit(), s.Name) {
			continue
		}
		text := s.Description
		if s.Limits != "" {
			text += " Values: " + s.Limits + "."
		}
		if s.Secret {
			text += " It comes as the systemd credential " + strings.ToLower(s.Name) + "; do not set it here as well."
		}
		out.WriteString("\n")
		for _, line := range wrap(text, 98) {
			out.WriteString("# " + line + "\n")
		}
		fmt.Fprintf(&out, "#%s=%s\n", s.Name, s.Default)
	}
	return out.String()
}

// wrap breaks text into lines of at most width bytes, between words.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
