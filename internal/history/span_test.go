package history

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever is kept and open, the stretches of a plan fill its range, which holds
// what was asked for; also at the ends of time that can be counted.
func TestStretchesFillAnyRange(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	first, last := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2199, 12, 31, 0, 0, 0, 0, time.UTC)
	instant := func() time.Time {
		switch rnd.IntN(3) {
		case 0:
			return first.Add(time.Duration(rnd.Int64N(int64(last.Sub(first)))))
		case 1:
			return last.Add(-time.Duration(rnd.Int64N(1e15)))
		}
		return time.Date(2024, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(rnd.Int64N(1e16)))
	}
	answered := 0
	for range 5000 {
		from := instant()
		r, err := NewRange(from, from.Add(time.Duration(rnd.Int64N(int64(1)<<(40+rnd.IntN(23))))))
		if err != nil {
			continue
		}
		kept := Kept{}
		for i, g := range []Grain{GrainDay, GrainHour, GrainTenMinutes, GrainMinute, GrainTick} {
			if rnd.IntN(3) > 0 {
				kept[g] = time.Date(2024, time.Month(1+i), 1, 0, 0, 0, 0, time.UTC)
			}
		}
		var open []time.Time
		for at := r.From; rnd.IntN(4) > 0; at = at.Add(time.Duration(rnd.Int64N(1e14))) {
			open = append(open, Floor(at, 10*time.Minute))
		}
		by := Dimensions()[rnd.IntN(len(Dimensions()))]
		step := []time.Duration{0, time.Second, time.Minute, 10 * time.Minute, time.Hour, 4095 * 24 * time.Hour}[rnd.IntN(6)]
		plan, err := ActivityQuestion{Range: r, Step: step, By: by}.Plan(kept)
		if rnd.IntN(2) == 0 {
			plan, err = TopQuestion{Range: r, By: by}.Plan(kept)
		}
		if err != nil {
			continue
		}
		answered++
		next := plan.Range.From
		for _, part := range plan.Stretches(kept, open) {
			if !part.Range.From.Equal(next) || part.Range.Empty() {
				t.Fatalf("%v has %v after %s", plan, part, next)
			}
			next = part.Range.To
		}
		if !next.Equal(plan.Range.To) || plan.Range.From.After(r.From) || plan.Range.To.Before(r.To) {
			t.Fatalf("%v of %v: the stretches end at %s", plan, r, next)
		}
	}
	if answered < 500 {
		t.Errorf("only %d questions were answered", answered)
	}
}

// Instants that cannot be counted are refused: a default may lie beyond what is
// accepted as a parameter.
func TestNewRangeIsBounded(t *testing.T) {
	t.Parallel()
	from := time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := NewRange(from, from.AddDate(229, 0, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("until 2428: %v", err)
	}
	if _, err := NewRange(time.Time{}, from); !errors.Is(err, ErrInvalid) {
		t.Errorf("from the year 1: %v", err)
	}
	if r, err := NewRange(from, from.AddDate(1, 0, 0)); err != nil || r.Length() <= 0 {
		t.Errorf("until 2200: %v, %v", r, err)
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
