package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// counting is a question about sessions by a dimension while it is answered.
type counting struct {
	r      *Reader
	server target.ID
	by     Dimension
	filter Filter
	plan   Plan

	waits    map[sample.Key]waitKey
	queries  map[sample.Key]bool         // that the filter leaves; nil: all
	sessions map[sessionOfDay]sessionKey // of ticks

	keys     map[sample.Key]*keyCount // as in sums
	names    map[string]*keyCount     // by label, where ticks were counted by one
	unlisted []int64                  // samples in tails, by bucket
	most     []int32                  // sessions in one tick of a bucket, where ticks were counted
	distinct int                      // keys of the sum that had the most, the tail included
	tailed   bool                     // some sum had a tail

	groups []*group // the most frequent first
	shown  []*group // the first of them
}

// waitKey is an entry of the dictionary of waits.
type waitKey struct {
	key  Key
	fits bool // the filter leaves it
}

// keyCount is what was counted of a key.
type keyCount struct {
	key    Key // where it is counted by label
	points []countPoint
	peak   int32
	summed bool // some of it comes from sums
}

type countPoint struct {
	bucket  int
	samples int64
}

func (k *keyCount) add(bucket int, samples int64, peak int32) {
	if last := len(k.points) - 1; last >= 0 && k.points[last].bucket == bucket {
		k.points[last].samples += samples
	} else {
		k.points = append(k.points, countPoint{bucket, samples})
	}
	k.peak = max(k.peak, peak)
}

// ofKey gives what is counted of a key, if nothing yet.
func ofKey[K comparable](all map[K]*keyCount, k K) *keyCount {
	one := all[k]
	if one == nil {
		one = new(keyCount)
		all[k] = one
	}
	return one
}

// group is what was counted under one label.
type group struct {
	keyCount

	keys    []sample.Key // of history.query
	samples int64
	sums    int // keys of it that come from sums
}

// stored gives the dimension as it is stored.
func stored(d Dimension) sample.Dimension {
	switch d {
	case ByQuery:
		return sample.ByQuery
	case ByDatabase:
		return sample.ByDatabase
	case ByUser:
		return sample.ByUser
	case ByApplication:
		return sample.ByApplication
	case ByClient:
		return sample.ByClient
	case ByBackendType:
		return sample.ByBackendType
	case ByWaitClass, ByWaitEvent, ByState:
	}
	return sample.ByWait
}

// count counts as planned, and names those keys that are shown.
func (r *Reader) count(ctx context.Context, t target.Target, by Dimension, f Filter, plan Plan, kept Kept, limit int) (*counting, error) {
	n := 1
	if plan.Step > 0 {
		n = plan.Buckets()
	}
	c := &counting{
		r: r, server: t.ID, by: by, filter: f, plan: plan, waits: make(map[sample.Key]waitKey), keys: make(map[sample.Key]*keyCount),
		names: make(map[string]*keyCount), sessions: make(map[sessionOfDay]sessionKey), unlisted: make([]int64, n), most: make([]int32, n),
	}
	open, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	var ticks []Range
	sums, byTick := pgx.NamedArgs{"server_id": c.server, "dimension": int16(stored(by))}, time.Duration(0)
	steps, from, to := []int32{}, []time.Time{}, []time.Time{}
	parts := plan.Stretches(kept, open)
	c.plan.Grain = plan.Coarsest(parts)
	for _, part := range parts {
		if part.Grain == GrainTick {
			ticks = append(ticks, part.Range)
			byTick += part.Range.Length()
			continue
		}
		steps = append(steps, int32(part.Grain.Step()/time.Second))
		from, to = append(from, part.Range.From), append(to, part.Range.To)
	}
	if byTick > MaxTickRange {
		return nil, fmt.Errorf("%w: %s of the range are not summed up yet: ask for at most %s, or again in some minutes",
			ErrCounting, byTick.Round(time.Minute), MaxTickRange)
	}
	sums["step"], sums["from"], sums["to"] = steps, from, to
	if len(steps) > 0 {
		if err := c.countSums(ctx, sums); err != nil {
			return nil, err
		}
	}
	if err := c.countTicks(ctx, ticks); err != nil {
		return nil, err
	}
	return c, c.rank(ctx, limit)
}

