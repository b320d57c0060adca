package history

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// tick is one tick as it is stored: what it saw by its keys.
type tick struct {
	planned, started time.Time
	outcome          sample.Outcome
	reason           sample.Reason
	backends         *int32
	burst            bool
	sessions         []tickSession
	waits            []Waiting
}

type tickSession struct {
	session, wait, query             sample.Key
	class                            sample.WaitClass
	queryStart, xactStart, stateTime *time.Time
	xminAge                          *int32
	blocker                          *sample.Key
}

// tickOf picks a tick, from 0, out of a row.
func tickOf(row *sample.Row, at int) tick {
	t := tick{
		planned: row.PlannedAt(at), started: row.StartedAt(at), backends: orNil(row.Backends[at]), burst: row.Burst != nil && row.Burst[at],
	}
	if row.Outcome != nil {
		t.outcome, t.reason = sample.Outcome(row.Outcome[at]), sample.Reason(row.Reason[at])
	}
	for i, of := range row.Tick {
		if int(of) == at+1 {
			t.sessions = append(t.sessions, sessionOf(row, i, row.NextXID[at]))
		}
	}
	for i, of := range row.EdgeTick {
		if int(of) == at+1 {
			t.waits = append(t.waits, waitingOf(row, i))
		}
	}
	return t
}

func sessionOf(row *sample.Row, i int, nextXID int64) tickSession {
	s := tickSession{
		session: keyAt(row.SessionKeys, row.Session[i]), wait: keyAt(row.WaitKeys, int32(row.Wait[i])), query: keyAt(row.QueryKeys, row.Query[i]),
		class: sample.WaitClass(row.WaitClass[row.Wait[i]-1]),
	}
	if row.Blocker != nil && row.Blocker[i] != sample.Unset {
		blocker := keyAt(row.SessionKeys, row.Blocker[i])
		s.blocker = &blocker
	}
	if row.Xmin != nil && row.Xmin[i] != 0 && nextXID != 0 {
		age := int32(nextXID) - row.Xmin[i]
		s.xminAge = &age
	}
	if row.QueryStart[i] == sample.Unset {
		return s
	}
	at := func(ms int64) *time.Time {
		t := row.Bucket.Add(time.Duration(ms) * time.Millisecond)
		return &t
	}
	start := int64(row.QueryStart[i])
	s.queryStart, s.stateTime = at(start), at(start)
	if row.XactLead[i] != sample.Unset {
		s.xactStart = at(start - int64(row.XactLead[i]))
	}
	if row.StateLag != nil && row.StateLag[i] != sample.Unset {
		s.stateTime = at(start + int64(row.StateLag[i]))
	}
	return s
}

func waitingOf(row *sample.Row, edge int) Waiting {
	return Waiting{
		Blocked: keyAt(row.SessionKeys, row.EdgeBlocked[edge]), Blocker: keyAt(row.SessionKeys, row.EdgeBlocker[edge]),
		Lock: keyAt(row.LockKeys, row.EdgeLock[edge]),
	}
}

func keyAt(keys []sample.Key, index int32) sample.Key {
	if index == 0 {
		return 0
	}
	return keys[index-1]
}

func orNil(n int32) *int32 {
	if n == sample.Unset {
		return nil
	}
	return &n
}

// names are what the keys of some ticks stand for.
type names struct {
	sessions map[sample.Key]Session // who each is
	waits    map[sample.Key]Session // state and wait
	queries  map[sample.Key]Session // statement
	locks    map[sample.Key]*Lock
}

