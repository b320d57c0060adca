package live

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgam/pgam/internal/target"
)

// Refusal says why a session was not signalled; the text is for the log.
type Refusal string

// The refusals. Another session has the pid, or none.
const (
	RefusedGone       Refusal = "gone"
	RefusedAnother    Refusal = "another"
	RefusedOwn        Refusal = "own"
	RefusedHidden     Refusal = "hidden"
	RefusedWorker     Refusal = "worker"
	RefusedBackground Refusal = "background"
	RefusedSuperuser  Refusal = "superuser"
	RefusedGrant      Refusal = "grant"
)

// Signalled is what came of signalling a session.
type Signalled struct {
	// Refusal is empty where PostgreSQL was asked to send the signal.
	Refusal Refusal `db:"refusal"`
	// Done is whether it says that it sent it.
	Done bool `db:"signalled"`
	// Whose session it is, or in whose place another one has the pid now.
	Database    *string `db:"database"`
	User        *string `db:"user"`
	Application *string `db:"application"`
	ClientAddr  *string `db:"client_addr"`
	LeaderPID   *int32  `db:"leader_pid"`
	// Role is the monitor's, quoted for SQL.
	Role string `db:"role"`
}

// Gone reports whether there is no such session.
func (s Signalled) Gone() bool { return s.Refusal == RefusedGone || s.Refusal == RefusedAnother }

// Explain says why a session was not signalled, and what cures it; empty: it was.
func (s Signalled) Explain(pid int32) string {
	switch s.Refusal {
	case RefusedGone:
		return fmt.Sprintf("Session %d has gone: nothing was signalled", pid)
	case RefusedAnother:
		return fmt.Sprintf("Session %d has gone, and another one has its pid now: nothing was signalled", pid)
	case RefusedOwn:
		return fmt.Sprintf("Session %d is pgam's own, by its application_name: pgam does not act on itself", pid)
	case RefusedHidden:
		return fmt.Sprintf("The monitoring role may not see session %d. On the server, as a superuser: GRANT pg_monitor, pg_signal_backend TO %s;", pid, s.Role)
	case RefusedWorker:
		if s.LeaderPID != nil {
			return fmt.Sprintf("Session %d is a parallel worker: act on its leader, session %d", pid, *s.LeaderPID)
		}
		return fmt.Sprintf("Session %d is a parallel worker: act on its leader, which runs the same statement", pid)
	case RefusedBackground:
		return fmt.Sprintf("Session %d is a background process, and no client's: pgam does not act on those. Where it is a parallel worker, act on its leader", pid)
	case RefusedSuperuser:
		return fmt.Sprintf("Session %d is a superuser's, which only a superuser may signal: pgam's role is none, and should not be", pid)
	case RefusedGrant:
		return fmt.Sprintf("The monitoring role may not signal sessions of others. On the server, as a superuser: GRANT pg_signal_backend TO %s;", s.Role)
	}
	if !s.Done {
		return fmt.Sprintf("PostgreSQL did not signal session %d: it has just gone", pid)
	}
	return ""
}

// Signal cancels what a session of a client runs, or with ControlTerminate ends it:
// the one that has the pid and began at exactly this instant, and no other. It is
// sent once at most; where the connection ends before the answer, it is not known
// whether it was. The error is an *Error.
func (l *Live) Signal(ctx context.Context, t target.Target, pid int32, began time.Time, act target.SessionControl) (answer Signalled, err error) {
	var failed error // of the one time that it was sent
	sent := false
	err = l.ask(ctx, t, string(act)+" a session", func(ctx context.Context, conn *pgxpool.Conn) error {
		if sent {
			return failed
		}
		// A connection that has died is found here, where another is tried.
		if err := conn.Ping(ctx); err != nil {
			return err
		}
		sent = true
		var found []Signalled
		if found, failed = rowsOf[Signalled](ctx, conn.Conn(), "signal", pid, began, act == target.ControlTerminate); failed != nil {
			return failed
		}
		answer = Signalled{Refusal: RefusedGone}
		if len(found) == 1 {
			answer = found[0]
			answer.clean()
		}
		return nil
	})
	return answer, err
}

func (s *Signalled) clean() {
	s.Role = validText(s.Role)
	for _, text := range []*string{s.Database, s.User, s.Application} {
		if text != nil {
			*text = validText(*text)
		}
	}
}
