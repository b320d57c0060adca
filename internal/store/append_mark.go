package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// ErrReplaced says that stats_db is another, or an older one, than the one that
// was resumed or written to before, as after a restore from a dump. Nothing was
// written: what it may not know, names above all, must be offered again. The next
// Append goes to it as it is.
var ErrReplaced = errors.New("stats_db is another or an older one than before")

// mark is what this process remembers of the stats_db it writes to.
type mark struct {
	mu        sync.Mutex
	id        string // "": not looked at yet
	committed int64  // the batches that it had for certain
	tried     int64  // the highest number that a batch was given
}

const (
	selectMark = `/* pgam */ select id, batches from pgam.written`
	// advanceMark finds no row where this is not the stats_db of before, or one
	// that lost batches.
	advanceMark = `/* pgam:append */
update pgam.written
   set batches = greatest(batches + 1, $3)
 where id = $1
   and batches >= $2`
)

// learn looks which stats_db this is, the first time.
func (m *mark) learn(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) error {
	m.mu.Lock()
	known := m.id != ""
	m.mu.Unlock()
	if known {
		return nil
	}
	var id string
	var batches int64
	if err := q.QueryRow(ctx, selectMark).Scan(&id, &batches); err != nil {
		return fmt.Errorf("read pgam.written: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id == "" {
		m.id, m.committed, m.tried = id, batches, batches
	}
	return nil
}

// advance counts the batch that w has begun, and finds out whether this is still
// the stats_db of before. committed is to be called when it is written.
func (m *mark) advance(w *writer) (committed func(), err error) {
	m.mu.Lock()
	id, least := m.id, m.committed
	m.tried++
	number := m.tried
	m.mu.Unlock()
	w.p.text(id)
	w.p.int8(least)
	w.p.int8(number)
	found, err := w.rows("pgam_mark")
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if found == 0 {
		if m.id == id {
			m.id = ""
		}
		return nil, ErrReplaced
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.id == id {
			m.committed = max(m.committed, number)
		}
	}, nil
}
