package history

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestPlanActivity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		length time.Duration
		step   time.Duration
		want   time.Duration // 0: refused
		grain  Grain
	}{
		{"ten minutes", 10 * time.Minute, 0, time.Second, GrainTick},
		{"an hour", time.Hour, 0, 5 * time.Second, GrainTick},
		{"a day", 24 * time.Hour, 0, 5 * time.Minute, GrainMinute},
		{"a year", 365 * 24 * time.Hour, 0, 24 * time.Hour, GrainDay},
		{"seven hours", 7 * time.Hour, 0, time.Minute, GrainMinute},
		{"as asked", 24 * time.Hour, 2 * time.Minute, 2 * time.Minute, GrainMinute},
		{"too fine for the range", 24 * time.Hour, 10 * time.Second, 0, ""},
		{"too many steps", 365 * 24 * time.Hour, time.Minute, 0, ""},
		{"half a second", time.Minute, 500 * time.Millisecond, 0, ""},
		{"negative", time.Minute, -time.Second, 0, ""},
		{"a minute and a half", time.Hour, 90 * time.Second, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := Range{at(7), at(7).Add(tt.length)}
			plan, err := ActivityQuestion{Range: r, Step: tt.step, By: ByWaitClass}.Plan(nil)
			if tt.want == 0 {
				if err == nil {
					t.Fatalf("accepted as %+v", plan)
				}
				return
			}
			if err != nil || plan.Step != tt.want || plan.Grain != tt.grain {
				t.Fatalf("got %+v, %v; want step %s from %s", plan, err, tt.want, tt.grain)
			}
			times := plan.Times()
			for _, edge := range []time.Time{plan.Range.From, plan.Range.To.Add(-1)} {
				i := plan.bucket(edge)
				if i < 0 || i >= len(times) || edge.Before(times[i]) || !edge.Before(times[i].Add(plan.Step)) {
					t.Errorf("%s is in bucket %d of %d", edge, i, len(times))
				}
			}
		})
	}
}

func TestPlanByDimension(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	r := func(length time.Duration) Range { return Range{noon, noon.Add(length)} }
	foreign := Filter{ByDatabase: {Any: []string{"shop"}}}
	for _, tt := range []struct {
		name  string
		q     ActivityQuestion
		step  time.Duration
		grain Grain // empty: refused
	}{
		{"a day of queries", ActivityQuestion{Range: r(day), By: ByQuery}, 10 * time.Minute, GrainTenMinutes},
		{"an hour of queries", ActivityQuestion{Range: r(time.Hour), By: ByQuery}, 5 * time.Second, GrainTick},
		{"no finer than it is looked at", ActivityQuestion{Range: r(time.Hour), By: ByQuery, Cadence: 10 * time.Second}, 15 * time.Second, GrainTick},
		{"queries by five minutes", ActivityQuestion{Range: r(6 * time.Hour), By: ByQuery, Step: 5 * time.Minute}, 5 * time.Minute, GrainTick},
		{"a day of queries by five minutes", ActivityQuestion{Range: r(day), By: ByQuery, Step: 5 * time.Minute}, 0, ""},
		{"a day of events by five minutes", ActivityQuestion{Range: r(day), By: ByWaitEvent, Step: 5 * time.Minute}, 0, ""},
		{"a day of events", ActivityQuestion{Range: r(day), By: ByWaitEvent}, 10 * time.Minute, GrainTenMinutes},
		{"a month of users", ActivityQuestion{Range: r(30 * day), By: ByUser, Step: time.Hour}, time.Hour, GrainHour},
		{"a month of classes", ActivityQuestion{Range: r(30 * day), By: ByWaitClass, Step: time.Hour}, time.Hour, GrainHour},
		{"a year of states", ActivityQuestion{Range: r(365 * day), By: ByState}, day, GrainDay},
		{"a filter of its own", ActivityQuestion{Range: r(30 * day), By: ByDatabase, Filter: foreign, Step: time.Hour}, time.Hour, GrainHour},
		{"a filter of waits", ActivityQuestion{Range: r(30 * day), By: ByWaitEvent, Filter: Filter{ByWaitClass: {Not: []string{"lock"}}}, Step: time.Hour}, time.Hour, GrainHour},
		{"another filter", ActivityQuestion{Range: r(6 * time.Hour), By: ByQuery, Filter: foreign, Step: time.Hour}, time.Hour, GrainTick},
		{"another filter of a day", ActivityQuestion{Range: r(day), By: ByQuery, Filter: foreign, Step: time.Hour}, 0, ""},
		{"an empty filter", ActivityQuestion{Range: r(day), By: ByQuery, Filter: Filter{ByDatabase: {}}, Step: time.Hour}, time.Hour, GrainHour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan, err := tt.q.Plan(nil)
			if tt.grain == "" {
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("%+v, %v", plan, err)
				}
				return
			}
			if err != nil || plan.Step != tt.step || plan.Grain != tt.grain {
				t.Errorf("%+v, %v; want step %s from %s", plan, err, tt.step, tt.grain)
			}
		})
	}
}

