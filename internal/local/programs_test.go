package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/local/postgres"
)

// kept is a shell script that is kept running, and what was heard of it.
type kept struct {
	*Stack
	*program
	dir string

	mu   sync.Mutex
	said []string
}

// start runs a script, in which $DIR is a folder of the test's own.
func start(t *testing.T, script string) *kept {
	t.Helper()
	k := &kept{dir: t.TempDir()}
	k.program = &program{command: postgres.Command{
		Name: "program", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(k.dir, "log"),
		Env: []string{"DIR=" + k.dir, "PATH=/usr/bin:/bin"},
	}}
	k.Stack = &Stack{failed: make(chan error, 1), stop: daemon.NewStopper(), pause: time.Millisecond, cfg: Config{Say: func(format string, args ...any) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.said = append(k.said, fmt.Sprintf(format, args...))
	}}}
	running, cancel := context.WithCancel(t.Context())
	k.cancel = cancel
	p, err := k.program.start(running)
	if err != nil {
		t.Fatal(err)
	}
	k.keep(running, p, k.program.start)
	t.Cleanup(func() {
		_ = k.Stop(context.Background())
		_ = k.process.Stop(context.Background(), syscall.SIGKILL)
	})

	return k
}

// expectFailure returns why the program was given up.
func (k *kept) expectFailure(t *testing.T) string {
	t.Helper()
	select {
	case err := <-k.failed:
		return err.Error()
	case <-time.After(time.Minute):
		t.Fatal("the program is not given up")

		return ""
	}
}

// await waits for a file that the script makes.
func (k *kept) await(t *testing.T, name string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		if _, err := os.Stat(filepath.Join(k.dir, name)); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the program does not make %s", name)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// What ends before it answers is told at once, with what it said.
func TestAwaitReady(t *testing.T) {
	t.Parallel()
	p, err := postgres.Run(postgres.Command{
		Name: "program", Path: "/bin/sh", Log: filepath.Join(t.TempDir(), "log"),
		Args: []string{"-c", "echo level=INFO starting; echo 'program: PGAM_X: must be y' >&2; exit 3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	silent := "http://" + faultnet.Listen(t, nil).Address()
	if err := awaitReady(t.Context(), p, silent); err == nil || !strings.Contains(err.Error(), "program ended (exit status 3)") || !strings.Contains(err.Error(), "PGAM_X: must be y") {
		t.Errorf("awaitReady = %v, want how it ended and what it said", err)
	}
}

func TestKeep_missing(t *testing.T) {
	t.Parallel()
	k := start(t, "while [ ! -e $DIR/go ]; do sleep 0.01; done; exit 1")
	k.command.Path = "/nonexistent"
	if err := os.WriteFile(filepath.Join(k.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := k.expectFailure(t); !strings.Contains(got, "no such file") {
		t.Errorf("failure is %q", got)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	k := start(t, `
if [ -e $DIR/second ]; then touch $DIR/third; exec sleep 1000; fi
if [ -e $DIR/first ]; then touch $DIR/second; exit 1; fi
touch $DIR/first; kill -9 $$`)
	k.await(t, "third")
	if err := k.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.said) != 2 || !strings.Contains(k.said[0], "signal: killed") || !strings.Contains(k.said[1], "exit status 1") {
		t.Errorf("said %q, want a line for each of two ends", k.said)
	}
}

func TestKeep_givesUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		runs   int
	}{
		"again and again": {"exit 1", maxFastDeaths},
		"configuration":   {"exit 2", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := start(t, "echo run >> $DIR/runs; "+test.script)
			k.expectFailure(t)
			runs, err := os.ReadFile(filepath.Join(k.dir, "runs"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(string(runs), "run"); got != test.runs {
				t.Errorf("the program ran %d times, want %d", got, test.runs)
			}
		})
	}
}

func TestProcess_Stop(t *testing.T) {
	t.Parallel()
	k := start(t, "trap 'touch $DIR/asked; exit 0' TERM; touch $DIR/waiting; while :; do sleep 0.01; done")
	k.await(t, "waiting")
	k.cancel()
	k.behind.Wait()
	for range 2 {
		if err := k.process.Stop(t.Context(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	k.await(t, "asked")

	deaf := start(t, "trap '' TERM; touch $DIR/waiting; while :; do sleep 0.01; done")
	deaf.await(t, "waiting")
	deaf.cancel()
	deaf.behind.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := deaf.process.Stop(ctx, syscall.SIGTERM); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop = %v, want that it was killed", err)
	}
	select {
	case <-deaf.process.Done():
	default:
		t.Error("Stop returned before the program was gone")
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ log, want string }{
		"nothing":     {"", ""},
		"remarks":     {"time=1 level=INFO msg=a\ntime=2 level=INFO msg=b\n", "time=2 level=INFO msg=b"},
		"an error":    {"time=1 level=INFO msg=a\ntime=2 level=ERROR msg=b\ntime=3 level=INFO msg=c\n", "time=2 level=ERROR msg=b"},
		"json":        {`{"level":"INFO","msg":"a"}` + "\n" + `{"level":"ERROR","msg":"b"}`, `{"level":"ERROR","msg":"b"}`},
		"plain lines": {"pgam-api: one\n\npgam-api: two\n", "pgam-api: one | pgam-api: two"},
		"a panic":     {"level=ERROR x\npanic: boom\n\ngoroutine 1 [running]:\nmain.a()\n\tmain.go:1\nmain.b()\n\tmain.go:2\n", "panic: boom | goroutine 1 [running]: | main.a() | main.go:1 | main.b() | main.go:2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := postgres.LastLines(test.log); got != test.want {
				t.Errorf("LastLines = %q, want %q", got, test.want)
			}
		})
	}
}
