package v1

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// From an average and the ticks that were answered, the samples can be told.
func TestAverage(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		ticks := 1 + r.Int64N(86_400)
		samples := r.Int64N(200 * ticks)
		if got := int64(math.Round(average(samples, ticks) * float64(ticks))); got != samples {
			t.Fatalf("%d samples of %d ticks are told as %v", samples, ticks, average(samples, ticks))
		}
	}
	if text, err := json.Marshal(averages([]int64{10, 60, 0, 4}, []int64{60, 60, 60, 0})); err != nil || string(text) != "[0.167,1,0,null]" {
		t.Errorf("%s (%v)", text, err)
	}
}
