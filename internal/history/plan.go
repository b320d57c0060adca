package history

import (
	"fmt"
	"slices"
	"time"
)

// Grain says which sums an answer came from.
type Grain string

// The grains.
const (
	GrainTick       Grain = "tick"   // every tick
	GrainSample     Grain = "sample" // of databases: what the collector stored
	GrainMinute     Grain = "minute"
	GrainTenMinutes Grain = "10minute"
	GrainHour       Grain = "hour"
	GrainDay        Grain = "day"
)

// StoredGrain is where a grain is stored.
type StoredGrain struct {
	Grain Grain
	// Step is the width of its buckets; zero for ticks.
	Step time.Duration
	// Sums is the table of sums by wait class and of the ledger of ticks, Rollups
	// that of samples by dimension, with the step where it has several; empty: this
	// grain is not kept of those.
	Sums, Rollups string
}

// Grains lists what is kept of activity, the coarsest first.
func Grains() []StoredGrain {
	return []StoredGrain{
		{GrainDay, 24 * time.Hour, "activity_total", "activity_rollup/86400"},
		{GrainHour, time.Hour, "activity_total", "activity_rollup/3600"},
		{GrainTenMinutes, 10 * time.Minute, "", "activity_rollup/600"},
		{GrainMinute, time.Minute, "activity_minute", ""},
		{GrainTick, 0, "activity", "activity"},
	}
}

// Step is the width of a grain's buckets; zero for ticks.
func (g Grain) Step() time.Duration {
	for _, stored := range Grains() {
		if stored.Grain == g {
			return stored.Step
		}
	}
	return 0
}

// grains lists the sums that lead to an answer, the coarsest first.
func grains(d Dimension, f Filter) (list []Grain) {
	for _, g := range Grains() {
		table := g.Rollups
		if d == ByWaitClass && f.Empty() {
			table = g.Sums
		}
		if table != "" && (f.Within(d) || g.Grain == GrainTick) {
			list = append(list, g.Grain)
		}
	}
	return list
}

// Plan says how a question is answered.
type Plan struct {
	// Range is what was asked for, widened to whole minutes or sums where the step
	// is longer, and to what is still kept at its ends.
	Range Range
	// Step is the width of a bucket; zero for a question without buckets.
	Step time.Duration
	// Grain is the coarsest that serves, in an answer the coarsest that served.
	// Grains are all that may, the coarsest first: the finer ones for the ends of
	// the range and what is not compacted; nil where one grain answers.
	Grain  Grain
	Grains []Grain
}

// stepFor gives the finest of some steps that fits and gives at most 720 buckets.
func stepFor(r Range, steps []time.Duration, fits func(step time.Duration) bool) (step time.Duration) {
	for _, step = range steps {
		if r.Length() <= 720*step && fits(step) {
			break
		}
	}
	return step
}

// steps are what is chosen from when no step was asked for.
var steps = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// Plan chooses grain and step. A step of zero takes the finest that gives at
// most 720 buckets. Steps are whole seconds; from a minute on they are whole
// minutes. The error wraps ErrInvalid or ErrGone and says what to ask instead.
func (q ActivityQuestion) Plan(kept Kept) (Plan, error) {
	all := grains(q.By, q.Filter)
	// What is not a multiple of the finest sums is counted from ticks.
	unit := time.Second
	if len(all) > 1 {
		unit = all[len(all)-2].Step()
	}
	short := q.Range.Length() <= MaxTickRange
	step := q.Step
	if step == 0 {
		step = stepFor(q.Range, steps, func(step time.Duration) bool { return step >= q.Cadence && (short || step%unit == 0) })
	}
	plan := Plan{Range: q.Range, Step: step}
	switch {
	case step < time.Second || step%time.Second != 0:
		return plan, fmt.Errorf("%w: step must be a whole number of seconds, at least 1s", ErrInvalid)
	case step > time.Minute && step%time.Minute != 0:
		return plan, fmt.Errorf("%w: a step of a minute or more must be whole minutes", ErrInvalid)
	case len(all) == 1 && !short:
		return plan, errFilter(q.By)
	case step%unit != 0 && !short && unit == time.Minute:
		return plan, fmt.Errorf("%w: a step below 1m is answered for at most %s: ask for a shorter range or a longer step", ErrInvalid, MaxTickRange)
	case step%unit != 0 && !short:
		return plan, fmt.Errorf("%w: by %s, a step that is not a multiple of 10m is answered for at most %s: ask for a shorter range or a step such as 10m, 1h or 1d",
			ErrInvalid, q.By, MaxTickRange)
	}
	if step >= time.Minute {
		plan.Range = q.Range.Widen(time.Minute)
	}
	if err := plan.check(); err != nil {
		return plan, err
	}
	for _, g := range all {
		// Whole minutes of wait classes need no ticks: see sums.
		always := q.By == ByWaitClass && q.Filter.Empty() && step >= time.Minute
		if g == GrainTick && !always || g != GrainTick && step%g.Step() == 0 {
			plan.Grains = append(plan.Grains, g)
		}
	}
	return plan.fit(kept)
}

