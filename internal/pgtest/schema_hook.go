package pgtest

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/schema"
)

// migrate brings a database to the newest schema of stats_db.
func migrate(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()

	return schema.Up(ctx, conn, slog.New(slog.DiscardHandler))
}
