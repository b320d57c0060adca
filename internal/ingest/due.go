package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// dueAfter is how long a bucket is over before it is compacted, at least: late
	// samples come with the others. dueSpread is up to how much later, by the
	// server: all buckets end at once.
	dueAfter  = time.Minute
	dueSpread = 4 * time.Minute
	// dueQuiet is how long nothing came to it: what is drained from a journal comes
	// in many transactions.
	dueQuiet = 30 * time.Second
	// dueChunk is how many of a kind one call compacts.
	dueChunk = 200
	// againAfter is how long one that failed is left alone.
	againAfter = time.Minute
	// mostFaults are told at a time.
	mostFaults = 3
)

// due is a bucket that can be compacted.
type due struct {
	Server target.ID
	Bucket time.Time
}

// CompactDue compacts what is over and quiet, the oldest first, what failed before
// last: buckets of samples, and after them the rollups of servers' databases. now
// is by stats_db's clock. It returns how many of them it made, and whether more
// wait. One that fails keeps no other from it, and is in the error until it is
// made.
func (w *Writer) CompactDue(ctx context.Context, now time.Time) (made int, more bool, err error) {
	buckets, err := w.listDue(ctx, now)
	if err != nil {
		return 0, false, fmt.Errorf("list buckets to compact: %w", statsdb.Classify(err))
	}
	made, more, err = w.failed.do(ctx, now, buckets, w.compactDue)
	if ctx.Err() != nil {
		return made, more, err
	}
	databases, listed := w.databasesDue(ctx, now)
	if listed != nil {
		return made, more, errors.Join(err, fmt.Errorf("list databases to compact: %w", statsdb.Classify(listed)))
	}
	servers, moreServers, failed := w.failedDatabases.do(ctx, now, databases, func(ctx context.Context, d due) error {
		return w.CompactDatabases(ctx, d.Server)
	})
	return made + servers, more || moreServers, errors.Join(err, failed)
}

// compactDue compacts a bucket, unless somebody else did.
func (w *Writer) compactDue(ctx context.Context, d due) error {
	compact := func() error { return w.Compact(ctx, d.Server, d.Bucket) }
	err := w.withPartitions(ctx, compact, func() []time.Time { return []time.Time{d.Bucket} })
	if err == nil || errors.Is(err, ErrNothing) {
		return nil
	}
	return statsdb.Classify(err)
}

// listDue gives the buckets that are over and quiet, by age.
func (w *Writer) listDue(ctx context.Context, now time.Time) ([]due, error) {
	rows, err := w.pool.Query(ctx, sql("list_due"), named{"now": now, "quiet": dueQuiet})
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[due])
	if err != nil {
		return nil, err
	}
	ripe := list[:0]
	for _, d := range list {
		d.Bucket = d.Bucket.UTC()
		if !now.Before(d.Bucket.Add(sample.BucketLength + dueAfter + spread(d.Server))) {
			ripe = append(ripe, d)
		}
	}
	return ripe, nil
}

// spread is how much later than others a server's buckets are compacted.
func spread(server target.ID) time.Duration {
	const odd = 0x9e3779b97f4a7c15 // consecutive ids come far apart
	return time.Duration(uint64(server)*odd>>33%uint64(dueSpread/time.Millisecond)) * time.Millisecond
}

// failed is what could not be compacted.
type failed struct {
	mu  sync.Mutex
	all map[due]failure
}

type failure struct {
	at  time.Time // of the last try
	err error
}

// do compacts what is due, and notes what fails.
func (f *failed) do(ctx context.Context, now time.Time, list []due, compact func(context.Context, due) error) (made int, more bool, err error) {
	list = f.order(list, now)
	more = len(list) > dueChunk
	for _, d := range list[:min(len(list), dueChunk)] {
		err := compact(ctx, d)
		if ctx.Err() != nil {
			return made, more, ctx.Err()
		}
		if f.note(d, now, err); err == nil {
			made++
		}
	}
	return made, more, f.err()
}

// order puts what failed behind the others, leaves out those that were
// tried just now, and forgets what is not due any more.
func (f *failed) order(list []due, now time.Time) []due {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := make(map[due]failure)
	var first, last []due
	for _, d := range list {
		before, known := f.all[d]
		switch {
		case !known:
			first = append(first, d)
			continue
		case now.Sub(before.at) >= againAfter:
			last = append(last, d)
		}
		left[d] = before
	}
	f.all = left
	return append(first, last...)
}

func (f *failed) note(d due, now time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.all, d)
		return
	}
	f.all[d] = failure{now, err}
}

// err joins why not, of the oldest ones.
func (f *failed) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	order := slices.SortedFunc(maps.Keys(f.all), func(a, b due) int {
		return cmp.Or(a.Bucket.Compare(b.Bucket), cmp.Compare(a.Server, b.Server))
	})
	var faults []error
	for _, d := range order[:min(len(order), mostFaults)] {
		faults = append(faults, f.all[d].err)
	}
	if n := len(order) - mostFaults; n > 0 {
		faults = append(faults, fmt.Errorf("and %d more", n))
	}
	return errors.Join(faults...)
}
