package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/store"
)

// packing packs the windows of days that are over, while that is switched on.
func packing(stats *store.Store, on func() bool, log *slog.Logger) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		if !on() {
			return nil
		}
		return stats.Pack(ctx, time.Now().UTC(), func(d store.PackedDay) {
			log.InfoContext(ctx, "packed a day", "day", d.Day.Format(time.DateOnly), "servers", d.Servers, "windows", d.Windows, "rows", d.Rows,
				"samples", d.Samples, "bytes_before", d.BytesBefore, "bytes_after", d.BytesAfter, "seconds", d.Took.Seconds())
		})
	}
}
