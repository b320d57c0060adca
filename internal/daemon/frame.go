package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The exit codes of Main.
const (
	ExitOK            = 0 // run returned nil, or a signal asked for the end, and all parts stopped
	ExitRuntime       = 1 // run or a stop gave an error, or a second signal came
	ExitConfiguration = 2 // run gave an error marked by Configuration
)

// errSignal is why run's context ends on a signal.
var errSignal = errors.New("asked to stop by a signal")

// configurationError marks an error that ends with ExitConfiguration.
type configurationError struct{ error }

func (e configurationError) Unwrap() error { return e.error }

// Configuration marks err as one that only a change of the configuration cures.
// A supervisor need not start the process again.
func Configuration(err error) error {
	if err == nil {
		return nil
	}
	return configurationError{err}
}

// Options is what the configuration says about the frame.
type Options struct {
	Level      slog.Leveler  // least severe level logged; nil is info
	Format     string        // text or json
	StopWithin time.Duration // bound of a stop, from the signal to the exit; 0 is DefaultStopWithin
}

// Frame is what a running process has of its surroundings. Its methods are safe
// for concurrent use.
type Frame struct {
	name    string
	stderr  io.Writer
	stop    *Stopper
	cancel  context.CancelCauseFunc
	log     atomic.Pointer[slog.Logger]
	level   slog.LevelVar // least severe level logged
	ready   atomic.Bool   // Ready was called
	plain   atomic.Bool   // Configure was not called: errors are bare lines
	bound   atomic.Int64
	started time.Time
}

// Main runs a program and returns its exit code. run gets a context that ends on
// the first SIGINT or SIGTERM or by Frame.Fail, and returns when it has ended;
// then what OnStop registered is stopped. The error of run, or of a stop, goes
// to standard error, a line each.
func Main(name string, run func(ctx context.Context, frame *Frame) error) int {
	// A panic, and the SIGABRT of systemd's watchdog, would end with exit code 2,
	// which is a wrong configuration's; like this they end by SIGABRT.
	debug.SetTraceback("crash")
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	return supervise(name, os.Stderr, signals, run)
}

func supervise(name string, stderr io.Writer, signals <-chan os.Signal, run func(context.Context, *Frame) error) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	frame := &Frame{name: name, stderr: stderr, stop: NewStopper(), cancel: cancel, started: time.Now().UTC()}
	frame.log.Store(NewLogger(stderr, Options{}))
	frame.plain.Store(true)
	frame.bound.Store(int64(DefaultStopWithin))

	finished := make(chan error, 1)
	go func() { finished <- frame.runAndStop(ctx, run) }()
	for asked := false; ; {
		select {
		case err := <-finished:
			return frame.report(err)
		case sig := <-signals:
			if asked {
				frame.Log().Error("second signal: exiting at once", "signal", sig.String())
				return ExitRuntime
			}
			asked = true
			frame.Log().Info("stopping", "signal", sig.String())
			cancel(errSignal)
		}
	}
}

// runAndStop runs the program and, once it has returned or was asked to and did
// not, stops its parts.
func (f *Frame) runAndStop(ctx context.Context, run func(context.Context, *Frame) error) error {
	returned := make(chan error, 1)
	go func() { returned <- run(ctx, f) }()
	var err error
	running := true
	select {
	case err = <-returned:
		running = false
	case <-ctx.Done():
	}
	f.notify(stateStopping)
	bound := time.Duration(f.bound.Load())
	deadline, release := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer release()
	if running {
		err = f.awaitReturn(returned, bound/2)
	}
	cause := context.Cause(ctx)
	if cause != nil && onlyEnded(err) {
		err = nil // The end it was asked for.
	}
	if cause != nil && !errors.Is(cause, errSignal) && !errors.Is(err, cause) {
		err = errors.Join(cause, err) // Fail was called.
	}
	return errors.Join(err, f.stop.Stop(deadline))
}

// onlyEnded reports whether err says nothing but that the context has ended.
func onlyEnded(err error) bool {
	if err == nil {
		return false
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(many.Unwrap(), func(one error) bool { return !onlyEnded(one) })
	}
	if inner := errors.Unwrap(err); inner != nil {
		return onlyEnded(inner)
	}
	return err == context.Canceled || err == errSignal //nolint:errorlint // a leaf.
}

// awaitReturn waits for run after its context has ended. Half of the bound is
// kept for the stops.
func (f *Frame) awaitReturn(returned <-chan error, bound time.Duration) error {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case err := <-returned:
		return err
	case <-timer.C:
		return fmt.Errorf("run %s: still running %s after it was asked to stop", f.name, bound)
	}
}

// report prints err, a line each, and returns the exit code for it.
func (f *Frame) report(err error) int {
	if err == nil {
		f.Log().Info("stopped", "up_seconds", time.Since(f.started).Seconds())
		return ExitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if f.plain.Load() {
			_, _ = fmt.Fprintf(f.stderr, "%s: %s\n", f.name, line)
		} else {
			f.Log().Error("exiting", "error", line)
		}
	}
	if _, marked := errors.AsType[configurationError](err); marked {
		return ExitConfiguration
	}
	return ExitRuntime
}

// Configure applies the configuration and returns the log. Call it once, before
// anything is logged.
func (f *Frame) Configure(options Options) *slog.Logger {
	if options.StopWithin > 0 {
		f.bound.Store(int64(options.StopWithin))
	}
	if options.Level != nil {
		f.level.Set(options.Level.Level())
	}
	options.Level = &f.level
	var log *slog.Logger
	if options.Format != formatJSON && f.toJournal() {
		log = newJournalLogger(f.stderr, options) // It knows the program and the time.
	} else {
		log = NewLogger(f.stderr, options).With("program", f.name)
	}
	f.log.Store(log)
	f.plain.Store(false)
	build := Build()
	log.Info("starting", "version", build.Version, "revision", build.Revision, "go_version", build.GoVersion)
	return log
}

// SetLevel changes the least severe level that is logged.
func (f *Frame) SetLevel(level slog.Level) { f.level.Set(level) }

// Name returns the program's name.
func (f *Frame) Name() string { return f.name }

// Log returns the log in force: plain text at level info until Configure.
func (f *Frame) Log() *slog.Logger { return f.log.Load() }

// OnStop registers how a part is stopped; see Stopper.Add.
func (f *Frame) OnStop(name string, stop func(context.Context) error) { f.stop.Add(name, stop) }

// Fail ends run's context because a part has failed for good. Main then returns
// ExitRuntime, or what Configuration asks for. A nil err does nothing.
func (f *Frame) Fail(err error) {
	if err != nil {
		f.cancel(err)
	}
}
