package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/target"
)

// advanceRevision is a part of every transaction that writes something of a
// server's databases, its last one.
const advanceRevision = `/* pgam:revision */
insert into history.database_revision as r (server_id, revision)
values ($1, 1)
on conflict (server_id) do update
   set revision = r.revision + 1`

// revision asks for what advanceRevision counts; zero: nothing was written.
func revision(id target.ID, to *int64) question {
	return question{
		name: "pgam_revision",
		sql:  "/* pgam:revision */ select revision from history.database_revision where server_id = $1",
		args: func(p *params) { p.int8(int64(id)) },
		row:  func(v values) { *to = v.int8(0) },
	}
}

const (
	// keptPoints bounds the answers that are kept, to about five megabytes.
	keptPoints = 60_000
	// keptFor is how long an answer is kept, for what somebody writes past this
	// package.
	keptFor = 5 * time.Second
	// mostPatience is how long one who asks waits for another who is already
	// reading the same.
	mostPatience = time.Second
)

// timelineKey is a question. The range is in whole hours: without that, no
// question about the time until now would ever be asked twice.
type timelineKey struct {
	server   target.ID
	one      bool
	name     string
	from, to int64 // Unix seconds
}

func keyOf(id target.ID, only *string, r history.Range) timelineKey {
	key := timelineKey{server: id, from: r.From.Unix(), to: r.To.Unix()}
	if only != nil {
		key.one, key.name = true, *only
	}
	return key
}

// timelines keeps answers for those who ask the same until something new is
// written; a year of many databases is the same to ten people who look at it.
type timelines struct {
	mu      sync.Mutex
	kept    map[timelineKey]keptTimeline
	points  int
	reading map[timelineKey]chan struct{} // closed when it is read
}

type keptTimeline struct {
	line     history.Timeline
	revision int64
	since    time.Time
}

// size is what an answer counts for; an empty one is something too.
func (k keptTimeline) size() int { return len(k.line.Points) + len(k.line.Databases) + 10 }

// has reports whether an answer may be there: only then is it worth asking for
// the revision alone.
func (t *timelines) has(key timelineKey, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, there := t.kept[key]
	return there && now.Sub(k.since) < keptFor
}

// get gives the answer of a revision.
func (t *timelines) get(key timelineKey, revision int64, now time.Time) (history.Timeline, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, there := t.kept[key]
	if !there || k.revision != revision || now.Sub(k.since) >= keptFor {
		return history.Timeline{}, false
	}
	return k.line, true
}

// begin is for one who is going to read an answer, and calls end then. It waits
// for another who is reading the same, but not for ever; waited says that there
// may be an answer now.
func (t *timelines) begin(ctx context.Context, key timelineKey) (end func(), waited bool) {
	patience := time.NewTimer(mostPatience)
	defer patience.Stop()
	for {
		t.mu.Lock()
		other, busy := t.reading[key]
		if !busy {
			if t.reading == nil {
				t.reading = make(map[timelineKey]chan struct{})
			}
			done := make(chan struct{})
			t.reading[key] = done
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.reading, key)
				t.mu.Unlock()
				close(done)
			}, waited
		}
		t.mu.Unlock()
		waited = true
		select {
		case <-other:
		case <-patience.C:
			return func() {}, waited
		case <-ctx.Done():
			return func() {}, waited
		}
	}
}

// put keeps an answer. Those that are too old go, and the oldest of the others
// as long as there is no room.
func (t *timelines) put(key timelineKey, revision int64, line history.Timeline, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := keptTimeline{line, revision, now}
	if t.kept == nil {
		t.kept = make(map[timelineKey]keptTimeline)
	}
	t.drop(key)
	for _, old := range slices.SortedFunc(maps.Keys(t.kept), func(a, b timelineKey) int {
		return cmp.Compare(t.kept[a].since.UnixNano(), t.kept[b].since.UnixNano())
	}) {
		if now.Sub(t.kept[old].since) >= keptFor || t.points+next.size() > keptPoints {
			t.drop(old)
		}
	}
	if next.size() <= keptPoints {
		t.kept[key] = next
		t.points += next.size()
	}
}

// drop forgets an answer. The lock is held.
func (t *timelines) drop(key timelineKey) {
	if k, there := t.kept[key]; there {
		t.points -= k.size()
		delete(t.kept, key)
	}
}
