package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// program is a child that runs a shell script, and what was heard of it.
type program struct {
	*child
	failed chan error
	dir    string

	mu   sync.Mutex
	said []string
}

// start runs a script, in which $DIR is a folder of the test's own.
func start(t *testing.T, script string) *program {
	t.Helper()
	p := &program{failed: make(chan error, 1), dir: t.TempDir()}
	p.child = startChild(childConfig{
		name: "program", path: "/bin/sh", args: []string{"-c", script}, log: filepath.Join(p.dir, "log"),
		env:    []string{"DIR=" + p.dir, "PATH=/usr/bin:/bin"},
		pause:  time.Millisecond,
		failed: func(err error) { p.failed <- err },
		say: func(format string, args ...any) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.said = append(p.said, fmt.Sprintf(format, args...))
		},
	})
	t.Cleanup(func() { _ = p.Stop(t.Context()) })

	return p
}

// expectFailure returns why the program was given up.
func (p *program) expectFailure(t *testing.T) string {
	t.Helper()
	select {
	case err := <-p.failed:
		return err.Error()
	case <-time.After(time.Minute):
		t.Fatal("the program is not given up")

		return ""
	}
}

// await waits for a file that the script makes.
func (p *program) await(t *testing.T, name string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		if _, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the program does not make %s", name)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestChild_early_end(t *testing.T) {
	t.Parallel()
	p := start(t, "echo level=INFO starting; echo 'program: PGAM_X: must be y' >&2; exit 3")
	got := p.expectFailure(t)
	for _, want := range []string{"program ended (exit status 3)", "PGAM_X: must be y"} {
		if !strings.Contains(got, want) {
			t.Errorf("failure is %q, want %q in it", got, want)
		}
	}
}

func TestChild_missing(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	c := startChild(childConfig{
		name: "program", path: "/nonexistent", log: filepath.Join(t.TempDir(), "log"), failed: func(err error) { failed <- err },
	})
	<-c.done
	if err := <-failed; !strings.Contains(err.Error(), "no such file") {
		t.Errorf("failure is %q", err)
	}
}

func TestChild_restart(t *testing.T) {
	t.Parallel()
	p := start(t, `
if [ -e $DIR/second ]; then touch $DIR/third; exec sleep 1000; fi
if [ -e $DIR/first ]; then touch $DIR/second; exit 1; fi
touch $DIR/waiting
while [ ! -e $DIR/go ]; do sleep 0.01; done
touch $DIR/first; kill -9 $$`)
	p.await(t, "waiting")
	p.settle()
	if err := os.WriteFile(filepath.Join(p.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.await(t, "third")
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.said) != 2 || !strings.Contains(p.said[0], "signal: killed") || !strings.Contains(p.said[1], "exit status 1") {
		t.Errorf("said %q, want a line for each of two ends", p.said)
	}
}

func TestChild_gives_up(t *testing.T) {
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
			p := start(t, "echo run >> $DIR/runs; touch $DIR/waiting; while [ ! -e $DIR/go ]; do sleep 0.01; done; "+test.script)
			p.await(t, "waiting")
			p.settle()
			if err := os.WriteFile(filepath.Join(p.dir, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			p.expectFailure(t)
			runs, err := os.ReadFile(filepath.Join(p.dir, "runs"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(string(runs), "run"); got != test.runs {
				t.Errorf("the program ran %d times, want %d", got, test.runs)
			}
		})
	}
}

func TestChild_Stop(t *testing.T) {
	t.Parallel()
	t.Run("asked", func(t *testing.T) {
		t.Parallel()
		p := start(t, "trap 'touch $DIR/asked; exit 0' TERM; touch $DIR/waiting; while :; do sleep 0.01; done")
		p.await(t, "waiting")
		for range 2 {
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		p.await(t, "asked")
	})
	t.Run("deaf", func(t *testing.T) {
		t.Parallel()
		p := start(t, "trap '' TERM; touch $DIR/waiting; while :; do sleep 0.01; done")
		p.await(t, "waiting")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := p.Stop(ctx); err == nil || !strings.Contains(err.Error(), "was killed") {
			t.Errorf("Stop = %v, want that it was killed", err)
		}
		select {
		case <-p.done:
		default:
			t.Error("Stop returned before the program was gone")
		}
	})
}

func TestTelling(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ log, want string }{
		"nothing":     {"", ""},
		"remarks":     {"time=1 level=INFO msg=a\ntime=2 level=INFO msg=b\n", "time=2 level=INFO msg=b"},
		"an error":    {"time=1 level=INFO msg=a\ntime=2 level=ERROR msg=b\ntime=3 level=INFO msg=c\n", "time=2 level=ERROR msg=b"},
		"json":        {`{"level":"INFO","msg":"a"}` + "\n" + `{"level":"ERROR","msg":"b"}`, `{"level":"ERROR","msg":"b"}`},
		"plain lines": {"pgam-api: one\n\npgam-api: two\n", "pgam-api: one | pgam-api: two"},
		"a panic":     {"level=ERROR x\npanic: boom\n\ngoroutine 1 [running]:\nmain.a()\n\tmain.go:1\nmain.b()\n\tmain.go:2\n", "panic: boom | goroutine 1 [running]: | main.a() | main.go:1 | main.b()"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := telling(test.log); got != test.want {
				t.Errorf("telling = %q, want %q", got, test.want)
			}
		})
	}
}
