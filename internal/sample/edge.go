package sample

// MaxBlockers is how many sessions one session is said to wait for. In a queue
// of n each waits for all before it, which would be n²/2 edges a tick: those
// that wait for no lock themselves come first, then the front of the queue.
const MaxBlockers = 16

// Edge says that a session waits for another at a tick. Every session that waits
// for a lock has at least one, unless its wait was over when it was asked for.
type Edge struct {
	// Blocked and Blocker are keys of sessions. Blocker is that of an idle session
	// too, or of a prepared transaction, which is a session of its own (see
	// PreparedType); 0 where it is not known.
	Blocked, Blocker Key
	// Lock is the key of what is waited for, 0 where it is not known.
	Lock Key
}

// LockEntry is what a session waited for: a dictionary entry.
type LockEntry struct {
	Key Key
	Day int32 // as in SessionEntry
	// Type and Mode are pg_locks.locktype and the mode that was asked for.
	Type, Mode string
	// DatabaseOID and RelationOID are 0 where the lock is not about one.
	DatabaseOID, RelationOID uint32
	// Relation is schema and name; empty where it could not be read.
	Relation string
}

// PreparedType is the BackendType of a session that stands for a prepared
// transaction: its PID is 0, its Application the transaction's identifier, its
// BackendStart when it was prepared.
const PreparedType = "prepared transaction"
