package grafana

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/pgam/pgam/internal/pgtest"
)

// How much history the benchmark has.
var (
	benchDays    = flag.Int("days", 31, "days of history of BenchmarkPanels")
	benchServers = flag.Int("servers", 5, "servers of BenchmarkPanels")
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestHistory asks a filled stats_db.
func TestHistory(t *testing.T) {
	t.Parallel()
	f := fill(t, size{servers: 2, days: 4, cadence: 5 * time.Second, sessions: 5})
	t.Run("variables", f.variables)
	for name, d := range dashboards(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.dashboard(t, &d)
		})
	}
	t.Run("functions agree", f.functionsAgree)
}

// dashboard asks every panel and annotation in ranges for which different
// grains are read.
func (f *filled) dashboard(t *testing.T, d *dashboard) {
	t.Helper()
	conn := f.connect(t)
	for _, length := range []time.Duration{30 * time.Minute, 2 * time.Hour, 12 * time.Hour, 30 * time.Hour, 80 * time.Hour, 480 * time.Hour} {
		v := f.view(length)
		for _, p := range d.Panels {
			sql := v.expand(t, d.Templating.List, p.Targets[0].RawSQL, p.interval(t, v))
			at := fmt.Sprintf("%s: %s", p.Title, length)
			got := ask(t, conn, at, sql)
			switch {
			case length > longest(t, p.Targets[0].RawSQL):
				if got.rows != 0 {
					t.Errorf("%s: %d rows in a range for which it is not made", at, got.rows)
				}
			case got.rows == 0:
				t.Errorf("%s: no rows:\n%s", at, sql)
			default:
				got.check(t, at, &p)
			}
			checkPruned(t, conn, at, sql, v)
		}
		for _, a := range d.Annotations.List {
			if a.Target.RawSQL == "" {
				continue
			}
			got := ask(t, conn, a.Name, v.expand(t, d.Templating.List, a.Target.RawSQL, time.Minute))
			if got.rows == 0 || !slices.Contains(got.columns, "time") || !slices.Contains(got.columns, "text") {
				t.Errorf("annotation %s: %d rows of %v", a.Name, got.rows, got.columns)
			}
		}
	}
}

// limit is how a panel says for which ranges it is.
var limit = regexp.MustCompile(`timestamptz \$__timeTo\(\) - timestamptz \$__timeFrom\(\) <= interval '([0-9]+) hours?'`)

// longest is the longest range for which a panel is.
func longest(t *testing.T, sql string) time.Duration {
	t.Helper()
	found := limit.FindStringSubmatch(sql)
	if found == nil {
		return 1000 * time.Hour
	}
	d, err := time.ParseDuration(found[1] + "h")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (f *filled) connect(tb testing.TB) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), f.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

// view ends a quarter of an hour after the incident.
func (f *filled) view(length time.Duration) *view {
	to := f.incident.Add(15 * time.Minute)
	return &view{from: to.Add(-length), to: to, values: map[string][]string{
		"server": {"db1", "db2"}, "database": {"db_00", "db_03"}, "dimension": {"query"},
	}}
}

