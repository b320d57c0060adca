package report

import (
	"testing"
	"time"

	"github.com/pgam/pgam/internal/history"
)

// What a range is answered from is one decision, made here and in package history:
// a person who looks at Grafana and at the console sees the same sums.
func TestStepsAreThoseOfThePlanner(t *testing.T) {
	t.Parallel()
	_, dsn := open(t)
	conn := asReader(t, dsn)
	const day = 24 * time.Hour
	var lengths []time.Duration
	for _, l := range []time.Duration{
		time.Minute, 12 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 3 * day, 5 * day, 7 * day, 14 * day, 15 * day,
		30 * day, 60 * day, 90 * day, 120 * day, 180 * day, 365 * day, 400 * day, 1000 * day,
	} {
		lengths = append(lengths, l-time.Second, l, l+time.Second)
	}
	step := func(function string, r history.Range) time.Duration {
		t.Helper()
		return time.Duration(column[int32](t, conn, "select report."+function+"($1, $2)", r.From, r.To)[0]) * time.Second
	}
	for _, length := range lengths {
		r := history.Range{From: midnight.Add(-length), To: midnight}
		for _, by := range []history.Dimension{history.ByQuery, history.ByWaitEvent, history.ByUser} {
			plan, err := history.ActivityQuestion{Range: r, By: by}.Plan(nil)
			if err != nil {
				t.Fatal(err)
			}
			want := plan.Grain.Step()
			if plan.Grain == history.GrainTick {
				want = plan.Step
			}
			if got := step("activity_step", r); got != want {
				t.Errorf("%s by %s: %s, the planner takes %s", length, by, got, want)
			}
		}
		plan, err := history.PlanFleet(r, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := step("fleet_step", r), plan.Grain.Step(); got != want {
			t.Errorf("%s of all servers: %s, the planner takes %s", length, got, want)
		}
		series, err := history.PlanSeries(r, 0)
		if err != nil {
			t.Fatal(err)
		}
		// What the API answers from rows alone comes from ten minutes too.
		if got, want := step("database_step", r), series.Grain.Step(); got != want && (series.Grain != history.GrainSample || got > 10*time.Minute) {
			t.Errorf("%s of databases: %s, the planner takes %s", length, got, series.Grain)
		}
	}
}