// ledgerPlan is that of the ledger of a range, by a step that is checked already;
// zero: none.
func ledgerPlan(r Range, step time.Duration, kept Kept) (Plan, error) {
	plan := Plan{Range: r, Step: step}
	for _, g := range grains(ByWaitClass, nil) {
		if g == GrainTick || step%g.Step() == 0 {
			plan.Grains = append(plan.Grains, g)
		}
	}
	return plan.fit(kept)
}

// maxSampleDays is how many days are answered from samples at most.
const maxSampleDays = 2

// PlanSeries chooses grain and step; a step of zero takes one that gives at
// most 720 buckets. Steps below an hour are for at most two days. The error
// wraps ErrInvalid and says what to ask instead.
func PlanSeries(r Range, step time.Duration) (Plan, error) {
	const day = 24 * time.Hour
	long := r.Length() > maxSampleDays*day
	if step == 0 {
		step = stepFor(r, []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour, day}, func(step time.Duration) bool {
			return step >= time.Hour || !long
		})
	}
	plan := Plan{Range: r, Step: step, Grain: GrainSample}
	switch {
	case step < time.Second || step%time.Second != 0:
		return plan, fmt.Errorf("%w: step must be a whole number of seconds, at least 1s", ErrInvalid)
	case step < time.Hour && long:
		return plan, fmt.Errorf("%w: a step below 1h is answered for at most %dh: ask for a shorter range or a longer step", ErrInvalid, maxSampleDays*24)
	case step < time.Hour && step%GrainTenMinutes.Step() != 0:
	case step < time.Hour:
		plan.Grain = GrainTenMinutes
	case step%time.Hour != 0:
		return plan, fmt.Errorf("%w: a step of an hour or more must be whole hours", ErrInvalid)
	case step%day == 0:
		plan.Grain = GrainDay
	default:
		plan.Grain = GrainHour
	}
	if plan.Grain != GrainSample {
		plan.Range = r.Widen(plan.Grain.Step())
	}
	return plan, plan.check()
}

// maxFleetMinutes is the longest range that is answered from the minutes of all
// servers.
const maxFleetMinutes = 48 * time.Hour

// PlanFleet chooses grain and step of a question about all servers; a step of
// zero takes one that gives at most 720 buckets. The error wraps ErrInvalid and
// says what to ask instead.
func PlanFleet(r Range, step time.Duration) (Plan, error) {
	if step == 0 {
		step = stepFor(r, []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}, func(step time.Duration) bool {
			return step >= time.Hour || r.Length() <= maxFleetMinutes
		})
	}
	plan := Plan{Step: step, Grain: GrainMinute}
	switch {
	case step < time.Minute || step%time.Minute != 0:
		return plan, fmt.Errorf("%w: step must be whole minutes, at least 1m", ErrInvalid)
	case step%(24*time.Hour) == 0:
		plan.Grain = GrainDay
	case step%time.Hour == 0:
		plan.Grain = GrainHour
	case r.Length() > maxFleetMinutes:
		return plan, fmt.Errorf("%w: a step that is not whole hours is answered for at most %s: ask for a shorter range or a longer step", ErrInvalid, maxFleetMinutes)
	}
	plan.Range = r.Widen(plan.Grain.Step())
	return plan, plan.check()
}

