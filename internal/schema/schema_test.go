package schema_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/migrations"
)

// ternLock is the advisory lock that tern takes.
const ternLock = "9628173550095224"

func TestMain(m *testing.M) { pgtest.Main(m) }

// applied is a logger that remembers which migrations were applied, and calls
// at before each.
type applied struct {
	slog.Handler
	at func(number int64)

	mu      sync.Mutex
	numbers []int64
	waited  bool
}

func newApplied() *applied { return &applied{Handler: slog.DiscardHandler} }

func (a *applied) Enabled(context.Context, slog.Level) bool { return true }

func (a *applied) Handle(_ context.Context, r slog.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(r.Message, "waiting for another session") {
		a.waited = true
	}
	if r.Message != "applying migration" {
		return nil
	}
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "number" {
			a.numbers = append(a.numbers, attr.Value.Int64())
			if a.at != nil {
				a.at(attr.Value.Int64())
			}
		}
		return true
	})
	return nil
}

func (a *applied) log() *slog.Logger { return slog.New(a) }

func (a *applied) hasWaited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waited
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func version(t *testing.T, dsn string) int32 {
	t.Helper()
	return pgtest.Value[int32](t, dsn, "select version from public.pgam_schema_version")
}

func all() []int64 {
	var numbers []int64
	for n := range int64(migrations.Latest()) {
		numbers = append(numbers, n+1)
	}
	return numbers
}

