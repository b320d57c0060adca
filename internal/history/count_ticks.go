package history

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
)

// sessionDimensions are those in which sessions differ, in the order of
// sample.Dimension.
var sessionDimensions = []Dimension{ByDatabase, ByUser, ByApplication, ByClient, ByBackendType} //nolint:gochecknoglobals // constant table

// sessionOfDay is a session: names may change from day to day.
type sessionOfDay struct {
	day int32
	key sample.Key
}

// sessionKey is what counts of a session.
type sessionKey struct {
	label string
	fits  bool // the filter leaves it
}

// countTicks counts the samples of ticks in some ranges.
func (c *counting) countTicks(ctx context.Context, ranges []Range) error {
	if len(ranges) == 0 {
		return nil
	}
	bySession := slices.ContainsFunc(sessionDimensions, func(d Dimension) bool { return d == c.by || len(c.filter[d]) > 0 })
	if bySession {
		if err := c.readSessions(ctx, ranges); err != nil {
			return err
		}
	}
	return c.r.rows(ctx, c.server, ranges, parts{samples: true}, func(row *sample.Row, within Range) error {
		c.countRow(row, within, bySession)
		return nil
	})
}

// readSessions reads what the sessions of some ranges are counted by.
func (c *counting) readSessions(ctx context.Context, ranges []Range) error {
	rows, err := c.r.pool.Query(ctx, sql("session_labels"), rangeArgs(c.server, ranges))
	if err != nil {
		return err
	}
	var (
		day   time.Time
		key   sample.Key
		texts [sample.NumLabels]string
	)
	_, err = pgx.ForEachRow(rows, []any{&day, &key, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]}, func() error {
		c.sessions[sessionOfDay{sample.Day(day), key}] = c.sessionKey(&texts)
		return nil
	})
	return err
}

func (c *counting) sessionKey(texts *[sample.NumLabels]string) sessionKey {
	n := sessionKey{fits: true}
	for i, d := range sessionDimensions {
		if d == c.by {
			n.label = texts[i]
		}
		if wanted := c.filter[d]; len(wanted) > 0 && !slices.Contains(wanted, texts[i]) {
			n.fits = false
		}
	}
	return n
}

// countRow counts the ticks of a row that lie in a range.
func (c *counting) countRow(row *sample.Row, within Range, bySession bool) {
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
	// What the keys of the row are counted as: an index of what it is counted by,
	// 0 where that is another dimension, or -1 where the filter leaves it out.
	var (
		counts  []*keyCount
		indexes = make(map[*keyCount]int32)
	)
	indexOf := func(k *keyCount) int32 {
		i, known := indexes[k]
		if !known {
			i = int32(len(counts))
			counts, indexes[k] = append(counts, k), i
		}
		return i
	}
	indexOfLabel := func(key Key) int32 {
		k := ofKey(c.names, key.name())
		k.key = key
		return indexOf(k)
	}
	waits, queries, sessions := make([]int32, len(row.WaitKeys)+1), make([]int32, len(row.QueryKeys)+1), make([]int32, len(row.SessionKeys)+1)
	for i, key := range row.WaitKeys {
		switch w := c.wait(key, sample.WaitClass(row.WaitClass[i])); {
		case !w.fits:
			waits[i+1] = -1
		case stored(c.by) == sample.ByWait:
			waits[i+1] = indexOfLabel(w.key)
		}
	}
	for i := range queries {
		key := sample.Key(0)
		if i > 0 {
			key = row.QueryKeys[i-1]
		}
		switch {
		case c.queries != nil && !c.queries[key]:
			queries[i] = -1
		case c.by == ByQuery:
			queries[i] = indexOf(ofKey(c.keys, key))
		}
	}
	if bySession {
		day, unknown := sample.Day(row.Bucket), c.sessionKey(new([sample.NumLabels]string))
		for i, key := range row.SessionKeys {
			n, known := c.sessions[sessionOfDay{day, key}]
			if !known {
				n = unknown
			}
			switch {
			case !n.fits:
				sessions[i+1] = -1
			case stored(c.by) >= sample.ByDatabase:
				sessions[i+1] = indexOfLabel(Key{Label: n.label})
			}
		}
	}
	index := func(i int32) int32 {
		w, q, s := waits[row.Wait[i]], queries[row.Query[i]], sessions[row.Session[i]]
		if min(w, q, s) < 0 {
			return -1
		}
		return max(w, q, s)
	}
	row.Load().Count(len(counts), index, func(tick int, found []sample.Counted) {
		b, total := buckets[tick], int32(0)
		if b < 0 {
			return
		}
		for _, n := range found {
			counts[n.Index].add(b, int64(n.Samples), n.Samples)
			total += n.Samples
		}
		c.most[b] = max(c.most[b], total)
	})
}