func errFilter(by Dimension) error {
	return fmt.Errorf("%w: a filter on another dimension than %s is answered from single ticks, for at most %s: ask for a shorter range, or group by the dimension of the filter",
		ErrInvalid, by, MaxTickRange)
}

// Plan says how a Top is answered. The error wraps ErrInvalid or ErrGone.
func (q TopQuestion) Plan(kept Kept) (Plan, error) {
	plan := Plan{Range: q.Range, Grains: grains(q.By, q.Filter)}
	if q.By == ByWaitClass && q.Filter.Empty() {
		plan.Grains = grains(ByWaitEvent, nil) // peaks
	}
	if len(plan.Grains) == 1 && q.Range.Length() > MaxTickRange {
		return plan, errFilter(q.By)
	}
	if q.Split && q.By.family() != ByWaitEvent && q.Range.Length() <= MaxTickRange && kept.holds(GrainTick, q.Range.From) {
		plan.Grains = []Grain{GrainTick}
	}
	return plan.fit(kept)
}

// fit chooses the coarsest grain that is kept from the start of the range on,
// and moves the ends to where something is kept.
func (p Plan) fit(kept Kept) (Plan, error) {
	for _, g := range p.Grains {
		if kept.holds(g, p.Range.From) && (g != GrainTick || p.Range.Length() <= MaxTickRange) {
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
func (p Plan) finest(kept Kept, t time.Time) time.Duration {
	for _, g := range slices.Backward(p.Grains) {
		if kept.holds(g, t) {
			return max(g.Step(), time.Microsecond)
		}
	}
	return time.Microsecond
}

// check refuses a plan with too many buckets.
func (p Plan) check() error {
	if n := p.Buckets(); n > MaxPoints {
		return fmt.Errorf("%w: the range holds %d steps, more than %d: ask for a shorter range or a longer step", ErrInvalid, n, MaxPoints)
	}
	return nil
}

// Buckets is how many steps, aligned to the Unix epoch, the range touches.
func (p Plan) Buckets() int { return int(p.Range.Widen(p.Step).Length() / p.Step) }

// Times are the starts of the buckets.
func (p Plan) Times() []time.Time {
	times := make([]time.Time, p.Buckets())
	start := Floor(p.Range.From, p.Step)
	for i := range times {
		times[i] = start.Add(time.Duration(i) * p.Step)
	}
	return times
}

// bucket is the index of the one that holds an instant of the range; 0 where there
// are none.
func (p Plan) bucket(t time.Time) int {
	if p.Step == 0 {
		return 0
	}
	return int(t.Sub(Floor(p.Range.From, p.Step)) / p.Step)
}

// Stretch is a part of a range that one grain answers.
type Stretch struct {
	Grain Grain
	Range Range
}

// Stretches cuts the range of a plan into what each grain answers, by time. Open
// are buckets of ten minutes, in the order of time, that are not compacted: sums
// that they lie in are older, so it is taken from the next finer grain, if that is
// kept.
func (p Plan) Stretches(kept Kept, open []time.Time) []Stretch {
	var all []Stretch
	p.cut(kept, open, p.Range, 0, &all)
	return all
}

// Coarsest gives the coarsest grain of some stretches, and that of the plan if
// there are none.
func (p Plan) Coarsest(parts []Stretch) Grain {
	for _, g := range p.Grains {
		if slices.ContainsFunc(parts, func(part Stretch) bool { return part.Grain == g }) {
			return g
		}
	}
	return p.Grain
}

func (p Plan) cut(kept Kept, open []time.Time, r Range, level int, to *[]Stretch) {
	if r.Empty() {
		return
	}
	g := p.Grains[level]
	if level == len(p.Grains)-1 {
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
	for _, bucket := range open {
		o := Range{bucket, bucket.Add(10 * time.Minute)}.Widen(step).Clip(Range{next, whole.To})
		// What is read by minute is up to date: see sums.
		if o.Empty() || g == GrainMinute || !kept.holds(p.Grains[level+1], o.From) {
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
