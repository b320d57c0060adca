package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrLeaseTaken says that another collector writes to this stats_db.
var ErrLeaseTaken = errors.New("another collector took over this stats_db")

// leaseKey is the advisory lock of the one active collector ("pgam" in ASCII).
const leaseKey = 0x7067616d

// leasePause is how often the lease is looked at.
const leasePause = 2 * time.Second

// leaseTimeout bounds one look at the lease.
const leaseTimeout = 5 * time.Second

// Lease is the right to write the history: a session advisory lock on a
// connection of its own. It is for one goroutine at a time, but for Held.
type Lease struct {
	s    *Store
	log  *slog.Logger
	conn *pgx.Conn
	held atomic.Bool // read by others
	// pid and born are those of the backend that held the lock last.
	pid  uint32
	born time.Time
}

// Lease waits until no other collector is active, or ctx ends. When it has to
// wait it says so once, and calls standBy. The lease is never nil: with an error
// that MayPass, Keep takes it as soon as stats_db is back.
func (s *Store) Lease(ctx context.Context, log *slog.Logger, standBy func()) (*Lease, error) {
	l := &Lease{s: s, log: log}
	told := false
	for {
		got, err := l.try(ctx)
		if err != nil || got {
			return l, err
		}
		if !told {
			log.InfoContext(ctx, "another collector is active on this stats_db; standing by")
			standBy()
			told = true
		}
		if err := pause(ctx); err != nil {
			return l, err
		}
	}
}

// leaseLock is how pg_locks shows leaseKey.
const leaseLock = `k.locktype = 'advisory' and k.granted and k.classid = 0 and k.objid = $1 and k.objsubid = 1
   and k.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())`

// try takes the lease if it is free.
func (l *Lease) try(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	if l.conn == nil || l.conn.IsClosed() {
		conn, err := l.connect(ctx)
		if err != nil {
			return false, fmt.Errorf("take lease: %w", dbError(err))
		}
		l.conn = conn
	}
	const sql = `/* pgam:lease */
select pg_try_advisory_lock($1), (select a.backend_start from pg_catalog.pg_stat_activity a where a.pid = pg_backend_pid())`
	var (
		got  bool
		born time.Time
	)
	if err := l.conn.QueryRow(ctx, sql, int64(leaseKey)).Scan(&got, &born); err != nil {
		return false, fmt.Errorf("take lease: %w", dbError(err))
	}
	if got {
		l.held.Store(true)
		l.pid, l.born = l.conn.PgConn().PID(), born
	}
	return got, nil
}

func (l *Lease) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg := l.s.pool.Config().ConnConfig.Copy()
	cfg.RuntimeParams["application_name"] += "-lease"
	// The server has to notice soon when this machine is gone: another
	// collector is waiting.
	cfg.RuntimeParams["tcp_keepalives_idle"] = "10"
	cfg.RuntimeParams["tcp_keepalives_interval"] = "5"
	cfg.RuntimeParams["tcp_keepalives_count"] = "3"
	return pgx.ConnectConfig(ctx, cfg)
}

// taken reports whether another collector holds the lease now. It ends a
// backend of our own that does.
func (l *Lease) taken(ctx context.Context) (bool, error) {
	const sql = `/* pgam:lease */
select coalesce(bool_or(not h.own), false), count(case when h.own then pg_terminate_backend(h.pid) end)
  from (select k.pid, (k.pid = $2 and a.backend_start = $3) is true as own
          from pg_catalog.pg_locks k
          left join pg_catalog.pg_stat_activity a on a.pid = k.pid
         where ` + leaseLock + `) h`
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	var (
		taken bool
		ended int64
	)
	err := l.conn.QueryRow(ctx, sql, uint32(leaseKey), int32(l.pid), l.born).Scan(&taken, &ended) //nolint:gosec // a process id
	return taken, err
}

// Keep watches over the lease until ctx ends. When stats_db went away it takes
// the lease again as soon as it is back; the error is ErrLeaseTaken if another
// collector was faster. A backend of our own that still holds it, because the
// server has not noticed that its connection is gone, is no other collector.
func (l *Lease) Keep(ctx context.Context) error {
	for {
		if err := pause(ctx); err != nil {
			return nil //nolint:nilerr // asked to end
		}
		if l.held.Load() && l.alive(ctx) {
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to end
		}
		l.held.Store(false)
		got, err := l.try(ctx)
		if err != nil || got {
			continue // stats_db is away, or all is well again
		}
		if taken, err := l.taken(ctx); err == nil && taken {
			return ErrLeaseTaken
		}
	}
}

func (l *Lease) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	return l.conn.Ping(ctx) == nil
}

// Held says whether the lease was held when it was last looked at.
func (l *Lease) Held() bool { return l.held.Load() }

// Close gives the lease back.
func (l *Lease) Close(ctx context.Context) error {
	l.held.Store(false)
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
