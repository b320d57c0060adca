package v1

import "math"

// averageUnit is one over the smallest part of a session that averages show: a
// sample among the ticks of a day.
const averageUnit = 1_000_000

// average divides samples by ticks, rounded so that a sample more or less still
// shows: a minute's has three decimals.
func average(samples, ticks int64) float64 {
	unit := 1e3
	for unit < averageUnit && float64(4*ticks) > unit {
		unit *= 10
	}
	return math.Round(float64(samples)/float64(ticks)*unit) / unit
}

// rounded gives a number with the decimals that averages have at most.
func rounded(v float64) float64 { return math.Round(v*averageUnit) / averageUnit }

func roundedOrNull(v *float64) *float64 {
	if v == nil {
		return nil
	}
	short := rounded(*v)
	return &short
}
