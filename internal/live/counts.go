package live

import (
	"sync/atomic"
	"time"
)

// CacheCounts are totals of a cache since the start.
type CacheCounts struct {
	Hits  int64 // answers that were at hand
	Loads int64 // questions to servers or hosts
}

// Counts are totals since the start, but for the listeners.
type Counts struct {
	Statuses CacheCounts // of how servers are
	Disks    CacheCounts // of looks at their file systems
	// Listeners of live streams, now.
	Listeners int
}

// Counts tells how often an answer was at hand.
func (l *Live) Counts() Counts {
	l.feeds.mu.Lock()
	listeners := l.feeds.count
	l.feeds.mu.Unlock()
	return Counts{Statuses: l.used.statuses.counts(), Disks: l.used.disks.counts(), Listeners: listeners}
}

// caches count how the caches are used.
type caches struct{ statuses, disks use }

// use is what a cache tells of its use. Misses are not counted: one question
// may look twice.
type use struct{ hits, loads atomic.Int64 }

func (u *use) counts() CacheCounts { return CacheCounts{Hits: u.hits.Load(), Loads: u.loads.Load()} }

// RecordHits is for the cache.
func (u *use) RecordHits(n int) { u.hits.Add(int64(n)) }

// RecordMisses is for the cache.
func (*use) RecordMisses(int) {}

// RecordEviction is for the cache.
func (*use) RecordEviction(uint32) {}

// RecordLoadSuccess is for the cache.
func (u *use) RecordLoadSuccess(time.Duration) { u.loads.Add(1) }

// RecordLoadFailure is for the cache.
func (u *use) RecordLoadFailure(time.Duration) { u.loads.Add(1) }
