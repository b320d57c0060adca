package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// nearness is how much older than the cadence the tick may be that answers
	// for an instant: a window may be a minute long, and is written after its end.
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

// At gives every session of the newest answered tick that is not after an
// instant, nor older than the cadence and nearness. The error wraps
// history.ErrGone where ticks of that time are no longer kept.
func (s *Store) At(ctx context.Context, t target.Target, instant time.Time) (history.Instant, error) {
	instant = instant.UTC()
	if err := s.ticksKept(ctx, t, instant); err != nil {
		return history.Instant{}, fmt.Errorf("read instant: %w", err)
	}
	answer, err := s.instant(ctx, t, instant)
	if errors.Is(err, errMoved) {
		answer, err = s.instant(ctx, t, instant) // no day is packed twice in a moment
	}
	if err != nil {
		return history.Instant{}, fmt.Errorf("read instant: %w", statsdb.Classify(err))
	}
	return answer, nil
}

// errMoved says that a window was packed while it was read.
var errMoved = errors.New("the window was packed meanwhile")

// instant finds the tick that answers for an instant, and reads it.
func (s *Store) instant(ctx context.Context, t target.Target, instant time.Time) (history.Instant, error) {
	answer := history.Instant{Asked: instant}
	var (
		found storedWindow
		tick  int
	)
	around := history.Range{From: instant.Add(-nearness - maxCadence), To: instant.Add(time.Microsecond)}
	err := s.eachWindow(ctx, t.ID, []history.Range{around}, func(w *storedWindow) {
		for i := range w.Offset {
			at := w.at(i)
			outcome, reason := w.outcome(i)
			near := instant.Sub(at) <= time.Duration(w.Cadence)*time.Millisecond+nearness
			if outcome.Answered() && !at.After(instant) && near && at.After(answer.At) {
				found, tick = *w, i+1
				answer.At, answer.Outcome, answer.Reason = at.UTC(), outcome, reason
			}
		}
	})
	if err != nil {
		return answer, err
	}
	if tick > 0 {
		if err := s.tickOf(ctx, t.ID, found.T0, tick, &answer); err != nil {
			return answer, err
		}
	}
	answer.Coverage, err = s.Coverage(ctx, t, history.Range{From: instant.Add(-lookedAt), To: instant})
	return answer, err
}

// tickOf reads one tick of one window: its sessions, who waits for whom, and
// what keeps rows from being vacuumed. The error wraps errMoved if the window is
// not where it was.
func (s *Store) tickOf(ctx context.Context, id target.ID, t0 time.Time, tick int, answer *history.Instant) error {
	head, err := s.tickHead(ctx, id, t0, tick)
	if err != nil {
		return err
	}
	answer.Backends, answer.Burst = head.backends, head.burst
	if answer.Sessions, err = s.sessionsOf(ctx, id, t0, tick, nil); err != nil {
		return err
	}
	if err := s.blockingOf(ctx, id, t0, tick, answer); err != nil {
		return err
	}
	if now, err := s.tickHead(ctx, id, t0, tick); err != nil || now.table != head.table {
		return cmp.Or(err, errMoved)
	}
	return s.xminOf(ctx, id, answer)
}

// tickHead is what of a tick stands beside its sessions, and in which table.
type tickHead struct {
	table    uint32
	backends *int32
	burst    bool
}

func (s *Store) tickHead(ctx context.Context, id target.ID, t0 time.Time, tick int) (h tickHead, err error) {
	const sql = `/* pgam:tick */
select tableoid, tick_backends[$3], coalesce(tick_burst[$3], false) from history.activity_window where server_id = $1 and t0 = $2`
	err = s.pool.QueryRow(ctx, sql, id, t0, tick).Scan(&h.table, &h.backends, &h.burst)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errMoved
	}
	return h, err
}

