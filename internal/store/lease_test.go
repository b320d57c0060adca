package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/pgtest"
)

// told is a log handler that counts its records.
type told struct {
	slog.Handler
	count *atomic.Int32
}

func newTold() told { return told{slog.DiscardHandler, new(atomic.Int32)} }

func (h told) Enabled(context.Context, slog.Level) bool { return true }

func (h told) Handle(context.Context, slog.Record) error {
	h.count.Add(1)
	return nil
}

var quiet = slog.New(slog.DiscardHandler)

func takeLease(t *testing.T, s *Store) *Lease {
	t.Helper()
	l, err := s.Lease(t.Context(), quiet, func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

type leaseResult struct {
	lease *Lease
	err   error
}

func TestLeasePassesOn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, dsn string, first *Lease){
		"closed": func(t *testing.T, _ string, first *Lease) {
			t.Helper()
			if err := first.Close(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"terminated": func(t *testing.T, dsn string, first *Lease) {
			t.Helper()
			pgtest.Exec(t, dsn, fmt.Sprintf("select pg_terminate_backend(%d)", first.conn.PgConn().PID()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dsn := openStore(t)
			first := takeLease(t, s)
			other := openStoreAt(t, dsn, nil)
			log := newTold()
			done := make(chan leaseResult, 1)
			go func() {
				l, err := other.Lease(t.Context(), slog.New(log), func() {})
				done <- leaseResult{l, err}
			}()
			pgtest.WaitFor(t, func() bool { return log.count.Load() == 1 }, "the second to say that it stands by")
			select {
			case r := <-done:
				t.Fatalf("two leases, %v", r.err)
			case <-time.After(leasePause + leasePause/4): // it looked again
			}
			end(t, dsn, first)
			select {
			case r := <-done:
				if r.err != nil {
					t.Fatal(r.err)
				}
				defer func() { _ = r.lease.Close(t.Context()) }()
			case <-time.After(10 * time.Second):
				t.Fatal("the second never got the lease")
			}
			if n := log.count.Load(); n != 1 {
				t.Errorf("it said %d times that it stands by", n)
			}
			if name == "terminated" {
				if err := first.Keep(t.Context()); !errors.Is(err, ErrLeaseTaken) {
					t.Errorf("Keep of the first: %v", err)
				}
			}
		})
	}
}

func TestLeaseGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	takeLease(t, s)
	other := openStoreAt(t, dsn, nil)
	ctx, cancel := context.WithCancel(t.Context())
	log := newTold()
	done := make(chan leaseResult, 1)
	go func() {
		l, err := other.Lease(ctx, slog.New(log), func() {})
		done <- leaseResult{l, err}
	}()
	pgtest.WaitFor(t, func() bool { return log.count.Load() == 1 }, "the second to stand by")
	cancel()
	r := <-done
	if !errors.Is(r.err, context.Canceled) || r.lease == nil {
		t.Fatalf("lease %v, error %v", r.lease, r.err)
	}
	if err := r.lease.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// keep runs Keep and gives its result.
func keep(ctx context.Context, l *Lease) <-chan error {
	done := make(chan error, 1)
	go func() { done <- l.Keep(ctx) }()
	return done
}

const leaseHolder = `
select coalesce(min(k.pid), 0) from pg_locks k where k.locktype = 'advisory' and k.granted and k.objid = 1885823341`

func TestLeaseOverRestarts(t *testing.T) {
	t.Parallel()
	server, s := storeOn(t, pgtest.Local(t).Major)
	dsn := server.SuperuserDSN()
	first := takeLease(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := keep(ctx, first)
	holder := pgtest.Value[int](t, dsn, leaseHolder)
	if holder == 0 {
		t.Fatal("nobody holds the lease")
	}
	server.Restart(t)
	pgtest.WaitFor(t, func() bool { return pgtest.Value[int](t, dsn, leaseHolder) != 0 }, "the lease to be taken again")

	// Paused for longer than a look may take: the connection is given up, while
	// the server keeps the old session, which must not pass for another collector.
	old := pgtest.Value[int](t, dsn, leaseHolder)
	server.Pause(t)
	select {
	case err := <-done:
		t.Fatalf("Keep ended while stats_db was paused: %v", err)
	case <-time.After(leasePause + leaseTimeout + time.Second):
	}
	server.Resume(t)
	pgtest.WaitFor(t, func() bool {
		now := pgtest.Value[int](t, dsn, leaseHolder)
		return now != 0 && now != old
	}, "the lease to be taken again after a pause")

	// Now another one is faster, while this one does not look.
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Keep, asked to end: %v", err)
	}
	server.Restart(t)
	takeLease(t, openStoreAt(t, dsn, nil))
	if err := first.Keep(t.Context()); !errors.Is(err, ErrLeaseTaken) {
		t.Errorf("Keep: %v", err)
	}
}

// The server may not notice that a connection is gone: its session is ours.
func TestLeaseEndsOwnGhost(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	first := takeLease(t, s)
	ghost := first.conn
	t.Cleanup(func() { _ = ghost.Close(context.Background()) })
	first.conn = nil // lost, and the server does not know
	first.held.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	done := keep(ctx, first)
	pid := int(ghost.PgConn().PID())
	pgtest.WaitFor(t, func() bool {
		now := pgtest.Value[int](t, dsn, leaseHolder+" and k.database = (select oid from pg_database where datname = current_database())")
		return now != 0 && now != pid
	}, "the lease to move to a new session")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLeaseWithoutStatsDB(t *testing.T) {
	t.Parallel()
	server, s := storeOn(t, pgtest.Local(t).Major)
	server.Stop(t)
	l, err := s.Lease(t.Context(), quiet, func() {})
	if !errors.Is(err, ErrUnavailable) || l == nil {
		t.Fatalf("lease %v, error %v", l, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := keep(ctx, l)
	server.Start(t)
	pgtest.WaitFor(t, func() bool { return pgtest.Value[int](t, server.SuperuserDSN(), leaseHolder) != 0 }, "the lease to be taken when stats_db is there")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Between a try that found the lease held and the look at its holder, the
// holder may have gone: that is no take-over.
func TestLeaseTaken(t *testing.T) {
	t.Parallel()
	s, dsn := openStore(t)
	l := takeLease(t, s)
	look := func(when string, want bool) {
		t.Helper()
		if got, err := l.taken(t.Context()); err != nil || got != want {
			t.Errorf("%s: taken %t, %v", when, got, err)
		}
	}
	if _, err := l.conn.Exec(t.Context(), "select pg_advisory_unlock($1)", int64(leaseKey)); err != nil {
		t.Fatal(err)
	}
	look("free", false)
	other := takeLease(t, openStoreAt(t, dsn, nil))
	look("held by another", true)
	// A process id that the server gave out again is not ours.
	l.pid = other.pid
	look("held by another with our old process id", true)
	if other.conn.Ping(t.Context()) != nil {
		t.Error("another collector's session was ended")
	}
}
