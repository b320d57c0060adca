package v1

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func TestAverageSeries(t *testing.T) {
	t.Parallel()
	of := func(values ...float64) (s averageSeries) {
		for _, v := range values {
			s = append(s, &v)
		}
		return s
	}
	for want, series := range map[string]averageSeries{
		`[]`: {}, `[null]`: {nil}, `[0,1,2.5,0.333333,1.000001,40]`: of(0, 1, 2.5, 1.0/3, 1.000001, 40), `[0.000012,1,99.9]`: of(1.0/86400, 0.9999999, 99.9),
	} {
		if got, err := json.Marshal(series); err != nil || string(got) != want {
			t.Errorf("%s, want %s (%v)", got, want, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		v := float64(r.IntN(1_000_000)) / float64(1+r.IntN(90_000))
		var got float64
		text := appendAverage(nil, v)
		if err := json.Unmarshal(text, &got); err != nil || math.Abs(got-v) > 0.6/averageUnit {
			t.Fatalf("%v is written as %s (%v)", v, text, err)
		}
	}
}
