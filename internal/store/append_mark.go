package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	tried     int64  // the highest number that a batch was given, or that was found
	// unsure says that others may have written since alone was found; what begins
	// after alone was written by nobody else.
	unsure bool
	alone  time.Time
}

const (
	selectMark = `/* pgam */ select id, batches from pgam.written`
	// advanceMark finds no row where this is not the stats_db of before, or one
	// that lost batches.
	advanceMark = `/* pgam:append */
update pgam.written
   set batches = greatest(batches + 1, $3)
 where id = $1
   and batches >= $2
returning batches`
	// aloneAfter gives from when on nobody else can have written: whoever did before
	// may have seen what came until now, or later by a clock that was ahead.
	aloneAfter = `/* pgam:append */
select greatest(clock_timestamp(), max(n.t0)) + interval '5 minutes'
  from pgam.server s
  left join lateral (select x.t0
                       from history.activity_window x
                      where x.server_id = s.id
                      order by x.t0 desc
                      limit 1) n on true`
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
		m.id, m.committed, m.tried, m.unsure = id, batches, batches, true
	}
	return nil
}

// advance counts the batch that w has begun, and finds out whether this is still
// the stats_db of before, and from when on nobody else has written to it. From here
// on the batch has stats_db to itself: other batches wait until it is written, or
// see it. committed is to be called when it is.
func (m *mark) advance(w *writer) (committed func(), err error) {
	m.mu.Lock()
	id, least := m.id, m.committed
	m.tried++
	number := m.tried
	m.mu.Unlock()
	w.p.text(id)
	w.p.int8(least)
	w.p.int8(number)
	found, err := ask(w, "pgam_mark", pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	if len(found) == 0 {
		if m.id == id {
			m.id = ""
		}
		m.mu.Unlock()
		return nil, ErrReplaced
	}
	// A number that nobody here gave is another's batch. One that failed here may
	// have been written, and hides another's: so it is unsure until one is written.
	unsure := m.unsure || found[0] > number
	w.alone, m.unsure, m.tried = m.alone, true, max(m.tried, found[0])
	m.mu.Unlock()
	if unsure {
		after, err := ask(w, "pgam_alone", pgx.RowTo[time.Time])
		if err != nil {
			return nil, err
		}
		w.alone = after[0]
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.id == id {
			m.committed, m.alone, m.unsure = max(m.committed, number), w.alone, false
		}
	}, nil
}