// queueNames asks for what the keys of some ticks stand for.
func queueNames(b *pgx.Batch, server target.ID, ticks ...*tick) *names {
	var (
		days                             []time.Time
		sessions, waits, queries, locked []sample.Key
	)
	for _, t := range ticks {
		days = append(days, Floor(t.planned, 24*time.Hour))
		for i := range t.sessions {
			s := &t.sessions[i]
			sessions, waits, queries = append(sessions, s.session), append(waits, s.wait), append(queries, s.query)
			if s.blocker != nil {
				sessions = append(sessions, *s.blocker)
			}
		}
		for _, w := range t.waits {
			sessions, locked = append(sessions, w.Blocked, w.Blocker), append(locked, w.Lock)
		}
	}
	n := &names{
		sessions: make(map[sample.Key]Session), waits: make(map[sample.Key]Session), queries: make(map[sample.Key]Session), locks: make(map[sample.Key]*Lock),
	}
	if len(days) == 0 {
		return n
	}
	first, last := slices.MinFunc(days, time.Time.Compare), slices.MaxFunc(days, time.Time.Compare)
	ask := func(name string, keys []sample.Key, read func(pgx.CollectableRow) error) {
		if len(keys) == 0 {
			return
		}
		slices.Sort(keys)
		args := pgx.NamedArgs{"server_id": server, "keys": slices.Compact(keys), "days": days, "first": first, "last": last, "texts": true}
		b.Queue(sql(name), args).Query(func(rows pgx.Rows) error {
			_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, read(row) })
			return err
		})
	}
	ask("sessions", sessions, func(row pgx.CollectableRow) error {
		var s Session
		err := row.Scan(&s.ID, &s.PID, &s.LeaderPID, &s.BackendStart, &s.Database, &s.User, &s.Application, &s.ClientAddr, &s.BackendType)
		if s.BackendStart != nil {
			*s.BackendStart = s.BackendStart.UTC()
		}
		n.sessions[s.ID] = s
		return err
	})
	ask("waits", waits, func(row pgx.CollectableRow) error {
		var (
			s   Session
			key sample.Key
		)
		err := row.Scan(&key, nil, &s.State, &s.WaitEventType, &s.WaitEvent)
		n.waits[key] = s
		return err
	})
	ask("queries", queries, func(row pgx.CollectableRow) error {
		var (
			s   Session
			key sample.Key
		)
		err := row.Scan(&key, &s.QueryID, &s.OwnFingerprint, &s.Query)
		n.queries[key] = s
		return err
	})
	ask("locks", locked, func(row pgx.CollectableRow) error {
		var (
			l   Lock
			key sample.Key
		)
		err := row.Scan(&key, &l.Type, &l.Mode, &l.Relation, &l.RelationOID, &l.DatabaseOID)
		n.locks[key] = &l
		return err
	})
	return n
}

// names is queueNames alone.
func (r *Reader) names(ctx context.Context, server target.ID, ticks ...*tick) (*names, error) {
	b := &pgx.Batch{}
	n := queueNames(b, server, ticks...)
	return n, r.send(ctx, b)
}

// named gives the sessions of a tick, by pid.
func (n *names) named(t *tick) []Session {
	list := make([]Session, len(t.sessions))
	for i := range t.sessions {
		from := &t.sessions[i]
		s, wait, query := n.sessions[from.session], n.waits[from.wait], n.queries[from.query]
		s.ID, s.Class = from.session, from.class
		s.State, s.WaitEventType, s.WaitEvent = wait.State, wait.WaitEventType, wait.WaitEvent
		s.QueryID, s.OwnFingerprint, s.Query = query.QueryID, query.OwnFingerprint, query.Query
		s.QueryStart, s.XactStart, s.StateChange, s.XminAge = from.queryStart, from.xactStart, from.stateTime, from.xminAge
		if s.BlockerID = from.blocker; from.blocker != nil {
			s.Blocked = true
			if by, known := n.sessions[*from.blocker]; known && by.PID != 0 {
				s.BlockedByPID = &by.PID
			}
		}
		list[i] = s
	}
	slices.SortFunc(list, func(a, b Session) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID)) })
	return list
}

// known gives sessions by their keys: those of a tick, and of those that are only
// in its waits, which are idle or prepared transactions, who they are.
func (n *names) known(t *tick, sessions []Session) map[sample.Key]*Session {
	known := make(map[sample.Key]*Session, len(sessions))
	for i := range sessions {
		known[sessions[i].ID] = &sessions[i]
	}
	for _, w := range t.waits {
		for _, k := range []sample.Key{w.Blocked, w.Blocker} {
			if s, there := n.sessions[k]; there && known[k] == nil {
				known[k] = &s
			}
		}
	}
	return known
}

// ticksAt reads some ticks, in the order of time, by when they were planned.
func (r *Reader) ticksAt(ctx context.Context, server target.ID, planned []time.Time) ([]*tick, error) {
	ranges := make([]Range, len(planned))
	for i, at := range planned {
		ranges[i] = Range{at, at.Add(time.Millisecond)}
	}
	var ticks []*tick
	err := r.rows(ctx, server, ranges, parts{samples: true, whole: true, edges: true}, func(row *sample.Row, within Range) error {
		for i := range row.Planned {
			if within.Holds(row.PlannedAt(i)) {
				t := tickOf(row, i)
				ticks = append(ticks, &t)
			}
		}
		return nil
	})
	return ticks, err
}
