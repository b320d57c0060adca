package probe

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statement"
)

// maxWaiters is how many waiting sessions are asked about in one visit outside
// of a burst. Each costs the server more the longer the queue is that it stands
// in: behind one row, on PostgreSQL 15 and 18, all of 100 cost 2.5 ms, of 200
// 7 ms, of 400 30 ms; fifty of them 1, 2 and 4 ms.
const maxWaiters = 50

// A question about locks that took longer than slowLocks, beside the way there
// and back, is not asked again before locksShare times as long has passed: it
// looks at the server's table of locks, which may be huge.
const (
	slowLocks  = 100 * time.Millisecond
	locksShare = 10
)

// locking is what a visit finds out about the sessions that wait for a lock.
type locking struct {
	waiters []waiter
	byPID   map[int32]int // their places in waiters
	others  pidSet        // blockers that are not in the tick
	pids    []int32       // scratch
	unnamed []sample.LockEntry
}

// waiter is a session that waits for a lock.
type waiter struct {
	pid      int32
	at       int  // its place in Sessions
	answered bool // who blocks it is known
	blockers []int32
	prepared []int32 // sessions that stand for prepared transactions
	lock     int32
}

// lockSteps asks who blocks whom, and what for.
func (r *reader) lockSteps() []step {
	l := &r.locks
	if len(l.waiters) == 0 || time.Now().Before(r.conn.noLocks) {
		return nil
	}
	l.byPID = make(map[int32]int, len(l.waiters))
	all := make([]uint32, len(l.waiters))
	for i, w := range l.waiters {
		l.byPID[w.pid] = i
		all[i] = uint32(w.pid)
	}
	asked := all
	if len(all) > maxWaiters && !r.ask.Full {
		asked = r.oldest(maxWaiters)
	}
	return r.ints(r.ints(nil, askBlockers, oidInt4, asked, r.blockers), askLockWaits, oidInt4, all, r.lockWaits)
}

// oldest gives the pids of the n waiters whose statements began first: those
// that stand near the roots.
func (r *reader) oldest(n int) []uint32 {
	began := func(w waiter) int64 { return r.visit.Tick.Sessions[w.at].QueryStart }
	sorted := slices.Clone(r.locks.waiters)
	slices.SortFunc(sorted, func(a, b waiter) int { return cmp.Or(cmp.Compare(began(a), began(b)), cmp.Compare(a.pid, b.pid)) })
	pids := make([]uint32, n)
	for i, w := range sorted[:n] {
		pids[i] = uint32(w.pid)
	}
	return pids
}

// runLocks asks the steps, and rests if they took long.
func (r *reader) runLocks(ctx context.Context, steps []step) error {
	begun := time.Now()
	_, err := r.conn.run(ctx, steps)
	if took := time.Since(begun) - r.first; took > slowLocks {
		r.conn.noLocks = time.Now().Add(locksShare * took)
	}
	return err
}

func (r *reader) blockers(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 2 {
			return errShape
		}
		i, ok := r.locks.byPID[int32At(v[0])]
		if !ok {
			continue
		}
		w := &r.locks.waiters[i]
		w.answered = true
		r.locks.pids = int32sAt(r.locks.pids, v[1])
		w.blockers = r.pick(r.locks.pids)
	}
	return nil
}

// pick gives the blockers that are kept, the first one first.
func (r *reader) pick(pids []int32) []int32 {
	if len(pids) == 0 {
		return nil
	}
	kept := make([]int32, 1, min(len(pids), sample.MaxBlockers))
	kept[0] = pids[0]
	for _, waiting := range []bool{false, true} {
		for _, pid := range pids[1:] {
			if len(kept) == sample.MaxBlockers {
				return kept
			}
			if _, waits := r.locks.byPID[pid]; waits == waiting && !slices.Contains(kept, pid) {
				kept = append(kept, pid)
			}
		}
	}
	return kept
}

func (r *reader) lockWaits(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 5 {
			return errShape
		}
		i, ok := r.locks.byPID[int32At(v[0])]
		if !ok {
			continue
		}
		l := sample.LockEntry{Type: cleanName(v[1]), Mode: cleanName(v[2]), DatabaseOID: uint32At(v[3]), RelationOID: uint32At(v[4])}
		id, unnamed := r.dict.Lock(l, r.day)
		r.locks.waiters[i].lock = id
		if unnamed {
			r.locks.unnamed = append(r.locks.unnamed, l)
		}
	}
	return nil
}

// blockerSteps asks about blockers that are no sessions of the tick: idle ones
// and prepared transactions.
func (r *reader) blockerSteps() []step {
	var strangers, behind []uint32
	for _, w := range r.locks.waiters {
		for _, pid := range w.blockers {
			if pid == 0 {
				behind = append(behind, uint32(w.pid))
			} else if _, known := r.conn.pids[pid]; !known && !slices.Contains(strangers, uint32(pid)) {
				strangers = append(strangers, uint32(pid))
			}
		}
	}
	return r.ints(r.ints(nil, askSessions, oidInt4, strangers, r.strangers), askPrepared, oidInt4, behind, r.prepared)
}

