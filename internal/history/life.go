package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// SpanKind says what is known of a backend for some time.
type SpanKind string

// The kinds. NotActive is looked at: the backend was idle, or not there.
const (
	SampledSpan   SpanKind = "sampled"
	NotActiveSpan SpanKind = "not_active"
	NotSeenSpan   SpanKind = "not_seen" // nobody looked, or the server did not answer
)

// SessionSpan is a time in which one backend did one thing.
type SessionSpan struct {
	Kind  SpanKind
	Range Range
	Ticks int // those that were answered
	// Session has state, wait, statement and since when, as of the first tick; nil
	// where it is not sampled.
	Session *Session
	// Blocked counts the ticks at which it waited for another.
	Blocked int
	// Blocks is the most sessions that waited for it directly at one tick.
	Blocks int
	// Blockers are those for whom it waited, the one of most ticks first; nil: not
	// seen.
	Blockers []*Session
}

// SessionHistory is what one backend did over a range.
type SessionHistory struct {
	// Range is what the spans cover: where Truncated, the newest part of what was
	// asked for.
	Range     Range
	Truncated bool
	Session   *Session // who it is; nil: it was never sampled
	Spans     []SessionSpan
	// Pairs are those for whom it waited and those that waited for it.
	Pairs      []Pair
	PairsTotal int
	Coverage   Coverage
}

// mostSpanBlockers bounds the blockers of a span.
const mostSpanBlockers = 5

// SessionQuestion asks what a backend did.
type SessionQuestion struct {
	Range Range
	PID   int32
	// BackendStart is to the microsecond; nil: the last one with this pid.
	BackendStart *time.Time
	Limit        int // of spans and of pairs
}

// SessionOver gives what one backend did over a range. The error wraps ErrGone
// where no tick of the range is kept.
func (r *Reader) SessionOver(ctx context.Context, t target.Target, q SessionQuestion) (SessionHistory, error) {
	answer, err := r.sessionOver(ctx, t, q, someHours)
	if err != nil {
		return answer, fmt.Errorf("read session: %w", statsdb.Classify(err))
	}
	return answer, nil
}

func (r *Reader) sessionOver(ctx context.Context, t target.Target, q SessionQuestion, most readLimits) (SessionHistory, error) {
	kept, err := r.keptTicks(ctx, t, q.Range)
	if err != nil {
		return SessionHistory{}, err
	}
	answer := SessionHistory{}
	if answer.Coverage, err = r.Coverage(ctx, t, kept); err != nil {
		return answer, err
	}
	answer.Range = kept.Clip(answer.Coverage.Range)
	session, keys, err := r.backend(ctx, t.ID, q)
	if err != nil || session == nil || answer.Range.Empty() {
		return answer, err
	}
	answer.Session = session
	l, begun := newLife(r, t.ID, keys, answer.Range.To), time.Now()
	what := parts{samples: true, whole: true, edges: true, only: keys}
	read, err := r.newestFirst(ctx, t.ID, answer.Range, what, l.take, func() (bool, error) {
		err := l.add(ctx)
		return len(l.spans) <= q.Limit && len(l.waits.pairs) < most.listed && time.Since(begun) < most.time, err
	})
	if err != nil {
		return answer, err
	}
	l.begin(read.From)
	if len(l.spans) > q.Limit {
		l.spans = l.spans[:q.Limit]
		read.From = l.spans[q.Limit-1].Range.From
	}
	answer.Truncated = read.From.After(later(q.Range.From, answer.Range.From)) || kept != q.Range
	if answer.Range != read {
		answer.Range = read
		if answer.Coverage, err = r.Coverage(ctx, t, read); err != nil {
			return answer, err
		}
	}
	return answer, l.name(ctx, &answer, q.Limit)
}

// backend gives who a backend is, as last known, and its keys.
func (r *Reader) backend(ctx context.Context, server target.ID, q SessionQuestion) (session *Session, keys []sample.Key, err error) {
	rows, err := r.pool.Query(ctx, sql("backend"), pgx.NamedArgs{
		"server_id": server, "from": q.Range.From, "to": q.Range.To, "pid": q.PID, "backend_start": q.BackendStart,
	})
	if err != nil {
		return nil, nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Session, err error) {
		err = row.Scan(&s.ID, &s.PID, &s.LeaderPID, &s.BackendStart, &s.Database, &s.User, &s.Application, &s.ClientAddr, &s.BackendType)
		s.BackendStart = inUTC(s.BackendStart)
		return s, err
	})
	for i := range list {
		s := &list[i]
		if i == 0 {
			session = s
		}
		if s.BackendStart == session.BackendStart || s.BackendStart != nil && session.BackendStart != nil && s.BackendStart.Equal(*session.BackendStart) {
			keys = append(keys, s.ID)
		}
	}
	slices.Sort(keys)
	return session, slices.Compact(keys), err
}

// life is what a backend did while it is read, the newest first.
type life struct {
	own     []sample.Key
	waits   *waitSums
	looks   []lookAt // taken and not added, in the order of time
	spans   []*spanSum
	planned time.Time // when the tick after was planned, and begun
	started time.Time
	cadence time.Duration // then
}

// lookAt is a tick, and what the backend did at it.
type lookAt struct {
	waitTick // its waits

	answered bool
	sampled  *tickSession
}

// spanSum is a span while it is summed up.
type spanSum struct {
	SessionSpan

	earliest tickSession
	blockers map[sample.Key]int // ticks
}

