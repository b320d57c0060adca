package ingest

import (
	"errors"
	"sync"

	"github.com/pgam/pgam/internal/target"
)

// ErrReplaced says that stats_db is another, or an older one, than the one that
// was written to before, as after a restore from a dump. Nothing was written: what
// it may not know, names above all, must be offered again. The next Append goes to
// it as it is.
var ErrReplaced = errors.New("stats_db is another or an older one than before")

// written is what this process remembers of the stats_db it writes to: which one
// it is, and how often each server's samples were written for certain.
type written struct {
	mu      sync.Mutex
	id      string // "": not looked at yet
	flushes map[target.ID]int64
}

// check compares what a transaction found with what is remembered; where that
// does not fit, it is forgotten.
func (m *written) check(server target.ID, id string, flushes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id != "" && (m.id != id || flushes < m.flushes[server]) {
		m.id, m.flushes = "", nil
		return ErrReplaced
	}
	return nil
}

// note remembers what was committed.
func (m *written) note(server target.ID, id string, flushes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id != id {
		m.id, m.flushes = id, make(map[target.ID]int64)
	}
	m.flushes[server] = max(m.flushes[server], flushes)
}
