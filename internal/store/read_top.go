package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// group is what was counted under one label.
type group struct {
	key     history.Key
	ids     []int32 // of history.query
	samples int64
	peak    int32
	rolled  int // keys of it that come from rollups
	points  []countPoint
}

// Top says what took the time in a range. The error wraps history.ErrInvalid,
// history.ErrGone or history.ErrCounting where the question is at fault.
func (s *Store) Top(ctx context.Context, t target.Target, q history.TopQuestion) (history.Top, error) {
	top, _, err := s.top(ctx, t, q)
	return top, err
}

// top also gives all groups, the most frequent first.
func (s *Store) top(ctx context.Context, t target.Target, q history.TopQuestion) (history.Top, []*group, error) {
	fail := func(err error) (history.Top, []*group, error) {
		return history.Top{}, nil, fmt.Errorf("read top: %w", statsdb.Classify(err))
	}
	q, err := q.Complete()
	if err != nil {
		return fail(err)
	}
	kept, err := s.Kept(ctx, t, history.ByWaitEvent, nil)
	if err != nil {
		return fail(err)
	}
	plan, err := q.Plan(kept)
	if err != nil {
		return fail(err)
	}
	c := counting{s: s, by: q.By, filter: q.Filter, plan: plan}
	var groups, shown []*group
	covered, err := s.covered(ctx, t, plan.Range, func(ctx context.Context) (err error) {
		groups, shown, err = c.ranked(ctx, t, kept, q.Limit)
		return err
	})
	if err != nil {
		return fail(err)
	}
	top := history.Top{Range: plan.Range, By: q.By, Grain: c.plan.Grain, Answered: c.answered[0], Samples: c.unlisted[0], Unlisted: c.unlisted[0]}
	for _, g := range groups {
		top.Samples += g.samples
	}
	top.TailSamples, top.TailKeys = top.Samples, c.notShown(len(groups), len(shown))
	for _, g := range shown {
		top.Rows = append(top.Rows, c.row(&top, g))
		top.TailSamples -= g.samples
	}
	top.Coverage = covered
	return top, groups, nil
}

// ranked counts, and gives all groups, the most frequent first, and those of them
// that are shown, with what they are called.
func (c *counting) ranked(ctx context.Context, t target.Target, kept history.Kept, limit int) (groups, shown []*group, err error) {
	if err := c.count(ctx, t, kept); err != nil {
		return nil, nil, err
	}
	if groups, err = c.groups(ctx); err != nil {
		return nil, nil, err
	}
	shown = groups[:min(limit, len(groups))]
	return groups, shown, c.texted(ctx, shown)
}

// row makes a row of a group.
func (c *counting) row(top *history.Top, g *group) history.TopRow {
	row := history.TopRow{Key: g.key, Samples: g.samples}
	if top.Answered > 0 {
		row.Average = float64(g.samples) / float64(top.Answered)
	}
	if top.Samples > 0 {
		row.Share = float64(g.samples) / float64(top.Samples)
	}
	// Rollups know the peak of a wait, not of several together. A statement has
	// one id at a time.
	if stored(c.by) != rollup.Wait || g.rolled <= 1 && !c.tailed {
		row.Peak = &g.peak
	}
	return row
}

// notShown is the least number of keys that are not listed.
func (c *counting) notShown(groups, shown int) int {
	if c.filter.Empty() && stored(c.by) != rollup.Wait && c.by != history.ByQuery {
		groups = max(groups, c.distinct)
	}
	return groups - shown
}

// Compare asks the same of two ranges.
func (s *Store) Compare(ctx context.Context, t target.Target, q history.CompareQuestion) (history.Comparison, error) {
	var answer history.Comparison
	one, ones, err := s.top(ctx, t, q.Top())
	if err != nil {
		return answer, err
	}
	other, others, err := s.top(ctx, t, q.Second())
	if err != nil {
		return answer, err
	}
	answer.Top, answer.Other = one, other
	c := counting{s: s, by: q.By, server: t.ID}
	byLabel := func(groups []*group) map[string]*group {
		m := make(map[string]*group, len(groups))
		for _, g := range groups {
			m[groupName(g.key)] = g
		}
		return m
	}
	all, allOthers := byLabel(ones), byLabel(others)
	seen := make(map[string]bool)
	for _, rows := range [][]history.TopRow{one.Rows, other.Rows} {
		for _, r := range rows {
			name := groupName(r.Key)
			if seen[name] {
				continue
			}
			seen[name] = true
			row := history.ComparisonRow{Key: r.Key, Top: c.sideOf(&one, all[name], r.Key), Other: c.sideOf(&other, allOthers[name], r.Key)}
			if row.Top != nil && row.Other != nil {
				change := row.Top.Average - row.Other.Average
				row.Change = &change
			}
			answer.Rows = append(answer.Rows, row)
		}
	}
	slices.SortStableFunc(answer.Rows, func(a, b history.ComparisonRow) int { return cmp.Compare(weight(b), weight(a)) })
	return answer, nil
}