func newLife(r *Reader, server target.ID, keys []sample.Key, end time.Time) *life {
	return &life{own: keys, waits: newWaitSums(r, server), planned: end, started: end}
}

// take notes the ticks of a row that lie in a range.
func (l *life) take(row *sample.Row, within Range) error {
	sampled := make(map[int]*tickSession)
	for i, of := range row.Tick {
		if l.is(keyAt(row.SessionKeys, row.Session[i])) {
			one := sessionOf(row, i, 0)
			sampled[int(of)-1] = &one
		}
	}
	waits := make(map[int][]Waiting)
	for i, of := range row.EdgeTick {
		if one := waitingOf(row, i); l.is(one.Blocked) || l.is(one.Blocker) {
			waits[int(of)-1] = append(waits[int(of)-1], one)
		}
	}
	for i := range row.Planned {
		if !within.Holds(row.PlannedAt(i)) {
			continue
		}
		l.looks = append(l.looks, lookAt{
			waitTick: waitTick{row.PlannedAt(i), row.StartedAt(i), time.Duration(row.Cadence[i]) * time.Millisecond, waits[i]},
			answered: row.Outcome == nil || sample.Outcome(row.Outcome[i]).Answered(), sampled: sampled[i],
		})
	}
	return nil
}

func (l *life) is(key sample.Key) bool {
	_, is := slices.BinarySearch(l.own, key)
	return is
}

// add adds what was taken.
func (l *life) add(ctx context.Context) error {
	l.waits.pending = l.waits.pending[:0]
	for i := range l.looks {
		l.waits.pending = append(l.waits.pending, l.looks[i].waitTick) // which share their waits
	}
	if err := l.waits.meet(ctx); err != nil {
		return err
	}
	for i := len(l.looks) - 1; i >= 0; i-- {
		l.addLook(&l.looks[i])
	}
	l.looks = l.looks[:0]
	return nil
}

// addLook adds a tick, which stands until the next one, or as long as its cadence
// says where that is missing.
func (l *life) addLook(t *lookAt) {
	until := later(l.started, t.started)
	if sample.Promised(t.planned, l.planned, t.cadence) > 0 {
		if next := t.started.Add(t.cadence); next.Before(until) {
			l.span(NotSeenSpan, Range{next, until}, nil)
			until = next
		}
	}
	stands := Range{t.started, until}
	l.planned, l.started, l.cadence = t.planned, t.started, t.cadence
	if !t.answered {
		l.span(NotSeenSpan, stands, nil)
		return
	}
	kind := NotActiveSpan
	if t.sampled != nil {
		kind = SampledSpan
	}
	s := l.span(kind, stands, t.sampled)
	s.Ticks++
	blocked, blocks := t.sampled != nil && t.sampled.blocker != nil, 0
	for n, one := range t.waits {
		switch {
		case n > 0 && t.waits[n-1].Blocked == one.Blocked && t.waits[n-1].Blocker == one.Blocker:
		case l.is(one.Blocked):
			blocked = true
			s.blockers[one.Blocker]++
		default:
			blocks++
		}
	}
	if blocked {
		s.Blocked++
	}
	s.Blocks = max(s.Blocks, blocks)
	l.waits.addPairs(&t.waitTick)
}

// span gives the span that a tick belongs to: the one after, if it did the same.
func (l *life) span(kind SpanKind, stands Range, did *tickSession) *spanSum {
	if n := len(l.spans); n > 0 {
		s := l.spans[n-1]
		if s.Kind == kind && (did == nil || did.wait == s.earliest.wait && did.query == s.earliest.query) {
			s.Range.From = stands.From
			if did != nil {
				s.earliest = *did
			}
			return s
		}
	}
	s := &spanSum{SessionSpan: SessionSpan{Kind: kind, Range: stands}, blockers: make(map[sample.Key]int)}
	if did != nil {
		s.earliest = *did
	}
	l.spans = append(l.spans, s)
	return s
}

// begin ends at the start of what was read: nobody looked before the first tick, if
// one was due.
func (l *life) begin(from time.Time) {
	if l.planned.Sub(from) >= l.cadence && from.Before(l.started) {
		l.span(NotSeenSpan, Range{from, l.started}, nil)
	}
}

// name finds out what it did, and with whom.
func (l *life) name(ctx context.Context, answer *SessionHistory, limit int) error {
	all := &tick{planned: answer.Range.From}
	for _, s := range l.spans {
		if s.Kind == SampledSpan {
			all.sessions = append(all.sessions, s.earliest)
		}
	}
	n, err := l.waits.r.names(ctx, l.waits.server, all)
	if err != nil {
		return err
	}
	for _, s := range slices.Backward(l.spans) {
		if s.Kind == SampledSpan {
			did := n.named(&tick{sessions: []tickSession{s.earliest}})[0]
			s.Session = &did
		}
		keys := slices.SortedFunc(maps.Keys(s.blockers), func(a, b sample.Key) int {
			return cmp.Or(cmp.Compare(s.blockers[b], s.blockers[a]), cmp.Compare(a, b))
		})
		for _, key := range keys[:min(mostSpanBlockers, len(keys))] {
			s.Blockers = append(s.Blockers, l.waits.who[key])
		}
		answer.Spans = append(answer.Spans, s.SessionSpan)
	}
	pairs := l.waits.longestPairs(limit)
	answer.PairsTotal = len(l.waits.pairs)
	if err := l.waits.name(ctx, nil, pairs); err != nil {
		return err
	}
	for _, p := range pairs {
		answer.Pairs = append(answer.Pairs, p.Pair)
	}
	return nil
}
