package v1

import (
	"math"
	"strconv"
)

// averageSeries are sessions on average, one element a bucket; nil: not known. There
// may be thousands in an answer, so that they write themselves, with as many
// decimals as a single sample of a day shows in.
type averageSeries []*float64

const (
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
