package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/store"
)

// packing packs the windows of days that are over, unless that is switched off.
func packing(stats *store.Store, cfg config.Collector, log *slog.Logger) func(ctx context.Context) error {
	if !cfg.Repack {
		return nil
	}
	return func(ctx context.Context) error {
		return stats.Pack(ctx, time.Now().UTC(), func(d store.PackedDay) {
			log.InfoContext(ctx, "packed a day", "day", d.Day.Format(time.DateOnly), "servers", d.Servers, "windows", d.Windows, "rows", d.Rows,
				"samples", d.Samples, "bytes_before", d.BytesBefore, "bytes_after", d.BytesAfter, "seconds", d.Took.Seconds())
		})
	}
}
