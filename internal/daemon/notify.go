package daemon

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// What systemd is told.
const (
	stateReady    = sd.SdNotifyReady
	stateStopping = sd.SdNotifyStopping
	stateAlive    = sd.SdNotifyWatchdog
)

// notify tells systemd a state. Without systemd it does nothing.
func (f *Frame) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		f.Log().Warn("systemd was not told", "state", state, "error", err)
	}
}

// Ready tells systemd, and the log, that the start is over. addresses, in pairs
// of name and address, are logged with it.
func (f *Frame) Ready(addresses ...any) {
	f.ready.Store(true)
	f.notify(stateReady)
	f.Log().Info("ready", addresses...)
}

// Watch feeds systemd's watchdog while heartbeat returns nil, until ctx ends.
// heartbeat is asked three times in each WatchdogSec, must be quick, and says
// whether the work itself goes on: an error stops the feeding, and systemd
// starts the process again. Where systemd watches nothing, Watch does nothing.
// It returns at once; the stop of its goroutine is registered with OnStop.
func (f *Frame) Watch(ctx context.Context, heartbeat func() error) {
	within, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		f.Log().WarnContext(ctx, "systemd's watchdog is off", "error", err)
		return
	}
	if within <= 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.feed(ctx, within/3, heartbeat)
	}()
	f.OnStop("watchdog", func(stop context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stop.Done():
			return stop.Err()
		}
	})
}

func (f *Frame) feed(ctx context.Context, every time.Duration, heartbeat func() error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := heartbeat(); err != nil {
			f.Log().ErrorContext(ctx, "watchdog not fed: work has stopped", "error", err)
		} else {
			f.notify(stateAlive)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