func TestPlanRefusesWhatIsGone(t *testing.T) {
	t.Parallel()
	kept := Kept{GrainTick: noon, GrainTenMinutes: noon.AddDate(0, 0, -10), GrainHour: noon.AddDate(-1, 0, 0), GrainDay: noon.AddDate(-1, 0, 0)}
	ask := func(from time.Time, step time.Duration) (Plan, error) {
		return ActivityQuestion{Range: Range{from, noon.Add(time.Hour)}, By: ByQuery, Step: step}.Plan(kept)
	}
	if plan, err := ask(noon, 0); err != nil || plan.Grain != GrainTick {
		t.Errorf("%+v, %v", plan, err)
	}
	plan, err := ask(noon.Add(-7*time.Minute), 10*time.Minute)
	if err != nil || plan.Grain != GrainTenMinutes || !plan.Range.From.Equal(noon.Add(-10*time.Minute)) || !plan.Range.To.Equal(noon.Add(time.Hour)) {
		t.Errorf("older than ticks: %+v, %v", plan, err)
	}
	if plan, err := ask(noon.AddDate(0, 0, -11), time.Hour); err != nil || plan.Grain != GrainHour {
		t.Errorf("older than ten minutes: %+v, %v", plan, err)
	}
	for from, step := range map[time.Time]time.Duration{noon.Add(-time.Minute): time.Second, noon.AddDate(0, 0, -11): 10 * time.Minute, noon.AddDate(-2, 0, 0): 24 * time.Hour} {
		if plan, err := ask(from, step); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "by hour since 2025-11-22T12:00:00Z") {
			t.Errorf("from %s by %s: %+v, %v", from, step, plan, err)
		}
	}
	if top, err := (TopQuestion{Range: Range{noon.AddDate(-2, 0, 0), noon}, By: ByQuery}).Plan(kept); !errors.Is(err, ErrGone) {
		t.Errorf("top: %+v, %v", top, err)
	}
}

// Whatever is open and kept: stretches are in order, leave nothing of the range
// out and take nothing twice; sums are whole buckets, none of them open where
// something finer is kept.
func TestStretches(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		at := func(span time.Duration) time.Time {
			return noon.Add(time.Duration(rnd.Int64N(int64(span))).Truncate(time.Second))
		}
		from := at(40 * time.Hour)
		q := TopQuestion{Range: Range{from, from.Add(time.Second + time.Duration(rnd.Int64N(int64(90*time.Hour))))}, By: Dimensions()[rnd.IntN(9)]}
		var open []time.Time
		for range rnd.IntN(12) {
			open = append(open, Floor(at(130*time.Hour), 10*time.Minute))
		}
		slices.SortFunc(open, time.Time.Compare)
		kept := Kept{}
		if rnd.IntN(2) == 0 {
			kept = Kept{GrainTick: Floor(at(50*time.Hour), 24*time.Hour), GrainTenMinutes: Floor(at(20*time.Hour), 24*time.Hour)}
		}
		plan, err := q.Plan(kept)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		next := plan.Range.From
		for _, s := range plan.Stretches(kept, open) {
			if !s.Range.From.Equal(next) || s.Range.Empty() {
				t.Fatalf("seed %d: %v after %s", seed, s, next)
			}
			next = s.Range.To
			if s.Grain == GrainTick {
				if !kept.holds(GrainTick, s.Range.From) {
					t.Fatalf("seed %d: ticks of %v are not kept", seed, s.Range)
				}
				continue
			}
			if s.Range != s.Range.Widen(s.Grain.Step()) {
				t.Fatalf("seed %d: %v is no whole buckets", seed, s)
			}
			for _, bucket := range open {
				finer := plan.Grains[slices.Index(plan.Grains, s.Grain)+1]
				if s.Range.Holds(bucket) && kept.holds(finer, Floor(bucket, s.Grain.Step())) {
					t.Fatalf("seed %d: %v is taken though %v is open", seed, s, bucket)
				}
			}
		}
		if !next.Equal(plan.Range.To) {
			t.Fatalf("seed %d: nothing from %s to %s", seed, next, plan.Range.To)
		}
	}
}
