package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// byHours is how long a range is of which hours are taken that no tick of is
	// missing.
	byHours = 3 * time.Hour
	// maxGaps is how many stretches between such hours are looked at one by one.
	maxGaps = 20
)

// Coverage says how much of a range was seen: see history.Coverage. What lies
// before the server was added was never promised; nor was, while a collector
// is at work, the time that is not written yet. Where nothing finer than hours
// is kept, the range is judged in full hours.
func (s *Store) Coverage(ctx context.Context, t target.Target, r history.Range) (history.Coverage, error) {
	g, err := s.ground(ctx, t, r, true)
	if err != nil {
		return history.Coverage{}, fmt.Errorf("read coverage: %w", statsdb.Classify(err))
	}
	ledger := history.NewLedger(g.r, g.cadence)
	if err := s.enter(ctx, t.ID, g, ledger); err != nil {
		return history.Coverage{}, fmt.Errorf("read coverage: %w", statsdb.Classify(err))
	}
	return ledger.Coverage(), nil
}

// covered reads something, and judges a range meanwhile on another connection.
// The error is that of what was read, if there is one.
func (s *Store) covered(ctx context.Context, t target.Target, r history.Range, read func(context.Context) error) (history.Coverage, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type judgement struct {
		coverage history.Coverage
		err      error
	}
	done := make(chan judgement, 1)
	go func() {
		c, err := guard.Call(func() (history.Coverage, error) { return s.Coverage(ctx, t, r) })
		done <- judgement{c, err}
	}()
	err := read(ctx)
	if err != nil {
		cancel()
	}
	j := <-done
	if err == nil {
		err = j.err
	}
	return j.coverage, err
}

// CoverageSeries says how much of each step of a range was seen. The step is
// whole minutes; zero: only the whole range is judged. The error wraps
// history.ErrGone where the range begins before what is kept: hours, or minutes
// for a step that is not whole hours.
func (s *Store) CoverageSeries(ctx context.Context, t target.Target, r history.Range, step time.Duration) (history.CoverageSeries, error) {
	table, what := "activity_total", "hours of what was seen"
	if step%time.Hour != 0 {
		table, what = "activity_minute", "minutes of what was seen (a step of whole hours reaches further back)"
	}
	if err := s.stillKept(ctx, t, table, what, r); err != nil {
		return history.CoverageSeries{}, err
	}
	if step == 0 {
		whole, err := s.Coverage(ctx, t, r)
		return history.CoverageSeries{Coverage: whole}, err
	}
	g, err := s.ground(ctx, t, r, step%time.Hour == 0) // then an hour lies in one step
	if err != nil {
		return history.CoverageSeries{}, fmt.Errorf("read coverage: %w", statsdb.Classify(err))
	}
	whole, each := history.NewLedger(g.r, g.cadence), history.NewLedgers(r, g.r, step, g.cadence)
	if err := s.enter(ctx, t.ID, g, tee{whole, each}); err != nil {
		return history.CoverageSeries{}, fmt.Errorf("read coverage: %w", statsdb.Classify(err))
	}
	series := each.Series()
	series.Coverage = whole.Coverage()
	return series, nil
}

// ledger takes ticks and blocks of them in the order of time.
type ledger interface {
	Tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason)
	Block(start time.Time, length, cadence time.Duration, t history.Tally)
}

// tee enters everything into several ledgers.
type tee []ledger

// Tick enters a tick.
func (t tee) Tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason) {
	for _, l := range t {
		l.Tick(at, cadence, outcome, reason)
	}
}

// Block enters ticks of which only the numbers are known.
func (t tee) Block(start time.Time, length, cadence time.Duration, tally history.Tally) {
	for _, l := range t {
		l.Block(start, length, cadence, tally)
	}
}

// A block is a stored minute or hour of ticks, with the shortest cadence in it.
type block struct {
	start           time.Time
	length, cadence time.Duration
	history.Tally
	// settled: nothing finer says more.
	settled bool
}

func (b *block) end() time.Time { return b.start.Add(b.length) }

// whole says whether no tick of the block is missing or unanswered.
func (b *block) whole() bool {
	return b.Failed+b.Skipped == 0 && b.cadence > 0 && time.Duration(b.OK+b.Degraded)*b.cadence >= b.length
}

// ground is what a range is judged on.
type ground struct {
	// r is the part of the range that a collector has answered for; it may be
	// empty.
	r       history.Range
	cadence time.Duration // in force at the start
	// fine is where minutes and windows are to be looked at; before it are only
	// hours.
	fine time.Time
	// blocks are what was read already: settled hours, or the minutes of all r.
	blocks   []block
	byMinute bool
}

