package account

import (
	"net/netip"
	"time"
)

// AuditOutcome says how an act ended.
type AuditOutcome string

// The outcomes; of an act that goes on, or of which nothing is known, it is empty.
const (
	AuditOK      AuditOutcome = "ok"
	AuditRefused AuditOutcome = "refused"
	AuditFailed  AuditOutcome = "failed"
)

// AuditEntry is one act, or the refusal of one.
type AuditEntry struct {
	ID      int64
	At      time.Time
	Account string     // login of who asked
	Client  netip.Addr // from where; the zero one: not known
	Action  string     // session.cancel, …
	Server  string     // its name then; empty: none
	// Detail is what it was done to, as JSON has it.
	Detail  map[string]any
	Outcome AuditOutcome
	Reason  string // why not ok
}

// AuditQuestion is which acts are asked for; what is empty does not matter.
type AuditQuestion struct {
	From, To                time.Time // To is left out
	Server, Account, Action string
	Before                  int64 // only rows with a smaller id
	Limit                   int
}
