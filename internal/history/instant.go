package history

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// nearness is how much older than the cadence the tick may be that answers
	// for an instant: a slot is flushed after its end, and that may be held up.
	nearness = 90 * time.Second
	// maxCadence is the longest that a server may have.
	maxCadence = time.Minute
	// lookedAt is how long before an instant the coverage of its answer begins.
	lookedAt = time.Minute
	// horizonStands is how long what keeps rows from being vacuumed is believed
	// to be as last read: it is written every five minutes.
	horizonStands = 6 * time.Minute
	// mostHolders bounds how many of them are named.
	mostHolders = 5
)

// Instant is every session of one tick.
type Instant struct {
	// Asked is the instant of the question, At the tick that answers it: the
	// newest answered one not after it. At is zero when none is near enough.
	Asked, At time.Time
	Outcome   sample.Outcome
	Reason    sample.Reason
	// Backends counts connections as sample.Tick does; nil: unknown.
	Backends *int32
	// Burst says that the tick was taken in full detail.
	Burst    bool
	Sessions []Session
	Blocking Blocking
	// Xmin are those that keep rows from being vacuumed, the oldest first.
	Xmin []XminHolder
	// Coverage is of the time in which a tick was looked for.
	Coverage Coverage
}

// Session is one session of a tick, with labels. Nil is unknown, or does not
// apply.
type Session struct {
	ID             sample.Key
	PID            int32
	LeaderPID      *int32
	BackendStart   *time.Time
	Database       *string
	User           *string
	Application    *string
	ClientAddr     *string // nil: a Unix socket or a background process
	BackendType    *string
	State          string
	WaitEventType  string // CPU where PostgreSQL reported no wait, empty where it does not tell
	WaitEvent      string
	Class          sample.WaitClass
	QueryID        *int64
	OwnFingerprint bool // QueryID is pgam's own, not PostgreSQL's
	Query          *string
	QueryStart     *time.Time
	XactStart      *time.Time
	StateChange    *time.Time
	XminAge        *int32
	Blocked        bool
	BlockedByPID   *int32      // nil where Blocked: a prepared transaction, or a session that was not seen
	BlockerID      *sample.Key // as ID; 0: one that was not seen
}

// At gives every session of the newest answered tick that is not after an
// instant, nor older than the cadence and nearness. The error wraps ErrGone where
// ticks of that time are no longer kept.
func (r *Reader) At(ctx context.Context, t target.Target, instant time.Time) (Instant, error) {
	instant = instant.UTC()
	fail := func(err error) (Instant, error) {
		return Instant{}, fmt.Errorf("read instant: %w", statsdb.Classify(err))
	}
	if err := r.ticksKept(ctx, t, instant); err != nil {
		return fail(err)
	}
	answer := Instant{Asked: instant}
	kept, err := r.kept(ctx, t, ByWaitClass, nil)
	if err != nil {
		return fail(err)
	}
	plan, err := ledgerPlan(Range{instant.Add(-lookedAt), instant}, 0, kept)
	if err != nil {
		return fail(err)
	}
	ledger, first, second := newSums(t, plan, kept), &pgx.Batch{}, &pgx.Batch{}
	ledger.ask(first)
	near := queueNear(first, t.ID, instant)
	if err := r.send(ctx, first); err != nil {
		return fail(err)
	}
	ledger.read(second, false)
	var n *names
	if !near.planned.IsZero() {
		n = queueNames(second, t.ID, near)
		queueHorizon(second, t.ID, near.started, &answer)
	}
	if err := r.send(ctx, second); err != nil {
		return fail(err)
	}
	ledger.end()
	answer.Coverage = ledger.coverage()
	if n != nil {
		answer.take(near, n)
	}
	return answer, nil
}

// queueNear finds the tick that answers for an instant; its planned second is zero
// if none does.
func queueNear(b *pgx.Batch, server target.ID, instant time.Time) *tick {
	around, near := Range{instant.Add(-nearness - maxCadence), instant.Add(time.Microsecond)}, new(tick)
	queueRows(b, server, []Range{around}, parts{samples: true, whole: true, edges: true}, func(row *sample.Row, _ Range) error {
		best := -1
		for i := range row.Planned {
			started := row.StartedAt(i)
			recent := instant.Sub(started) <= time.Duration(row.Cadence[i])*time.Millisecond+nearness
			answered := row.Outcome == nil || sample.Outcome(row.Outcome[i]).Answered()
			if answered && recent && !started.After(instant) && row.PlannedAt(i).After(near.planned) {
				best, near.planned = i, row.PlannedAt(i)
			}
		}
		if best >= 0 {
			*near = tickOf(row, best)
		}
		return nil
	})
	return near
}

// queueHorizon asks for what beside sessions keeps rows from being vacuumed.
func queueHorizon(b *pgx.Batch, server target.ID, at time.Time, answer *Instant) {
	var h XminHolder
	b.Queue(sql("horizon"), pgx.NamedArgs{"server_id": server, "from": at.Add(-horizonStands), "to": at}).Query(
		each([]any{&h.Holder, &h.Name, &h.Age, &h.SampledAt}, func() error {
			h.SampledAt = h.SampledAt.UTC()
			answer.Xmin = append(answer.Xmin, h)
			return nil
		}))
}

// take fills in what a tick says.
func (i *Instant) take(t *tick, n *names) {
	i.At, i.Outcome, i.Reason, i.Backends, i.Burst = t.started, t.outcome, t.reason, t.backends, t.burst
	i.Sessions = n.named(t)
	i.Blocking = NewBlocking(t.waits, n.known(t, i.Sessions), n.locks)
	for at := range i.Sessions {
		s := &i.Sessions[at]
		if s.XminAge == nil {
			continue
		}
		h := XminHolder{Holder: SessionHolder, PID: &s.PID, Age: int64(*s.XminAge), SampledAt: i.At}
		if s.Application != nil {
			h.Name = *s.Application
		}
		i.Xmin = append(i.Xmin, h)
	}
	i.Xmin = Oldest(i.Xmin, mostHolders)
}

// ticksKept refuses an instant whose ticks are no longer kept. One before a
// server was added is answered: there never was anything.
func (r *Reader) ticksKept(ctx context.Context, t target.Target, at time.Time) error {
	since, err := r.keptSince(ctx)
	if err != nil {
		return err
	}
	if oldest := since["activity"]; at.Before(oldest) && t.CreatedAt.Before(oldest) {
		return fmt.Errorf("%w: single ticks are kept since %s: ask for a later instant, or /history/activity and /history/top for what is summed up",
			ErrGone, oldest.Format(time.RFC3339))
	}
	return nil
}
