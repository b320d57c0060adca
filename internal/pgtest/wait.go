package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// WaitFor waits until cond holds and fails the test if it does not within the
// timeout. what says in the failure what was waited for.
func WaitFor(tb testing.TB, timeout time.Duration, cond func() bool, what string) {
	tb.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			tb.Fatalf("waited %s in vain for: %s", timeout, what)
		case <-tick.C:
		}
	}
}

// Value returns the one value that a query gives on a connection of its own.
func Value[T any](tb testing.TB, dsn, sql string, args ...any) T {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var value T
	if err := conn.QueryRow(ctx, sql, args...).Scan(&value); err != nil {
		tb.Fatalf("query %q: %v", sql, err)
	}

	return value
}

// Exec runs statements on a connection of their own, several in one text as
// one transaction.
func Exec(tb testing.TB, dsn string, statements ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	if err := execute(ctx, dsn, statements...); err != nil {
		tb.Fatal(err)
	}
}
