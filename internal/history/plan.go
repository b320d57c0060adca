package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grain says which sums an answer came from.
type Grain string

// The grains of activity.
const (
	GrainWindow     Grain = "window" // every tick
	GrainMinute     Grain = "minute"
	GrainTenMinutes Grain = "10minute"
	GrainHour       Grain = "hour"
	GrainDay        Grain = "day"
)

// Step is the width of a grain's buckets; zero for windows.
func (g Grain) Step() time.Duration {
	switch g {
	case GrainMinute:
		return time.Minute
	case GrainTenMinutes:
		return 10 * time.Minute
	case GrainHour:
		return time.Hour
	case GrainDay:
		return 24 * time.Hour
	case GrainWindow:
	}
	return 0
}

// grains lists the sums by a dimension that lead to an answer, the coarsest
// first. Wait classes are summed up by minute as windows are written, and by
// hour and day of those; all else by ten minutes, waits by minute too.
func grains(d Dimension, f Filter) []Grain {
	switch {
	case !f.Within(d):
		return []Grain{GrainWindow}
	case d == ByWaitClass && f.Empty():
		return []Grain{GrainDay, GrainHour, GrainMinute, GrainWindow}
	case d.family() == ByWaitEvent:
		return []Grain{GrainDay, GrainHour, GrainTenMinutes, GrainMinute, GrainWindow}
	}
	return []Grain{GrainDay, GrainHour, GrainTenMinutes, GrainWindow}
}

// Kept says since when each grain is kept. A grain that is not in it was never
// thrown away.
type Kept map[Grain]time.Time

func (k Kept) holds(g Grain, t time.Time) bool { return !t.Before(k[g]) }

