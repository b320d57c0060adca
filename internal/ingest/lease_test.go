package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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

func leaseOf(w *Writer, holder string) *Lease {
	return NewLease(w.db, LeaseConfig{Holder: holder, Log: quiet})
}

// takeLease takes it in the name of holder, and gives it back at the end.
func takeLease(t *testing.T, w *Writer, holder string) *Lease {
	t.Helper()
	l := leaseOf(w, holder)
	if err := l.Take(t.Context(), false, func() {}); err != nil || !l.Held() {
		t.Fatalf("%s has the lease %t, %v", holder, l.Held(), err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// background runs f and gives its result; the end of the test waits for it.
func background(t *testing.T, f func(ctx context.Context) error) (result <-chan error, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { done <- f(ctx) })
	end = func() { cancel(); running.Wait() }
	t.Cleanup(end)
	return done, end
}

func within(t *testing.T, result <-chan error, what string) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(pgtest.Patience):
		t.Fatalf("%s never came", what)
		return nil
	}
}

const leaseHolder = "select coalesce((select holder from pgam.lease), '')"

// The lease goes to who stands by when it is given back, and when its holder does
// not beat any more, whether or not it still has its connection.
func TestLeasePassesOn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"given back", "frozen"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dsn := openEmpty(t)
			first := takeLease(t, w, "a")
			_, stop := background(t, first.Keep)
			log := newTold()
			second := NewLease(openAt(t, dsn).db, LeaseConfig{Holder: "b", Log: slog.New(log)})
			t.Cleanup(func() { _ = second.Close(context.Background()) })
			stands := make(chan error, 1)
			done, _ := background(t, func(ctx context.Context) error {
				return second.Take(ctx, true, func() { stands <- nil })
			})
			_ = within(t, stands, "the second's standing by")
			beats := func() int64 { return pgtest.Value[int64](t, dsn, "select beats from pgam.lease") }
			from := beats()
			pgtest.WaitFor(t, func() bool { return beats() >= from+6 }, "the lease to live longer than its life")
			if len(done) != 0 {
				t.Fatal("two leases")
			}
			stop()
			if name == "given back" {
				if err := first.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := within(t, done, "the lease"); err != nil || !second.Held() {
				t.Fatalf("the second holds the lease %t, %v", second.Held(), err)
			}
			if n := log.count.Load(); n != 1 {
				t.Errorf("it said %d times that it stands by", n)
			}
			if name == "frozen" { // and woken
				if err := first.Keep(t.Context()); !errors.Is(err, ErrLeaseTaken) || first.Held() {
					t.Errorf("Keep of the first: %v", err)
				}
			}
		})
	}
}

// A restart of the same collector does not wait for the run that was killed.
func TestLeaseOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	takeLease(t, w, "a")
	takeLease(t, openAt(t, dsn), "a")
}

func TestLeaseGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	takeLease(t, w, "a")
	other := leaseOf(openAt(t, dsn), "b")
	stands := make(chan error, 1)
	done, end := background(t, func(ctx context.Context) error { return other.Take(ctx, false, func() { stands <- nil }) })
	_ = within(t, stands, "standing by")
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := other.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A restart of stats_db, or a pause of it, passes the lease to nobody: its holder
// has time to come back, and who stands by has seen nothing meanwhile.
func TestLeaseOverRestarts(t *testing.T) {
	t.Parallel()
	server, w := openOn(t, pgtest.Local(t).Major)
	dsn := server.SuperuserDSN()
	first := takeLease(t, w, "a")
	kept, _ := background(t, first.Keep)
	second := leaseOf(openAt(t, dsn), "b")
	taken, _ := background(t, func(ctx context.Context) error { return second.Take(ctx, false, func() {}) })
	beats := func() int64 { return pgtest.Value[int64](t, dsn, "select beats from pgam.lease") }
	for _, away := range []func(){
		func() { server.Restart(t) },
		func() { server.Stop(t); <-time.After(leaseLife + leaseBeat); server.Start(t) },
		func() { server.Pause(t); <-time.After(leaseLife + leaseBeat); server.Resume(t) },
	} {
		away()
		from := beats()
		pgtest.WaitFor(t, func() bool { return beats() >= from+2 }, "the lease to be renewed")
		if len(kept)+len(taken) > 0 || !first.Held() || second.Held() || pgtest.Value[int64](t, dsn, "select term from pgam.lease") != 1 {
			t.Fatal("the lease went to another")
		}
	}
}

// Without stats_db only who held the lease last goes on, and takes it when
// stats_db is there.
func TestLeaseWithoutStatsDB(t *testing.T) {
	t.Parallel()
	server, w := openOn(t, pgtest.Local(t).Major)
	dsn := server.SuperuserDSN()
	server.Stop(t)
	never := leaseOf(openAt(t, dsn), "b")
	stands := make(chan error, 1)
	waits, end := background(t, func(ctx context.Context) error { return never.Take(ctx, false, func() { stands <- nil }) })
	_ = within(t, stands, "standing by")
	l := leaseOf(w, "a")
	if err := l.Take(t.Context(), true, func() { t.Error("it stands by") }); err != nil || l.Held() {
		t.Fatalf("held %t, %v", l.Held(), err)
	}
	if len(waits) != 0 {
		t.Error("who never led goes on without stats_db")
	}
	end()
	kept, stop := background(t, l.Keep)
	server.Start(t)
	pgtest.WaitFor(t, l.Held, "the lease to be taken when stats_db is there")
	if got := pgtest.Value[string](t, dsn, leaseHolder); got != "a" {
		t.Errorf("%q holds the lease", got)
	}
	stop()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	if err := l.Close(t.Context()); err != nil || pgtest.Value[string](t, dsn, leaseHolder) != "" {
		t.Errorf("given back: %v", err)
	}
}

// A stats_db that was restored from before the term, or emptied, is led again by
// who leads; one that names another is not.
func TestLeaseOfAnOlderStatsDB(t *testing.T) {
	t.Parallel()
	w, dsn := openEmpty(t)
	l := takeLease(t, w, "a")
	kept, _ := background(t, l.Keep)
	pgtest.Exec(t, dsn, "delete from pgam.lease")
	pgtest.WaitFor(t, func() bool { return pgtest.Value[string](t, dsn, leaseHolder) == "a" }, "the lease to be taken anew")
	pgtest.Exec(t, dsn, "update pgam.lease set holder = 'b', term = 7")
	if err := within(t, kept, "the end of Keep"); !errors.Is(err, ErrLeaseTaken) {
		t.Errorf("Keep: %v", err)
	}
}

// stats_db notices when a process has gone without a word, of the lease too.
func TestSessionsEndWithTheirProcess(t *testing.T) {
	t.Parallel()
	w, _ := openEmpty(t)
	conn, err := leaseOf(w, "test").connected(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const ask = "select concat_ws(' ', current_setting('client_connection_check_interval'), current_setting('tcp_user_timeout'), current_setting('tcp_keepalives_idle'))"
	for name, row := range map[string]pgx.Row{"pool": w.pool.QueryRow(t.Context(), ask), "lease": conn.QueryRow(t.Context(), ask)} {
		var got string
		if err := row.Scan(&got); err != nil || got != "5s 30000 15" {
			t.Errorf("the %s has %q, %v", name, got, err)
		}
	}
}
