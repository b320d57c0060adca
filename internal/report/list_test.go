package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/sample"
)

// What numbers stand for is said once in SQL and once in package sample.
func TestListsAreThoseOfSample(t *testing.T) {
	t.Parallel()
	_, dsn := open(t)
	var classes, outcomes, reasons, counters []string
	for c := sample.WaitClass(0); c <= sample.ClassIdle; c++ {
		classes = append(classes, c.String())
	}
	for o := sample.OK; o <= sample.Skipped; o++ {
		outcomes = append(outcomes, o.String())
	}
	for r := sample.None; r == sample.None || r.String() != "other" || r == sample.Other; r++ {
		reasons = append(reasons, r.String())
	}
	counters = constants(t, "database.go", "Counter")
	for _, timer := range constants(t, "database.go", "Timer") {
		counters = append(counters, timer+"_ms")
	}
	numbered := func(function string, n int) string {
		return "select array_agg(report." + function + "(n::smallint) order by n) from generate_series(0, " + strconv.Itoa(n) + ") n where report." + function + "(n::smallint) is not null"
	}
	for _, one := range []struct {
		what, sql string
		want      []string
	}{
		{"wait classes", numbered("wait_class", 20), classes},
		{"outcomes", numbered("outcome", 20), outcomes},
		{"dimensions", numbered("dimension", 20), []string{"wait", "query", "database", "user", "application", "client", "backend_type"}},
		{"reasons", "select array_agg(name order by id) from history.reason", reasons},
		{"columns of wait classes", columns("activity_grain", "cpu"), classes[:sample.NumClasses]},
		{"columns of wait classes", columns("activity_minute", "cpu"), append(classes[:sample.NumClasses:sample.NumClasses], "samples")},
		{"kinds of events", `select string_to_array(col_description('history.event'::regclass, attnum), ', ')
  from pg_attribute where attrelid = 'history.event'::regclass and attname = 'kind'`, constants(t, "event.go", "EventKind")},
	} {
		if diff := cmp.Diff(one.want, pgtest.Value[[]string](t, dsn, one.sql)); diff != "" {
			t.Errorf("%s (-sample +SQL):\n%s", one.what, diff)
		}
	}
	stored := pgtest.Value[[]string](t, dsn, `
select array_agg(attname::text) from pg_attribute where attrelid = 'report.database_stat'::regclass and attnum > 0 and not attisdropped`)
	for _, c := range counters {
		if !slices.Contains(stored, c) {
			t.Errorf("report.database_stat has no %s", c)
		}
	}
	if len(counters) != int(sample.NumCounters)+int(sample.NumTimers) || len(reasons) < 20 || len(outcomes) != 4 {
		t.Errorf("%d counters, %d reasons, %d outcomes", len(counters), len(reasons), len(outcomes))
	}
}

// columns gives those of a function's or view's result from one on.
func columns(of, from string) string {
	if of == "activity_grain" {
		return "select proargnames[array_position(proargnames, '" + from + "'):] from pg_proc where pronamespace = 'report'::regnamespace and proname = '" + of + "'"
	}
	return `
select array_agg(a.attname::text order by a.attnum)
  from pg_attribute a
 where a.attrelid = 'report.` + of + `'::regclass
   and a.attnum >= (select b.attnum from pg_attribute b where b.attrelid = a.attrelid and b.attname = '` + from + `')`
}

// constants gives the constants of a type of package sample: their values where
// they are texts, else their names as columns are called.
func constants(t *testing.T, file, of string) (list []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../sample/"+file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	typed := false
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if _, block := n.(*ast.GenDecl); block {
			typed = false
		}
		if !ok {
			return true
		}
		if id, named := spec.Type.(*ast.Ident); named {
			typed = id.Name == of
		} else if len(spec.Values) > 0 {
			typed = false
		}
		if !typed || strings.HasPrefix(spec.Names[0].Name, "Num") {
			return true
		}
		if len(spec.Values) == 1 {
			if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				value, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, value)
				return true
			}
		}
		list = append(list, snake(spec.Names[0].Name))
		return true
	})
	if len(list) == 0 {
		t.Fatalf("no constants of type %s in %s", of, file)
	}
	return list
}

// snake writes a name as columns are.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}