// ground reads, in one round trip, what a range is judged on: for a long one
// and where minutes are no longer kept its hours, if they may be taken, else
// its minutes.
func (s *Store) ground(ctx context.Context, t target.Target, r history.Range, hours bool) (ground, error) {
	ticks, since, err := s.finerSince(ctx, t)
	if err != nil {
		return ground{}, err
	}
	added := t.CreatedAt.UTC()
	if r.From.Before(added) {
		r.From = added
	}
	if r.Empty() {
		return ground{r: history.Range{From: r.From, To: r.From}}, nil
	}
	g := ground{r: inWhole(time.Hour, inWhole(time.Minute, r, added, ticks), added, since), cadence: t.Intervals.Activity}
	g.fine = g.r.From
	if g.fine.Before(since) {
		g.fine = since
	}
	long := hours && g.r.To.Sub(g.fine) >= byHours
	g.byMinute = !long && g.fine.Equal(g.r.From)
	var (
		until time.Time
		read  []block
		open  []history.Open
	)
	questions := []question{planOnce(), judgedUntil(t, &until), cadenceAt(t.ID, g.r, &g.cadence)}
	if g.byMinute {
		questions = append(questions, minuteBlocks(t.ID, g.r, &read))
	} else {
		questions = append(questions, openBuckets(t.ID, g.r, &open), hourBlocks(t.ID, g.r, &read))
	}
	if err := s.ask(ctx, questions...); err != nil {
		return ground{}, err
	}
	if until.Before(g.r.To) {
		g.r.To = until
	}
	if g.r.Empty() {
		g.r.To = g.r.From
	}
	for i := range read {
		b := &read[i]
		switch {
		case b.end().After(g.r.To):
			continue
		case g.byMinute:
			b.settled = b.whole()
		case b.start.Before(g.fine):
			b.settled = true
		case !long || !b.whole() || isOpen(b, open):
			continue
		default:
			b.settled = true
		}
		g.blocks = append(g.blocks, *b)
	}
	return g, nil
}

// isOpen says whether something came for an hour since it was summed up.
func isOpen(b *block, open []history.Open) bool {
	return slices.ContainsFunc(open, func(o history.Open) bool {
		return o.Start.Before(b.end()) && o.Start.Add(o.Step).After(b.start) && o.Step <= time.Hour
	})
}

// finerSince says from when on ticks and minutes are kept; zero: none of the
// server's were thrown away.
func (s *Store) finerSince(ctx context.Context, t target.Target) (ticks, minutes time.Time, err error) {
	since, err := s.keptSince(ctx)
	if err != nil {
		return ticks, minutes, err
	}
	if oldest, there := since["activity_window"]; there && t.CreatedAt.Before(oldest) {
		ticks = oldest
	}
	if oldest, there := since["activity_minute"]; there && t.CreatedAt.Before(oldest) {
		minutes = oldest
	}
	return ticks, minutes, nil
}

// inWhole moves the ends of a range to full minutes or hours where nothing finer
// is kept, but not before the time that is judged at all.
func inWhole(step time.Duration, r history.Range, added, since time.Time) history.Range {
	if r.From.Before(since) {
		r.From = history.Floor(r.From, step)
		if r.From.Before(added) {
			r.From = history.Floor(added.Add(step-1), step)
		}
	}
	if r.To.Before(since) {
		r.To = history.Floor(r.To.Add(step-1), step)
	}
	return r
}

// judgedUntil asks until when a collector has answered: until the end of the
// server's newest window, or until now if that is too old.
func judgedUntil(t target.Target, to *time.Time) question {
	return question{
		name: "pgam_judged_until",
		sql: `/* pgam:newest_window */
select now(),
       (select w.t0 + w.span_ms * interval '1 millisecond'
          from history.activity_window w
         where w.server_id = $1
           and w.t0 > now() - interval '10 minutes'
         order by w.t0 desc
         limit 1)`,
		args: func(p *params) { p.int8(int64(t.ID)) },
		row: func(v values) {
			now, newest := v.time(0), v.timeOrNil(1)
			*to = now
			switch {
			case newest != nil && now.Sub(*newest) < settling:
				*to = *newest
			case newest == nil && now.Sub(t.CreatedAt) < settling:
				*to = t.CreatedAt.UTC()
			}
		},
	}
}

// cadenceAt asks for the cadence in force at the start of a range: that of the
// first window in or after it. Where there is none, to stays as it is.
func cadenceAt(id target.ID, r history.Range, to *time.Duration) question {
	return question{
		name: "pgam_cadence_at",
		sql: `/* pgam:first_window */
select cadence_ms
  from history.activity_window
 where server_id = $1
   and t0 > $2
   and t0 < $3
 order by t0
 limit 1`,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(r.From.Add(-maxSpan))
			p.time(r.To)
		},
		row: func(v values) { *to = time.Duration(v.int4(0)) * time.Millisecond },
	}
}

// hourBlocks asks for the hours in a range, in the order of time.
func hourBlocks(id target.ID, r history.Range, to *[]block) question {
	return blocksOf("hour", id, r, to, `/* pgam:coverage_hours */
select bucket, cadence_ms, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped
  from history.activity_total
 where server_id = $1
   and step_seconds = 3600
   and bucket >= $2
   and bucket <= $3
 order by bucket`, time.Hour)
}

