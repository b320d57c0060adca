package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// parallel is how many tests run at once, where nothing else is asked for: they
// mostly wait for programs that wait for each other.
const parallel = "5"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	pgtest.Main(m, programs.remove)
}

// programs are the binaries under test, built when the first test asks.
var programs binaries

type binaries struct {
	once sync.Once
	dir  string
	err  error
}

// path returns the path of a program.
func (b *binaries) path(t *testing.T, name string) string {
	t.Helper()
	b.once.Do(func() { b.dir, b.err = build() })
	if b.err != nil {
		t.Fatal(b.err)
	}

	return filepath.Join(b.dir, name)
}

func (b *binaries) remove() error {
	if b.dir == "" {
		return nil
	}

	return os.RemoveAll(b.dir)
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "pgam-e2e-bin-")
	if err != nil {
		return "", err
	}
	for name, source := range map[string]string{"pgam": "pgam", "pgam-collector": "collector", "pgam-api": "api"} {
		cmd := exec.Command("go", "build", "-tags", "nomsgpack", "-o", filepath.Join(dir, name), "../../cmd/"+source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", errors.Join(fmt.Errorf("build %s: %w: %s", name, err, out), os.RemoveAll(dir))
		}
	}

	return dir, nil
}

// output is what a program said and how it ended.
type output struct {
	code           int
	stdout, stderr string
}

// runProgram runs a program to its end, with nothing in its environment but
// what is given. One that does not end within a minute fails the test.
func runProgram(t *testing.T, env []string, name string, args ...string) output {
	t.Helper()
	program := programs.path(t, name) // Which may have to be built.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(plainEnvironment(t), env...)
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil {
		t.Fatalf("%s %s does not end; it said:\n%s", name, strings.Join(args, " "), stderr.String())
	}
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}

	return output{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// slowStop is for daemons: a clean stop of a busy machine is a clean stop.
const slowStop = "PGAM_SHUTDOWN_TIMEOUT=1m"

// plainEnvironment is what every program gets.
func plainEnvironment(t *testing.T) []string {
	t.Helper()

	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()} //nolint:forbidigo // No program's configuration.
}

// dataFolder is a folder that PostgreSQL's user can enter when the tests run as
// root.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgam-e2e-") //nolint:usetesting // Nobody else may enter t.TempDir.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}

	return filepath.Join(dir, "data")
}
