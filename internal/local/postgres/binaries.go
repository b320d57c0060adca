package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoBinaries tells that this machine has no PostgreSQL server programs. The
// error that wraps it names the command that installs them.
var ErrNoBinaries = errors.New("no PostgreSQL server programs found")

// probeTimeout bounds one run of a program that prints its version or folder.
const probeTimeout = 10 * time.Second

// Binaries are the server programs of one PostgreSQL version.
type Binaries struct {
	Dir     string // absolute folder with initdb and postgres
	Version string // such as "15.18"
	Major   string // as in PG_VERSION: "15", before 10 "9.6"
}

// FindBinaries looks for initdb and postgres in PATH, where pg_config points, and
// where distributions put them, the newest version first. Without any the error
// wraps ErrNoBinaries.
func FindBinaries(ctx context.Context) (Binaries, error) {
	for _, dir := range candidateDirs(ctx) {
		if found, err := BinariesIn(ctx, dir); err == nil {
			return found, nil
		}
	}

	return Binaries{}, fmt.Errorf("%w in PATH or the usual folders: install them with: %s", ErrNoBinaries, InstallCommand())
}

// BinariesIn returns the binaries in a folder, or why they cannot be used.
func BinariesIn(ctx context.Context, dir string) (Binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, fmt.Errorf("find folder of binaries: %w", err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return Binaries{}, fmt.Errorf("find program: %w", err)
		}
	}
	out, err := probe(ctx, filepath.Join(dir, "postgres"), "--version")
	if err != nil {
		return Binaries{}, err
	}
	version, major, err := parseVersion(out)
	if err != nil {
		return Binaries{}, err
	}

	return Binaries{Dir: dir, Version: version, Major: major}, nil
}

func (b Binaries) program(name string) string { return filepath.Join(b.Dir, name) }

// candidateDirs lists the folders where the programs may be, best first.
func candidateDirs(ctx context.Context) []string {
	var dirs []string
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		if path, err := exec.LookPath(name); err == nil {
			// A link in PATH leads to the folder with all of the version's files.
			if target, err := filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(target))
			}
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	if path, err := exec.LookPath("pg_config"); err == nil {
		if out, err := probe(ctx, path, "--bindir"); err == nil {
			dirs = append(dirs, out)
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                      // Debian, Ubuntu, SUSE
		"/usr/pgsql-*/bin",                               // Red Hat, of the PostgreSQL project
		"/usr/libexec/postgresql*",                       // Alpine
		"/opt/homebrew/opt/postgresql*/bin",              // Homebrew on ARM
		"/usr/local/opt/postgresql*/bin",                 // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin", // Homebrew on Linux
		"/usr/local/pgsql/bin",                           // built from source
	} {
		dirs = append(dirs, newestFirst(pattern)...)
	}

	return dirs
}

// newestFirst returns the folders that match, the highest version first: the
// last number in the name.
func newestFirst(pattern string) []string {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	number := regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
	version := func(dir string) float64 {
		var n float64
		for _, found := range number.FindAllString(dir, -1) {
			n, _ = strconv.ParseFloat(found, 64)
		}

		return n
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })

	return dirs
}

// probe runs a program that prints one line.
func probe(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // The programs are found in trusted folders or named by the operator.
	cmd.Env = childEnv()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run %s %s: %w", name, strings.Join(args, " "), err)
	}

	return strings.TrimSpace(string(out)), nil
}

// parseVersion reads the line that postgres --version prints, such as
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" or "… 18beta1".
func parseVersion(line string) (version, major string, err error) {
	m := regexp.MustCompile(`^postgres \([^)]*\) ((\d+)(?:\.(\d+))?\S*)`).FindStringSubmatch(line)
	if m == nil {
		return "", "", fmt.Errorf("read PostgreSQL version: unknown form %q", line)
	}
	major = m[2]
	if n, _ := strconv.Atoi(major); n < 10 && m[3] != "" {
		major += "." + m[3]
	}

	return m[1], major, nil
}