// String says it to a person.
func (k Kept) String() string {
	names := map[Grain]string{
		GrainWindow: "single ticks", GrainMinute: "sums by minute", GrainTenMinutes: "by ten minutes", GrainHour: "by hour", GrainDay: "by day",
	}
	var list []string
	for _, g := range []Grain{GrainWindow, GrainMinute, GrainTenMinutes, GrainHour, GrainDay} {
		if since, limited := k[g]; limited {
			list = append(list, names[g]+" since "+since.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(list, ", ")
}

// ActivityPlan says how a question about activity is answered.
type ActivityPlan struct {
	// Range is what was asked for, widened to whole minutes where the step is a
	// minute or more, and to what is still kept at its ends.
	Range Range
	// Step is the width of a bucket; zero for a question without buckets.
	Step time.Duration
	// Grain is the coarsest that serves, in an answer the coarsest that served.
	// Grains are all that may, the coarsest first: the finer ones for the ends of
	// the range and what is not summed up yet.
	Grain  Grain
	Grains []Grain
}

// steps are what is chosen from when no step was asked for; from ten minutes
// on, those of all dimensions.
var (
	steps = []time.Duration{ //nolint:gochecknoglobals // constant table
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
	}
	tenMinuteSteps = []time.Duration{ //nolint:gochecknoglobals // constant table
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
	}
)

// PlanActivity is Plan for wait classes, of all that may be kept.
func PlanActivity(r Range, step time.Duration) (ActivityPlan, error) {
	return ActivityQuestion{Range: r, Step: step, By: ByWaitClass}.Plan(nil)
}

// Plan chooses grain and step. A step of zero takes the finest that gives at
// most 720 buckets. Steps are whole seconds; from a minute on they are whole
// minutes. The error wraps ErrInvalid or ErrGone and says what to ask instead.
func (q ActivityQuestion) Plan(kept Kept) (ActivityPlan, error) {
	all := grains(q.By, q.Filter)
	// What is not a multiple of the finest sums is counted from windows.
	unit, choice := time.Minute, steps
	switch {
	case len(all) == 1:
		unit = time.Second
	case !slices.Contains(all, GrainMinute):
		unit, choice = 10*time.Minute, tenMinuteSteps
	}
	short := q.Range.Length() <= MaxWindowRange
	step := q.Step
	if step == 0 {
		for _, step = range choice {
			if q.Range.Length() <= 720*step && (short || step%unit == 0) {
				break
			}
		}
	}
	plan := ActivityPlan{Range: q.Range, Step: step}
	switch {
	case step < time.Second || step%time.Second != 0:
		return plan, fmt.Errorf("%w: step must be a whole number of seconds, at least 1s", ErrInvalid)
	case step > time.Minute && step%time.Minute != 0:
		return plan, fmt.Errorf("%w: a step of a minute or more must be whole minutes", ErrInvalid)
	case len(all) == 1 && !short:
		return plan, errFilter(q.By)
	case step%unit != 0 && !short && unit == time.Minute:
		return plan, fmt.Errorf("%w: a step below 1m is answered for at most %s: ask for a shorter range or a longer step", ErrInvalid, MaxWindowRange)
	case step%unit != 0 && !short:
		return plan, fmt.Errorf("%w: by %s, a step that is not a multiple of 10m is answered for at most %s: ask for a shorter range or a step such as 10m, 1h or 1d",
			ErrInvalid, q.By, MaxWindowRange)
	}
	if step >= time.Minute {
		plan.Range = q.Range.Widen(time.Minute)
	}
	if n := plan.Buckets(); n > MaxPoints {
		return plan, fmt.Errorf("%w: the range holds %d steps, more than %d: ask for a shorter range or a longer step", ErrInvalid, n, MaxPoints)
	}
	for _, g := range all {
		// Minutes of wait classes are always up to date.
		always := q.By == ByWaitClass && q.Filter.Empty() && step >= time.Minute
		if g == GrainWindow && !always || g != GrainWindow && step%g.Step() == 0 {
			plan.Grains = append(plan.Grains, g)
		}
	}
	return plan.fit(kept)
}

func errFilter(by Dimension) error {
	return fmt.Errorf("%w: a filter on another dimension than %s is answered from single ticks, for at most %s: ask for a shorter range, or group by the dimension of the filter",
		ErrInvalid, by, MaxWindowRange)
}

// Plan says how a Top is answered. The error wraps ErrInvalid or ErrGone.
func (q TopQuestion) Plan(kept Kept) (ActivityPlan, error) {
	plan := ActivityPlan{Range: q.Range, Grains: grains(q.By, q.Filter)}
	if q.By == ByWaitClass && q.Filter.Empty() {
		plan.Grains = grains(ByWaitEvent, nil) // peaks
	}
	if len(plan.Grains) == 1 && q.Range.Length() > MaxWindowRange {
		return plan, errFilter(q.By)
	}
	return plan.fit(kept)
}

// fit chooses the coarsest grain that is kept from the start of the range on,
// and moves the ends to where something is kept.
func (p ActivityPlan) fit(kept Kept) (ActivityPlan, error) {
	for _, g := range p.Grains {
		if kept.holds(g, p.Range.From) && (g != GrainWindow || p.Range.Length() <= MaxWindowRange) {
			p.Grain = g
			break
		}
	}
	if p.Grain == "" {
		hint := "begin there"
		if p.Step > 0 {
			hint += ", or ask for a step that longer kept sums serve"
		}
		return p, fmt.Errorf("%w: the range begins before what is kept to answer it from: %s: %s", ErrGone, kept, hint)
	}
	p.Range.From = Floor(p.Range.From, p.finest(kept, p.Range.From))
	if step := p.finest(kept, p.Range.To); step > time.Microsecond {
		p.Range = Range{p.Range.From, Floor(p.Range.To.Add(step-1), step)}
	}
	return p, nil
}

// finest gives the width of the finest sums that are kept at an instant.
func (p ActivityPlan) finest(kept Kept, t time.Time) time.Duration {
	for _, g := range slices.Backward(p.Grains) {
		if kept.holds(g, t) {
			return max(g.Step(), time.Microsecond)
		}
	}
	return time.Microsecond
}

// Buckets is how many steps, aligned to the Unix epoch, the range touches.
func (p ActivityPlan) Buckets() int {
	return int(p.Range.Widen(p.Step).Length() / p.Step)
}

// Stretch is a part of a range that one grain answers.
type Stretch struct {
	Grain Grain
	Range Range
}

// Open is a bucket of sums that is not made, or older than what it sums up; so
// are all longer ones that it lies in. Those by minute are made with those by
// ten minutes.
type Open struct {
	Step  time.Duration
	Start time.Time
}

// Stretches cuts the range of a plan into what each grain answers, by time. What
// is open, in the order of time, is taken from the next finer grain, if that is
// kept.
func (p ActivityPlan) Stretches(kept Kept, open []Open) []Stretch {
	var all []Stretch
	p.cut(kept, open, p.Range, 0, &all)
	return all
}

// Coarsest gives the coarsest grain of some stretches, and that of the plan if
// there are none.
func (p ActivityPlan) Coarsest(parts []Stretch) Grain {
	for _, g := range p.Grains {
		if slices.ContainsFunc(parts, func(part Stretch) bool { return part.Grain == g }) {
			return g
		}
	}
	return p.Grain
}

func (p ActivityPlan) cut(kept Kept, open []Open, r Range, level int, to *[]Stretch) {
	if r.Empty() {
		return
	}
	g := p.Grains[level]
	if level == len(p.Grains)-1 || g == GrainWindow {
		*to = append(*to, Stretch{g, r})
		return
	}
	step := g.Step()
	whole := Range{Floor(r.From.Add(step-1), step), Floor(r.To, step)}
	if since := kept[g]; whole.From.Before(since) {
		whole.From = Floor(since.Add(step-1), step)
	}
	if whole.Empty() {
		p.cut(kept, open, r, level+1, to)
		return
	}
	p.cut(kept, open, Range{r.From, whole.From}, level+1, to)
	next := whole.From // all before it is in to
	for _, one := range open {
		o := Range{one.Start, one.Start.Add(one.Step)}.Widen(step).Clip(Range{next, whole.To})
		if o.Empty() || one.Step > max(step, GrainTenMinutes.Step()) || !kept.holds(p.Grains[level+1], o.From) {
			continue
		}
		if next.Before(o.From) {
			*to = append(*to, Stretch{g, Range{next, o.From}})
		}
		p.cut(kept, open, o, level+1, to)
		next = o.To
	}
	if next.Before(whole.To) {
		*to = append(*to, Stretch{g, Range{next, whole.To}})
	}
	p.cut(kept, open, Range{whole.To, r.To}, level+1, to)
}
