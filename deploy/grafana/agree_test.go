package grafana

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// functionsAgree compares what functions take from different grains with the
// plain views.
func (f *filled) functionsAgree(t *testing.T) {
	t.Parallel()
	conn := f.connect(t)
	hour := f.incident.Truncate(time.Hour)
	for _, one := range []struct{ what, a, b string }{
		{
			"blocking",
			"from report.blocking_between('db1', $1, $2) x",
			"from report.blocking x where x.server = 'db1' and x.\"time\" >= $1 and x.\"time\" < $2",
		},
		{
			"waits of a session, from ticks",
			"from (select sum(samples), key from report.activity_by('db1', 'wait', $1, $2) where key is not null group by key) x",
			`from (select count(*)::numeric, state || ' ' || wait_event_type || case when wait_event <> '' then ':' || wait_event else '' end
                     from report.activity where server = 'db1' and "time" >= $1 and "time" < $2 group by 2) x`,
		},
		{
			"applications, from ticks",
			"from (select sum(samples), key from report.activity_by('db1', 'application', $1, $2) where key is not null group by key) x",
			`from (select count(*)::numeric, coalesce(nullif(application_name, ''), '(none)')
                     from report.activity where server = 'db1' and "time" >= $1 and "time" < $2 group by 2) x`,
		},
	} {
		sameRows(t, conn, one.what, one.a, one.b, hour, hour.Add(time.Hour))
	}
	// Two hours come from ticks, days from tens of minutes or hours;
	// average sessions times ticks are samples in all of them.
	for _, dimension := range []string{"wait", "query", "application"} {
		for _, from := range []time.Time{hour.Add(-time.Hour), hour.Add(-11 * time.Hour), hour.Add(-73 * time.Hour), hour.Add(-479 * time.Hour)} {
			sums := `from (select sum(samples), sum(ticks) from report.activity_by('db1', '` + dimension + `', $1, $2)) x`
			minutes := `from (select sum(cpu + lock + lwlock + io + ipc + client + timeout + buffer + extension + other + idle_in_transaction)::numeric,
                                     sum(ticks_ok + ticks_degraded)::numeric
                                from report.activity_minute where server = 'db1' and "time" >= $1 and "time" < $2) x`
			to := hour.Add(time.Hour)
			sameRows(t, conn, dimension+" "+to.Sub(from).String(), sums, minutes, from, to)
			grain := `from (select sum(samples)::numeric, sum(ticks_ok + ticks_degraded)::numeric from report.activity_grain($1, $2) where server = 'db1') x`
			sameRows(t, conn, "grain "+to.Sub(from).String(), grain, minutes, from, to)
			series := `from (select round(sum(average_sessions * 12)::numeric, 3) from report.activity_series('db1', '` + dimension + `', $1, $2, 3600000, 3)) x`
			hours := `from (select round(sum(12.0 * n / ticks), 3)
                              from (select sum(samples)::numeric as n, sum(ticks_ok + ticks_degraded) as ticks from report.activity_grain($1, $2)
                                     where server = 'db1' group by date_trunc('hour', "time")) y) x`
			sameRows(t, conn, "series by "+dimension+" "+to.Sub(from).String(), series, hours, from, to)
		}
	}
}

// sameRows fails when the rows of two tables between two instants are not the
// same, or there are none.
func sameRows(t *testing.T, conn *pgx.Conn, what, a, b string, from, to time.Time) {
	t.Helper()
	rows := func(sql string) []string {
		found, err := conn.Query(t.Context(), "select x::text "+sql+" order by 1", pgx.QueryExecModeExec, from, to)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := pgx.CollectRows(found, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return got
	}
	ga, gb := rows(a), rows(b)
	if len(ga) == 0 || len(ga) != len(gb) {
		t.Errorf("%s: %d rows, %d rows", what, len(ga), len(gb))
		return
	}
	for i := range ga {
		if ga[i] != gb[i] {
			t.Errorf("%s: row %d is\n%s\n%s", what, i, ga[i], gb[i])
			return
		}
	}
}
