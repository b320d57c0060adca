package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrLeaseTaken says that another collector writes to this stats_db.
var ErrLeaseTaken = errors.New("another collector took over this stats_db")

// leaseKey is the advisory lock of the one active collector ("pgam" in ASCII).
const leaseKey = 0x7067616d

// leasePause is how often the lease is looked at.
const leasePause = 2 * time.Second

// Lease is the right to write the history: a session advisory lock on a
// connection of its own.
type Lease struct {
	s    *Store
	log  *slog.Logger
	conn *pgx.Conn
}

// Lease waits until no other collector is active, or ctx ends. While it
// waits it says so once.
func (s *Store) Lease(ctx context.Context, log *slog.Logger) (*Lease, error) {
	l := &Lease{s: s, log: log}
	told := false
	for {
		got, err := l.try(ctx)
		if err != nil || got {
			return l, err
		}
		if !told {
			log.InfoContext(ctx, "another collector is active on this stats_db; standing by")
			told = true
		}
		if err := pause(ctx); err != nil {
			return l, err
		}
	}
}

func (l *Lease) try(ctx context.Context) (bool, error) {
	if l.conn == nil || l.conn.IsClosed() {
		cfg := l.s.pool.Config().ConnConfig.Copy()
		cfg.RuntimeParams["application_name"] += "-lease"
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return false, fmt.Errorf("take lease: %w", dbError(err))
		}
		l.conn = conn
	}
	var got bool
	if err := l.conn.QueryRow(ctx, "/* pgam:lease */ select pg_try_advisory_lock($1)", int64(leaseKey)).Scan(&got); err != nil {
		return false, fmt.Errorf("take lease: %w", dbError(err))
	}
	return got, nil
}

// Keep watches over the lease until ctx ends. When stats_db went away it takes
// the lease again as soon as it is back; the error is ErrLeaseTaken if another
// collector was faster.
func (l *Lease) Keep(ctx context.Context) error {
	held := l.conn != nil && !l.conn.IsClosed()
	for {
		if err := pause(ctx); err != nil {
			return nil //nolint:nilerr // asked to end
		}
		if held && l.conn.Ping(ctx) == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to end
		}
		held = false
		got, err := l.try(ctx)
		switch {
		case err != nil: // stats_db is away
		case !got:
			return ErrLeaseTaken
		default:
			held = true
		}
	}
}

// Close gives the lease back.
func (l *Lease) Close(ctx context.Context) error {
	if l.conn == nil {
		return nil
	}
	return l.conn.Close(ctx)
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(leasePause):
		return nil
	}
}
