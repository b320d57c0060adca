package v1

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
)

// There may be thousands of elements in a series, so the series write
// themselves: it is faster, and rounding makes them shorter. Where the body they
// are in writes itself too, they do so right into the memory that is sent, which
// encoding/json would have them copied into.

// selfWriter is a value that writes itself as JSON.
type selfWriter interface {
	AppendJSON(to []byte) []byte
}

// appendField appends a field to an object that was begun.
func appendField(to []byte, name string, value any) []byte {
	if to[len(to)-1] != '{' {
		to = append(to, ',')
	}
	return appendValue(append(append(append(to, '"'), name...), `":`...), value)
}

// appendValue appends what cannot fail to be written.
func appendValue(to []byte, value any) []byte {
	if v, ok := value.(selfWriter); ok {
		return v.AppendJSON(to)
	}
	out := bytes.NewBuffer(to)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	_ = e.Encode(value)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// appendSeries appends a list of what each appends.
func appendSeries[T any](to []byte, series []T, each func(to []byte, v T) []byte) []byte {
	to = append(to, '[')
	for i, v := range series {
		if i > 0 {
			to = append(to, ',')
		}
		to = each(to, v)
	}
	return append(to, ']')
}

// instants are starts of buckets.
type instants []time.Time

// AppendJSON implements selfWriter.
func (s instants) AppendJSON(to []byte) []byte {
	return appendSeries(slices.Grow(to, len(`"2006-01-02T15:04:05Z",`)*len(s)+2), s, func(to []byte, t time.Time) []byte {
		return append(t.UTC().AppendFormat(append(to, '"'), time.RFC3339Nano), '"')
	})
}

// MarshalJSON implements json.Marshaler.
func (s instants) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

// countSeries are numbers, one element a bucket; nil: not known.
type countSeries []*int32

// AppendJSON implements selfWriter.
func (s countSeries) AppendJSON(to []byte) []byte {
	return appendSeries(slices.Grow(to, 4*len(s)+2), s, func(to []byte, n *int32) []byte {
		if n == nil {
			return append(to, "null"...)
		}
		return strconv.AppendInt(to, int64(*n), 10)
	})
}

// MarshalJSON implements json.Marshaler.
func (s countSeries) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

// averageSeries are sessions on average, one element a bucket; nil: not known.
type averageSeries []*float64

const (
	// averageDecimals are enough to show one sample among the ticks of a day.
	averageDecimals = 6
	averageUnit     = 1_000_000
)

// AppendJSON implements selfWriter.
func (s averageSeries) AppendJSON(to []byte) []byte {
	return appendSeries(slices.Grow(to, 8*len(s)+2), s, func(to []byte, v *float64) []byte {
		if v == nil {
			return append(to, "null"...)
		}
		return appendAverage(to, *v)
	})
}

// MarshalJSON implements json.Marshaler.
func (s averageSeries) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

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
