package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/local/postgres"
)

// stopTimeout bounds the end of a server.
const stopTimeout = 30 * time.Second

// startTimeout bounds making and starting a server on a busy machine.
const startTimeout = 3 * time.Minute

// binary is the state of this test binary.
type binary struct {
	mu      sync.Mutex
	managed bool   // Main runs
	dir     string // holds the cluster's data folder
	cluster *postgres.Cluster
	err     error // why there is no cluster
	count   int   // databases made, for their names
	failed  bool  // a test with a database failed

	template    sync.Once
	templateErr error
}

// shared is the one cluster of a test binary: tests ask for their databases
// without knowing of one another.
var shared binary

// Main runs the tests of a package and then stops and removes the cluster that
// they shared, if any. What after returns is reported and fails the run, such
// as goroutines that leaked.
func Main(m *testing.M, after ...func() error) {
	shared.mu.Lock()
	shared.managed = true
	shared.mu.Unlock()
	code := m.Run()
	errs := []error{shared.stop()}
	for _, check := range after {
		errs = append(errs, check())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// get returns the shared cluster, which the first call makes.
func (b *binary) get(tb testing.TB) *postgres.Cluster {
	tb.Helper()
	programs := Local(tb)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.managed {
		tb.Fatal("pgtest: the package needs: func TestMain(m *testing.M) { pgtest.Main(m) }")
	}
	if b.cluster == nil && b.err == nil {
		b.cluster, b.dir, b.err = startShared(programs)
	}
	if b.err != nil {
		tb.Fatal(b.err)
	}

	return b.cluster
}

func startShared(programs postgres.Binaries) (*postgres.Cluster, string, error) {
	removeStale(os.TempDir())
	dir, err := makeDir()
	if err != nil {
		return nil, "", err
	}
	settings := volatileSettings(programs)
	settings["max_connections"] = "200"
	c, err := postgres.New(postgres.Config{
		Dir: filepath.Join(dir, "data"), Binaries: programs, Settings: settings,
	})
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(dir))
	}

	return c, dir, nil
}

// stop ends the shared cluster. A cluster with failed tests is kept if asked.
func (b *binary) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if b.failed && variable("PGTEST_KEEP") != "" {
		fmt.Fprintf(os.Stderr, "pgtest: kept %[1]s: look into it as user %[2]s with: postgres -D %[1]s -k /tmp -p 54321\n", b.cluster.Dir(), b.cluster.User())

		return b.cluster.Stop(ctx, postgres.Fast)
	}

	return errors.Join(b.cluster.Stop(ctx, postgres.Immediate), os.RemoveAll(b.dir))
}

// volatileSettings are those of a server whose data nobody needs tomorrow. What
// was committed stays even so when it is killed.
func volatileSettings(programs postgres.Binaries) map[string]string {
	settings := map[string]string{
		"fsync":            "off",
		"full_page_writes": "off",
		"shared_buffers":   "32MB",
	}
	if hasLibrary(programs, "pg_stat_statements") {
		settings["shared_preload_libraries"] = "pg_stat_statements"
	}

	return settings
}

// hasLibrary tells whether a server can load a library, by looking where the
// builds that are known put them.
func hasLibrary(programs postgres.Binaries, name string) bool {
	for _, pattern := range []string{"../lib", "../lib/postgresql", "../lib64/pgsql", "../lib/pgsql", "../../lib/postgresql*", "../share/postgresql"} {
		for _, suffix := range []string{".so", ".dylib"} {
			found, err := filepath.Glob(filepath.Join(programs.Dir, pattern, name+suffix))
			if err == nil && len(found) > 0 {
				return true
			}
		}
	}

	return false
}

// dirPrefix starts the names of our folders; the id of the process follows.
const dirPrefix = "pgam-test-"

// makeDir makes a folder that the server's user can enter.
func makeDir() (string, error) {
	dir, err := os.MkdirTemp("", dirPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", fmt.Errorf("make folder for a cluster: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("open folder for a cluster: %w", err)
	}

	return dir, nil
}

// removeStale removes the folders of test binaries that were killed.
func removeStale(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		pid, err := strconv.Atoi(id)
		info, errStat := os.Stat(dir)
		if err != nil || errStat != nil || time.Since(info.ModTime()) < 10*time.Minute {
			continue
		}
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// variable reads the environment, which only tests may do.
func variable(name string) string {
	return os.Getenv(name)
}