// sideOf is a key in one of the ranges: nothing of it, if all that was counted
// there is known by key; nil if no tick was answered, or that is not known.
func (c *counting) sideOf(top *history.Top, g *group, key history.Key) *history.TopRow {
	if top.Answered == 0 {
		return nil
	}
	for i := range top.Rows {
		if groupName(top.Rows[i].Key) == groupName(key) {
			return &top.Rows[i]
		}
	}
	if g == nil {
		if top.Unlisted > 0 {
			return nil
		}
		none := int32(0)
		return &history.TopRow{Key: key, Peak: &none}
	}
	row := c.row(top, g)
	row.Key = key
	return &row
}

// weight orders rows by how much they changed.
func weight(r history.ComparisonRow) float64 {
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

// groupName is what makes a key one.
func groupName(k history.Key) string {
	if k.OwnFingerprint {
		return "own " + k.Label
	}
	return k.Label
}

// groups brings the keys together that are called the same, the most frequent
// first, without those that the filter does not leave.
func (c *counting) groups(ctx context.Context) ([]*group, error) {
	names, err := c.names(ctx)
	if err != nil {
		return nil, err
	}
	// What was counted by sample is filtered already.
	wanted := c.filter[c.by]
	late := len(wanted) > 0 && c.filter.Within(c.by) && stored(c.by) != rollup.Wait
	byName := make(map[string]*group)
	for _, id := range slices.Sorted(maps.Keys(c.keys)) {
		key, counted := names(id), c.keys[id]
		if late && !slices.Contains(wanted, key.Label) {
			continue
		}
		g := byName[groupName(key)]
		if g == nil {
			g = &group{key: key}
			byName[groupName(key)] = g
		}
		g.peak = max(g.peak, counted.peak)
		if counted.rolled {
			g.rolled++
		}
		if c.by == history.ByQuery && id > 0 {
			g.ids = append(g.ids, id)
		}
		g.points = append(g.points, counted.points...)
		for _, p := range counted.points {
			g.samples += p.samples
		}
	}
	all := slices.Collect(maps.Values(byName))
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.samples, a.samples), cmp.Compare(groupName(a.key), groupName(b.key)))
	})
	return all, nil
}

// names gives the function that tells what a key is called.
func (c *counting) names(ctx context.Context) (func(id int32) history.Key, error) {
	if stored(c.by) == rollup.Wait {
		return func(id int32) history.Key {
			w := c.wait(int16(id))
			key := history.Key{Label: w.label}
			if c.by == history.ByWaitEvent {
				key.Class = w.class
			}
			return key
		}, nil
	}
	known := make(map[int32]history.Key, len(c.keys))
	var ids []int32
	for id := range c.keys {
		switch {
		case id > 0:
			ids = append(ids, id)
		case id < 0:
			known[id] = history.Key{Label: c.texts.list[-id-1].text}
		}
	}
	q := question{
		name: "pgam_label_texts",
		sql:  "/* pgam:label_texts */ select id, text from history.label where server_id = $1 and id = any ($2::int4[])",
		row:  func(v values) { known[v.int4(0)] = history.Key{Label: v.text(1)} },
	}
	if c.by == history.ByQuery {
		q.name = "pgam_query_ids"
		q.sql = "/* pgam:query_ids */ select id, query_id, own from history.query where server_id = $1 and id = any ($2::int4[])"
		q.row = func(v values) {
			queryID := v.int8(1)
			known[v.int4(0)] = history.Key{Label: strconv.FormatInt(queryID, 10), QueryID: &queryID, OwnFingerprint: v.bool(2)}
		}
	}
	q.args = func(p *params) {
		p.int8(int64(c.server))
		p.int4s(ids, false)
	}
	if len(ids) > 0 {
		if err := c.s.ask(ctx, q); err != nil {
			return nil, err
		}
	}
	return func(id int32) history.Key {
		key, ok := known[id]
		if !ok && id > 0 {
			key.Label = "(forgotten)"
		}
		return key
	}, nil
}

// texted reads the texts of statements.
func (c *counting) texted(ctx context.Context, shown []*group) error {
	of := make(map[int32]*group)
	var ids []int32
	for _, g := range shown {
		for _, id := range g.ids {
			of[id], ids = g, append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return c.s.ask(ctx, question{
		name: "pgam_query_texts",
		sql:  "/* pgam:query_texts */ select id, text from history.query where server_id = $1 and id = any ($2::int4[]) and text is not null order by id",
		args: func(p *params) {
			p.int8(int64(c.server))
			p.int4s(ids, false)
		},
		row: func(v values) {
			text := v.text(1)
			of[v.int4(0)].key.Text = &text
		},
	})
}
