package pgtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pgam/pgam/internal/local/postgres"
)

// fetchTimeout bounds fetching one version.
const fetchTimeout = 5 * time.Minute

// Local returns the newest server programs installed on this machine. Without
// any the test is skipped, or fails where CI=true.
func Local(tb testing.TB) postgres.Binaries {
	tb.Helper()
	found, err := postgres.FindBinaries(context.Background())
	if err != nil {
		missing(tb, err)
	}

	return found
}

// Versions returns the major versions to test: those in PGTEST_VERSIONS, or
// else the local one alone.
func Versions(tb testing.TB) []string {
	tb.Helper()
	split := func(r rune) bool { return unicode.IsSpace(r) || r == ',' }
	if versions := strings.FieldsFunc(variable("PGTEST_VERSIONS"), split); len(versions) > 0 {
		return versions
	}

	return []string{Local(tb).Major}
}

// StatsVersions returns those of Versions that stats_db may be on.
func StatsVersions(tb testing.TB) []string {
	tb.Helper()
	const oldest = 14

	return slices.DeleteFunc(Versions(tb), func(version string) bool {
		major, err := strconv.Atoi(version)

		return err != nil || major < oldest
	})
}

// Binaries returns the server programs of a major version: the installed ones,
// or those that .ci/fetch-postgres.sh fetches into its cache. Without them
// the test is skipped, or fails where CI=true.
func Binaries(tb testing.TB, major string) postgres.Binaries {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	for _, dir := range []string{"/usr/lib/postgresql/" + major + "/bin", "/usr/pgsql-" + major + "/bin"} {
		if found, err := postgres.BinariesIn(ctx, dir); err == nil && found.Major == major {
			return found
		}
	}
	if found, err := postgres.FindBinaries(ctx); err == nil && found.Major == major {
		return found
	}
	found, err := fetch(ctx, major)
	if err != nil {
		missing(tb, err)
	}

	return found
}

// fetch runs the script, which answers at once if its cache holds the version.
func fetch(ctx context.Context, major string) (postgres.Binaries, error) {
	root, err := moduleRoot()
	if err != nil {
		return postgres.Binaries{}, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, ".ci", "fetch-postgres.sh"), major)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return postgres.Binaries{}, fmt.Errorf("fetch PostgreSQL %s: %w: %s", major, err, strings.TrimSpace(stderr.String()))
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if version, dir, ok := strings.Cut(lines.Text(), " "); ok && version == major {
			return postgres.BinariesIn(ctx, dir)
		}
	}

	return postgres.Binaries{}, fmt.Errorf("fetch PostgreSQL %s: the script names no folder", major)
}

// moduleRoot returns the folder of go.mod above the package under test.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find module: no go.mod above the working folder")
		}
		dir = parent
	}
}

// missing ends a test for want of programs.
func missing(tb testing.TB, err error) {
	tb.Helper()
	if variable("CI") == "true" {
		tb.Fatal(err)
	}
	tb.Skip(err)
}
