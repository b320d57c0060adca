package history

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgam/pgam/internal/sample"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestLedger(t *testing.T) {
	t.Parallel()
	type reasons = map[sample.Reason]int64
	full := func(l *Ledger, from, to int, phase float64) {
		for s := from; s < to; s++ {
			l.Tick(at(float64(s)+phase), time.Second, sample.OK, sample.None)
		}
	}
	tests := []struct {
		name string
		fill func(*Ledger)
		want Coverage
	}{
		{
			name: "nothing ran",
			fill: func(*Ledger) {},
			want: Coverage{Planned: 60, Skipped: 60, SkippedBy: reasons{sample.NotRunning: 60}, LongestGap: time.Minute},
		},
		{
			name: "every tick",
			fill: func(l *Ledger) { full(l, 0, 60, 0.7) },
			want: Coverage{Planned: 60, OK: 60},
		},
		{
			name: "phase zero",
			fill: func(l *Ledger) { full(l, 0, 60, 0) },
			want: Coverage{Planned: 60, OK: 60},
		},
		{
			name: "late by some milliseconds at both edges",
			fill: func(l *Ledger) { full(l, 0, 60, 0.03) },
			want: Coverage{Planned: 60, OK: 60},
		},
		{
			name: "hole in the middle",
			fill: func(l *Ledger) { full(l, 0, 20, 0.4); full(l, 30, 60, 0.4) },
			want: Coverage{Planned: 60, OK: 50, Skipped: 10, SkippedBy: reasons{sample.NotRunning: 10}, LongestGap: 11 * time.Second},
		},
		{
			name: "failures and an overrun",
			fill: func(l *Ledger) {
				full(l, 0, 10, 0.2)
				for s := 10; s < 15; s++ {
					l.Tick(at(float64(s)+0.2), time.Second, sample.Failed, sample.Timeout)
				}
				l.Tick(at(15.2), time.Second, sample.Skipped, sample.Overrun)
				l.Tick(at(16.2), time.Second, sample.Degraded, sample.LockTimeout)
				full(l, 17, 60, 0.2)
			},
			want: Coverage{
				Planned: 60, OK: 53, Degraded: 1, Failed: 5, Skipped: 1,
				FailedBy: reasons{sample.Timeout: 5}, SkippedBy: reasons{sample.Overrun: 1}, LongestGap: 7 * time.Second,
			},
		},
		{
			name: "failures that begin when they are given up",
			fill: func(l *Ledger) {
				for s := range 20 { // from the start of the range on
					l.Tick(at(float64(s)+0.4+0.8*float64((s+1)%2)), time.Second, sample.Failed, sample.Timeout)
				}
				l.Block(at(20), 10*time.Second, time.Second, Tally{OK: 10})
				full(l, 30, 40, 0.4)
				for s := 40; s < 50; s++ {
					l.Tick(at(float64(s)+0.4+0.8*float64(s%3)/2), time.Second, sample.Failed, sample.Timeout)
				}
				for s := 55; s < 60; s++ { // 5 are missing
					l.Tick(at(float64(s)+0.4+0.1*float64(s%2)), time.Second, sample.Failed, sample.Timeout)
				}
			},
			want: Coverage{
				Planned: 60, OK: 20, Failed: 35, Skipped: 5, FailedBy: reasons{sample.Timeout: 35}, SkippedBy: reasons{sample.NotRunning: 5},
				LongestGap: 20600 * time.Millisecond,
			},
		},
		{
			name: "what is missing before failures that begin late",
			fill: func(l *Ledger) {
				for s := 30; s < 60; s++ {
					l.Tick(at(float64(s)+0.7+0.8*float64((s+1)%2)), time.Second, sample.Failed, sample.Timeout)
				}
			},
			want: Coverage{
				Planned: 60, Failed: 30, Skipped: 30, FailedBy: reasons{sample.Timeout: 30}, SkippedBy: reasons{sample.NotRunning: 30},
				LongestGap: time.Minute,
			},
		},
		{
			name: "block between ticks of another phase",
			fill: func(l *Ledger) {
				full(l, 0, 20, 0.9)
				l.Block(at(20), 20*time.Second, time.Second, Tally{OK: 19, Degraded: 1})
				full(l, 40, 60, 0.9)
			},
			want: Coverage{Planned: 60, OK: 59, Degraded: 1},
		},
		{
			name: "a block with failures, some ticks of it missing",
			fill: func(l *Ledger) {
				l.Block(noon, 20*time.Second, time.Second, Tally{OK: 20})
				l.Block(at(20), 20*time.Second, time.Second, Tally{Failed: 15, Skipped: 1})
				l.Block(at(40), 20*time.Second, time.Second, Tally{OK: 20})
			},
			want: Coverage{
				Planned: 60, OK: 40, Failed: 15, Skipped: 5, FailedBy: reasons{sample.None: 15},
				SkippedBy: reasons{sample.None: 1, sample.NotRunning: 4}, LongestGap: 20 * time.Second,
			},
		},
		{
			name: "holes around a block",
			fill: func(l *Ledger) {
				full(l, 0, 10, 0.5)
				l.Block(at(20), 20*time.Second, time.Second, Tally{OK: 20})
				full(l, 45, 60, 0.5)
			},
			want: Coverage{Planned: 60, OK: 45, Skipped: 15, SkippedBy: reasons{sample.NotRunning: 15}, LongestGap: 10500 * time.Millisecond},
		},
		{
			name: "out of the range and out of order",
			fill: func(l *Ledger) {
				l.Tick(at(-0.1), time.Second, sample.OK, sample.None)
				full(l, 0, 60, 0)
				l.Tick(at(30.5), time.Second, sample.Failed, sample.Timeout)
				l.Tick(at(60), time.Second, sample.OK, sample.None)
			},
			want: Coverage{Planned: 60, OK: 60},
		},
		{
			name: "a slower cadence",
			fill: func(l *Ledger) {
				for s := 0; s < 60; s += 5 {
					l.Tick(at(float64(s)+3), 5*time.Second, sample.OK, sample.None)
				}
			},
			want: Coverage{Planned: 12, OK: 12},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := NewLedger(Range{noon, at(60)}, time.Second)
			tt.fill(l)
			tt.want.Range = Range{noon, at(60)}
			if tt.want.FailedBy == nil {
				tt.want.FailedBy = reasons{}
			}
			if tt.want.SkippedBy == nil {
				tt.want.SkippedBy = reasons{}
			}
			if diff := cmp.Diff(tt.want, l.Coverage()); diff != "" {
				t.Errorf("coverage (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever ticks come in whatever order: planned is the sum of the outcomes,
// the reasons add up, and no gap is longer than the range.
func TestLedgerAddsUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := Range{noon, at(1 + rnd.Float64()*300)}
		l := NewLedger(r, time.Duration(1+rnd.IntN(5))*time.Second)
		for now := -5.0; now < 310; now += rnd.Float64() * 20 {
			cadence := time.Duration(rnd.IntN(4)) * time.Second
			if rnd.IntN(4) == 0 {
				tally := Tally{int64(rnd.IntN(20)), int64(rnd.IntN(3)), int64(rnd.IntN(3)), int64(rnd.IntN(3))}
				l.Block(at(now), time.Duration(5+rnd.IntN(20))*time.Second, cadence, tally)
				continue
			}
			l.Tick(at(now-rnd.Float64()*3), cadence, sample.Outcome(rnd.IntN(4)), sample.Reason(1+rnd.IntN(20)))
		}
		c := l.Coverage()
		if c.Planned != c.OK+c.Degraded+c.Failed+c.Skipped {
			t.Fatalf("seed %d: planned is not the sum: %+v", seed, c)
		}
		var failed, skipped int64
		for _, n := range c.FailedBy {
			failed += n
		}
		for _, n := range c.SkippedBy {
			skipped += n
		}
		if failed != c.Failed || skipped != c.Skipped || c.LongestGap > r.Length() || c.LongestGap < 0 {
			t.Fatalf("seed %d: reasons or gap do not fit: %+v", seed, c)
		}
		if again := l.Coverage(); again.Planned != c.Planned {
			t.Fatalf("seed %d: asking again changed the answer", seed)
		}
	}
}

func TestPlanActivity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		length time.Duration
		step   time.Duration
		want   time.Duration // 0: refused
		grain  Grain
	}{
		{"ten minutes", 10 * time.Minute, 0, time.Second, GrainWindow},
		{"an hour", time.Hour, 0, 5 * time.Second, GrainWindow},
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
			plan, err := PlanActivity(r, tt.step)
			if tt.want == 0 {
				if err == nil {
					t.Fatalf("accepted as %+v", plan)
				}
				return
			}
			if err != nil || plan.Step != tt.want || plan.Grain != tt.grain {
				t.Fatalf("got %+v, %v; want step %s from %s", plan, err, tt.want, tt.grain)
			}
			a := NewActivity(plan)
			for _, edge := range []time.Time{plan.Range.From, plan.Range.To.Add(-1)} {
				i, ok := a.Bucket(edge)
				if !ok || i < 0 || i >= len(a.Times) || edge.Before(a.Times[i]) || !edge.Before(a.Times[i].Add(plan.Step)) {
					t.Errorf("%s is in bucket %d of %d (%v)", edge, i, len(a.Times), ok)
				}
			}
			if _, ok := a.Bucket(plan.Range.To); ok {
				t.Error("the end is in the range")
			}
		})
	}
}

func TestAggregationFor(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for length, want := range map[time.Duration]Aggregation{
		day: Raw, 2 * day: Raw, 2*day + 1: Hourly, 14 * day: Hourly, 14*day + 1: FourHours, 90 * day: FourHours, 90*day + 1: Daily,
	} {
		if got := AggregationFor(Range{noon, noon.Add(length)}); got != want {
			t.Errorf("%s: %s, want %s", length, got, want)
		}
	}
}
