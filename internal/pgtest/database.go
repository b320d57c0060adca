package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/local/postgres"
)

// templateDB is the migrated database that StatsDB copies.
const templateDB = "pgtest_template"

// databaseTimeout bounds making or dropping one database.
const databaseTimeout = time.Minute

// StatsDB returns the DSN of a database of the test's own with the newest
// schema of stats_db, as the superuser. It is dropped when the test has passed;
// of a failed test the DSN is logged.
func StatsDB(tb testing.TB) string {
	tb.Helper()
	c := shared.get(tb)
	shared.template.Do(func() { shared.templateErr = makeTemplate(c) })
	if shared.templateErr != nil {
		tb.Fatal(shared.templateErr)
	}

	return makeDatabase(tb, c, templateDB)
}

// EmptyDB is StatsDB with an empty database.
func EmptyDB(tb testing.TB) string {
	tb.Helper()

	return makeDatabase(tb, shared.get(tb), "template0")
}

// WithUser returns a DSN that this package made, for another user.
func WithUser(tb testing.TB, dsn, user, password string) string {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	u.User = url.UserPassword(user, password)

	return u.String()
}

// makeTemplate makes the migrated database.
func makeTemplate(c *postgres.Cluster) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	if err := execute(ctx, c.DSN(Superuser, "", "postgres"), "create database "+templateDB+" template template0"); err != nil {
		return fmt.Errorf("make template database: %w", err)
	}
	if err := migrate(ctx, c.DSN(Superuser, "", templateDB)); err != nil {
		return fmt.Errorf("migrate template database: %w", err)
	}
	if err := execute(ctx, c.DSN(Superuser, "", "postgres"), "alter database "+templateDB+" allow_connections false"); err != nil {
		return fmt.Errorf("close template database: %w", err)
	}

	return nil
}

// makeDatabase copies a template and plans the end of the copy.
func makeDatabase(tb testing.TB, c *postgres.Cluster, template string) string {
	tb.Helper()
	shared.mu.Lock()
	shared.count++
	name := databaseName(tb.Name(), shared.count)
	shared.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	quoted := pgx.Identifier{name}.Sanitize()
	if err := execute(ctx, c.DSN(Superuser, "", "postgres"), "create database "+quoted+" template "+template); err != nil {
		tb.Fatalf("make database for the test: %v", err)
	}
	dsn := c.DSN(Superuser, "", name)
	tb.Cleanup(func() {
		if tb.Failed() {
			shared.mu.Lock()
			shared.failed = true
			shared.mu.Unlock()
			tb.Logf("pgtest: the database of this test was %s (PGTEST_KEEP=1 keeps it)", dsn)

			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		if err := dropDatabase(ctx, c, name); err != nil {
			tb.Errorf("drop database of the test: %v", err)
		}
	})

	return dsn
}

// dropDatabase drops a database and the sessions in it.
func dropDatabase(ctx context.Context, c *postgres.Cluster, name string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	err := execute(ctx, c.DSN(Superuser, "", "postgres"), "drop database "+quoted+" with (force)")
	if err == nil || !strings.Contains(err.Error(), "42601") {
		return err
	}
	// Before PostgreSQL 13 there is no force.
	return execute(ctx, c.DSN(Superuser, "", "postgres"),
		"alter database "+quoted+" allow_connections false",
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = '"+strings.ReplaceAll(name, "'", "''")+"'",
		"drop database "+quoted)
}

// databaseName makes a name of at most 63 bytes that tells whose it is.
func databaseName(test string, number int) string {
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}

		return '_'
	}, strings.ToLower(test))

	return "t" + strconv.Itoa(number) + "_" + name[:min(len(name), 50)]
}

// execute runs statements on a connection of their own, each in its own
// transaction.
func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("execute %q: %w", sql, err)
		}
	}

	return nil
}
