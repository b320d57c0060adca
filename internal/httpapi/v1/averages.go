package v1

import (
	"math"
	"strconv"
	"time"
)

// instants are starts of buckets. Like averageSeries, they write themselves.
type instants []time.Time

// MarshalJSON implements json.Marshaler.
func (s instants) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, len(`"2006-01-02T15:04:05Z",`)*len(s)+2), '[')
	for i, t := range s {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(t.UTC().AppendFormat(append(out, '"'), time.RFC3339Nano), '"')
	}
	return append(out, ']'), nil
}

// averageSeries are sessions on average, one element a bucket; nil: not known. There
// may be thousands in an answer, so they write themselves: it is faster, and
// rounding makes them shorter.
type averageSeries []*float64

const (
	// averageDecimals are enough to show one sample among the ticks of a day.
	averageDecimals = 6
	averageUnit     = 1_000_000
)

// MarshalJSON implements json.Marshaler.
func (s averageSeries) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, 8*len(s)+2), '[')
	for i, v := range s {
		if i > 0 {
			out = append(out, ',')
		}
		if v == nil {
			out = append(out, "null"...)
			continue
		}
		out = appendAverage(out, *v)
	}
	return append(out, ']'), nil
}

// appendAverage writes a number that is not negative, and far less than can be
// counted.
func appendAverage(out []byte, v float64) []byte {
	n := int64(math.Round(v * averageUnit))
	out = strconv.AppendInt(out, n/averageUnit, 10)
	rest := n % averageUnit
	if rest == 0 {
		return out
	}
	var digits [averageDecimals]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + rest%10)
		rest /= 10
	}
	end := len(digits)
	for digits[end-1] == '0' {
		end--
	}
	return append(append(out, '.'), digits[:end]...)
}

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
