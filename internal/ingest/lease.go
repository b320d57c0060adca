package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/statsdb"
)

// ErrLeaseTaken says that another collector samples for this stats_db.
var ErrLeaseTaken = errors.New("another collector took over this stats_db")

const (
	// leaseBeat is how often the holder renews the lease, leaseLook how often who
	// stands by looks at it, and leaseTimeout bounds each.
	leaseBeat    = 2 * time.Second
	leaseLook    = time.Second
	leaseTimeout = 4 * time.Second
	// leaseLife is how long the lease must stand still before another takes it. A
	// holder that stats_db was away for has so long to come back.
	leaseLife = 10 * time.Second
	// leaseTell is how often it is logged that the lease cannot be asked for.
	leaseTell = time.Minute
)

// LeaseConfig is what NewLease needs.
type LeaseConfig struct {
	// Holder is the journal's own name: who has it may take the lease from an
	// earlier run of itself at once.
	Holder string
	Log    *slog.Logger
	// Heard is told what stats_db's clock says now, with every beat; nil for nobody.
	Heard func(at time.Time)
}

// Lease names the one collector that samples: a row of pgam.lease that its holder
// renews. It spares targets a second visitor and stats_db work that is done twice;
// what is written is right without it, for rows are merged by tick. Nobody's clock
// decides: another takes it when it has itself seen it stand still for leaseLife,
// on its own monotonic clock and without once losing sight of stats_db. It is for
// one goroutine at a time, but for Held.
type Lease struct {
	pool *pgxpool.Pool
	cfg  LeaseConfig
	conn *pgx.Conn
	// term is the one held, 0 for none. It stays while stats_db is away.
	term   atomic.Int64
	fresh  atomic.Bool // the last beat was answered
	seen   leaseRow
	since  time.Time // when seen was first seen; zero: it was not
	looked time.Time // when it was last seen
	told   time.Time
	mu     sync.Mutex // guards conn against Close
}

// leaseRow is the lease as stored.
type leaseRow struct {
	holder      string
	term, beats int64
	there       bool
}

// NewLease makes a lease on stats_db, which is not held yet.
func NewLease(db *statsdb.DB, cfg LeaseConfig) *Lease { return &Lease{pool: db.Pool(), cfg: cfg} }

// Take waits until no other collector is active, or ctx ends. Whenever it has to
// wait it says so once a minute at most, and calls standBy the first time. Only
// who led last, as its journal says, may go on without stats_db: Take returns
// without the lease then, and Keep takes it as soon as stats_db is back.
func (l *Lease) Take(ctx context.Context, led bool, standBy func()) error {
	first := true
	for {
		got, err := l.try(ctx)
		switch {
		case got:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && led:
			l.cfg.Log.WarnContext(ctx, "stats_db cannot be asked for the lease; this collector held it last and goes on", "error", err)
			return nil
		case err != nil:
			if l.told.IsZero() || time.Since(l.told) >= leaseTell {
				l.cfg.Log.WarnContext(ctx, "stats_db cannot be asked for the lease; standing by: a collector that did not hold it last does not sample without it", "error", err)
				l.told = time.Now()
			}
		case first:
			l.cfg.Log.InfoContext(ctx, "another collector is active on this stats_db; standing by", "holder", l.seen.holder)
		}
		if first {
			standBy()
		}
		// Once the holder is known not to be this one, stats_db being away is no
		// reason to go on without it.
		first, led = false, false
		if err := pause(ctx, leaseLook); err != nil {
			return err
		}
	}
}

// try takes the lease if it is free: given back, of an earlier run of this
// collector, or stood still for leaseLife. It takes none of a stats_db that is not
// what this program was built for.
func (l *Lease) try(ctx context.Context) (got bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	conn, err := l.connected(ctx)
	if err != nil {
		l.since = time.Time{}
		return false, fmt.Errorf("look at lease: %w", statsdb.Classify(err))
	}
	if err := statsdb.CheckSchema(ctx, conn); err != nil { // it would sample into what it cannot write
		l.since = time.Time{}
		return false, err
	}
	now, err := l.look(ctx, conn)
	if err != nil {
		l.since = time.Time{} // it may have been renewed unseen
		return false, fmt.Errorf("look at lease: %w", statsdb.Classify(err))
	}
	stands := now.Sub(l.since) >= leaseLife
	if l.seen.there && l.seen.holder != "" && l.seen.holder != l.cfg.Holder && !stands {
		return false, nil
	}
	var term int64
	err = conn.QueryRow(ctx, sql("take_lease"), named{"holder": l.cfg.Holder, "term": l.seen.term, "beats": l.seen.beats}).Scan(&term)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil // somebody was faster
	}
	if err != nil {
		return false, fmt.Errorf("take lease: %w", statsdb.Classify(err))
	}
	l.term.Store(term)
	l.fresh.Store(true)
	return true, nil
}