// begin reads what must be known to count: buckets that are not compacted, waits,
// and the statements that the filter leaves.
func (c *counting) begin(ctx context.Context) (open []time.Time, err error) {
	args := pgx.NamedArgs{"server_id": c.server, "from": c.plan.Range.From, "to": c.plan.Range.To, "keys": []sample.Key(nil)}
	b := &pgx.Batch{}
	b.Queue(sql("open"), args).Query(func(rows pgx.Rows) (err error) {
		open, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		return err
	})
	b.Queue(sql("waits"), args).Query(func(rows pgx.Rows) error {
		var (
			key               sample.Key
			class             sample.WaitClass
			state, typ, event string
		)
		_, err := pgx.ForEachRow(rows, []any{&key, &class, &state, &typ, &event}, func() error {
			c.waits[key] = c.waitKey(class, state, typ, event)
			return nil
		})
		return err
	})
	if wanted := c.filter[ByQuery]; len(wanted) > 0 && !c.filter.Within(c.by) {
		c.queries = make(map[sample.Key]bool)
		var ids []int64
		for _, text := range wanted {
			if text == "" {
				c.queries[0] = true
				continue
			}
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: a query_id is a whole number, or empty for none", ErrInvalid)
			}
			ids = append(ids, id)
		}
		of := pgx.NamedArgs{"server_id": c.server, "keys": []sample.Key{}, "query_ids": ids, "texts": false}
		b.Queue(sql("queries"), of).Query(func(rows pgx.Rows) error {
			var key sample.Key
			_, err := pgx.ForEachRow(rows, []any{&key, nil, nil, nil}, func() error {
				c.queries[key] = true
				return nil
			})
			return err
		})
	}
	return open, c.r.pool.SendBatch(ctx, b).Close()
}

// waitKey names a wait by the dimension, and says whether the filter leaves it.
func (c *counting) waitKey(class sample.WaitClass, state, typ, event string) waitKey {
	named := map[Dimension]string{ByWaitClass: class.String(), ByState: state, ByWaitEvent: eventLabel(class, typ, event)}
	w := waitKey{Key{Label: named[c.by]}, true}
	if c.by == ByWaitEvent {
		w.key.Class = class.String()
	}
	for d, label := range named {
		if wanted := c.filter[d]; len(wanted) > 0 && !slices.Contains(wanted, label) {
			w.fits = false
		}
	}
	return w
}

// eventLabel is what a wait event is called; a session that is idle in a
// transaction is not waiting for what it waits for.
func eventLabel(class sample.WaitClass, typ, event string) string {
	switch {
	case class == sample.ClassIdleInTransaction:
		return "idle in transaction"
	case typ == "" || event == "":
		return typ + event
	}
	return typ + ":" + event
}

// wait gives an entry; one that is not in the dictionary fits only where all do.
func (c *counting) wait(key sample.Key, class sample.WaitClass) waitKey {
	w, known := c.waits[key]
	if !known {
		w = c.waitKey(class, forgotten, "", forgotten)
		w.fits = c.filter.Empty()
	}
	return w
}

// forgotten is what a key is called that no dictionary has any more.
const forgotten = "(forgotten)"

// countSums counts rollups.
func (c *counting) countSums(ctx context.Context, args pgx.NamedArgs) error {
	rows, err := c.r.pool.Query(ctx, sql("rollups"), args)
	if err != nil {
		return err
	}
	var (
		start time.Time
		n     sample.Rollup
	)
	_, err = pgx.ForEachRow(rows, []any{&start, &n.Keys, &n.KeySamples, &n.KeyPeaks, &n.TailKeys, &n.TailSamples}, func() error {
		b := c.plan.bucket(start)
		c.unlisted[b] += n.TailSamples
		c.tailed = c.tailed || n.TailSamples > 0
		c.distinct = max(c.distinct, len(n.Keys)+int(n.TailKeys))
		for i, key := range n.Keys {
			if stored(c.by) == sample.ByWait && !c.wait(key, sample.ClassOther).fits {
				continue
			}
			one := ofKey(c.keys, key)
			one.add(b, n.KeySamples[i], n.KeyPeaks[i])
			one.summed = true
		}
		return nil
	})
	return err
}

