package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// sessionDimensions are those in which sessions differ, in the order of
// sample.Dimension.
var sessionDimensions = []Dimension{ByDatabase, ByUser, ByApplication, ByClient, ByBackendType}

// counts is a question about sessions while it is answered: those that a filter
// leaves, by some dimensions, in some ranges.
type counts struct {
	server target.ID
	by     []Dimension
	filter Filter
	limit  int  // of keys that are shown
	split  bool // wait classes of each key are asked for

	waits    map[sample.Key]waitEntry
	queries  map[sample.Key]listed // statements that the filter names; nil: it asks for none, or is asked late
	sessions map[sessionOfDay]*[sample.NumLabels]string
}

// waitEntry is an entry of the dictionary of waits.
type waitEntry struct {
	class             sample.WaitClass
	state, typ, event string
}

// listed says whether a filter names a statement as one that it leaves, or leaves out.
type listed struct{ any, not bool }

// sessionOfDay is a session: names may change from day to day.
type sessionOfDay struct {
	day int32
	key sample.Key
}

// counting is what is counted in one range.
type counting struct {
	*counts

	plan   Plan
	kept   Kept
	ledger *sums
	most   []int32 // sessions in one tick of a bucket, where ticks were counted
	by     []*tally
}

// tally is what is counted by one dimension.
type tally struct {
	by       Dimension
	keys     map[sample.Key]*keyCount // as in sums
	names    map[string]*keyCount     // by label, where ticks were counted by one
	unlisted []int64                  // samples in tails, by bucket
	distinct int                      // keys of the sum that had the most, the tail included
	tailed   bool                     // some sum had a tail
	split    bool                     // classes of all keys are known

	groups []*group // the most frequent first
	shown  []*group // the first of them
}

// keyCount is what was counted of a key.
type keyCount struct {
	key     Key // where it is counted by label
	points  []countPoint
	peak    int32
	classes [sample.NumClasses]int64 // samples, where a split is asked for
	summed  bool                     // some of it comes from sums
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
	case ByWaitClass, ByWaitEvent, ByState:
		return sample.ByWait
	default:
		return sample.ByDatabase + sample.Dimension(slices.Index(sessionDimensions, d))
	}
}

// count counts in some ranges as planned, by some dimensions, with the ledger of
// each range, and names those keys that are shown.
func (r *Reader) count(ctx context.Context, t target.Target, kept Kept, asked TopQuestion, by []Dimension, plans ...Plan) ([]*counting, error) {
	q := &counts{
		server: t.ID, by: by, filter: asked.Filter, limit: asked.Limit, split: asked.Split, waits: make(map[sample.Key]waitEntry), sessions: make(map[sessionOfDay]*[sample.NumLabels]string),
	}
	ledgers, err := r.kept(ctx, t, ByWaitClass, nil)
	if err != nil {
		return nil, err
	}
	first, second := &pgx.Batch{}, &pgx.Batch{}
	if err := q.ask(first); err != nil {
		return nil, err
	}
	all := make([]*counting, len(plans))
	for i, plan := range plans {
		ledger, err := ledgerPlan(plan.Range, plan.Step, ledgers)
		if err != nil {
			return nil, err
		}
		all[i] = q.counting(plan, kept, newSums(t, ledger, ledgers))
		all[i].ledger.ask(first)
	}
	if err := r.send(ctx, first); err != nil {
		return nil, err
	}
	for _, c := range all {
		if err := c.read(second); err != nil {
			return nil, err
		}
	}
	if err := r.send(ctx, second); err != nil {
		return nil, err
	}
	for _, c := range all {
		c.ledger.end()
	}
	return all, r.rank(ctx, q, all)
}

func (q *counts) counting(plan Plan, kept Kept, ledger *sums) *counting {
	n := 1
	if plan.Step > 0 {
		n = plan.Buckets()
	}
	c := &counting{counts: q, plan: plan, kept: kept, ledger: ledger, most: make([]int32, n)}
	for _, d := range q.by {
		c.by = append(c.by, &tally{by: d, split: q.split, keys: make(map[sample.Key]*keyCount), names: make(map[string]*keyCount), unlisted: make([]int64, n)})
	}
	return c
}

// ask asks for what must be known to count: waits, and the statements that the
// filter leaves.
func (q *counts) ask(b *pgx.Batch) error {
	var (
		key sample.Key
		w   waitEntry
	)
	args := pgx.NamedArgs{"server_id": q.server, "keys": []sample.Key(nil)}
	b.Queue(sql("waits"), args).Query(each([]any{&key, &w.class, &w.state, &w.typ, &w.event}, func() error {
		q.waits[key] = w
		return nil
	}))
	wanted := q.filter[ByQuery]
	if wanted.Empty() || q.filter.Within(q.by[0]) {
		return nil
	}
	anyOf, not, err := wanted.queryIDs()
	if err != nil {
		return err
	}
	q.queries = map[sample.Key]listed{0: {slices.Contains(wanted.Any, ""), slices.Contains(wanted.Not, "")}}
	var id int64
	b.Queue(sql("query_keys"), pgx.NamedArgs{"server_id": q.server, "query_ids": slices.Concat(anyOf, not)}).Query(each([]any{&key, &id}, func() error {
		q.queries[key] = listed{slices.Contains(anyOf, id), slices.Contains(not, id)}
		return nil
	}))
	return nil
}

