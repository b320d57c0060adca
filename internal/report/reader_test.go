package report

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
)

// The role for people and dashboards reads the views and nothing else.
func TestReaderReadsViewsOnly(t *testing.T) {
	t.Parallel()
	dsn, conn := fillDays(t)
	relations := pgtest.Value[[]string](t, dsn, `
select array_agg(n.nspname || '.' || c.relname)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('pgam', 'history', 'report', 'public') and c.relkind in ('r', 'p', 'v', 'm', 'S')`)
	views := 0
	for _, r := range relations {
		// Every column: a view may show what its owner must not give away.
		_, err := conn.Exec(t.Context(), "table "+pgx.Identifier(strings.SplitN(r, ".", 2)).Sanitize()+" limit 1")
		if strings.HasPrefix(r, "report.") {
			views++
			if err != nil {
				t.Errorf("read %v: %v", r, err)
			}
			continue
		}
		if !denied(err) {
			t.Errorf("read %v: %v, want insufficient_privilege", r, err)
		}
	}
	if views < 20 {
		t.Errorf("only %d views", views)
	}
	for _, sql := range []string{
		"delete from report.server", "insert into report.server (server) values ('x')", "update report.server set server = 'x'",
		"create table report.x (a integer)", "create table history.x (a integer)", "select nextval('pgam.revision')", "drop view report.server",
	} {
		if _, err := conn.Exec(t.Context(), sql); !denied(err) {
			t.Errorf("%s: %v, want insufficient_privilege", sql, err)
		}
	}
	// Functions read as who calls them.
	noon := midnight.Add(12 * time.Hour)
	for _, call := range []string{
		"activity_between('db1', $1, $2)", "blocking_between('db1', $1, $2)", "activity_by('db1', 'wait', $1, $2)", "activity_series('db1', 'user', $1, $2, 1000, 5)",
		"activity_grain($1, $2)", "database_grain($1, $2)", "disk_grain($1, $2)",
	} {
		for _, length := range []time.Duration{time.Hour, 24 * time.Hour, 100 * 24 * time.Hour} {
			if _, err := conn.Exec(t.Context(), "select count(*) from report."+call, noon.Add(-length), noon); err != nil {
				t.Errorf("%s of %s: %v", call, length, err)
			}
		}
	}
	if definers := pgtest.Value[int](t, dsn, "select count(*) from pg_proc where pronamespace = 'report'::regnamespace and (prosecdef or provolatile = 'v')"); definers != 0 {
		t.Errorf("%d functions have rights of their own, or are volatile", definers)
	}
}

func denied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}

// notHistory are views of things that are, rather than happen.
var notHistory = []string{"server", "session", "wait", "query", "database", "lock"}

// Every view can be read by someone who sees only names and comments, and by
// Grafana, which looks for a column time.
func TestReportIsDescribed(t *testing.T) {
	t.Parallel()
	_, dsn := open(t)
	for what, sql := range map[string]string{
		"columns without a comment": `
select coalesce(array_agg(format('%s.%s', c.relname, a.attname) order by c.relname, a.attnum), '{}')
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
 where c.relnamespace = 'report'::regnamespace
   and col_description(c.oid, a.attnum) is null`,
		"views without a comment or grant": `
select coalesce(array_agg(c.relname::text order by c.relname), '{}')
  from pg_class c
 where c.relnamespace = 'report'::regnamespace
   and (obj_description(c.oid, 'pg_class') is null or not has_table_privilege('pgam_read', c.oid, 'select'))`,
		"functions without a comment or grant": `
select coalesce(array_agg(p.proname::text order by p.proname), '{}')
  from pg_proc p
 where p.pronamespace = 'report'::regnamespace
   and (obj_description(p.oid, 'pg_proc') is null or not has_function_privilege('pgam_read', p.oid, 'execute'))`,
	} {
		if missing := pgtest.Value[[]string](t, dsn, sql); len(missing) > 0 {
			t.Errorf("%s: %s", what, strings.Join(missing, " "))
		}
	}
	without := pgtest.Value[[]string](t, dsn, `
select array_agg(c.relname::text order by c.relname)
  from pg_class c
 where c.relnamespace = 'report'::regnamespace
   and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'time' and a.atttypid = 'timestamptz'::regtype)`)
	if diff := cmp.Diff(slices.Sorted(slices.Values(notHistory)), without); diff != "" {
		t.Errorf("without a column time (-want +got):\n%s", diff)
	}
}
