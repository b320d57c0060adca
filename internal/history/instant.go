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
	planned, err := r.tickNear(ctx, t.ID, instant)
	if err != nil {
		return fail(err)
	}
	if !planned.IsZero() {
		ticks, err := r.ticksAt(ctx, t.ID, []time.Time{planned})
		if err != nil {
			return fail(err)
		}
		if len(ticks) > 0 {
			if err := r.addTick(ctx, t.ID, ticks[0], &answer); err != nil {
				return fail(err)
			}
		}
	}
	answer.Coverage, err = r.Coverage(ctx, t, Range{instant.Add(-lookedAt), instant})
	if err != nil {
		return fail(err)
	}
	return answer, nil
}

// tickNear finds the tick that answers for an instant, by when it was planned;
// zero: none does.
func (r *Reader) tickNear(ctx context.Context, server target.ID, instant time.Time) (planned time.Time, err error) {
	around := Range{instant.Add(-nearness - maxCadence), instant.Add(time.Microsecond)}
	err = r.rows(ctx, server, []Range{around}, parts{}, func(row *sample.Row, _ Range) error {
		for i := range row.Planned {
			started := row.StartedAt(i)
			near := instant.Sub(started) <= time.Duration(row.Cadence[i])*time.Millisecond+nearness
			answered := row.Outcome == nil || sample.Outcome(row.Outcome[i]).Answered()
			if at := row.PlannedAt(i); answered && near && !started.After(instant) && at.After(planned) {
				planned = at
			}
		}
		return nil
	})
	return planned, err
}

// addTick fills in what a tick says.
func (r *Reader) addTick(ctx context.Context, server target.ID, t *tick, answer *Instant) error {
	answer.At, answer.Outcome, answer.Reason, answer.Backends, answer.Burst = t.started, t.outcome, t.reason, t.backends, t.burst
	n, err := r.names(ctx, server, t)
	if err != nil {
		return err
	}
	answer.Sessions = n.named(t)
	answer.Blocking = NewBlocking(t.waits, n.known(t, answer.Sessions), n.locks)
	rows, err := r.pool.Query(ctx, sql("horizon"), pgx.NamedArgs{"server_id": server, "from": t.started.Add(-horizonStands), "to": t.started})
	if err != nil {
		return err
	}
	holders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h XminHolder, err error) {
		err = row.Scan(&h.Holder, &h.Name, &h.Age, &h.SampledAt)
		h.SampledAt = h.SampledAt.UTC()
		return h, err
	})
	for i := range answer.Sessions {
		s := &answer.Sessions[i]
		if s.XminAge == nil {
			continue
		}
		h := XminHolder{Holder: SessionHolder, PID: &s.PID, Age: int64(*s.XminAge), SampledAt: answer.At}
		if s.Application != nil {
			h.Name = *s.Application
		}
		holders = append(holders, h)
	}
	answer.Xmin = Oldest(holders, mostHolders)
	return err
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
