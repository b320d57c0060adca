package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

const (
	oneDay = 24 * time.Hour
	// synthNames is what the names of servers made up begin with.
	synthNames = "synth-"
	// synthVisited is how long there is more than sessions, up to the end.
	synthVisited = 2 * oneDay
	// synthBatch is how many visits are written together.
	synthBatch = 120
	// synthQueries is how many statements a server runs.
	synthQueries = 400
)

type synthFlags struct {
	servers, days int
	cadence       time.Duration
	sessions      float64
	seed          uint64
	until         string
	force         bool
}

func (t *tool) synthCommand() *cobra.Command {
	var flags synthFlags
	cmd := &cobra.Command{
		Use:   "synth",
		Short: "Fill a stats_db with made-up history, to try dashboards and to measure",
		Long: `Fills a stats_db with the history of servers that do not exist: sessions with the
load of a working week, their statements and waits, a pile-up behind a lock now
and then, and for the last two days databases, sizes, disks and events too. It
is for trying dashboards, and for measuring what a month of a fleet takes and
how fast it answers. The same seed makes the same history.

The servers are called synth-001 and so on, and are paused, so that no collector
asks for them. Give it a stats_db of its own: one that watches real servers is
refused. A collector that runs on it drops what its retention does not keep.`,
		Example: `  pgam synth
  pgam synth --servers 100 --days 30 --cadence 10s --sessions 4
  pgam synth --data /tmp/pgam-try --until 2026-11-22T12:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.synth(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.IntVar(&flags.servers, "servers", 10, "`number` of servers")
	f.IntVar(&flags.days, "days", 7, "`number` of whole days (UTC) before that of the end")
	f.DurationVar(&flags.cadence, "cadence", 5*time.Second, "time between two ticks: whole seconds that divide a minute")
	f.Float64Var(&flags.sessions, "sessions", 5, "`average` number of sessions that are not idle, over a working day")
	f.Uint64Var(&flags.seed, "seed", 1, "another `number` makes another history")
	f.StringVar(&flags.until, "until", "", "`instant` at which the history ends, RFC 3339 (default now)")
	f.BoolVar(&flags.force, "force", false, "even if the stats_db watches real servers")

	return t.dataFlag(cmd)
}

// synthesis is a history being made up.
type synthesis struct {
	t       *tool
	flags   synthFlags
	until   time.Time
	today   time.Time // the midnight before until
	last    time.Time // start of the buckets that are written as a collector does
	history *synth.Generator
	servers []target.ID

	progress *importProgress
	mu       sync.Mutex
	done     int64
	ticks    atomic.Int64
	samples  atomic.Int64
}

func (t *tool) newSynthesis(flags synthFlags) (*synthesis, error) {
	s := &synthesis{t: t, flags: flags, until: time.Now().UTC()}
	if flags.servers < 1 || flags.servers > 999 {
		return nil, errors.New("--servers must be between 1 and 999")
	}
	if flags.days < 1 || flags.days > 3660 {
		return nil, errors.New("--days must be between 1 and 3660")
	}
	if flags.until != "" {
		until, err := time.Parse(time.RFC3339, flags.until)
		if err != nil {
			return nil, errors.New("--until must be an instant such as 2026-11-22T12:00:00Z")
		}
		if until.After(s.until) {
			return nil, errors.New("--until must not be in the future")
		}
		s.until = until.UTC()
	}
	s.today, s.last = s.until.Truncate(oneDay), s.until.Truncate(sample.BucketLength)

	return s, nil
}

func (t *tool) synth(ctx context.Context, flags synthFlags) error {
	s, err := t.newSynthesis(flags)
	if err != nil {
		return misconfigured{err}
	}
	cfg, err := t.config()
	if err != nil {
		return err
	}
	ring, err := secret.ReadKeyring(cfg.KeyFile)
	if err != nil {
		return misconfigured{err}
	}
	s.history, err = synth.New(synth.Config{
		Seed: flags.seed, Hash: contentHash(ring), Cadence: flags.cadence, Sessions: flags.sessions, Queries: synthQueries,
	})
	if err != nil {
		return misconfigured{err}
	}
	stats, err := t.openStatsDB(ctx, true)
	if err != nil {
		return err
	}
	defer stats.Close()
	begun := time.Now()
	before, err := stats.Upkeep(ctx, s.until)
	if err != nil {
		return err
	}
	if err := s.prepare(ctx, stats); err != nil {
		return err
	}
	s.progress = newProgress(t, "making up", "made-up history", "days", int64(flags.servers)*int64(flags.days+1))
	err = s.fill(ctx)
	s.progress.end()
	if err != nil {
		return err
	}
	after, err := stats.Upkeep(ctx, s.until)
	if err != nil {
		return err
	}
	t.printf("made up %d servers and %d days: %d ticks with %d session samples, %d bytes more on disk, in %.1f s\n",
		flags.servers, flags.days, s.ticks.Load(), s.samples.Load(), after.Bytes-before.Bytes, time.Since(begun).Seconds())

	return nil
}

// from is when the history begins.
func (s *synthesis) from() time.Time { return s.today.AddDate(0, 0, -s.flags.days) }

// prepare makes the servers, and room for their history.
func (s *synthesis) prepare(ctx context.Context, stats *statsDB) error {
	listed, _, err := stats.ListServers(ctx)
	if err != nil {
		return err
	}
	for i := range listed {
		switch made := strings.HasPrefix(listed[i].Name, synthNames); {
		case made:
			return misconfigured{fmt.Errorf("there is made-up history already, of %q: give a new stats_db", listed[i].Name)}
		case !s.flags.force:
			return misconfigured{fmt.Errorf("this stats_db watches %q: give one of its own for made-up history, or --force", listed[i].Name)}
		}
	}
	if err := stats.EnsurePartitions(ctx, s.from(), s.today.Add(synthVisited)); err != nil {
		return err
	}
	for i := range s.flags.servers {
		made, err := stats.CreateServer(ctx, target.Target{
			Name: fmt.Sprintf("%s%03d", synthNames, i+1), DiskSource: target.DiskNone,
			Endpoint:  target.Endpoint{Host: "synth.invalid", Port: 5432, User: "nobody", Database: "postgres"},
			Intervals: target.Intervals{Activity: s.flags.cadence},
		})
		if err != nil {
			return err
		}
		if err := stats.Backdate(ctx, made.ID, s.from()); err != nil {
			return err
		}
		s.servers = append(s.servers, made.ID)
	}

	return nil
}

// fill makes the days of all servers, as many at once as there are processors.
func (s *synthesis) fill(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan target.ID)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			if err := s.work(ctx, work); err != nil {
				cancel(err)
			}
		})
	}
	for _, id := range s.servers {
		select {
		case work <- id:
		case <-ctx.Done():
		}
	}
	close(work)
	workers.Wait()

	return context.Cause(ctx)
}

// work fills servers on connections of its own.
func (s *synthesis) work(ctx context.Context, servers <-chan target.ID) error {
	stats, err := s.t.openStatsDB(ctx, true)
	if err != nil {
		return err
	}
	defer stats.Close()
	for id := range servers {
		for midnight := s.from(); !midnight.After(s.today); midnight = midnight.AddDate(0, 0, 1) {
			if err := s.day(ctx, stats, id, midnight); err != nil {
				return err
			}
		}
		if err := s.visits(ctx, stats, id); err != nil {
			return err
		}
	}

	return nil
}

// day stores a day: buckets that are over as they are kept, the rest as a
// collector would.
func (s *synthesis) day(ctx context.Context, stats *statsDB, id target.ID, midnight time.Time) error {
	names, ticks := s.history.Day(id, midnight)
	next, stop := iter.Pull(ticks)
	defer stop()
	var recent *sample.Tick // the first that is not of a bucket that is over
	err := stats.Load(ctx, id, &names, func(yield func(*sample.Tick) bool) {
		for t, ok := next(); ok; t, ok = next() {
			if !t.Planned.Before(s.last) {
				recent = t

				return
			}
			if s.count(t); !yield(t) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	var visits []*sample.Visit
	for t, ok := recent, recent != nil; ok && t.Planned.Before(s.until); t, ok = next() {
		s.count(t)
		visits = append(visits, &sample.Visit{Tick: t})
	}
	if err := stats.Append(ctx, id, visits); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	s.progress.at(s.done)

	return nil
}

func (s *synthesis) count(t *sample.Tick) {
	s.ticks.Add(1)
	s.samples.Add(int64(len(t.Sessions)))
}

// visits stores what is beside sessions.
func (s *synthesis) visits(ctx context.Context, stats *statsDB, id target.ID) error {
	from := s.until.Add(-synthVisited).Truncate(time.Hour)
	if from.Before(s.from()) {
		from = s.from()
	}
	all := s.history.Visits(id, from, s.until)
	for len(all) > 0 {
		n := min(len(all), synthBatch)
		if err := stats.Append(ctx, id, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}

	return stats.CompactDatabases(ctx, id)
}
