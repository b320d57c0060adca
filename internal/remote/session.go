package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/peer"
)

// MinVersion is the oldest server_version_num that is understood.
const MinVersion = 90600

var (
	// ErrUnsupported says that the server is older than MinVersion.
	ErrUnsupported = errors.New("PostgreSQL older than 9.6")
	// ErrPooler says that something between us and PostgreSQL drops the limits
	// that every connection asks for.
	ErrPooler = errors.New("a connection pooler answers and drops statement_timeout and lock_timeout")
)

// Session is what a server says of a connection that stands.
type Session struct {
	// Version is server_version_num.
	Version int32
	// PID is the server process that answers, which is another one than
	// the start-up told where Proxy is set.
	PID uint32
	// Proxy says that something stands between us and PostgreSQL and keeps the
	// limits. Such a session may be others' next, so it is not made read-only.
	Proxy bool
}

// sessionKey is where a connection keeps its Session.
const sessionKey = "pgam.session"

// SessionOf gives what was learnt of a connection that was made with the
// configuration of PostgresConfig.
func SessionOf(pg *pgconn.PgConn) Session {
	s, _ := pg.CustomData()[sessionKey].(Session)
	return s
}

// beginSQL reads back whether the limits hold and, in a session that is ours
// alone, sets what must not be in the start-up packet: read-only, because a
// login event trigger (PostgreSQL 17) may write; time limits that older versions
// do not know and would end the connection for; and what has the server notice
// that we have gone. In a session of a pooler nothing is set: it would stay for
// whoever gets the session next.
const beginSQL = `/* pgam:begin */
select s.version_num, s.pid, s.own, s.held,
       case when s.own then pg_catalog.set_config('default_transaction_read_only', 'on', false) end,
       case when s.own then pg_catalog.set_config('statement_timeout', '%[2]d', false) end,
       case when s.own then pg_catalog.set_config('lock_timeout', '%[3]d', false) end,
       case when s.own and pg_catalog.current_setting('idle_session_timeout', true) is not null
            then pg_catalog.set_config('idle_session_timeout', '0', false) end,
       case when s.own and pg_catalog.current_setting('transaction_timeout', true) is not null
            then pg_catalog.set_config('transaction_timeout', '0', false) end,
       case when s.own then (%[4]s) end
  from (select pg_catalog.current_setting('server_version_num') as version_num,
               pg_catalog.pg_backend_pid() as pid,
               pg_catalog.pg_backend_pid() = %[1]d as own,
               pg_catalog.current_setting('statement_timeout')::interval = interval '%[2]d milliseconds'
               and pg_catalog.current_setting('lock_timeout')::interval = interval '%[3]d milliseconds' as held
        offset 0) s`

// begin asks the first question on a connection: one round trip.
func begin(lim Limits) func(context.Context, *pgconn.PgConn) error {
	return func(ctx context.Context, pg *pgconn.PgConn) error {
		if v := parseVersion(pg.ParameterStatus("server_version")); v != 0 && v < MinVersion {
			return fmt.Errorf("%w: server_version is %d", ErrUnsupported, v)
		}
		ctx, cancel := context.WithTimeoutCause(ctx, lim.Connect, fmt.Errorf("first question: deadline %s", lim.Connect))
		defer cancel()
		results, err := pg.Exec(ctx, fmt.Sprintf(beginSQL, pg.PID(), lim.Statement.Milliseconds(), lim.Lock.Milliseconds(), peer.SessionSQL)).ReadAll()
		if err != nil {
			return fmt.Errorf("first question: %w", err)
		}
		if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 4 {
			return fmt.Errorf("first question: %w", errProtocol)
		}
		row := results[0].Rows[0]
		version, errVersion := strconv.ParseInt(string(row[0]), 10, 32)
		pid, errPID := strconv.ParseUint(string(row[1]), 10, 32)
		if errVersion != nil || errPID != nil {
			return fmt.Errorf("first question: %w", errProtocol)
		}
		own, held := string(row[2]) == "t", string(row[3]) == "t"
		if !own && !held {
			return ErrPooler
		}
		pg.CustomData()[sessionKey] = Session{Version: int32(version), PID: uint32(pid), Proxy: !own}
		return nil
	}
}

// parseVersion turns what a server reports as server_version ("15.4 (Debian
// …)", "9.6.24", "18beta1") into server_version_num; zero if it cannot.
func parseVersion(text string) int32 {
	var parts [3]int32
	n := 0
	for ; n < len(parts); n++ {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		v, err := strconv.ParseInt(text[:digits], 10, 16)
		if err != nil {
			break
		}
		parts[n] = int32(v)
		text = text[digits:]
		if !strings.HasPrefix(text, ".") {
			n++
			break
		}
		text = text[1:]
	}
	switch {
	case n == 0 || parts[1] > 99 || parts[2] > 99:
		return 0
	case parts[0] >= 10:
		return parts[0]*10000 + parts[1]
	}
	return parts[0]*10000 + parts[1]*100 + parts[2]
}
