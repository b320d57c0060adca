package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// childMark, as first argument, makes the test binary a program under Main.
const childMark = "daemon-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childMark {
		os.Exit(Main("child", children[os.Args[2]]))
	}
	goleak.VerifyTestMain(m)
}

var children = map[string]func(context.Context, *Frame) error{
	"stops": func(ctx context.Context, frame *Frame) error {
		frame.Configure(Options{Format: "json"})
		frame.OnStop("part", func(ctx context.Context) error { frame.Log().InfoContext(ctx, "part stopped"); return nil })
		fmt.Println("ready")
		<-ctx.Done()
		return nil
	},
	"hangs": func(_ context.Context, frame *Frame) error {
		frame.Configure(Options{StopWithin: time.Hour})
		fmt.Println("ready")
		select {}
	},
	"misconfigured": func(context.Context, *Frame) error {
		return Configuration(errors.Join(errors.New("PGAM_A: bad"), errors.New("PGAM_B: worse")))
	},
	"panics": func(context.Context, *Frame) error { panic("a fault of ours") },
	"fails":  func(context.Context, *Frame) error { return errors.New("open store: no such host") },
}

// child runs one of children; act is called once it is ready.
func child(t *testing.T, name string, act func(*os.Process)) (code int, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], childMark, name)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err == nil {
		act(cmd.Process)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}

func TestMain_Processes(t *testing.T) {
	t.Parallel()
	send := func(signals ...os.Signal) func(*os.Process) {
		return func(process *os.Process) {
			for _, sig := range signals {
				if err := process.Signal(sig); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, test := range []struct {
		name string
		act  func(*os.Process)
		code int
		want []string
	}{
		{"stops", send(syscall.SIGTERM), ExitOK, []string{`"signal":"terminated"`, `"msg":"part stopped"`, `"msg":"stopped"`, `"program":"child"`}},
		{"stops", send(syscall.SIGINT), ExitOK, []string{`"signal":"interrupt"`, `"msg":"part stopped"`}},
		{"hangs", send(syscall.SIGTERM, syscall.SIGINT), ExitRuntime, []string{"second signal"}},
		{"misconfigured", send(), ExitConfiguration, []string{"child: PGAM_A: bad\nchild: PGAM_B: worse\n"}},
		{"panics", send(), -1, []string{"a fault of ours", "goroutine"}}, // By a signal: no supervisor shall give up.
		{"hangs", send(syscall.SIGABRT), -1, []string{"SIGABRT", "goroutine"}},
		{"fails", send(), ExitRuntime, []string{"child: open store: no such host\n"}},
	} {
		code, stderr := child(t, test.name, test.act)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", test.name, code, test.code, stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %q is missing from: %s", test.name, want, stderr)
			}
		}
	}
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestSupervise_ExitCodes(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	waits := func(ctx context.Context, _ *Frame) error { <-ctx.Done(); return ctx.Err() }
	for name, test := range map[string]struct {
		run  func(context.Context, *Frame) error
		sig  bool
		code int
		want string
	}{
		"returns":            {func(context.Context, *Frame) error { return nil }, false, ExitOK, "stopped"},
		"canceled by signal": {waits, true, ExitOK, "stopped"},
		"cause by signal":    {func(ctx context.Context, _ *Frame) error { <-ctx.Done(); return context.Cause(ctx) }, true, ExitOK, "stopped"},
		"wrapped canceled": {func(ctx context.Context, _ *Frame) error {
			<-ctx.Done()
			return errors.Join(fmt.Errorf("wait: %w", ctx.Err()))
		}, true, ExitOK, "stopped"},
		"error beside the end": {func(ctx context.Context, _ *Frame) error {
			<-ctx.Done()
			return errors.Join(broken, ctx.Err())
		}, true, ExitRuntime, "t: broken\n"},
		"canceled by itself": {func(context.Context, *Frame) error { return context.Canceled }, false, ExitRuntime, "t: context canceled\n"},
		"fail": {func(ctx context.Context, frame *Frame) error {
			frame.Fail(nil)
			frame.Fail(broken)
			return waits(ctx, frame)
		}, false, ExitRuntime, "t: broken\n"},
		"fail of configuration": {func(ctx context.Context, frame *Frame) error {
			frame.Fail(Configuration(broken))
			return waits(ctx, frame)
		}, false, ExitConfiguration, "t: broken\n"},
		"wrapped configuration": {func(context.Context, *Frame) error {
			return fmt.Errorf("check schema: %w", Configuration(broken))
		}, false, ExitConfiguration, "t: check schema: broken\n"},
		"stop fails": {func(_ context.Context, frame *Frame) error {
			frame.OnStop("part", func(context.Context) error { return broken })
			return nil
		}, false, ExitRuntime, "t: stop part: broken\n"},
		"configured": {func(_ context.Context, frame *Frame) error {
			frame.Configure(Options{Format: "json"})
			return errors.Join(broken, errors.New("too"))
		}, false, ExitRuntime, `"error":"broken"`},
	} {
		signals := make(chan os.Signal, 1)
		if test.sig {
			signals <- syscall.SIGTERM
		}
		var stderr buffer
		if code := supervise("t", &stderr, signals, test.run); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s: exit code %d, want %d; %q", name, code, test.code, stderr.String())
		}
	}
	if Configuration(nil) != nil {
		t.Error("Configuration(nil) is an error")
	}
}

func TestSupervise_StopsPartsOfARunThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 1)
		release := make(chan struct{})
		var stopped time.Duration
		begun := time.Now()
		var stderr buffer
		code := supervise("t", &stderr, signals, func(_ context.Context, frame *Frame) error {
			frame.OnStop("journal", func(context.Context) error { stopped = time.Since(begun); return nil })
			signals <- syscall.SIGTERM
			<-release
			return nil
		})
		if took := time.Since(begun); code != ExitRuntime || took > DefaultStopWithin || stopped == 0 {
			t.Errorf("exit code %d after %s, journal stopped after %s", code, took, stopped)
		}
		if !strings.Contains(stderr.String(), "still running") {
			t.Errorf("stderr: %s", stderr.String())
		}
		close(release)
	})
}
