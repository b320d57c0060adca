package history

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrInvalid is wrapped by every error about a question that can never be
	// answered; its text is for the person who asked.
	ErrInvalid = errors.New("invalid question")
	// ErrGone is wrapped by errors about a range of which nothing is kept any
	// more; the text says what is.
	ErrGone = errors.New("no longer kept")
	// ErrCounting is wrapped by errors about a range that is not summed up yet
	// and too long to count anew.
	ErrCounting = errors.New("not summed up yet")
	// ErrNoDatabase says that a server has, and had, no database of this name.
	ErrNoDatabase = errors.New("database not found")
)

// Range is the time from From, included, to To, left out.
type Range struct {
	From, To time.Time
}

// The years that a range may lie in: instants are counted in nanoseconds since
// 1970, which fit from 1678 to 2261.
const firstYear, lastYear = 1700, 2200

// NewRange checks that from is before to and none is absurd, and puts both into
// UTC.
func NewRange(from, to time.Time) (Range, error) {
	switch {
	case !from.Before(to):
		return Range{}, fmt.Errorf("%w: from must be before to", ErrInvalid)
	case from.Year() < firstYear || to.Year() > lastYear:
		return Range{}, fmt.Errorf("%w: from and to must lie in the years %d to %d", ErrInvalid, firstYear, lastYear)
	}
	return Range{from.UTC(), to.UTC()}, nil
}

// Length is the time between the ends.
func (r Range) Length() time.Duration { return r.To.Sub(r.From) }

// Empty reports whether the range holds no instant.
func (r Range) Empty() bool { return !r.From.Before(r.To) }

// Clip gives the part of r that lies in o; it may be empty.
func (r Range) Clip(o Range) Range {
	if o.From.After(r.From) {
		r.From = o.From
	}
	if o.To.Before(r.To) {
		r.To = o.To
	}
	return r
}

// Widen moves both ends outwards to multiples of step since the Unix epoch.
func (r Range) Widen(step time.Duration) Range {
	from, to := Floor(r.From, step), Floor(r.To, step)
	if to.Before(r.To) {
		to = to.Add(step)
	}
	return Range{from, to}
}

// Holds reports whether an instant lies in the range.
func (r Range) Holds(t time.Time) bool { return !t.Before(r.From) && t.Before(r.To) }

// earlier and later give one of two instants.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Floor gives the latest multiple of step since the Unix epoch that is not
// after t, in UTC.
func Floor(t time.Time, step time.Duration) time.Time {
	nanos := t.UnixNano()
	rest := nanos % int64(step)
	if rest < 0 {
		rest += int64(step)
	}
	return time.Unix(0, nanos-rest).UTC()
}

// MaxPoints bounds the buckets of one series.
const MaxPoints = 20_000

// MaxTickRange is the longest range that is answered from single ticks, for a
// step shorter than a minute.
const MaxTickRange = 6 * time.Hour

// Aggregation is the width of the buckets of a timeline of databases.
type Aggregation string

// The aggregations of the Python contract.
const (
	Raw       Aggregation = "raw" // a grid of 10 seconds to 5 minutes
	Hourly    Aggregation = "hour"
	FourHours Aggregation = "4hour"
	Daily     Aggregation = "day"
)

// AggregationFor gives the aggregation of a range: raw to 2 days, hours to
// 14, four hours to 90, days beyond.
func AggregationFor(r Range) Aggregation {
	const day = 24 * time.Hour
	switch length := r.Length(); {
	case length <= 2*day:
		return Raw
	case length <= 14*day:
		return Hourly
	case length <= 90*day:
		return FourHours
	}
	return Daily
}

// Step is the width of a bucket; zero for Raw, whose depends on the range.
func (a Aggregation) Step() time.Duration {
	switch a {
	case Hourly:
		return time.Hour
	case FourHours:
		return 4 * time.Hour
	case Daily:
		return 24 * time.Hour
	case Raw:
	}
	return 0
}
