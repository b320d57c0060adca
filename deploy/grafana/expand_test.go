package grafana

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// view is what somebody looks at: a range of time, and values of variables. A
// value of several is what Grafana makes of a variable that is multi.
type view struct {
	from, to time.Time
	values   map[string][]string
}

// macro is how Grafana finds its own.
var macro = regexp.MustCompile(`\$([_a-zA-Z0-9]+)\(([^)]*)\)`)

// expand puts variables, then macros into a statement, as Grafana 11 and 12 do.
func (v *view) expand(tb testing.TB, variables []variable, sql string, interval time.Duration) string {
	tb.Helper()
	for _, name := range variables {
		value := escape(v.values[name.Name][0])
		if name.Multi {
			quoted := make([]string, 0, len(v.values[name.Name]))
			for _, one := range v.values[name.Name] {
				quoted = append(quoted, "'"+escape(one)+"'")
			}
			value = strings.Join(quoted, ",")
		}
		sql = regexp.MustCompile(`\$(`+name.Name+`\b|\{`+name.Name+`\})`).ReplaceAllLiteralString(sql, value)
	}
	sql = strings.NewReplacer(
		"$__interval_ms", strconv.FormatInt(interval.Milliseconds(), 10),
		"$__interval", formatted(interval),
		"$__unixEpochFrom()", strconv.FormatInt(v.from.Unix(), 10),
		"$__unixEpochTo()", strconv.FormatInt(v.to.Unix(), 10),
	).Replace(sql)
	sql = macro.ReplaceAllStringFunc(sql, func(found string) string {
		part := macro.FindStringSubmatch(found)
		args := strings.Split(part[2], ",")
		for i := range args {
			args[i] = strings.Trim(args[i], " ")
		}
		from, to := v.from.UTC().Format(time.RFC3339Nano), v.to.UTC().Format(time.RFC3339Nano)
		switch part[1] {
		case "__timeFilter":
			return fmt.Sprintf("%s BETWEEN '%s' AND '%s'", args[0], from, to)
		case "__timeFrom":
			return "'" + from + "'"
		case "__timeTo":
			return "'" + to + "'"
		case "__timeGroupAlias":
			s := interval.Seconds()
			if len(args) != 2 || args[1] != formatted(interval) {
				tb.Fatalf("%s has other arguments than a column and $__interval", found)
			}
			return fmt.Sprintf(`floor(extract(epoch from %s)/%v)*%v AS "time"`, args[0], s, s)
		}
		tb.Fatalf("%s is no macro that is known here", found)
		return ""
	})
	if strings.Contains(sql, "$") || strings.Contains(sql, "[[") {
		tb.Fatalf("is left unexpanded:\n%s", sql)
	}
	return sql
}

func escape(s string) string { return strings.ReplaceAll(s, "'", "''") }

// steps are intervals that Grafana rounds to, each from where it does so.
var steps = [...]struct{ from, step time.Duration }{
	{0, time.Second},
	{1500 * time.Millisecond, 2 * time.Second},
	{3500 * time.Millisecond, 5 * time.Second},
	{7500 * time.Millisecond, 10 * time.Second},
	{12500 * time.Millisecond, 15 * time.Second},
	{17500 * time.Millisecond, 20 * time.Second},
	{25 * time.Second, 30 * time.Second},
	{45 * time.Second, time.Minute},
	{90 * time.Second, 2 * time.Minute},
	{210 * time.Second, 5 * time.Minute},
	{450 * time.Second, 10 * time.Minute},
	{750 * time.Second, 15 * time.Minute},
	{1050 * time.Second, 20 * time.Minute},
	{1500 * time.Second, 30 * time.Minute},
	{2700 * time.Second, time.Hour},
	{5400 * time.Second, 2 * time.Hour},
	{9000 * time.Second, 3 * time.Hour},
	{16200 * time.Second, 6 * time.Hour},
	{32400 * time.Second, 12 * time.Hour},
	{86400 * time.Second, 24 * time.Hour},
}

// interval is the step of a panel: so that there are as many points as it
// wants, and no finer than it says.
func (p *panel) interval(tb testing.TB, v *view) time.Duration {
	tb.Helper()
	points := p.MaxDataPoints
	if points == 0 {
		points = 1000
	}
	step := steps[0].step
	for _, s := range steps {
		if v.to.Sub(v.from)/time.Duration(points) >= s.from {
			step = s.step
		}
	}
	if p.Interval == "" {
		return step
	}
	least, err := time.ParseDuration(p.Interval)
	if err != nil {
		tb.Fatalf("%s: %v", p.Title, err)
	}
	return max(step, least)
}

// formatted is an interval in Grafana's words.
func formatted(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
