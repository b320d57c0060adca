package schema

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// UpWithin is Up with another bound on the wait for locks.
func UpWithin(ctx context.Context, conn *pgx.Conn, log *slog.Logger, wait time.Duration) error {
	return up(ctx, conn, log, wait)
}
