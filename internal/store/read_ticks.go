package store

import (
	"context"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/rollup"
	"github.com/pgam/pgam/internal/sample"
)

// piece is how much of a range is read from windows at a time, where sessions
// are needed: it bounds the memory of a question.
const piece = 30 * time.Minute

// sessionDimensions are those in which sessions differ.
var sessionDimensions = []history.Dimension{ //nolint:gochecknoglobals // constant table
	history.ByDatabase, history.ByUser, history.ByApplication, history.ByClient, history.ByBackendType,
}

// countedSession is what counts of a session.
type countedSession struct {
	key  int32
	fits bool
}

// windowCount counts windows of a range.
type windowCount struct {
	*counting
	columns  leanColumns
	early    bool // the filter is applied to samples, not to what they sum up to
	byWait   bool // it is counted by the wait, or a filter looks at it
	grid     rollup.Grid
	buffer   leanBuffer
	sessions map[int32]countedSession // of the day
	day      time.Time
	buckets  []int // of each tick of the window; negative: it does not count
	total    []int32
}

// windows counts the samples of ticks in a range.
func (c *counting) windows(ctx context.Context, r history.Range) error {
	w := windowCount{counting: c, early: !c.filter.Within(c.by)}
	waits := stored(c.by) == rollup.Wait
	w.byWait = waits || len(c.filter[history.ByWaitClass])+len(c.filter[history.ByWaitEvent])+len(c.filter[history.ByState]) > 0
	w.columns.query = c.by == history.ByQuery || w.early && len(c.filter[history.ByQuery]) > 0
	w.columns.session = slices.Contains(sessionDimensions, c.by) ||
		w.early && slices.ContainsFunc(sessionDimensions, func(d history.Dimension) bool { return len(c.filter[d]) > 0 })
	for from := r.From; from.Before(r.To); {
		to := r.To
		if w.columns.session {
			// Sessions have other entries each day.
			to = earliest(to, from.Add(piece), history.Floor(from, 24*time.Hour).Add(24*time.Hour))
		}
		if err := w.count(ctx, history.Range{From: from, To: to}); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func earliest(a time.Time, others ...time.Time) time.Time {
	for _, b := range others {
		if b.Before(a) {
			a = b
		}
	}
	return a
}

// count counts the windows of a piece.
func (w *windowCount) count(ctx context.Context, r history.Range) error {
	w.buffer.reset()
	// A tick counts in its window's time: see rollup.Window.Instant.
	read := leanWindows(w.columns, w.server, r.From.Add(-maxSpan+time.Millisecond), r.To, func(v values) {
		w.buffer.add(v)
		if !w.columns.session && !w.buffer.malformed {
			w.window(&w.buffer.windows[0], r)
			w.buffer.reset()
		}
	})
	if err := w.s.ask(ctx, read); err != nil {
		return err
	}
	if err := w.buffer.err(); err != nil {
		return err
	}
	if !w.columns.session {
		return nil
	}
	if err := w.know(ctx, r.From); err != nil {
		return err
	}
	for i := range w.buffer.windows {
		w.window(&w.buffer.windows[i], r)
	}
	return nil
}

// know reads the sessions that the piece has and those before had not.
func (w *windowCount) know(ctx context.Context, at time.Time) error {
	if day := history.Floor(at, 24*time.Hour); !day.Equal(w.day) || w.sessions == nil {
		w.day, w.sessions = day, make(map[int32]countedSession)
	}
	none := countedSession{fits: w.sessionFits(nil)}
	var ids []int32
	for i := range w.buffer.windows {
		for _, id := range w.buffer.windows[i].Session {
			if _, known := w.sessions[id]; !known {
				w.sessions[id], ids = none, append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return w.s.ask(ctx, sessionLabels(w.server, w.day, ids, func(id int32, v values) {
		n := countedSession{fits: w.sessionFits(v)}
		if slices.Contains(sessionDimensions, w.by) {
			n.key = -w.texts.of(v)[stored(w.by)-rollup.Database]
		}
		w.sessions[id] = n
	}))
}

// sessionFits reports whether the filter leaves a row of sessionLabels; nil is
// a session that nothing is known of.
func (w *windowCount) sessionFits(v values) bool {
	if !w.early {
		return true
	}
	for _, d := range sessionDimensions {
		text := ""
		if v != nil {
			text = v.text(labelColumn(stored(d)))
		}
		if wanted := w.filter[d]; len(wanted) > 0 && !slices.Contains(wanted, text) {
			return false
		}
	}
	return true
}

// window counts the ticks of one window that lie in a range.
func (w *windowCount) window(n *rollup.Window, r history.Range) {
	w.buckets, w.total = w.buckets[:0], w.total[:0]
	counted := false
	for tick := range n.Offset {
		b := -1
		if at := n.Instant(tick); n.Answered(tick) && !at.Before(r.From) && at.Before(r.To) {
			b = w.bucket(at.UnixMicro())
			w.answered[b]++
			counted = true
		}
		w.buckets, w.total = append(w.buckets, b), append(w.total, 0)
	}
	if !counted {
		return
	}
	w.grid.Begin(len(n.Offset))
	for i, one := range n.Tick {
		if tick := int(one) - 1; w.buckets[tick] >= 0 && n.Load(i) {
			if key, fits := w.key(n, i); fits {
				w.grid.Add(key, tick)
				w.total[tick]++
			}
		}
	}
	for tick, b := range w.buckets {
		if b >= 0 {
			w.most[b] = max(w.most[b], w.total[tick])
		}
	}
	w.grid.Each(func(key int32, byTick []int32) {
		for tick, samples := range byTick {
			if samples > 0 {
				w.add(key, w.buckets[tick], int64(samples), samples)
			}
		}
	})
}

// key gives what a sample is counted by, and whether the filter leaves it.
func (w *windowCount) key(n *rollup.Window, i int) (key int32, fits bool) {
	if w.byWait {
		wait := w.wait(n.Wait[i])
		if !wait.fits {
			return 0, false
		}
		key = int32(wait.first)
	}
	if w.columns.query {
		query := n.Query[i]
		if query == sample.Unset {
			query = 0
		}
		if w.queries != nil && !w.queries[query] {
			return 0, false
		}
		if w.by == history.ByQuery {
			key = query
		}
	}
	if w.columns.session {
		session := w.sessions[n.Session[i]]
		if !session.fits {
			return 0, false
		}
		if stored(w.by) >= rollup.Database {
			key = session.key
		}
	}
	return key, true
}
