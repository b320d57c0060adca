package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Patience is how long WaitFor waits: longer than anything that is waited for
// takes on the busiest machine. A test whose wait ends in time passes however
// slow the machine was, so no caller has a limit of its own.
const Patience = 3 * time.Minute

// WaitFor waits until cond holds and fails the test if it does not within
// Patience. what says in the failure what was waited for. It asks at once and
// then less and less often, because many conditions cost a connection.
func WaitFor(tb testing.TB, cond func() bool, what string) {
	tb.Helper()
	const first, most = 5 * time.Millisecond, 200 * time.Millisecond
	begun := time.Now()
	for pause := first; !cond(); pause = min(pause*3/2, most) {
		if time.Since(begun) > Patience {
			tb.Fatalf("waited %s in vain for: %s", Patience, what)
		}
		<-time.After(pause)
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

// CatalogLock is a stranger's lock on a catalog.
type CatalogLock struct {
	conn *pgx.Conn
	name string
}

// LockCatalog locks a catalog, such as "pg_database", until Release or the end of
// the test.
func LockCatalog(tb testing.TB, s *Server, name string) *CatalogLock {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), s.SuperuserDSN())
	if err != nil {
		tb.Fatal(err)
	}
	l := &CatalogLock{conn, name}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), "begin; lock table pg_catalog."+name+" in access exclusive mode"); err != nil {
		tb.Fatal(err)
	}

	return l
}

// Waiting tells how many processes wait for the catalog.
func (l *CatalogLock) Waiting(tb testing.TB) (n int) {
	tb.Helper()
	err := l.conn.QueryRow(context.Background(),
		"select count(distinct pid) from pg_catalog.pg_lock_status() where relation = $1::text::regclass and not granted", l.name).Scan(&n)
	if err != nil {
		tb.Fatal(err)
	}

	return n
}

// Release lets everybody in.
func (l *CatalogLock) Release(tb testing.TB) {
	tb.Helper()
	if _, err := l.conn.Exec(context.Background(), "rollback"); err != nil {
		tb.Fatal(err)
	}
}