func TestUp(t *testing.T) {
	t.Parallel()
	dsn := pgtest.EmptyDB(t)
	conn := connect(t, dsn)
	for round, want := range [][]int64{all(), nil} {
		seen := newApplied()
		if err := schema.Up(t.Context(), conn, seen.log()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if diff := cmp.Diff(want, seen.numbers); diff != "" {
			t.Errorf("round %d applied (-want +got):\n%s", round, diff)
		}
		if got := version(t, dsn); got != migrations.Latest() {
			t.Errorf("round %d: version %d", round, got)
		}
		var timeout string
		if err := conn.QueryRow(t.Context(), "show lock_timeout").Scan(&timeout); err != nil || timeout != "0" {
			t.Errorf("round %d left lock_timeout %q, %v", round, timeout, err)
		}
	}
}

func TestUpConcurrently(t *testing.T) {
	t.Parallel()
	dsn := pgtest.EmptyDB(t)
	seen := newApplied()
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		conn := connect(t, dsn)
		wg.Go(func() { errs[i] = schema.Up(t.Context(), conn, seen.log()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(all(), seen.numbers); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if got := pgtest.Value[int](t, dsn, "select count(*) from public.pgam_schema_version"); got != 1 {
		t.Errorf("%d rows in the version table", got)
	}
}

func TestUpNewer(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	pgtest.Exec(t, dsn, "update public.pgam_schema_version set version = 999")
	seen := newApplied()
	err := schema.Up(t.Context(), connect(t, dsn), seen.log())
	if !errors.Is(err, schema.ErrNewer) || !strings.Contains(err.Error(), "install the newer pgam") {
		t.Errorf("error %v", err)
	}
	if len(seen.numbers) != 0 || version(t, dsn) != 999 {
		t.Errorf("applied %v, version %d", seen.numbers, version(t, dsn))
	}
}

// A stats_db whose schema was numbered otherwise is not taken for one that is newer
// or older, by nobody, and is left as it is.
func TestOlderNumbering(t *testing.T) {
	t.Parallel()
	for _, number := range []int32{1, 18, 999} {
		dsn := pgtest.EmptyDB(t)
		pgtest.Exec(t, dsn, "create schema pgam", "create schema history", "create table history.activity_window (t0 timestamptz)",
			fmt.Sprintf("create table public.pgam_schema_version as select %d as version", number))
		conn, seen := connect(t, dsn), newApplied()
		for what, err := range map[string]error{"Up": schema.Up(t.Context(), conn, seen.log()), "CheckSchema": statsdb.CheckSchema(t.Context(), conn)} {
			if !errors.Is(err, statsdb.ErrOld) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), fmt.Sprintf("version %d of an older numbering", number)) ||
				!strings.Contains(err.Error(), "name an empty database in PGAM_STATS_DSN") {
				t.Errorf("%s of version %d: %v", what, number, err)
			}
		}
		if len(seen.numbers) != 0 || version(t, dsn) != number {
			t.Errorf("applied %v, version %d", seen.numbers, version(t, dsn))
		}
	}
	// One that is empty, or at which the first migration was cut short, is none of these.
	dsn := pgtest.EmptyDB(t)
	for range 2 {
		if err := statsdb.CheckSchema(t.Context(), connect(t, dsn)); !errors.Is(err, statsdb.ErrSchema) || errors.Is(err, statsdb.ErrOld) ||
			!strings.Contains(err.Error(), "no pgam schema yet") {
			t.Errorf("an empty database: %v", err)
		}
		pgtest.Exec(t, dsn, "create table if not exists public.pgam_schema_version as select 0 as version")
	}
}

func TestUpWaitsForLock(t *testing.T) {
	t.Parallel()
	for _, database := range []struct {
		name string
		dsn  string
	}{{"empty", pgtest.EmptyDB(t)}, {"migrated", pgtest.StatsDB(t)}} {
		t.Run(database.name, func(t *testing.T) {
			t.Parallel()
			holder := connect(t, database.dsn)
			if _, err := holder.Exec(t.Context(), "select pg_advisory_lock("+ternLock+")"); err != nil {
				t.Fatal(err)
			}
			conn := connect(t, database.dsn)
			err := schema.UpWithin(t.Context(), conn, newApplied().log(), 300*time.Millisecond)
			if !errors.Is(err, schema.ErrLocked) || !strings.Contains(err.Error(), "for 300ms now") || !strings.Contains(err.Error(), "run again") {
				t.Fatalf("error %v", err)
			}
			// The same connection can go on, and does as soon as the lock is free.
			seen := newApplied()
			done := make(chan error, 1)
			go func() { done <- schema.Up(t.Context(), conn, seen.log()) }()
			pgtest.WaitFor(t, seen.hasWaited, "Up to say that it waits")
			if _, err := holder.Exec(t.Context(), "select pg_advisory_unlock("+ternLock+")"); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil || version(t, database.dsn) != migrations.Latest() {
				t.Errorf("version %d, error %v", version(t, database.dsn), err)
			}
		})
	}
}

func TestUpCutShort(t *testing.T) {
	t.Parallel()
	cuts := map[string]func(t *testing.T, cancel context.CancelFunc, dsn string, pid uint32){
		"context": func(_ *testing.T, cancel context.CancelFunc, _ string, _ uint32) { cancel() },
		"backend": func(t *testing.T, _ context.CancelFunc, dsn string, pid uint32) {
			t.Helper()
			pgtest.Exec(t, dsn, fmt.Sprintf("select pg_terminate_backend(%d)", pid))
		},
	}
	for name, cut := range cuts {
		for number := int64(1); number <= int64(migrations.Latest()); number++ {
			t.Run(fmt.Sprintf("%s at %d", name, number), func(t *testing.T) {
				t.Parallel()
				dsn := pgtest.EmptyDB(t)
				conn := connect(t, dsn)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				seen := newApplied()
				seen.at = func(n int64) {
					if n == number {
						cut(t, cancel, dsn, conn.PgConn().PID())
					}
				}
				if err := schema.Up(ctx, conn, seen.log()); err == nil {
					t.Fatal("no error")
				}
				if got := version(t, dsn); int64(got) != number-1 {
					t.Errorf("version %d after a cut in migration %d", got, number)
				}
				rest := newApplied()
				if err := schema.Up(t.Context(), connect(t, dsn), rest.log()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(all()[number-1:], rest.numbers); diff != "" {
					t.Errorf("then applied (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestUpWithoutRights(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t, pgtest.WithTrust())
	server.Exec(t, "create role nobody login", "create role owner login",
		"create database poor", "create database rich owner owner")
	pgtest.Exec(t, server.DatabaseDSN(pgtest.Superuser, "poor"), "revoke create on schema public from public")

	for _, c := range []struct{ name, user, database, want string }{
		{"may not create", "nobody", "poor", "permission denied"},
		{"may not create the role", "owner", "rich", "create role pgam_read nologin"},
	} {
		err := schema.Up(t.Context(), connect(t, server.DatabaseDSN(c.user, c.database)), newApplied().log())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	// With the role there, an owner who is no superuser can migrate.
	server.Exec(t, "create role pgam_read nologin")
	dsn := server.DatabaseDSN("owner", "rich")
	if err := schema.Up(t.Context(), connect(t, dsn), newApplied().log()); err != nil {
		t.Error(err)
	}
}

func TestEverythingHasAComment(t *testing.T) {
	t.Parallel()
	dsn := pgtest.StatsDB(t)
	conn := connect(t, dsn)
	const sql = `
select n.nspname || '.' || c.relname, obj_description(c.oid, 'pg_class') is not null
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('pgam', 'history', 'report')
   and c.relkind in ('r', 'p', 'v', 'm', 'S')
   and not exists (select from pg_depend d where c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i')
union all
select nspname, obj_description(oid, 'pg_namespace') is not null
  from pg_namespace
 where nspname in ('pgam', 'history', 'report')`
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	var (
		name  string
		has   bool
		names []string
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &has}, func() error {
		names = append(names, name)
		if !has {
			t.Errorf("%s has no comment", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"history", "pgam.server", "history.activity_recent", "report.activity"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s was not looked at, only %v", want, names)
		}
	}
}
