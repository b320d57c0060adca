package statsdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

// Every way in which a real server can leave an answer out has its class: what
// lets nobody in or is gone, what is slow, what is locked, who went away, what
// the data broke, and what nobody knows.
func TestErrorsOfStatsDBHaveTheirClass(t *testing.T) { //nolint:tparallel // one server is put into one state after another
	t.Parallel()
	server := pgtest.Target(t)
	server.Exec(t, "create database stats", "create database closed", "alter database closed allow_connections false",
		"create role sleeper", "create role other login password 'other'", "revoke connect on database stats from public",
		"create table one (n int primary key check (n > 0))")
	admin := server.SuperuserDSN()
	ask := func(dsn string, limit time.Duration, statements ...string) error {
		db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(dsn), StatementTimeout: limit})
		for _, sql := range statements {
			if _, err := db.Pool().Exec(t.Context(), sql); err != nil {
				return statsdb.Classify(err)
			}
		}
		return nil
	}
	held := func(sql string) func() {
		conn, err := pgx.Connect(t.Context(), admin)
		if err != nil {
			t.Fatal(err)
		}
		tx, err := conn.Begin(t.Context())
		if err == nil {
			_, err = tx.Exec(t.Context(), sql)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() { _ = conn.Close(context.Background()) }
	}
	for _, c := range []struct {
		name  string
		class error // nil: none
		make  func() error
	}{
		{"wrong password", statsdb.ErrUnavailable, func() error { return ask(pgtest.WithUser(t, admin, "other", "wrong"), 0, "select 1") }},
		{"no login", statsdb.ErrUnavailable, func() error { return ask(pgtest.WithUser(t, admin, "sleeper", "x"), 0, "select 1") }},
		{"no such role", statsdb.ErrUnavailable, func() error { return ask(pgtest.WithUser(t, admin, "nobody", "x"), 0, "select 1") }},
		{"no such database", statsdb.ErrUnavailable, func() error { return ask(server.DatabaseDSN(pgtest.Superuser, "gone"), 0, "select 1") }},
		{"closed database", statsdb.ErrUnavailable, func() error { return ask(server.DatabaseDSN(pgtest.Superuser, "closed"), 0, "select 1") }},
		{"no right to connect", statsdb.ErrUnavailable, func() error {
			return ask(pgtest.WithUser(t, server.DatabaseDSN(pgtest.Superuser, "stats"), "other", "other"), 0, "select 1")
		}},
		{"terminated", statsdb.ErrUnavailable, func() error { return ask(admin, 0, "select pg_terminate_backend(pg_backend_pid())") }},
		{"read-only", statsdb.ErrUnavailable, func() error { return ask(admin, 0, "begin read only; create table two ()") }},
		{"statement timeout", statsdb.ErrTooSlow, func() error { return ask(admin, 50*time.Millisecond, "select pg_sleep(60)") }},
		{"caller's deadline", statsdb.ErrTooSlow, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(admin)})
			_, err := db.Pool().Exec(ctx, "select pg_sleep(60)")
			return statsdb.Classify(err)
		}},
		{"lock", statsdb.ErrLocked, func() error {
			defer held("lock table one")()
			return ask(admin, 0, "set lock_timeout = 50; select from one")
		}},
		{"caller went away", context.Canceled, func() error {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			db := pgtest.OpenStatsDB(t, statsdb.Config{DSN: secret.New(admin)})
			_, err := db.Pool().Exec(ctx, "select pg_sleep(60)")
			return statsdb.Classify(err)
		}},
		{"no such table", nil, func() error { return ask(admin, 0, "select from two") }},
		{"no right", nil, func() error { return ask(pgtest.WithUser(t, admin, "other", "other"), 0, "select from one") }},
		{"division by zero", nil, func() error { return ask(admin, 0, "select 1/0") }},
		{"broken check", nil, func() error { return ask(admin, 0, "insert into one values (-1)") }},
		{"nobody listens", statsdb.ErrUnavailable, func() error { return ask("postgres://a:b@127.0.0.1:1/c", 0, "select 1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.make()
			for _, class := range []error{statsdb.ErrUnavailable, statsdb.ErrTooSlow, statsdb.ErrLocked, context.Canceled} {
				if errors.Is(err, class) != errors.Is(class, c.class) {
					t.Errorf("%v, want the class %v", err, c.class)
				}
			}
			if err == nil || !errors.Is(statsdb.Classify(statsdb.Classify(err)), err) || statsdb.Classify(err).Error() != err.Error() {
				t.Errorf("asked again for its class: %v", statsdb.Classify(err))
			}
			if refused := c.name == "division by zero" || c.name == "broken check"; statsdb.Refused(err) != refused {
				t.Errorf("refused for what it is: %t: %v", !refused, err)
			}
		})
	}
}