// rank brings the keys together that are called the same, the most frequent first,
// without those that the filter does not leave.
func (c *counting) rank(ctx context.Context, limit int) error {
	named, err := c.named(ctx)
	if err != nil {
		return err
	}
	// What was counted by tick is filtered already.
	wanted := c.filter[c.by]
	late := len(wanted) > 0 && c.filter.Within(c.by) && stored(c.by) != sample.ByWait
	byName := make(map[string]*group)
	add := func(key Key, of sample.Key, counted *keyCount) {
		if len(counted.points) == 0 || late && !slices.Contains(wanted, key.Label) {
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
		if c.by == ByQuery && of != 0 {
			g.keys = append(g.keys, of)
		}
		g.points = append(g.points, counted.points...)
		for _, p := range counted.points {
			g.samples += p.samples
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.keys)) {
		add(named(key), key, c.keys[key])
	}
	for _, label := range slices.Sorted(maps.Keys(c.names)) {
		add(c.names[label].key, 0, c.names[label])
	}
	c.groups = slices.SortedFunc(maps.Values(byName), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.samples, a.samples), cmp.Compare(a.key.name(), b.key.name()))
	})
	c.shown = c.groups[:min(limit, len(c.groups))]
	return c.addTexts(ctx)
}

// named gives the function that tells what a key is called.
func (c *counting) named(ctx context.Context) (func(sample.Key) Key, error) {
	if stored(c.by) == sample.ByWait {
		return func(k sample.Key) Key {
			return c.wait(k, sample.ClassOther).key
		}, nil
	}
	known := map[sample.Key]Key{0: {}}
	args := pgx.NamedArgs{"server_id": c.server, "keys": slices.Collect(maps.Keys(c.keys)), "query_ids": []int64{}, "texts": false}
	statement := "labels"
	if c.by == ByQuery {
		statement = "queries"
	}
	rows, err := c.r.pool.Query(ctx, sql(statement), args)
	if err != nil {
		return nil, err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (none struct{}, err error) {
		var (
			k       sample.Key
			key     Key
			queryID int64
		)
		if c.by != ByQuery {
			err = row.Scan(&k, &key.Label)
		} else if err = row.Scan(&k, &queryID, &key.OwnFingerprint, nil); err == nil {
			key.Label, key.QueryID = strconv.FormatInt(queryID, 10), &queryID
		}
		known[k] = key
		return none, err
	})
	return func(k sample.Key) Key {
		key, ok := known[k]
		if !ok {
			key.Label = forgotten
		}
		return key
	}, err
}

// addTexts reads the texts of the statements that are shown.
func (c *counting) addTexts(ctx context.Context) error {
	of := make(map[sample.Key]*group)
	for _, g := range c.shown {
		for _, k := range g.keys {
			of[k] = g
		}
	}
	if len(of) == 0 {
		return nil
	}
	rows, err := c.r.pool.Query(ctx, sql("queries"), pgx.NamedArgs{
		"server_id": c.server, "keys": slices.Collect(maps.Keys(of)), "query_ids": []int64{}, "texts": true,
	})
	if err != nil {
		return err
	}
	var (
		k    sample.Key
		text *string
	)
	_, err = pgx.ForEachRow(rows, []any{&k, nil, nil, &text}, func() error {
		if text != nil {
			of[k].key.Text = text
		}
		return nil
	})
	return err
}

// notShown is the least number of keys that are not listed.
func (c *counting) notShown() int {
	n := len(c.groups)
	if c.filter.Empty() && stored(c.by) != sample.ByWait && c.by != ByQuery {
		n = max(n, c.distinct)
	}
	return n - len(c.shown)
}
