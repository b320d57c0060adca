package main

import (
	"context"
	"os"
	"slices"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
)

// reloading reads the settings again, takes over the log level and names what
// else has changed: that waits for a restart.
func reloading(frame *daemon.Frame, began config.Collector) func(context.Context) error {
	return func(ctx context.Context) error {
		now, err := config.LoadCollector(os.Environ())
		if err != nil {
			return err
		}
		frame.SetLevel(now.LogLevel.Level())
		waiting := slices.DeleteFunc(config.Changes(began, now), func(name string) bool { return name == "PGAM_LOG_LEVEL" })
		if len(waiting) > 0 {
			frame.Log().WarnContext(ctx, "changed settings wait for a restart", "settings", waiting)
		}
		return nil
	}
}
