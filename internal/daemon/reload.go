package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// OnReload has reload called on each SIGHUP, one after another, until ctx ends.
// It takes over what may change while the process runs; an error means that
// nothing has changed, and is logged. systemd is told of the begin and the end.
// Until OnReload is called, a SIGHUP ends the process. It returns at once; the
// stop of its goroutine is registered with OnStop.
func (f *Frame) OnReload(ctx context.Context, reload func(context.Context) error) {
	hangups := make(chan os.Signal, 1) // One that waits stands for all that follow.
	signal.Notify(hangups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-hangups:
				f.reload(ctx, reload)
			case <-ctx.Done():
				return
			}
		}
	}()
	// The signal stays caught: it must not cut off the rest of the stop.
	f.OnStop("reload", func(stop context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stop.Done():
			return stop.Err()
		}
	})
}

func (f *Frame) reload(ctx context.Context, reload func(context.Context) error) {
	ready := f.ready.Load() // Before that systemd waits for something else.
	if ready {
		state := sd.SdNotifyReloading
		if since := sd.SdNotifyMonotonicUsec(); since != "" {
			state += "\n" + since
		}
		f.notify(state)
	}
	if err := reload(ctx); err != nil {
		f.Log().ErrorContext(ctx, "not reloaded: what was in force stays", "error", err)
	} else {
		f.Log().InfoContext(ctx, "reloaded")
	}
	if ready {
		f.notify(stateReady)
	}
}