func (r *reader) strangers(rr *answer) error {
	r.locks.others = make(pidSet)
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != colWait+1 {
			return errShape
		}
		pid := int32At(v[colPID])
		r.locks.others[pid] = r.session(pid, v)
		if string(v[colState]) == sample.Untracked {
			// Whether it is idle is not told: it is listed, so that this is.
			s := sample.Session{Session: r.locks.others[pid], Blocker: sample.Unset}
			s.Wait, s.Class = r.wait(v)
			r.visit.Tick.Sessions = append(r.visit.Tick.Sessions, s)
		}
	}
	return nil
}

func (r *reader) prepared(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 7 {
			return errShape
		}
		i, ok := r.locks.byPID[int32At(v[0])]
		if !ok || !conflict(string(v[1]), string(v[2])) {
			continue
		}
		w := &r.locks.waiters[i]
		if id := r.preparedSession(v[3], v[4], uint32At(v[5]), uint32At(v[6])); !slices.Contains(w.prepared, id) {
			w.prepared = append(w.prepared, id)
		}
	}
	return nil
}

// preparedSession gives the id of the session that stands for a prepared
// transaction.
func (r *reader) preparedSession(gid, prepared []byte, owner, database uint32) int32 {
	// No other key begins like this: a pid has four bytes.
	k := append(append(append(r.key[:0], 0), prepared...), gid...)
	r.key = k
	return r.dict.Session(k, r.day, func(e *sample.SessionEntry) {
		e.BackendStart, e.DatabaseOID, e.UserOID = r.conn.clock.at(prepared), database, owner
		e.Database, e.User = r.conn.names.database(database), r.conn.names.role(owner)
		e.Application, e.BackendType = statement.Label(cleanName(gid)), sample.PreparedType
	})
}

// conflict tells whether a lock of one mode has to wait for one of the other.
func conflict(wanted, held string) bool {
	modes := []string{
		"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock",
		"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
	}
	with := [...]uint8{0b1000_0000, 0b1100_0000, 0b1111_0000, 0b1111_1000, 0b1110_1100, 0b1111_1100, 0b1111_1110, 0b1111_1111}
	w, h := slices.Index(modes, wanted), slices.Index(modes, held)
	return w < 0 || h < 0 || with[w]&(1<<h) != 0
}

// relations gives the relations without a name that are in the database.
func (l *locking) relations(database uint32) (oids []uint32) {
	for _, e := range l.unnamed {
		if (e.DatabaseOID == database || e.DatabaseOID == 0) && !slices.Contains(oids, e.RelationOID) {
			oids = append(oids, e.RelationOID)
		}
	}
	return oids
}

func (r *reader) readRelations(rr *answer) error {
	names := make(map[uint32]string)
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 2 {
			return errShape
		}
		names[uint32At(v[0])] = cleanName(v[1])
	}
	for _, l := range r.locks.unnamed {
		l.Relation = names[l.RelationOID]
		r.dict.LockName(l)
	}
	r.locks.unnamed = nil
	return nil
}

// edges says who waits for whom. A session whose blockers were not asked for, or
// not told, waits for somebody who is not known.
func (r *reader) edges() {
	t := r.visit.Tick
	for i := range r.locks.waiters {
		w := &r.locks.waiters[i]
		s := &t.Sessions[w.at]
		blockers := []int32{0}
		if w.answered {
			blockers = r.sessionsOf(w)
		}
		for j, b := range blockers {
			if j == 0 {
				s.Blocker = b
			}
			t.Edges = append(t.Edges, sample.Edge{Blocked: s.Session, Blocker: b, Lock: w.lock})
		}
	}
}

// sessionsOf gives the sessions that block w.
func (r *reader) sessionsOf(w *waiter) []int32 {
	ids := make([]int32, 0, len(w.blockers))
	add := func(id int32) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, pid := range w.blockers {
		switch {
		case pid == 0 && len(w.prepared) > 0:
			for _, id := range w.prepared {
				add(id)
			}
		case pid == 0:
			add(0)
		default:
			id, known := r.conn.pids[pid]
			if !known {
				id = r.locks.others[pid]
			}
			add(id)
		}
	}
	return ids
}

// crowd is connections that have role and application in common.
type crowd struct {
	role uint32
	sample.Crowd
}

func (r *reader) readCrowd(rr *answer) error {
	for rr.NextRow() {
		v := rr.Values()
		if len(v) != 3 {
			return errShape
		}
		role := uint32At(v[0])
		r.conn.names.role(role)
		r.crowd = append(r.crowd, crowd{role, sample.Crowd{Application: statement.Label(cleanName(v[1])), Connections: int32At(v[2])}})
	}
	return nil
}

// load fills in what the collector decides by.
func (r *reader) load() {
	l := &r.visit.Load
	l.ClockOffset, l.ClockWithin = r.conn.clock.offset, r.conn.clock.within
	l.LockWaits, l.Connections = int32(len(r.locks.waiters)), r.visit.Tick.Backends
	for _, c := range r.crowd {
		c.User = r.conn.names.roles[c.role]
		l.Crowd = append(l.Crowd, c.Crowd)
	}
}
