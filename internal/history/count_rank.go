package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
)

// dictionary is what keys of sums are called.
type dictionary struct {
	labels  map[sample.Key]string
	queries map[sample.Key]Key
}

// named tells what a key is called by a dimension.
func (q *counts) named(d *dictionary, by Dimension, key sample.Key) (k Key) {
	known := key == 0
	switch {
	case stored(by) == sample.ByWait:
		w, _ := q.wait(key, sample.ClassOther)
		return w.named(by)
	case known:
	case by == ByQuery:
		k, known = d.queries[key]
	default:
		k.Label, known = d.labels[key]
	}
	if !known {
		k.Label = forgotten
	}
	return k
}

// rank brings the keys together that are called the same, the most frequent first,
// and reads the texts of the statements that are shown.
func (r *Reader) rank(ctx context.Context, q *counts, all []*counting) error {
	d, err := r.dictionary(ctx, q, all)
	if err != nil {
		return err
	}
	of := make(map[sample.Key][]*group)
	for _, c := range all {
		for _, t := range c.by {
			c.rank(t, d)
			for _, g := range t.shown {
				for _, k := range g.keys {
					of[k] = append(of[k], g)
				}
			}
		}
	}
	if len(of) == 0 {
		return nil
	}
	var (
		k    sample.Key
		text *string
		b    = &pgx.Batch{}
	)
	b.Queue(sql("queries"), pgx.NamedArgs{"server_id": q.server, "keys": slices.Collect(maps.Keys(of)), "texts": true}).Query(each([]any{&k, nil, nil, &text}, func() error {
		for _, g := range of[k] {
			if text != nil {
				g.key.Text = text
			}
		}
		return nil
	}))
	return r.send(ctx, b)
}

// dictionary reads what the keys of sums are called.
func (r *Reader) dictionary(ctx context.Context, q *counts, all []*counting) (*dictionary, error) {
	labels, queries := make(map[sample.Key]bool), make(map[sample.Key]bool)
	for _, c := range all {
		for _, t := range c.by {
			to := labels
			switch stored(t.by) {
			case sample.ByWait:
				continue
			case sample.ByQuery:
				to = queries
			default:
			}
			for key := range t.keys {
				to[key] = true
			}
		}
	}
	d := &dictionary{labels: make(map[sample.Key]string, len(labels)), queries: make(map[sample.Key]Key, len(queries))}
	var (
		key     sample.Key
		label   string
		queryID int64
		own     bool
		b       = &pgx.Batch{}
	)
	if len(labels) > 0 {
		b.Queue(sql("labels"), pgx.NamedArgs{"server_id": q.server, "keys": slices.Collect(maps.Keys(labels))}).Query(each([]any{&key, &label}, func() error {
			d.labels[key] = label
			return nil
		}))
	}
	if len(queries) > 0 {
		args := pgx.NamedArgs{"server_id": q.server, "keys": slices.Collect(maps.Keys(queries)), "texts": false}
		b.Queue(sql("queries"), args).Query(each([]any{&key, &queryID, &own, nil}, func() error {
			d.queries[key] = Key{Label: strconv.FormatInt(queryID, 10), QueryID: new(queryID), OwnFingerprint: own}
			return nil
		}))
	}
	return d, r.send(ctx, b)
}

func (c *counting) rank(t *tally, d *dictionary) {
	// What was counted by tick is filtered already.
	wanted := c.filter[t.by]
	late := !wanted.Empty() && c.filter.Within(t.by) && stored(t.by) != sample.ByWait
	byName := make(map[string]*group)
	add := func(key Key, of sample.Key, counted *keyCount) {
		if len(counted.points) == 0 || late && !wanted.Fit(key.Label) {
			return
		}
		g := byName[key.name()]
		if g == nil {
			g = &group{keyCount: keyCount{key: key}}
			byName[key.name()] = g
		}
		g.peak = max(g.peak, counted.peak)
		if counted.summed {
			g.sums++
		}
		if t.by == ByQuery && of != 0 {
			g.keys = append(g.keys, of)
		}
		g.points = append(g.points, counted.points...)
		for class, n := range counted.classes {
			g.classes[class] += n
		}
		for _, p := range counted.points {
			g.samples += p.samples
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.keys)) {
		add(c.named(d, t.by, key), key, t.keys[key])
	}
	for _, label := range slices.Sorted(maps.Keys(t.names)) {
		add(t.names[label].key, 0, t.names[label])
	}
	t.groups = slices.SortedFunc(maps.Values(byName), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.samples, a.samples), cmp.Compare(a.key.name(), b.key.name()))
	})
	t.shown = t.groups[:min(c.limit, len(t.groups))]
}

// notShown is the least number of keys that are not listed.
func (c *counting) notShown(t *tally) int {
	n := len(t.groups)
	if c.filter.Empty() && stored(t.by) != sample.ByWait && t.by != ByQuery {
		n = max(n, t.distinct)
	}
	return n - len(t.shown)
}
