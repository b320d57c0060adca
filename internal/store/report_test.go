package store

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
)

// A range of t0 must leave out all other days, whoever asks.
func TestConformanceReportPrunes(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		server := newServer(t, s, "db1")
		if err := s.EnsurePartitions(t.Context(), noon.AddDate(0, 0, -5), noon.AddDate(0, 0, 5)); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, plainWindow(server, noon))
		for name, where := range map[string]string{
			"literals":    "t0 >= '2024-11-22 12:00Z' and t0 < '2024-11-22 13:00Z'",
			"with server": fmt.Sprintf("server_id = %d and t0 between '2024-11-22 00:00Z' and '2024-11-22 23:59Z'", server),
			"other zone":  "t0 >= '2024-11-22 00:00Z'::timestamptz and t0 < '2024-11-23 12:45+12:45'::timestamptz",
		} {
			for _, view := range []string{"report.activity", "report.tick"} {
				plan := strings.Join(pgtest.Value[[]string](t, dsn, explain(t, dsn, "select count(*) from "+view+" where "+where)), "\n")
				found := regexp.MustCompile(`activity_window_p\d+`).FindAllString(plan, -1)
				slices.Sort(found)
				if diff := cmp.Diff([]string{"activity_window_p20241122"}, slices.Compact(found)); diff != "" {
					t.Errorf("%s of %s reads (-want +got):\n%s\n%s", name, view, diff, plan)
				}
			}
		}
	})
}

// A step and a range of time must leave out all other steps and times.
func TestConformanceRollupPrunes(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		partitionsAround(t, s, noon.AddDate(-1, 0, 0), noon.AddDate(0, -1, 0), noon)
		for where, want := range map[string][]string{
			"step_seconds = 3600 and \"time\" >= '2024-11-02' and \"time\" < '2024-11-20'":  {"database_rollup_hour_p202411"},
			"step_seconds = 3600 and \"time\" between '2024-10-31' and '2024-11-01'":        {"database_rollup_hour_p202410", "database_rollup_hour_p202411"},
			"step_seconds = 14400 and \"time\" >= '2024-11-02' and \"time\" < '2024-11-20'": {"database_rollup_4hour_p2024"},
			"step_seconds = 86400 and \"time\" >= '2023-12-02'":                             {"database_rollup_day_p2023", "database_rollup_day_p2024"},
		} {
			plan := strings.Join(pgtest.Value[[]string](t, dsn, explain(t, dsn, "select sum(xact_commit) from report.database_rollup where "+where)), "\n")
			found := regexp.MustCompile(`database_rollup_[0-9a-z]+_p\d+\b`).FindAllString(plan, -1)
			slices.Sort(found)
			if diff := cmp.Diff(want, slices.Compact(found)); diff != "" {
				t.Errorf("%s reads (-want +got):\n%s\n%s", where, diff, plan)
			}
		}
	})
}

// explain gives a statement that returns the plan of a query as an array.
func explain(t *testing.T, dsn, query string) string {
	t.Helper()
	pgtest.Exec(t, dsn, `
create or replace function pg_temp_plan(query text) returns text[] language plpgsql as $$
declare
    line text;
    plan text[] = '{}';
begin
    for line in execute 'explain (costs off) ' || query loop
        plan = plan || line;
    end loop;
    return plan;
end
$$`)
	return "select pg_temp_plan('" + strings.ReplaceAll(query, "'", "''") + "')"
}

// The role for people and dashboards reads the views and nothing else.
func TestConformanceReaderRole(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, s *Store, dsn string) {
		t.Helper()
		server := newServer(t, s, "db1")
		mustAppend(t, s, plainWindow(server, noon), inventoryAt(server, 0, false, dbNamed(16384, "a")))
		d := distinctStat(noon.Add(time.Minute))
		b := plainWindow(server, noon)
		b.Visits[0].Databases = append(b.Visits[0].Databases, d)
		mustAppend(t, s, b)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		found, err := conn.Query(t.Context(), `
select n.nspname, c.relname
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('pgam', 'history', 'report', 'public') and c.relkind in ('r', 'p', 'v', 'm', 'S')`)
		if err != nil {
			t.Fatal(err)
		}
		var (
			schema, name string
			relations    []pgx.Identifier
		)
		if _, err := pgx.ForEachRow(found, []any{&schema, &name}, func() error {
			relations = append(relations, pgx.Identifier{schema, name})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "set role pgam_read"); err != nil {
			t.Fatal(err)
		}
		views := 0
		for _, r := range relations {
			// Every column: a view may show what its owner must not give away.
			_, err := conn.Exec(t.Context(), "table "+r.Sanitize()+" limit 1")
			if r[0] == "report" {
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
		if views < 9 {
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
		var seen string
		const sql = `
select format('%s %s %s %s', (select count(*) from report.activity where t0 = $1), (select count(*) from report.tick where t0 = $1),
       (select average_active_sessions::numeric(4, 2) from report.activity_minute), (select database_name from report.database_stat))`
		if err := conn.QueryRow(t.Context(), sql, noon).Scan(&seen); err != nil || seen != "19 15 1.36 a" {
			t.Errorf("the role sees %q, %v", seen, err)
		}
	})
}

func denied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}
