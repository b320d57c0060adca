package history

import (
	"errors"
	"fmt"
)

// Filter leaves only sessions whose value of each dimension in it is one of
// those listed, as in Key.Label; the empty text is none. Nil leaves all.
type Filter map[Dimension][]string

// family is what stored counts a dimension is made from: those derived from
// history.wait share one.
func (d Dimension) family() Dimension {
	switch d {
	case ByWaitClass, ByState:
		return ByWaitEvent
	default:
		return d
	}
}

// Within reports whether the filter asks for nothing but dimensions that are
// counted together with d: then sums by d answer it, else windows must.
func (f Filter) Within(d Dimension) bool {
	for other, values := range f {
		if len(values) > 0 && other.family() != d.family() {
			return false
		}
	}
	return true
}

// Empty reports whether the filter leaves all sessions.
func (f Filter) Empty() bool {
	for _, values := range f {
		if len(values) > 0 {
			return false
		}
	}
	return true
}

// Bounds of the number of keys in an answer.
const (
	DefaultKeys = 10
	MaxKeys     = 100
)

// limited gives the number of keys to show; zero is the default.
func limited(n int) (int, error) {
	switch {
	case n == 0:
		return DefaultKeys, nil
	case n < 0 || n > MaxKeys:
		return 0, fmt.Errorf("%w: limit must be 1 to %d", ErrInvalid, MaxKeys)
	}
	return n, nil
}

// TopQuestion asks what took the time in a range.
type TopQuestion struct {
	Range  Range
	By     Dimension
	Filter Filter
	// Limit is how many keys are listed; zero: DefaultKeys.
	Limit int
}

// Top says what took the time in a range, the most frequent key first.
type Top struct {
	// Range is as answered: wider than asked where nothing finer is kept.
	Range Range
	By    Dimension
	// Grain is the coarsest that the answer was made from; the ends of the range
	// and what is not summed up yet come from finer ones.
	Grain Grain
	// Answered counts the ticks whose sessions were read, Samples the session
	// samples that fit the filter.
	Answered, Samples int64
	Rows              []TopRow
	// TailKeys is the least number of keys that are not listed, TailSamples what
	// is not counted in Rows. Where sums of a busy server were taken, some of it
	// may belong to keys in Rows: a sum lists its hundred most frequent.
	TailKeys    int
	TailSamples int64
	// Unlisted is the part of TailSamples of which it is not known whose it is.
	Unlisted int64
	Coverage Coverage
}

// TopRow is one key of a Top.
type TopRow struct {
	Key     Key
	Samples int64
	// Average is the average number of sessions, Share the part of all samples
	// that fit the filter, from 0 to 1.
	Average, Share float64
	// Peak is the most sessions in one tick; nil: it is not known.
	Peak *int32
}

// CompareQuestion asks the same of two ranges.
type CompareQuestion struct {
	Range, Other Range
	By           Dimension
	Filter       Filter
	// Limit is how many keys of each range are listed; zero: DefaultKeys.
	Limit int
}

// Comparison is two Tops side by side.
type Comparison struct {
	Top, Other Top
	// Rows are the keys listed in either, those that changed most first.
	Rows []ComparisonRow
}

// ComparisonRow is one key of a Comparison. Nil: it is not known, because no
// tick of that range was answered, or its sums list more frequent keys only.
type ComparisonRow struct {
	Key        Key
	Top, Other *TopRow
	// Change is the average number of sessions minus that of the other range.
	Change *float64
}

// Complete fills in what was left out, and checks the rest. The error wraps
// ErrInvalid.
func (q TopQuestion) Complete() (TopQuestion, error) {
	var err1, err2 error
	q.By, err1 = q.Filter.completes(q.By)
	q.Limit, err2 = limited(q.Limit)
	return q, errors.Join(err1, err2)
}

// Complete is as that of TopQuestion.
func (q ActivityQuestion) Complete() (ActivityQuestion, error) {
	var err1, err2 error
	q.By, err1 = q.Filter.completes(q.By)
	q.Limit, err2 = limited(q.Limit)
	return q, errors.Join(err1, err2)
}

// completes gives the dimension, or that which is taken where none is asked for.
func (f Filter) completes(by Dimension) (Dimension, error) {
	if by == "" {
		by = ByWaitClass
	}
	var faults []error
	for d := range f {
		_, err := ParseDimension(string(d))
		faults = append(faults, err)
	}
	_, err := ParseDimension(string(by))
	return by, errors.Join(append(faults, err)...)
}

// Top is the part of the question about its first range, Second that about the
// other.
func (q CompareQuestion) Top() TopQuestion {
	return TopQuestion{Range: q.Range, By: q.By, Filter: q.Filter, Limit: q.Limit}
}

// Second is the part of the question about the other range.
func (q CompareQuestion) Second() TopQuestion {
	return TopQuestion{Range: q.Other, By: q.By, Filter: q.Filter, Limit: q.Limit}
}
