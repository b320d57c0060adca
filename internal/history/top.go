package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// Filter leaves only sessions whose value of each dimension in it fits. Nil leaves
// all.
type Filter map[Dimension]Values

// Values are those of one dimension that a filter leaves: one of Any, where there
// are some, and none of Not. They are as in Key.Label; the empty text is none.
type Values struct {
	Any, Not []string
}

// Empty reports whether all values are left.
func (v Values) Empty() bool { return len(v.Any) == 0 && len(v.Not) == 0 }

// Fit reports whether a value is left.
func (v Values) Fit(label string) bool {
	return (len(v.Any) == 0 || slices.Contains(v.Any, label)) && !slices.Contains(v.Not, label)
}

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
		if !values.Empty() && other.family() != d.family() {
			return false
		}
	}
	return true
}

// Empty reports whether the filter leaves all sessions.
func (f Filter) Empty() bool {
	for _, values := range f {
		if !values.Empty() {
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

// TopQuestion asks what took the time in a range.
type TopQuestion struct {
	Range  Range
	By     Dimension
	Filter Filter
	// Limit is how many keys are listed; zero: DefaultKeys.
	Limit int
	// Split asks for the wait classes of each key. Sums have those of waits only:
	// what else is asked for is then counted from ticks, in a range of at most
	// MaxTickRange of which they are kept.
	Split bool
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
	// TailClasses is what of TailSamples is in each wait class; nil as TopRow.Classes.
	TailClasses *[sample.NumClasses]int64
	Coverage    Coverage
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
	// Classes is what of Samples is in each wait class; nil: it was not asked for, or
	// sums were taken that do not tell.
	Classes *[sample.NumClasses]int64
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
	by, limit, err := q.Filter.complete(q.By, q.Limit)
	q.By, q.Limit = by, limit
	return q, err
}

// complete gives the dimension and the number of keys to show, or those which are
// taken where none is asked for.
func (f Filter) complete(by Dimension, limit int) (Dimension, int, error) {
	if by == "" {
		by = ByWaitClass
	}
	_, err := ParseDimension(string(by))
	faults := []error{err}
	for d := range f {
		_, err := ParseDimension(string(d))
		faults = append(faults, err)
	}
	_, _, err = f[ByQuery].queryIDs()
	faults = append(faults, err)
	switch {
	case limit == 0:
		limit = DefaultKeys
	case limit < 0 || limit > MaxKeys:
		faults = append(faults, fmt.Errorf("%w: limit must be 1 to %d", ErrInvalid, MaxKeys))
	}
	return by, limit, errors.Join(faults...)
}

// queryIDs are the values as query_ids, without those that say none.
func (v Values) queryIDs() (anyOf, not []int64, err error) {
	parse := func(texts []string) (ids []int64) {
		for _, text := range texts {
			id, fault := strconv.ParseInt(text, 10, 64)
			switch {
			case text == "":
			case fault != nil:
				err = fmt.Errorf("%w: a query_id is a whole number, or empty for none", ErrInvalid)
			default:
				ids = append(ids, id)
			}
		}
		return ids
	}
	anyOf, not = parse(v.Any), parse(v.Not)
	return anyOf, not, err
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

// Top says what took the time in a range. The error wraps ErrInvalid, ErrGone or
// ErrCounting where the question is at fault.
func (r *Reader) Top(ctx context.Context, t target.Target, q TopQuestion) (Top, error) {
	all, err := r.tops(ctx, t, []Dimension{q.By}, q)
	if err != nil {
		return Top{}, err
	}
	return all[0][0].Top, nil
}

// ranked is a Top with all that was counted.
type ranked struct {
	Top

	counting *counting
	tally    *tally
}

// tops answers the same question, with the filter and the limit of the first, about
// several ranges and by several dimensions: of each range one of each dimension.
func (r *Reader) tops(ctx context.Context, t target.Target, by []Dimension, questions ...TopQuestion) ([][]ranked, error) {
	fail := func(err error) ([][]ranked, error) { return nil, fmt.Errorf("read top: %w", statsdb.Classify(err)) }
	kept, err := r.kept(ctx, t, ByWaitEvent, nil)
	if err != nil {
		return fail(err)
	}
	plans := make([]Plan, len(questions))
	for i, q := range questions {
		q.By = by[0]
		if q, err = q.Complete(); err == nil {
			plans[i], err = q.Plan(kept)
		}
		if err != nil {
			return fail(err)
		}
		by[0], questions[i] = q.By, q
	}
	counted, err := r.count(ctx, t, kept, questions[0], by, plans...)
	if err != nil {
		return fail(err)
	}
	all := make([][]ranked, len(counted))
	for i, c := range counted {
		for _, one := range c.by {
			all[i] = append(all[i], c.top(one))
		}
	}
	return all, nil
}

func (c *counting) top(t *tally) ranked {
	top := Top{
		Range: c.plan.Range, By: t.by, Grain: c.plan.Grain, Answered: c.ledger.answered(), Samples: t.unlisted[0], Unlisted: t.unlisted[0],
		Coverage: c.ledger.coverage(),
	}
	for _, g := range t.groups {
		top.Samples += g.samples
	}
	top.TailSamples, top.TailKeys = top.Samples, c.notShown(t)
	for _, g := range t.shown {
		top.Rows = append(top.Rows, t.row(&top, g))
		top.TailSamples -= g.samples
	}
	if t.split && top.Unlisted == 0 {
		top.TailClasses = new([sample.NumClasses]int64)
		for _, g := range t.groups[len(t.shown):] {
			for class, n := range g.classes {
				top.TailClasses[class] += n
			}
		}
	}
	return ranked{top, c, t}
}

// row makes a row of a group.
func (t *tally) row(top *Top, g *group) TopRow {
	row := TopRow{Key: g.key, Samples: g.samples}
	if top.Answered > 0 {
		row.Average = float64(g.samples) / float64(top.Answered)
	}
	if top.Samples > 0 {
		row.Share = float64(g.samples) / float64(top.Samples)
	}
	// Sums know the peak of a wait, not of several together.
	if stored(t.by) != sample.ByWait || g.sums <= 1 && !t.tailed {
		row.Peak = &g.peak
	}
	if t.split {
		row.Classes = &g.classes
	}
	return row
}

// Compare asks the same of two ranges.
func (r *Reader) Compare(ctx context.Context, t target.Target, q CompareQuestion) (Comparison, error) {
	all, err := r.tops(ctx, t, []Dimension{q.By}, q.Top(), q.Second())
	if err != nil {
		return Comparison{}, err
	}
	return compare(&all[0][0], &all[1][0]), nil
}

// compare sets one beside the other.
func compare(one, other *ranked) Comparison {
	answer := Comparison{Top: one.Top, Other: other.Top}
	seen := make(map[string]bool)
	for _, row := range slices.Concat(one.Rows, other.Rows) {
		if seen[row.Key.name()] {
			continue
		}
		seen[row.Key.name()] = true
		both := ComparisonRow{Key: row.Key, Top: one.side(row.Key), Other: other.side(row.Key)}
		if both.Top != nil && both.Other != nil {
			both.Change = new(both.Top.Average - both.Other.Average)
		}
		answer.Rows = append(answer.Rows, both)
	}
	slices.SortStableFunc(answer.Rows, func(a, b ComparisonRow) int { return cmp.Compare(b.weight(), a.weight()) })
	return answer
}

// side is a key in one of the ranges: nothing of it, if all that was counted there
// is known by key; nil if no tick was answered, or that is not known.
func (top *ranked) side(key Key) *TopRow {
	at := slices.IndexFunc(top.tally.groups, func(g *group) bool { return g.key.name() == key.name() })
	switch {
	case top.Answered == 0:
		return nil
	case at >= 0:
		row := top.tally.row(&top.Top, top.tally.groups[at])
		row.Key = key
		return &row
	case top.Unlisted > 0:
		return nil
	}
	return &TopRow{Key: key, Peak: new(int32)}
}

// weight orders rows by how much they changed.
func (r *ComparisonRow) weight() float64 {
	switch {
	case r.Change != nil:
		return max(*r.Change, -*r.Change)
	case r.Top != nil:
		return r.Top.Average
	case r.Other != nil:
		return r.Other.Average
	}
	return 0
}