// minuteBlocks asks for the minutes in a range, in the order of time.
func minuteBlocks(id target.ID, r history.Range, to *[]block) question {
	return blocksOf("minute", id, r, to, `/* pgam:minutes */
select minute, cadence_ms, ticks_ok, ticks_degraded, ticks_failed, ticks_skipped
  from history.activity_minute
 where server_id = $1
   and minute >= $2
   and minute <= $3
 order by minute`, time.Minute)
}

func blocksOf(what string, id target.ID, r history.Range, to *[]block, sql string, length time.Duration) question {
	return question{
		name: "pgam_coverage_" + what, sql: sql,
		args: func(p *params) {
			p.int8(int64(id))
			p.time(r.From)
			p.time(r.To.Add(-length))
		},
		row: func(v values) {
			*to = append(*to, block{
				start: v.time(0), length: length, cadence: time.Duration(v.int4(1)) * time.Millisecond,
				Tally: history.Tally{OK: int64(v.int4(2)), Degraded: int64(v.int4(3)), Failed: int64(v.int4(4)), Skipped: int64(v.int4(5))},
			})
		},
	}
}

// unsettled gives what lies between the settled blocks of a range from an
// instant on.
func unsettled(blocks []block, from, to time.Time) (gaps []history.Range) {
	for i := range blocks {
		b := &blocks[i]
		if !b.settled || !b.end().After(from) {
			continue
		}
		if from.Before(b.start) {
			gaps = append(gaps, history.Range{From: from, To: b.start})
		}
		from = b.end()
	}
	if from.Before(to) {
		gaps = append(gaps, history.Range{From: from, To: to})
	}
	return gaps
}

// enter fills a ledger from the hours of a range, the minutes of what lies
// between them and, where a minute is not whole or not there, from the windows.
// A minute whose windows are no longer kept counts as it was summed up.
func (s *Store) enter(ctx context.Context, id target.ID, g ground, to ledger) error {
	if g.r.Empty() {
		return nil
	}
	if !g.byMinute {
		if err := s.addMinutes(ctx, id, &g); err != nil {
			return err
		}
	}
	e := enterer{to: to, r: history.Range{From: g.fine, To: g.r.To}, blocks: g.blocks}
	err := s.eachWindow(ctx, id, unsettled(g.blocks, g.fine, g.r.To), func(w *storedWindow) {
		cadence := time.Duration(w.Cadence) * time.Millisecond
		for i, at := range w.plannedAt() {
			outcome, reason := w.outcome(i)
			e.tick(w.T0.Add(time.Duration(at)*time.Millisecond), cadence, outcome, reason)
		}
	})
	e.before(g.r.To)
	return err
}

// addMinutes adds to hours the minutes of what lies between them; where that is
// too much, they take the place of all hours but those that have none.
func (s *Store) addMinutes(ctx context.Context, id target.ID, g *ground) error {
	gaps := unsettled(g.blocks, g.fine, g.r.To)
	if len(gaps) > maxGaps {
		g.blocks = slices.DeleteFunc(g.blocks, func(b block) bool { return !b.start.Before(g.fine) })
		gaps = unsettled(g.blocks, g.fine, g.r.To)
	}
	if len(gaps) == 0 {
		return nil
	}
	var minutes []block
	questions := []question{planOnce()}
	for _, gap := range gaps {
		questions = append(questions, minuteBlocks(id, gap, &minutes))
	}
	if err := s.ask(ctx, questions...); err != nil {
		return err
	}
	for i := range minutes {
		minutes[i].settled = minutes[i].whole()
	}
	g.blocks = append(g.blocks, minutes...)
	slices.SortFunc(g.blocks, func(a, b block) int { return a.start.Compare(b.start) })
	return nil
}

// enterer brings blocks and ticks into one order of time.
type enterer struct {
	to     ledger
	r      history.Range // that ticks are taken of
	blocks []block       // those still to come
	ticked bool          // ticks of the first of them were seen
}

func (e *enterer) tick(at time.Time, cadence time.Duration, outcome sample.Outcome, reason sample.Reason) {
	if at.Before(e.r.From) || !at.Before(e.r.To) {
		return
	}
	e.before(at)
	if len(e.blocks) > 0 && !e.blocks[0].start.After(at) {
		if e.blocks[0].settled {
			return
		}
		e.ticked = true
	}
	e.to.Tick(at, cadence, outcome, reason)
}

// before enters the blocks that end before an instant, unless their ticks were
// entered.
func (e *enterer) before(t time.Time) {
	for len(e.blocks) > 0 && !e.blocks[0].end().After(t) {
		if b := &e.blocks[0]; !e.ticked {
			e.to.Block(b.start, b.length, b.cadence, b.Tally)
		}
		e.blocks, e.ticked = e.blocks[1:], false
	}
}