// look notes the lease as it is, and since when it has been. The error is the
// driver's.
func (l *Lease) look(ctx context.Context, conn *pgx.Conn) (now time.Time, err error) {
	var (
		row  leaseRow
		said time.Time
	)
	begun := time.Now()
	if err := conn.QueryRow(ctx, sql("read_lease")).Scan(&row.holder, &row.term, &row.beats, &row.there, &said); err != nil {
		return begun, err
	}
	now = time.Now()
	l.heard(said, now.Sub(begun))
	// Who was stopped between two looks has seen nothing.
	if row != l.seen || l.since.IsZero() || now.Sub(l.looked) > leaseTimeout+leaseBeat {
		l.seen, l.since = row, now
	}
	l.looked = now
	return now, nil
}

// heard passes on what stats_db's clock said, half the way ago.
func (l *Lease) heard(said time.Time, took time.Duration) {
	if l.cfg.Heard != nil {
		l.cfg.Heard(said.Add(took / 2).UTC())
	}
}

// connected gives the lease's own connection, which no other work can keep busy.
func (l *Lease) connected(ctx context.Context) (*pgx.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && !l.conn.IsClosed() {
		return l.conn, nil
	}
	cfg := l.pool.Config().ConnConfig.Copy()
	cfg.RuntimeParams["application_name"] += "-lease"
	// A synchronous standby that is away must not cost the lease.
	cfg.RuntimeParams["synchronous_commit"] = "local"
	cfg.RuntimeParams["statement_timeout"] = fmt.Sprint(leaseTimeout.Milliseconds())
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l.conn = conn
	return conn, nil
}

// Keep renews the lease until ctx ends. When stats_db went away it goes on as
// soon as it is back; the error is ErrLeaseTaken if another collector has the
// lease by then.
func (l *Lease) Keep(ctx context.Context) error {
	for {
		if err := pause(ctx, leaseBeat); err != nil {
			return nil //nolint:nilerr // asked to end
		}
		held, err := l.renew(ctx)
		if err == nil && !held {
			held, err = l.try(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // asked to end
		case err != nil:
			l.fresh.Store(false)
			if l.told.IsZero() || time.Since(l.told) >= leaseTell {
				l.cfg.Log.WarnContext(ctx, "lease cannot be renewed", "error", err)
				l.told = time.Now()
			}
		case held:
			l.told = time.Time{}
		case l.seen.there && l.seen.holder != "" && l.seen.holder != l.cfg.Holder:
			l.term.Store(0)
			l.fresh.Store(false)
			return fmt.Errorf("%w: %s holds the lease", ErrLeaseTaken, l.seen.holder)
		}
	}
}

// renew beats; held is false if the term is not in force any more, or none is.
func (l *Lease) renew(ctx context.Context) (held bool, err error) {
	term := l.term.Load()
	if term == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	conn, err := l.connected(ctx)
	if err != nil {
		return false, fmt.Errorf("renew lease: %w", statsdb.Classify(err))
	}
	var said time.Time
	begun := time.Now()
	err = conn.QueryRow(ctx, sql("renew_lease"), named{"holder": l.cfg.Holder, "term": term}).Scan(&said)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("renew lease: %w", statsdb.Classify(err))
	}
	l.heard(said, time.Since(begun))
	l.fresh.Store(true)
	return true, nil
}

// Held says whether the lease was held when it was last looked at.
func (l *Lease) Held() bool { return l.term.Load() != 0 && l.fresh.Load() }

// Close gives the lease back: who stands by takes it at once.
func (l *Lease) Close(ctx context.Context) error {
	l.fresh.Store(false)
	term := l.term.Swap(0)
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		return nil
	}
	const give = "/* pgam:lease */ update pgam.lease set holder = null where holder = $1 and term = $2"
	if term != 0 && !conn.IsClosed() {
		if _, err := conn.Exec(ctx, give, l.cfg.Holder, term); err != nil {
			l.cfg.Log.DebugContext(ctx, "lease was not given back; another collector takes it when it has stood still", "error", err)
		}
	}
	return conn.Close(ctx)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
