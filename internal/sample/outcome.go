package sample

// Outcome is how a planned tick ended.
type Outcome int16

// The outcomes. Planned ticks = OK + Degraded + Failed + Skipped.
const (
	// OK is a tick that got every answer it asked for.
	OK Outcome = iota
	// Degraded is a tick whose sessions were read but another question, or a
	// part of the answer, was refused.
	Degraded
	// Failed is a tick whose sessions could not be read.
	Failed
	// Skipped is a tick that was not asked: the previous one was still
	// running, or the collector was late or not running.
	Skipped
)

// String gives the name used in the history and the API.
func (o Outcome) String() string {
	switch o {
	case OK:
		return "ok"
	case Degraded:
		return "degraded"
	case Failed:
		return "failed"
	case Skipped:
		return "skipped"
	}
	return "unknown"
}

// Answered reports whether the tick's sessions were read.
func (o Outcome) Answered() bool { return o == OK || o == Degraded }

// Reason says why a tick is not OK. The numbers are stored: never reuse one.
type Reason int16

// The reasons; None goes with OK only.
const (
	None               Reason = 0
	Timeout            Reason = 1  // a client-side or server-side time limit passed
	LockTimeout        Reason = 2  // a catalog lock was in the way
	Connecting         Reason = 3  // no connection yet, an attempt is under way
	Unreachable        Reason = 4  // no route, name or listener
	Refused            Reason = 5  // nothing listens at the port
	AuthFailed         Reason = 6  // wrong user or password, or pg_hba.conf refused
	TooManyConnections Reason = 7  // the server has no slot left
	StartingUp         Reason = 8  // starting, recovering or shutting down
	ConnectionLost     Reason = 9  // the connection broke during the visit
	NoPrivilege        Reason = 10 // the role may not see other sessions
	Unsupported        Reason = 11 // the server is older than 9.6
	NoDatabase         Reason = 12 // the database to connect to does not exist
	TLSFailed          Reason = 13 // TLS could not be agreed or verified
	Overrun            Reason = 14 // the previous visit was still running
	Late               Reason = 15 // the collector itself was held up
	NotRunning         Reason = 16 // no collector was running
	Malformed          Reason = 17 // the answer could not be understood
	Other              Reason = 18 // anything else; the log has the SQLSTATE
	BackingOff         Reason = 19 // waiting before the next attempt to connect
	Truncated          Reason = 20 // more sessions than are read in one visit
	HostKeyUnknown     Reason = 21 // nobody has confirmed the SSH host's key
	HostKeyChanged     Reason = 22 // the SSH host shows another key than the pinned one
	Pooler             Reason = 23 // a connection pooler answers and drops our limits
	NotFound           Reason = 24 // a folder is not on the host that was looked at
	Oversized          Reason = 25 // the server sent more than is read of a start or an answer
)

var reasonNames = [...]string{
	"", "timeout", "lock_timeout", "connecting", "unreachable", "refused", "auth_failed",
	"too_many_connections", "starting_up", "connection_lost", "no_privilege", "unsupported",
	"no_database", "tls_failed", "overrun", "late", "not_running", "malformed", "other", "backing_off", "truncated",
	"host_key_unknown", "host_key_changed", "pooler", "not_found", "oversized",
}

// String gives the name used in the history and the API; empty for None.
func (r Reason) String() string {
	if r >= 0 && int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "other"
}
