package synth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

const (
	// Host is the address of servers that are made up, and what they are known by.
	// No host can have it (RFC 2606).
	Host = "made-up.invalid"

	day = 24 * time.Hour
	// visited is how long before its end a history begins to have more than
	// sessions.
	visited = 2 * day
	// batch is how many visits are written together.
	batch = 120
)

// Name gives the name of the nth server that is made up, from 1 on.
func Name(n int) string { return fmt.Sprintf("made-up-%d", n) }

// Fill gives a stats_db servers that do not exist, and their history of so many
// whole days (UTC) and of the day of its end, until: sessions, their statements
// and waits, and for the last two days databases, sizes, disks and events. The
// servers are paused, so that no collector asks for them, and their address is
// Host. Those that are there already are taken, and their history is continued
// from where it ends: so Fill may be called again, and after it was cut short.
//
// progress, which may be nil, is called after each day of a server, one call at a
// time.
func Fill(ctx context.Context, db *statsdb.DB, stored *catalog.Catalog, cfg Config, servers, days int, until time.Time, progress func(done, all int)) error {
	g, err := New(cfg)
	if err != nil {
		return err
	}
	f := filling{Generator: g, db: db, writer: ingest.New(db, cfg.Hash), from: until.UTC().Truncate(day).AddDate(0, 0, -days), until: until.UTC()}
	made, err := f.servers(ctx, stored, servers)
	if err != nil {
		return fmt.Errorf("make up history: %w", err)
	}
	if err := f.writer.EnsurePartitions(ctx, f.from, until.Add(visited)); err != nil {
		return fmt.Errorf("make up history: %w", err)
	}
	all, done := len(made)*(days+1), 0
	var mu sync.Mutex
	f.dayDone = func() {
		mu.Lock()
		defer mu.Unlock()
		if done++; progress != nil {
			progress(done, all)
		}
	}
	if err := f.all(ctx, made); err != nil {
		return fmt.Errorf("make up history: %w", err)
	}
	return nil
}

// filling is a history being made up.
type filling struct {
	*Generator

	db          *statsdb.DB
	writer      *ingest.Writer
	from, until time.Time
	dayDone     func()
}

// servers gives the servers that are made up, and makes those that are missing.
func (f *filling) servers(ctx context.Context, stored *catalog.Catalog, n int) (made []target.Target, err error) {
	listed, _, err := stored.ListServers(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]target.Target, len(listed))
	for _, t := range listed {
		known[t.Name] = t
	}
	for i := range n {
		t, there := known[Name(i+1)]
		if there && t.Endpoint.Host != Host {
			return nil, fmt.Errorf("server %q is none that is made up: %w", t.Name, target.ErrConflict)
		}
		if !there {
			t, err = stored.CreateServer(ctx, target.Target{
				Name: Name(i + 1), DiskSource: target.DiskNone, Intervals: target.Intervals{Activity: f.cfg.Cadence},
				Endpoint: target.Endpoint{Host: Host, User: "nobody"},
			})
			if err != nil {
				return nil, err
			}
			if err := stored.Backdate(ctx, t.ID, f.from); err != nil {
				return nil, err
			}
			t.CreatedAt = f.from
		}
		made = append(made, t)
	}
	return made, nil
}

// all fills the servers, as many at once as there are processors.
func (f *filling) all(ctx context.Context, servers []target.Target) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range servers {
		group.Go(func() error { return f.fill(ctx, t) })
	}
	return group.Wait()
}

// fill continues the history of a server.
func (f *filling) fill(ctx context.Context, t target.Target) error {
	var end, seen *time.Time // of the ticks, which is to be continued, and the last visit
	err := f.db.Pool().QueryRow(ctx, `/* pgam */ select p.compacted_until, (select max(sampled_at) from history.database_stat where server_id = $1)
  from history.progress p where p.server_id = $1`, t.ID).Scan(&end, &seen)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return statsdb.Classify(err)
	}
	from := f.from
	if end != nil && end.After(from) {
		from = end.UTC()
	}
	for midnight := f.from; !midnight.After(f.until); midnight = midnight.AddDate(0, 0, 1) {
		if midnight.Add(day).After(from) {
			if err := f.day(ctx, t.ID, midnight, from); err != nil {
				return err
			}
		}
		f.dayDone()
	}
	if seen == nil { // the last two days
		begin := f.until.Add(-visited).Truncate(time.Hour).Add(-1)
		seen = &begin
	}
	all := f.Visits(t.ID, t.CreatedAt.UTC(), *seen, f.until)
	for len(all) > 0 {
		n := min(len(all), batch)
		if err := f.writer.Append(ctx, t.ID, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return f.writer.CompactDatabases(ctx, t.ID)
}

// day stores a day from an instant on: buckets that are over as they are kept, the
// rest as a collector would.
func (f *filling) day(ctx context.Context, id target.ID, midnight, from time.Time) error {
	names, ticks := f.Day(id, midnight)
	next, stop := iter.Pull(ticks)
	defer stop()
	last := f.until.Truncate(sample.BucketLength)
	var recent *sample.Tick // the first that is not of a bucket that is over
	err := f.writer.Load(ctx, id, &names, func(yield func(*sample.Tick) bool) {
		for t, ok := next(); ok; t, ok = next() {
			if t.Planned.Before(from) {
				continue
			}
			if !t.Planned.Before(last) {
				recent = t
				return
			}
			if !yield(t) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	var visits []*sample.Visit
	for t, ok := recent, recent != nil; ok && t.Planned.Before(f.until); t, ok = next() {
		visits = append(visits, &sample.Visit{Tick: t})
	}
	return f.writer.Append(ctx, id, visits)
}
