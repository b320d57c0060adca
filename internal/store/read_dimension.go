package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// counting is a question about sessions by a dimension while it is answered.
type counting struct {
	s      *Store
	server target.ID
	by     history.Dimension
	filter history.Filter
	plan   history.ActivityPlan
	peaked bool // the most sessions in one tick of a bucket are asked for

	waits   map[int16]waitKey
	queries map[int32]bool // ids of the statements that the filter leaves
	open    []history.Open
	texts   *labelTexts // of sessions in windows: their keys are the numbers, negative

	origin, width int64 // of the buckets, in microseconds
	answered      []int64
	unlisted      []int64 // samples in tails
	most          []int32
	keys          map[int32]*keyCount
	distinct      int  // keys of the row that had the most, the tail included
	tailed        bool // some row had a tail

	rowKeys, rowPeaks []int32 // what rows are read into
	rowSamples        []int64
}

// waitKey is an entry of the dictionary of waits.
type waitKey struct {
	label, class string
	first        int16 // the smallest id with this label
	fits         bool  // the filter leaves it
}

// keyCount is what was counted of a key.
type keyCount struct {
	points []countPoint
	peak   int32
	rolled bool // some of it comes from rollups
}

type countPoint struct {
	bucket  int32
	samples int64
}

// stored gives the dimension as it is stored.
func stored(d history.Dimension) rollup.Dimension {
	switch d {
	case history.ByQuery:
		return rollup.Query
	case history.ByDatabase:
		return rollup.Database
	case history.ByUser:
		return rollup.User
	case history.ByApplication:
		return rollup.Application
	case history.ByClient:
		return rollup.Client
	case history.ByBackendType:
		return rollup.BackendType
	default:
		return rollup.Wait
	}
}