// named names a wait by a dimension.
func (w *waitEntry) named(by Dimension) (k Key) {
	switch by {
	case ByState:
		k.Label = w.state
	case ByWaitEvent:
		k.Label, k.Class = eventLabel(w.class, w.typ, w.event), w.class.String()
	default:
		k.Label = w.class.String()
	}
	return k
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

// forgotten is what a key is called that no dictionary has any more.
const forgotten = "(forgotten)"

// wait gives an entry, and whether the filter leaves it; one that is not in the
// dictionary fits only where all do.
func (q *counts) wait(key sample.Key, class sample.WaitClass) (w waitEntry, fits bool) {
	w, known := q.waits[key]
	if !known {
		return waitEntry{class, forgotten, "", forgotten}, q.filter.Empty()
	}
	for _, d := range []Dimension{ByWaitClass, ByWaitEvent, ByState} {
		if !q.filter[d].Fit(w.named(d).Label) {
			return w, false
		}
	}
	return w, true
}

// session gives the labels of one, and whether the filter leaves it.
func (q *counts) session(s sessionOfDay) (labels *[sample.NumLabels]string, fits bool) {
	labels = q.sessions[s]
	if labels == nil {
		labels = new([sample.NumLabels]string)
	}
	for i, d := range sessionDimensions {
		if !q.filter[d].Fit(labels[i]) {
			return labels, false
		}
	}
	return labels, true
}

// query says whether the filter leaves a statement.
func (q *counts) query(key sample.Key) bool {
	named := q.queries[key]
	return q.queries == nil || (named.any || len(q.filter[ByQuery].Any) == 0) && !named.not
}

// bySession says whether it must be known who a session is.
func (q *counts) bySession() bool {
	return slices.ContainsFunc(sessionDimensions, func(d Dimension) bool { return slices.Contains(q.by, d) || !q.filter[d].Empty() })
}

// read reads what the plan says, and the ledger.
func (c *counting) read(b *pgx.Batch) error {
	c.ledger.read(b, false)
	stretches := c.plan.Stretches(c.kept, c.ledger.open)
	c.plan.Grain = c.plan.Coarsest(stretches)
	args, ticks := stretchArgs(c.server, stretches)
	byTick := time.Duration(0)
	for _, span := range ticks {
		byTick += span.Length()
	}
	if byTick > MaxTickRange {
		return fmt.Errorf("%w: %s of the range are not summed up yet: ask for at most %s, or again in some minutes",
			ErrCounting, byTick.Round(time.Minute), MaxTickRange)
	}
	if args != nil {
		c.readSums(b, args)
	}
	if len(ticks) > 0 && c.bySession() {
		var (
			day   time.Time
			key   sample.Key
			texts [sample.NumLabels]string
		)
		b.Queue(sql("session_labels"), rangeArgs(c.server, ticks)).Query(each([]any{&day, &key, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]}, func() error {
			labels := texts
			c.sessions[sessionOfDay{sample.Day(day), key}] = &labels
			return nil
		}))
	}
	queueRows(b, c.server, ticks, parts{samples: true}, func(row *sample.Row, within Range) error {
		c.countRow(row, within)
		return nil
	})
	return nil
}

// readSums counts rollups.
func (c *counting) readSums(b *pgx.Batch, args pgx.NamedArgs) {
	var dimensions []int16
	for _, t := range c.by {
		if d := int16(stored(t.by)); !slices.Contains(dimensions, d) {
			dimensions = append(dimensions, d)
		}
	}
	args["dimensions"] = dimensions
	var (
		start     time.Time
		dimension int16
		n         sample.Rollup
	)
	b.Queue(sql("rollups"), args).Query(each([]any{&start, &dimension, &n.Keys, &n.KeySamples, &n.KeyPeaks, &n.TailKeys, &n.TailSamples}, func() error {
		for _, t := range c.by {
			if int16(stored(t.by)) == dimension {
				c.countSum(t, c.plan.bucket(start), &n)
			}
		}
		return nil
	}))
}

func (c *counting) countSum(t *tally, bucket int, n *sample.Rollup) {
	t.unlisted[bucket] += n.TailSamples
	t.tailed = t.tailed || n.TailSamples > 0
	t.distinct = max(t.distinct, len(n.Keys)+int(n.TailKeys))
	for i, key := range n.Keys {
		class := sample.ClassOther
		if stored(t.by) == sample.ByWait {
			w, fits := c.wait(key, class)
			if !fits {
				continue
			}
			class = w.class
		} else {
			t.split = false
		}
		one := ofKey(t.keys, key)
		one.classes[class] += n.KeySamples[i]
		one.add(bucket, n.KeySamples[i], n.KeyPeaks[i])
		one.summed = true
	}
}

