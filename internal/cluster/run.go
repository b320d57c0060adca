package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// pollInterval is how often a server that gives no signal is looked at.
const pollInterval = 10 * time.Millisecond

// run is one running server: a child of this process, or one that was found
// running on the data folder.
type run struct {
	pid     int
	adopted bool
	done    chan struct{} // closed when the process is gone
	err     error         // how a child ended; valid when done is closed
}

// startChild starts the server with its output in log.
//
// The thread that starts the child waits for it too: Linux sends the signal of
// a volatile child when that thread ends, not when the process does.
func startChild(name string, args []string, o owner, volatile bool, log *os.File) (*run, error) {
	r := &run{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(name, args...) //nolint:gosec,noctx // The server outlives the context that starts it; Stop ends it.
		cmd.Env, cmd.Dir = childEnv(), "/"
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = processAttributes(o, volatile)
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("run %s as user %s: %w", name, o.name, err)

			return
		}
		r.pid = cmd.Process.Pid
		started <- nil
		r.err = cmd.Wait()
		close(r.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}

	return r, nil
}

// adopt watches a server that is no child of this process.
func adopt(pid int) *run {
	r := &run{pid: pid, adopted: true, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		tick := time.NewTicker(10 * pollInterval)
		defer tick.Stop()
		for alive(pid) {
			<-tick.C
		}
	}()

	return r
}

func (r *run) running() bool {
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// signal sends a signal; a process that is gone is no error.
func (r *run) signal(sig syscall.Signal) error {
	if !r.running() {
		return nil
	}
	if err := syscall.Kill(r.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", sig, r.pid, err)
	}

	return nil
}

// wait waits until the process is gone.
func (r *run) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d still runs: %w", r.pid, context.Cause(ctx))
	}
}
