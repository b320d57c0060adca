package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Lock is what a session waits for. Nil is unknown, or does not apply.
type Lock struct {
	Type, Mode  string  // as in pg_locks
	Relation    *string // schema and name, of the database that the monitor is connected to
	RelationOID *uint32
	DatabaseOID *uint32
}

// Wait is a session that waits for another.
type Wait struct {
	PID int32
	// Blocker is the pid of what it waits for; 0 is a prepared transaction, by
	// the name of Transaction where that is known.
	Blocker     int32
	Transaction string
	Lock        *Lock
}

// Prepared is a prepared transaction.
type Prepared struct {
	ID       string   `db:"gid"`
	Database *string  `db:"database"`
	User     *string  `db:"user"`
	Age      *float64 `db:"age"` // seconds since it was prepared
}

// Locks is who waits for whom at one moment.
type Locks struct {
	At       time.Time
	Sessions []Session // those that wait and those waited for, by pid
	Waits    []Wait
	Prepared []Prepared // those that somebody waits for
	Unseen              // whether the hidden ones wait is not known
}

// Locks gives who waits for whom on a server. Those who ask at the same time
// share an answer, none of which was begun before the call; it must not be
// changed. The error is an *Error, or wraps context.Canceled where who asked has
// left.
func (l *Live) Locks(ctx context.Context, t target.Target) (Locks, error) {
	late := fmt.Errorf("deadline %s", l.deadline)
	ctx, cancel := context.WithTimeoutCause(ctx, l.deadline, late)
	defer cancel()
	answer, err := l.waits.do(ctx, statusKey{t.ID, t.Revision}, func(ctx context.Context) (Locks, error) {
		return l.askLocks(ctx, t)
	})
	switch _, known := errors.AsType[*Error](err); {
	case err == nil || known:
		return answer, err
	case errors.Is(err, late):
		return answer, &Error{Reason: sample.Timeout, err: fmt.Errorf("locks of %s: %w", t.Name, err)}
	}
	return answer, fmt.Errorf("locks of %s: %w", t.Name, err)
}

func (l *Live) askLocks(ctx context.Context, t target.Target) (answer Locks, err error) {
	at := time.Now().UTC()
	err = l.ask(ctx, t, "locks", func(ctx context.Context, conn *pgxpool.Conn) error {
		sessions, unseen, err := sessionsOn(ctx, conn, false)
		if err != nil {
			return err
		}
		answer, err = locksOn(ctx, conn, sessions)
		answer.Unseen = unseen
		return err
	})
	answer.At = at
	return answer, err
}

type lockRow struct {
	PID          int32    `db:"pid"`
	Type         string   `db:"type"`
	Mode         string   `db:"mode"`
	DatabaseOID  *uint32  `db:"database_oid"`
	RelationOID  *uint32  `db:"relation_oid"`
	Relation     *string  `db:"relation"`
	Transactions []string `db:"transactions"`
}

// locksOn finds out whom those of the sessions wait for that wait for somebody,
// and for what. It asks nothing where nobody does.
func locksOn(ctx context.Context, conn *pgxpool.Conn, sessions []Session) (Locks, error) {
	var (
		answer Locks
		pids   []int32
	)
	for i := range sessions {
		if len(sessions[i].BlockedBy) > 0 {
			pids = append(pids, sessions[i].PID)
		}
	}
	if len(pids) == 0 {
		return answer, nil
	}
	rows, err := rowsOf[lockRow](ctx, conn.Conn(), "locks", pids)
	if err != nil {
		return answer, err
	}
	locks := make(map[int32]*lockRow, len(rows))
	for i := range rows {
		locks[rows[i].PID] = &rows[i]
	}
	var named []string
	for i := range sessions {
		s := &sessions[i]
		for _, blocker := range s.BlockedBy {
			answer.Waits = append(answer.Waits, waitsOf(s.PID, blocker, locks[s.PID], &named)...)
		}
	}
	if len(named) > 0 {
		slices.Sort(named)
		if answer.Prepared, err = rowsOf[Prepared](ctx, conn.Conn(), "prepared", slices.Compact(named)); err != nil {
			return answer, err
		}
	}
	answer.Sessions, err = concerned(ctx, conn, sessions, answer.Waits)
	answer.clean()
	return answer, err
}

// clean makes texts valid UTF-8, as Session.clean does.
func (l *Locks) clean() {
	for i := range l.Waits {
		l.Waits[i].Transaction = validText(l.Waits[i].Transaction)
	}
	for i := range l.Prepared {
		p := &l.Prepared[i]
		p.ID = validText(p.ID)
		for _, text := range []*string{p.Database, p.User} {
			if text != nil {
				*text = validText(*text)
			}
		}
	}
}

// waitsOf gives one wait, or one for each prepared transaction that it may be
// for. Their names are added to named.
func waitsOf(pid, blocker int32, row *lockRow, named *[]string) []Wait {
	wait := Wait{PID: pid, Blocker: blocker}
	if row == nil { // granted meanwhile
		return []Wait{wait}
	}
	wait.Lock = &Lock{Type: row.Type, Mode: row.Mode, RelationOID: row.RelationOID, DatabaseOID: row.DatabaseOID}
	if row.Relation != nil {
		valid := validText(*row.Relation)
		wait.Lock.Relation = &valid
	}
	if blocker != 0 || len(row.Transactions) == 0 {
		return []Wait{wait}
	}
	list := make([]Wait, len(row.Transactions))
	for i, gid := range row.Transactions {
		*named = append(*named, gid)
		list[i] = wait
		list[i].Transaction = gid
	}
	return list
}

// concerned gives the sessions that wait or are waited for. Those of the latter
// that are idle are not among sessions and asked for.
func concerned(ctx context.Context, conn *pgxpool.Conn, sessions []Session, waits []Wait) ([]Session, error) {
	wanted := make(map[int32]bool, 2*len(waits))
	for _, w := range waits {
		wanted[w.PID], wanted[w.Blocker] = true, true
	}
	delete(wanted, 0)
	keep := func(all []Session) (kept []Session) {
		for _, s := range all {
			if wanted[s.PID] {
				kept = append(kept, s)
				delete(wanted, s.PID)
			}
		}
		return kept
	}
	kept := keep(sessions)
	if len(wanted) == 0 {
		return kept, nil
	}
	all, _, err := sessionsOn(ctx, conn, true)
	if err != nil {
		return kept, err
	}
	kept = append(kept, keep(all)...)
	slices.SortFunc(kept, func(a, b Session) int { return int(a.PID) - int(b.PID) })
	return kept, nil
}
