package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Session is one backend as it is now. Nil is unknown, or does not apply. Ages
// are in seconds.
type Session struct {
	PID           int32   `db:"pid"`
	LeaderPID     *int32  `db:"leader_pid"`
	Database      *string `db:"database"`
	User          *string `db:"user"`
	Application   *string `db:"application"`
	ClientAddr    *string `db:"client_addr"` // nil: a Unix socket or a background process
	BackendType   *string `db:"backend_type"`
	State         *string `db:"state"`
	WaitEventType *string `db:"wait_event_type"` // nil: it runs on the CPU
	WaitEvent     *string `db:"wait_event"`
	QueryID       *int64  `db:"query_id"` // PostgreSQL 14 and later, with compute_query_id
	Query         *string `db:"query"`
	// BackendStart is exact, to the microsecond: with the pid it names a session.
	BackendStart *time.Time `db:"backend_start"`
	BackendAge   *float64   `db:"backend_age"`
	XactAge      *float64   `db:"xact_age"`
	QueryAge     *float64   `db:"query_age"`
	StateAge     *float64   `db:"state_age"`
	BlockedBy    []int32    `db:"blocked_by"`
	// Class is what it waits for; it is not asked for.
	Class sample.WaitClass `db:"-"`
}

// Activity is the sessions of one server at one moment.
type Activity struct {
	At       time.Time
	Sessions []Session // by pid; the monitor's own left out
	Unseen
}

// Unseen counts the sessions of which something is not told.
type Unseen struct {
	// Hidden are those of which the role may see nothing: it lacks
	// pg_read_all_stats.
	Hidden int
	// Untracked are those with track_activities off, idle ones too: what they run
	// is not told, nor before PostgreSQL 14 whether they are idle.
	Untracked int

	version int32
}

// hiddenQuery is what PostgreSQL shows of a session that the role may not see.
const hiddenQuery = "<insufficient privilege>"

// activityKey names a question for sessions.
type activityKey struct {
	statusKey
	all bool
}

// Activity gives the sessions of a server: those that are not idle, or all.
// Those who ask at the same time share an answer, none of which was begun
// before the call; it must not be changed. The error is an *Error, or wraps
// context.Canceled where who asked has left.
func (l *Live) Activity(ctx context.Context, t target.Target, all bool) (Activity, error) {
	late := fmt.Errorf("deadline %s", l.deadline)
	ctx, cancel := context.WithTimeoutCause(ctx, l.deadline, late)
	defer cancel()
	answer, err := l.sessions.do(ctx, activityKey{statusKey{t.ID, t.Revision}, all}, func(ctx context.Context) (Activity, error) {
		return l.askActivity(ctx, t, all)
	})
	switch _, known := errors.AsType[*Error](err); {
	case err == nil || known:
		return answer, err
	case errors.Is(err, late):
		return answer, &Error{Reason: sample.Timeout, err: fmt.Errorf("activity of %s: %w", t.Name, err)}
	}
	return answer, fmt.Errorf("activity of %s: %w", t.Name, err)
}

func (l *Live) askActivity(ctx context.Context, t target.Target, all bool) (Activity, error) {
	answer := Activity{At: time.Now().UTC()}
	err := l.ask(ctx, t, "activity", func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		answer.Sessions, answer.Unseen, err = sessionsOn(ctx, conn, all)
		return err
	})
	return answer, err
}

// sessionsOn asks for sessions: those that are known not to be idle, or all.
func sessionsOn(ctx context.Context, conn *pgxpool.Conn, all bool) (sessions []Session, unseen Unseen, err error) {
	found, err := rowsOf[Session](ctx, conn.Conn(), "activity", all)
	if err != nil {
		return nil, unseen, err
	}
	unseen.version = remote.SessionOf(conn.Conn().PgConn()).Version
	sessions = make([]Session, 0, len(found))
	for _, s := range found {
		if s.Query != nil && *s.Query == hiddenQuery && s.State == nil {
			unseen.Hidden++
			continue
		}
		if s.State != nil && *s.State == sample.Untracked {
			unseen.Untracked++
			idle := unseen.version < 140000 || s.WaitEvent != nil && *s.WaitEvent == "ClientRead"
			if idle && !all {
				continue
			}
		}
		s.clean()
		s.class(unseen.version)
		sessions = append(sessions, s)
	}
	return sessions, unseen, nil
}

// clean makes texts valid UTF-8, which a server with another encoding, or
// none, does not promise; a name that is empty is unknown. Clocks that were
// set back give no negative age, and each blocker is named once: parallel
// workers make pg_blocking_pids name it again.
func (s *Session) clean() {
	for _, text := range []**string{
		&s.Database, &s.User, &s.Application, &s.BackendType, &s.State, &s.WaitEventType, &s.WaitEvent, &s.Query,
	} {
		if *text == nil {
			continue
		}
		valid := validText(**text)
		*text = &valid
		if valid == "" && text != &s.Query {
			*text = nil
		}
	}
	for _, age := range []*float64{s.BackendAge, s.XactAge, s.QueryAge, s.StateAge} {
		if age != nil {
			*age = max(*age, 0)
		}
	}
	slices.Sort(s.BlockedBy)
	s.BlockedBy = slices.Compact(s.BlockedBy)
}

// class says what a session of a server of some version waits for.
func (s *Session) class(version int32) {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	waitType := sample.WaitTypeOf(version, text(s.BackendType), text(s.State), text(s.WaitEventType))
	s.Class = sample.ClassOf(text(s.State), waitType, text(s.WaitEvent))
}

func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// DatabaseSize asks how large a database is, in bytes; ok is false where there
// is none of this name. The error is an *Error.
func (l *Live) DatabaseSize(ctx context.Context, t target.Target, name string) (bytes int64, ok bool, err error) {
	err = l.ask(ctx, t, "size of a database", func(ctx context.Context, conn *pgxpool.Conn) error {
		sql, _ := statementFor("size", remote.MinVersion)
		rows, err := conn.Query(ctx, sql, name)
		if err != nil {
			return err
		}
		found, err := collect(conn.Conn(), rows, pgx.RowTo[int64])
		if err == nil && len(found) == 1 {
			bytes, ok = found[0], true
		}
		return err
	})
	return bytes, ok, err
}
