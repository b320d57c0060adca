package local

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
)

// count gives the number of the load's sessions of which cond holds.
func count(t *testing.T, dsn, cond string) int {
	t.Helper()

	return pgtest.Value[int](t, dsn, "select count(*)::int from pg_stat_activity where application_name ~ '^shop-' and "+cond)
}

// TestLoad proves that there is to see what the demo promises, that sessions
// which are cut come back, and that nothing is left after the stop.
func TestLoad(t *testing.T) {
	t.Parallel()
	dsn := pgtest.EmptyDB(t)
	var mu sync.Mutex
	var said []string
	load, err := NewLoad(secret.New(dsn), func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf(format, args...))
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := load.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := pgtest.Value[int](t, dsn, "select count(*)::int from shop.account"); got != accounts {
		t.Errorf("%d accounts, want %d: a second Prepare changes nothing", got, accounts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { load.Run(ctx); close(ended) }()
	all := func() bool { return count(t, dsn, "backend_type = 'client backend'") == 10 }
	pgtest.WaitFor(t, all, "ten sessions")
	pgtest.WaitFor(t, func() bool {
		return count(t, dsn, "wait_event_type = 'Lock' and cardinality(pg_blocking_pids(pid)) > 0") == 2
	}, "a chain of two sessions that wait")
	pgtest.WaitFor(t, func() bool {
		return count(t, dsn, "application_name = 'shop-admin' and state = 'idle in transaction'") == 1
	}, "a session that idles in its transaction")
	pgtest.WaitFor(t, func() bool {
		return pgtest.Value[int](t, dsn, "select count(*)::int from shop.account where balance <> 1000") >= 50
	}, "fifty sales")

	// Not the one that idles: it would notice at its next statement only.
	pgtest.Exec(t, dsn, "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ '^shop-' and application_name <> 'shop-admin'")
	pgtest.WaitFor(t, all, "ten sessions again")
	mu.Lock()
	if len(said) == 0 || len(said) > 2 || !strings.Contains(said[0], "comes back") {
		t.Errorf("of nine lost sessions it says %q, want a line", said)
	}
	mu.Unlock()

	cancel()
	<-ended
	pgtest.WaitFor(t, func() bool { return count(t, dsn, "true") == 0 }, "the end of all sessions")
}