// count answers: what is due first, then the sums, then windows for what no sum
// tells.
func (c *counting) count(ctx context.Context, t target.Target, kept history.Kept) error {
	c.server, c.keys, c.texts = t.ID, make(map[int32]*keyCount), newLabelTexts()
	n := 1
	c.origin, c.width = c.plan.Range.From.UnixMicro(), math.MaxInt64
	if c.plan.Step > 0 {
		n = c.plan.Buckets()
		c.origin, c.width = history.Floor(c.plan.Range.From, c.plan.Step).UnixMicro(), c.plan.Step.Microseconds()
	}
	c.answered, c.unlisted, c.most = make([]int64, n), make([]int64, n), make([]int32, n)
	questions := []question{openBuckets(c.server, c.plan.Range, &c.open), c.waitKeys()}
	if ids := c.filter[history.ByQuery]; len(ids) > 0 && !c.filter.Within(c.by) {
		q, err := c.filteredQueries(ids)
		if err != nil {
			return err
		}
		questions = append(questions, q)
	}
	if err := c.s.ask(ctx, questions...); err != nil {
		return err
	}
	sortOpen(c.open)
	c.sortWaits()
	var windows []history.Range
	questions = []question{planOnce()}
	byTick := time.Duration(0)
	parts := c.plan.Stretches(kept, c.open)
	c.plan.Grain = c.plan.Coarsest(parts)
	for _, part := range parts {
		if part.Grain == history.GrainWindow {
			windows = append(windows, part.Range)
			byTick += part.Range.Length()
			continue
		}
		questions = append(questions, c.rows(part))
		if c.peaked && c.filter.Empty() {
			questions = append(questions, c.peaks(part))
		}
	}
	if byTick > history.MaxWindowRange {
		return fmt.Errorf("%w: %s of the range are not summed up yet: ask for at most %s, or again in some minutes",
			history.ErrCounting, byTick.Round(time.Minute), history.MaxWindowRange)
	}
	if err := c.s.ask(ctx, questions...); err != nil {
		return err
	}
	for _, r := range windows {
		if err := c.windows(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (c *counting) bucket(micros int64) int { return int((micros - c.origin) / c.width) }

// rows asks for the rollups of a stretch.
func (c *counting) rows(part history.Stretch) question {
	return question{
		name: "pgam_dimension_rows",
		sql: `/* pgam:dimension_rows */
select bucket, ticks, tail_keys, tail_samples, keys, key_samples, key_peaks
  from history.activity_rollup
 where server_id = $1
   and step_seconds = $2
   and dimension = $3
   and bucket >= $4
   and bucket < $5`,
		args: func(p *params) {
			p.int8(int64(c.server))
			p.int4(seconds(part.Grain.Step()))
			p.int2(int16(stored(c.by)))
			p.time(part.Range.From)
			p.time(part.Range.To)
		},
		row: func(v values) {
			b := c.bucket(v.micros(0))
			c.answered[b] += int64(v.int4(1))
			c.rowKeys, c.rowSamples = v.appendInt4s(4, c.rowKeys[:0]), v.appendInt8s(5, c.rowSamples[:0])
			c.rowPeaks = v.appendInt4s(6, c.rowPeaks[:0])
			if tail := v.int8(3); tail > 0 {
				c.unlisted[b] += tail
				c.tailed = true
			}
			c.distinct = max(c.distinct, len(c.rowKeys)+int(v.int4(2)))
			for i, key := range c.rowKeys {
				if stored(c.by) == rollup.Wait && !c.wait(int16(key)).fits {
					continue
				}
				c.add(key, b, c.rowSamples[i], c.rowPeaks[i]).rolled = true
			}
		},
	}
}

func (c *counting) add(key int32, bucket int, samples int64, peak int32) *keyCount {
	k := c.keys[key]
	if k == nil {
		k = new(keyCount)
		c.keys[key] = k
	}
	if last := len(k.points) - 1; last >= 0 && int(k.points[last].bucket) == bucket {
		k.points[last].samples += samples
	} else {
		k.points = append(k.points, countPoint{int32(bucket), samples})
	}
	k.peak = max(k.peak, peak)
	return k
}

// peaks asks for the most sessions in one tick.
func (c *counting) peaks(part history.Stretch) question {
	q := question{
		name: "pgam_dimension_peaks_minute",
		sql: `/* pgam:dimension_peaks */
select date_bin('10 minutes', minute, timestamptz 'epoch'), max(max_sessions)
  from history.activity_minute
 where server_id = $1
   and minute >= $2
   and minute < $3
 group by 1`,
	}
	switch part.Grain {
	case history.GrainMinute:
		q = question{
			name: "pgam_dimension_peaks_each_minute",
			sql: `/* pgam:dimension_peaks */
select minute, max_sessions
  from history.activity_minute
 where server_id = $1
   and minute >= $2
   and minute < $3`,
		}
	case history.GrainHour, history.GrainDay:
		q = question{
			name: "pgam_dimension_peaks_total",
			sql: `/* pgam:dimension_peaks */
select bucket, max_sessions
  from history.activity_total
 where server_id = $1
   and bucket >= $2
   and bucket < $3
   and step_seconds = $4`,
		}
	default:
	}
	q.args = func(p *params) {
		p.int8(int64(c.server))
		p.time(part.Range.From)
		p.time(part.Range.To)
		if part.Grain == history.GrainHour || part.Grain == history.GrainDay {
			p.int4(seconds(part.Grain.Step()))
		}
	}
	q.row = func(v values) {
		b := c.bucket(v.micros(0))
		c.most[b] = max(c.most[b], v.int4(1))
	}
	return q
}

// waitKeys asks for the dictionary of waits.
func (c *counting) waitKeys() question {
	c.waits = make(map[int16]waitKey)
	return question{
		name: "pgam_wait_keys",
		sql:  "/* pgam:wait_keys */ select id, state, wait_event_type, wait_event from history.wait where server_id = $1",
		args: func(p *params) { p.int8(int64(c.server)) },
		row: func(v values) {
			if v.int2(0) < 0 {
				return // no load: nothing counts it
			}
			state, typ, event := v.text(1), v.text(2), v.text(3)
			class := classOf(v.int2(0), state, typ, event)
			named := map[history.Dimension]string{
				history.ByWaitClass: class.String(), history.ByState: state, history.ByWaitEvent: eventLabel(class, typ, event),
			}
			w := waitKey{label: named[c.by], class: class.String(), fits: true}
			for d, label := range named {
				if wanted := c.filter[d]; len(wanted) > 0 && !slices.Contains(wanted, label) {
					w.fits = false
				}
			}
			c.waits[v.int2(0)] = w
		},
	}
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

// sortWaits gives entries that are called the same the same first id.
func (c *counting) sortWaits() {
	firsts := make(map[string]int16)
	for id, w := range c.waits {
		if first, known := firsts[w.label]; !known || id < first {
			firsts[w.label] = id
		}
	}
	for id, w := range c.waits {
		w.first = firsts[w.label]
		c.waits[id] = w
	}
}

// wait gives an entry; one that came after the dictionary was read fits only
// where all do.
func (c *counting) wait(id int16) waitKey {
	w, known := c.waits[id]
	if !known {
		return waitKey{label: "(new)", class: sample.ClassOther.String(), first: id, fits: c.filter.Empty()}
	}
	return w
}

func (c *counting) filteredQueries(wanted []string) (question, error) {
	c.queries = make(map[int32]bool)
	var ids []int64
	for _, text := range wanted {
		if text == "" {
			c.queries[0] = true
			continue
		}
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return question{}, fmt.Errorf("%w: a query_id is a whole number, or empty for none", history.ErrInvalid)
		}
		ids = append(ids, id)
	}
	return question{
		name: "pgam_queries_of",
		sql: `/* pgam:queries_of */
select id
  from history.query
 where server_id = $1
   and query_id = any ($2::int8[])`,
		args: func(p *params) {
			p.int8(int64(c.server))
			column(p, oidInt8, ids, func(id *int64) { p.eight(uint64(*id)) })
		},
		row: func(v values) { c.queries[v.int4(0)] = true },
	}, nil
}