// variables finds the values that the view has.
func (f *filled) variables(t *testing.T) {
	t.Parallel()
	conn := f.connect(t)
	v := f.view(time.Hour)
	for name, d := range dashboards(t) {
		for _, one := range d.Templating.List {
			if one.Type == "custom" {
				if !strings.Contains(one.Query, v.values[one.Name][0]) {
					t.Errorf("%s: variable %s has %q", name, one.Name, one.Query)
				}
				continue
			}
			rows, err := conn.Query(t.Context(), v.expand(t, d.Templating.List, one.Query, time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || !slices.Contains(got, v.values[one.Name][0]) || !slices.Contains(got, v.values[one.Name][1]) {
				t.Errorf("%s: variable %s gives %q, %v", name, one.Name, got, err)
			}
		}
	}
}

// answer is what came of a statement.
type answer struct {
	rows    int
	columns []string
	types   []uint32
	known   []bool // a column has a value
	ordered bool   // by time
}

func ask(t *testing.T, conn *pgx.Conn, at, sql string) answer {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s: %v:\n%s", at, err, sql)
	}
	defer rows.Close()
	got := answer{ordered: true}
	for _, field := range rows.FieldDescriptions() {
		got.columns, got.types = append(got.columns, field.Name), append(got.types, field.DataTypeOID)
	}
	got.known = make([]bool, len(got.columns))
	when := slices.Index(got.columns, "time")
	var last float64
	for rows.Next() {
		got.rows++
		values, err := rows.Values()
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		for i, value := range values {
			got.known[i] = got.known[i] || value != nil
		}
		if when >= 0 {
			now := seconds(t, values[when])
			got.ordered = got.ordered && now >= last
			last = now
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v:\n%s", at, err, sql)
	}
	return got
}

// seconds are those since the epoch.
func seconds(t *testing.T, value any) float64 {
	t.Helper()
	switch v := value.(type) {
	case time.Time:
		return float64(v.UnixMilli()) / 1000
	case pgtype.Numeric:
		f, err := v.Float64Value()
		if err != nil {
			t.Fatal(err)
		}
		return f.Float64
	}
	t.Fatalf("a time of type %T", value)
	return 0
}

// check looks for what the kind of panel needs: Grafana makes series only of
// rows in the order of time, a text column and numbers.
func (a *answer) check(t *testing.T, at string, p *panel) {
	t.Helper()
	var text, numbers, series int
	for i, oid := range a.types {
		switch oid {
		case pgtype.TextOID, pgtype.NameOID, pgtype.VarcharOID:
			text++
		case pgtype.Int4OID, pgtype.Int8OID, pgtype.Float8OID, pgtype.NumericOID:
			numbers++
		}
		if a.columns[i] != "time" && a.known[i] {
			series++
		}
	}
	if p.Type == "timeseries" {
		if !slices.Contains(a.columns, "time") || numbers < 1 || text > 1 || !a.ordered {
			t.Errorf("%s: no series: columns %v, ordered %t", at, a.columns, a.ordered)
		}
		if text == 1 && !slices.Contains(a.columns, "metric") {
			t.Errorf("%s: the column with the names is not metric: %v", at, a.columns)
		}
	}
	if series == 0 || p.Type == "stat" && a.rows != 1 {
		t.Errorf("%s: %d rows, nothing known of %v", at, a.rows, a.columns)
	}
	for _, o := range p.FieldConfig.Overrides {
		if !slices.Contains(a.columns, o.Matcher.Options) {
			t.Errorf("%s: an override is of %q, which is none of %v", at, o.Matcher.Options, a.columns)
		}
	}
}

// partition finds those that a plan reads.
var partition = regexp.MustCompile(` on (?:[a-z]+\.)?([a-z_0-9]+_p([0-9]{4,8}))\b`)

// checkPruned looks whether nothing but the range is read; an hour's slack is
// for panels that look back a little.
func checkPruned(t *testing.T, conn *pgx.Conn, at, sql string, v *view) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "explain (analyze, costs off, timing off, summary off) "+sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	for _, line := range plan {
		found := partition.FindStringSubmatch(line)
		if found == nil || strings.Contains(line, "never executed") {
			continue
		}
		lower, upper := bounds(t, found[2])
		if !lower.Before(v.to.Add(time.Hour)) || !upper.After(v.from.Add(-time.Hour)) {
			t.Errorf("%s: reads %s, which is not between %s and %s:\n%s\n%s", at, found[1], v.from, v.to, sql, strings.Join(plan, "\n"))
			return
		}
	}
}

// bounds are those of a day's, month's or year's partition.
func bounds(t *testing.T, suffix string) (lower, upper time.Time) {
	t.Helper()
	lower, err := time.Parse("20060102"[:len(suffix)], suffix)
	if err != nil {
		t.Fatal(err)
	}
	switch len(suffix) {
	case 4:
		return lower, lower.AddDate(1, 0, 0)
	case 6:
		return lower, lower.AddDate(0, 1, 0)
	}
	return lower, lower.AddDate(0, 0, 1)
}

// BenchmarkPanels says how long each panel takes; the goal is 200 ms on a month
// of history.
func BenchmarkPanels(b *testing.B) {
	f := fill(b, size{servers: *benchServers, days: *benchDays, cadence: time.Second, sessions: 8})
	conn := f.connect(b)
	all := dashboards(b)
	for _, length := range []time.Duration{30 * time.Minute, 6 * time.Hour, 7 * 24 * time.Hour, time.Duration(*benchDays-2) * 24 * time.Hour} {
		v := f.view(length)
		v.values["server"] = nil
		for n := range *benchServers {
			v.values["server"] = append(v.values["server"], fmt.Sprintf("db%d", n+1))
		}
		for name, d := range all {
			for _, p := range d.Panels {
				sql := v.expand(b, d.Templating.List, p.Targets[0].RawSQL, p.interval(b, v))
				b.Run(fmt.Sprintf("range=%s/%s/%s", length, name, p.Title), func(b *testing.B) {
					for b.Loop() {
						if _, err := conn.Exec(b.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/panel")
				})
			}
		}
	}
}