// sessionsOf reads the sessions of one tick of one window, with labels: all, or
// those in only.
func (s *Store) sessionsOf(ctx context.Context, id target.ID, t0 time.Time, tick int, only []int32) ([]history.Session, error) {
	const sql = `/* pgam:sessions_at */
select u.session as id,
       coalesce(d.pid, 0) as pid,
       d.leader_pid,
       d.backend_start,
       d.database_name as database,
       d.user_name as "user",
       nullif(d.application_name, '') as application,
       d.client_addr,
       nullif(d.backend_type, '') as backend_type,
       coalesce(x.state, '') as state,
       coalesce(x.wait_event_type, '') as wait_event_type,
       coalesce(x.wait_event, '') as wait_event,
       u.wait as wait_id,
       q.query_id,
       coalesce(q.own, false) as own_fingerprint,
       q.text as query,
       w.t0 + u.query_start_ms * interval '1 millisecond' as query_start,
       w.t0 + (u.query_start_ms::int8 - u.xact_lead_ms) * interval '1 millisecond' as xact_start,
       w.t0 + (u.query_start_ms::int8 + coalesce(u.state_lag_ms, 0)) * interval '1 millisecond' as state_change,
       u.xmin_age,
       u.blocker is not null as blocked,
       b.pid as blocked_by_pid,
       u.blocker as blocker_id
  from history.activity_window w
 cross join lateral unnest(w.sample_tick, w.sample_session, w.sample_wait, w.sample_query, w.sample_query_start_ms,
                           w.sample_xact_lead_ms, w.sample_state_lag_ms, w.sample_xmin_age, w.sample_blocker)
       as u (tick, session, wait, query, query_start_ms, xact_lead_ms, state_lag_ms, xmin_age, blocker)
  left join history.wait x on x.server_id = w.server_id and x.id = u.wait
  left join history.session d on d.server_id = w.server_id and d.day = $4 and d.id = u.session
  left join history.query q on q.server_id = w.server_id and q.id = u.query
  left join history.session b on b.server_id = w.server_id and b.day = $4 and b.id = u.blocker
 where w.server_id = $1
   and w.t0 = $2
   and u.tick = $3
   and ($5::int4[] is null or u.session = any ($5))
 order by coalesce(d.pid, 0), u.session`
	rows, err := s.pool.Query(ctx, sql, id, t0, tick, t0.UTC(), only)
	if err != nil {
		return nil, err
	}
	type row struct {
		history.Session

		WaitID int16
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	sessions := make([]history.Session, len(found))
	for i := range found {
		sessions[i] = found[i].Session
		n := &sessions[i]
		n.Class = classOf(found[i].WaitID, n.State, n.WaitEventType, n.WaitEvent)
		for _, at := range []*time.Time{n.BackendStart, n.QueryStart, n.XactStart, n.StateChange} {
			if at != nil {
				*at = at.UTC()
			}
		}
	}
	return sessions, err
}

// blockingOf reads who waits for whom at one tick. A window from before there
// were edges tells the first blocker of each session.
func (s *Store) blockingOf(ctx context.Context, id target.ID, t0 time.Time, tick int, answer *history.Instant) error {
	const sql = `/* pgam:edges_at */
select e.blocked, e.blocker, e.lock, l.lock_type, l.mode, l.relation_name, l.relation_oid, l.database_oid
  from history.activity_window w
 cross join lateral unnest(w.edge_tick, w.edge_blocked, w.edge_blocker, w.edge_lock) as e (tick, blocked, blocker, lock)
  left join history.lock l on l.server_id = w.server_id and l.id = e.lock
 where w.server_id = $1
   and w.t0 = $2
   and e.tick = $3`
	rows, err := s.pool.Query(ctx, sql, id, t0, tick)
	if err != nil {
		return err
	}
	var (
		waits            []history.Waiting
		locks            = make(map[int32]*history.Lock)
		blocked, blocker int32
		lock             int32
		found            storedLock
	)
	into := append([]any{&blocked, &blocker, &lock}, found.fields()...)
	_, err = pgx.ForEachRow(rows, into, func() error {
		waits = append(waits, history.Waiting{Blocked: int64(blocked), Blocker: int64(blocker), Lock: lock})
		if locks[lock] == nil {
			locks[lock] = found.lock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(waits) == 0 {
		for i := range answer.Sessions {
			if n := &answer.Sessions[i]; n.BlockerID != nil {
				waits = append(waits, history.Waiting{Blocked: int64(n.ID), Blocker: int64(*n.BlockerID)})
			}
		}
	}
	sessions := make(map[int64]*history.Session, len(answer.Sessions))
	for i := range answer.Sessions {
		sessions[int64(answer.Sessions[i].ID)] = &answer.Sessions[i]
	}
	if err := s.addSessions(ctx, id, t0, waits, sessions); err != nil {
		return err
	}
	answer.Blocking = history.NewBlocking(waits, sessions, locks)
	return nil
}

// storedLock is a row of history.lock, or of none.
type storedLock struct {
	kind, mode, relation     *string
	relationOID, databaseOID *uint32
}

func (l *storedLock) fields() []any {
	return []any{&l.kind, &l.mode, &l.relation, &l.relationOID, &l.databaseOID}
}

func (l *storedLock) lock() *history.Lock {
	if l.kind == nil || l.mode == nil {
		return nil
	}
	return &history.Lock{Type: *l.kind, Mode: *l.mode, Relation: l.relation, RelationOID: l.relationOID, DatabaseOID: l.databaseOID}
}

// addSessions adds those that are in waits only, with what the dictionary
// knows: sessions that are idle, and prepared transactions.
func (s *Store) addSessions(ctx context.Context, id target.ID, day time.Time, waits []history.Waiting, sessions map[int64]*history.Session) error {
	var missing []int32
	for _, w := range waits {
		for _, n := range []int64{w.Blocked, w.Blocker} {
			if _, known := sessions[n]; !known && n != history.NotSeen {
				sessions[n] = nil
				missing = append(missing, int32(n))
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	const sql = `/* pgam:sessions_named */
select id, pid, leader_pid, backend_start, database_name, user_name, nullif(application_name, ''), client_addr, nullif(backend_type, '')
  from history.session
 where server_id = $1
   and day = $2
   and id = any ($3)`
	rows, err := s.pool.Query(ctx, sql, id, day.UTC(), missing)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*history.Session, error) {
		n := new(history.Session)
		err := row.Scan(&n.ID, &n.PID, &n.LeaderPID, &n.BackendStart, &n.Database, &n.User, &n.Application, &n.ClientAddr, &n.BackendType)
		if n.BackendStart != nil {
			*n.BackendStart = n.BackendStart.UTC()
		}
		return n, err
	})
	for _, n := range found {
		sessions[int64(n.ID)] = n
	}
	return err
}

// xminOf names what has the oldest xmin at an instant.
func (s *Store) xminOf(ctx context.Context, id target.ID, answer *history.Instant) error {
	const sql = `/* pgam:horizon_at */
select distinct on (holder, name) holder, name, xmin_age, sampled_at
  from history.horizon
 where server_id = $1
   and sampled_at > $2
   and sampled_at <= $3
 order by holder, name, sampled_at desc`
	rows, err := s.pool.Query(ctx, sql, id, answer.At.Add(-horizonStands), answer.At)
	if err != nil {
		return err
	}
	holders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h history.XminHolder, err error) {
		err = row.Scan(&h.Holder, &h.Name, &h.Age, &h.SampledAt)
		h.SampledAt = h.SampledAt.UTC()
		return h, err
	})
	if err != nil {
		return err
	}
	for i := range answer.Sessions {
		n := &answer.Sessions[i]
		if n.XminAge == nil {
			continue
		}
		h := history.XminHolder{Holder: history.SessionHolder, PID: &n.PID, Age: int64(*n.XminAge), SampledAt: answer.At}
		if n.Application != nil {
			h.Name = *n.Application
		}
		holders = append(holders, h)
	}
	answer.Xmin = history.Oldest(holders, mostHolders)
	return nil
}