// countRow counts the ticks of a row that lie in a range.
func (c *counting) countRow(row *sample.Row, within Range) {
	buckets, counted := make([]int, len(row.Planned)), false
	for tick := range buckets {
		buckets[tick] = -1
		if at := row.PlannedAt(tick); within.Holds(at) {
			buckets[tick], counted = c.plan.bucket(at), true
		}
	}
	if !counted {
		return
	}
	load, left := row.Load(), c.left(row)
	for n, t := range c.by {
		keys, index := c.indexes(t.by, row)
		counts := make([]*keyCount, len(keys))
		for i, k := range keys {
			if k.label {
				counts[i] = ofKey(t.names, k.key.name())
				counts[i].key = k.key
			} else {
				counts[i] = ofKey(t.keys, k.of)
			}
		}
		load.Count(len(counts), func(i int32) int32 {
			if !left(i) {
				return -1
			}
			return index(i)
		}, func(tick int, found []sample.Counted) {
			b, total := buckets[tick], int32(0)
			if b < 0 {
				return
			}
			for _, f := range found {
				counts[f.Index].add(b, int64(f.Samples), f.Samples)
				total += f.Samples
			}
			if n == 0 {
				c.most[b] = max(c.most[b], total)
			}
		})
		if c.split {
			c.splitRow(row, load, counts, func(i int32) bool { return left(i) && buckets[row.Tick[i]-1] >= 0 }, index)
		}
	}
}

// splitRow counts the samples of a row that are left by wait class.
func (c *counting) splitRow(row *sample.Row, load *sample.Samples, counts []*keyCount, left func(i int32) bool, index func(i int32) int32) {
	classes := make([]int32, len(row.WaitKeys))
	for i, key := range row.WaitKeys {
		w, _ := c.wait(key, sample.WaitClass(row.WaitClass[i]))
		classes[i] = int32(w.class)
	}
	const n = int32(sample.NumClasses)
	load.Count(len(counts)*int(n), func(i int32) int32 {
		if !left(i) {
			return -1
		}
		return index(i)*n + classes[row.Wait[i]-1]
	}, func(_ int, found []sample.Counted) {
		for _, f := range found {
			counts[f.Index/n].classes[f.Index%n] += int64(f.Samples)
		}
	})
}

// left says which samples of a row the filter leaves.
func (c *counting) left(row *sample.Row) func(i int32) bool {
	if c.filter.Empty() {
		return func(int32) bool { return true }
	}
	waits, queries, sessions := make([]bool, len(row.WaitKeys)+1), make([]bool, len(row.QueryKeys)+1), make([]bool, len(row.SessionKeys)+1)
	for i, key := range row.WaitKeys {
		_, waits[i+1] = c.wait(key, sample.WaitClass(row.WaitClass[i]))
	}
	for i := range queries {
		queries[i] = c.query(keyAt(row.QueryKeys, int32(i)))
	}
	for i := range sessions {
		_, sessions[i] = c.session(sessionOfDay{sample.Day(row.Bucket), keyAt(row.SessionKeys, int32(i))})
	}
	return func(i int32) bool { return waits[row.Wait[i]] && queries[row.Query[i]] && sessions[row.Session[i]] }
}

// rowKey is what samples of a row are counted as: a key of sums, or a label.
type rowKey struct {
	of    sample.Key
	label bool
	key   Key
}

// indexes gives what the samples of a row are counted as by a dimension, and which
// of it each is.
func (c *counting) indexes(by Dimension, row *sample.Row) (keys []rowKey, index func(i int32) int32) {
	of := make(map[rowKey]int32)
	add := func(k rowKey) int32 {
		i, known := of[k]
		if !known {
			i = int32(len(keys))
			keys, of[k] = append(keys, k), i
		}
		return i
	}
	var indexes []int32 // of each key of the row
	switch {
	case by == ByQuery:
		for i := range len(row.QueryKeys) + 1 {
			indexes = append(indexes, add(rowKey{of: keyAt(row.QueryKeys, int32(i))}))
		}
		return keys, func(i int32) int32 { return indexes[row.Query[i]] }
	case stored(by) == sample.ByWait:
		for i, key := range row.WaitKeys {
			w, _ := c.wait(key, sample.WaitClass(row.WaitClass[i]))
			indexes = append(indexes, add(rowKey{label: true, key: w.named(by)}))
		}
		return keys, func(i int32) int32 { return indexes[row.Wait[i]-1] }
	}
	d := slices.Index(sessionDimensions, by)
	for _, key := range row.SessionKeys {
		labels, _ := c.session(sessionOfDay{sample.Day(row.Bucket), key})
		indexes = append(indexes, add(rowKey{label: true, key: Key{Label: labels[d]}}))
	}
	return keys, func(i int32) int32 { return indexes[row.Session[i]-1] }
}
