package statsdb

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLState gives the SQLSTATE of what stats_db said, "" where it said nothing.
func SQLState(err error) string {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return said.Code
	}
	return ""
}

// Refused says whether stats_db, over a connection that works, refused what was
// written for what it is, its values or the constraints they break (SQLSTATE
// classes 22 and 23): then no other time is better. A partition that is missing
// is no fault of the values.
func Refused(err error) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(said.Code, "22") || strings.HasPrefix(said.Code, "23")) &&
		said.Severity != "FATAL" && (said.Code != CheckViolation || said.ConstraintName != "")
}

// CheckViolation is also the SQLSTATE of a row for which there is no partition;
// that names no constraint.
const CheckViolation = "23514"

// advice is what to do about an SQLSTATE, or its class.
var advice = map[string]string{
	"":      "check that PostgreSQL runs where PGAM_STATS_DSN points, and that this host reaches it",
	"08":    "look at the pooler or firewall before stats_db; pgam needs session pooling or none",
	"22":    "see pgam journal list; please report the SQLSTATE",
	"23":    "see pgam journal list; look which constraint of schema history it breaks",
	"23514": "a partition is missing and cannot be made: the collector's log says why (maintenance)",
	"25006": "stats_db is read only, as a standby is: point PGAM_STATS_DSN to the primary",
	"26":    "a pooler before stats_db loses prepared statements: use session pooling, or go around it",
	"28":    "check user and password in PGAM_STATS_DSN, pg_hba.conf of stats_db, and that the role may log in",
	"3D":    "the database of PGAM_STATS_DSN is not there: was it renamed or dropped?",
	"3F":    "the schema is not what pgam migrate made: run pgam migrate, or restore what is missing",
	"42":    "the schema is not what pgam migrate made: run pgam migrate, or restore what is missing",
	"42501": "the role of PGAM_STATS_DSN lost a right: grant it again, or run pgam setup",
	"53":    "stats_db lacks room: disk, memory or connections",
	"55000": "the database of PGAM_STATS_DSN accepts no connections: alter database … allow_connections true",
	"55P03": "another session holds a lock in stats_db: look in pg_locks",
	"57":    "stats_db stops, starts, or was told to cancel: wait, or look in its log",
	"57014": "stats_db is too slow, or its statement_timeout too short",
	"58":    "PostgreSQL of stats_db cannot use its disk: look in its log",
	"XX":    "PostgreSQL of stats_db finds a damaged page or an internal fault: look in its log",
}

// Advice says what may be done about an error of stats_db.
func Advice(err error) string {
	state := SQLState(err)
	if said, ok := advice[state]; ok && (state != CheckViolation || !Refused(err)) {
		return said
	}
	if errors.Is(err, ErrTooSlow) {
		return advice["57014"]
	}
	if len(state) == 5 {
		if said, ok := advice[state[:2]]; ok {
			return said
		}
	}
	return strings.TrimSpace("look in the log of stats_db's PostgreSQL " + state)
}
