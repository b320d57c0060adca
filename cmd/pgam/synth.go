package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/history"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/synth"
	"github.com/pgam/pgam/internal/target"
)

const (
	oneDay = 24 * time.Hour
	// synthNames is what the names of servers made up begin with.
	synthNames = "synth-"
	// synthVisited is how long there is more than sessions, up to the end.
	synthVisited = 2 * oneDay
	// synthBatch is how many windows or visits are written together.
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
	hour    time.Time // the last full hour
	packed  *synth.Generator
	recent  *synth.Generator // of windows as a collector writes them
	servers []target.ID

	progress *importProgress
	mu       sync.Mutex
	done     int64
	windows  atomic.Int64
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
	s.today, s.hour = history.Floor(s.until, oneDay), history.Floor(s.until, time.Hour)
	cfg := synth.Config{Seed: flags.seed, Cadence: flags.cadence, Span: 5 * time.Minute, Sessions: flags.sessions, Queries: synthQueries}
	var err error
	if s.packed, err = synth.New(cfg); err != nil {
		return nil, err
	}
	for _, cfg.Span = range []time.Duration{15 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute} {
		if cfg.Span%flags.cadence == 0 {
			break
		}
	}
	s.recent, err = synth.New(cfg)

	return s, err
}

func (t *tool) synth(ctx context.Context, flags synthFlags) error {
	s, err := t.newSynthesis(flags)
	if err != nil {
		return misconfigured{err}
	}
	stats, err := t.openStatsDB(ctx, false)
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
	if err := s.settle(ctx, stats); err != nil {
		return err
	}
	after, err := stats.Upkeep(ctx, s.until)
	if err != nil {
		return err
	}
	t.printf("made up %d servers and %d days: %d windows with %d session samples, %d bytes more on disk, in %.1f s\n",
		flags.servers, flags.days, s.windows.Load(), s.samples.Load(), after.Bytes-before.Bytes, time.Since(begun).Seconds())

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

// work fills servers on a store of its own, for one loads a day at a time.
func (s *synthesis) work(ctx context.Context, servers <-chan target.ID) error {
	stats, err := s.t.openStatsDB(ctx, false)
	if err != nil {
		return err
	}
	defer stats.Close()
	for id := range servers {
		if err := s.server(ctx, stats, id); err != nil {
			return err
		}
	}

	return nil
}

func (s *synthesis) server(ctx context.Context, stats *statsDB, id target.ID) error {
	first, last := s.packed.Dictionary(id, sample.Day(s.from()), sample.Day(s.until))
	for _, e := range []sample.Entries{first, last} {
		if err := stats.Append(ctx, sample.Batch{Visits: []*sample.Visit{{Server: id, Entries: e}}}); err != nil {
			return err
		}
	}
	for midnight := s.from(); midnight.Before(s.today); midnight = midnight.AddDate(0, 0, 1) {
		if err := s.load(ctx, stats, id, s.packed.Day(id, midnight)); err != nil {
			return err
		}
	}
	if err := s.lastDay(ctx, stats, id); err != nil {
		return err
	}

	return s.visits(ctx, stats, id)
}

// load stores a day and counts it.
func (s *synthesis) load(ctx context.Context, stats *statsDB, id target.ID, day synth.Day) error {
	if err := stats.LoadDay(ctx, id, store.LoadedDay{Sessions: day.Sessions, Windows: day.Windows, Minutes: day.Minutes}); err != nil {
		return err
	}
	s.count(day.Windows)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	s.progress.at(s.done)

	return nil
}

func (s *synthesis) count(windows []sample.Window) {
	s.windows.Add(int64(len(windows)))
	for i := range windows {
		s.samples.Add(int64(len(windows[i].Tick)))
	}
}

// lastDay makes the day that is not over: full hours as all days, the rest as a
// collector would.
func (s *synthesis) lastDay(ctx context.Context, stats *statsDB, id target.ID) error {
	day := s.recent.Day(id, s.today)
	entries := sample.Entries{Sessions: day.Sessions}
	windows, n := day.Windows, 0
	for n < len(windows) && windows[n].T0.Before(s.hour) {
		n++
	}
	hours := synth.Day{Sessions: day.Sessions, Windows: windows[:n], Minutes: day.Minutes[:int(s.hour.Sub(s.today)/time.Minute)]}
	if err := s.load(ctx, stats, id, hours); err != nil {
		return err
	}
	batch := sample.Batch{Visits: []*sample.Visit{{Server: id, Entries: entries}}}
	for windows = windows[n:]; len(windows) > 0 && !windows[0].T0.Add(windows[0].Span).After(s.until); windows = windows[1:] {
		batch.Windows = append(batch.Windows, windows[0])
		if len(batch.Windows) < synthBatch {
			continue
		}
		if err := s.appendCounted(ctx, stats, batch); err != nil {
			return err
		}
		batch = sample.Batch{}
	}

	return s.appendCounted(ctx, stats, batch)
}

func (s *synthesis) appendCounted(ctx context.Context, stats *statsDB, batch sample.Batch) error {
	s.count(batch.Windows)

	return stats.Append(ctx, batch)
}

// visits stores what is beside sessions.
func (s *synthesis) visits(ctx context.Context, stats *statsDB, id target.ID) error {
	from := history.Floor(s.until.Add(-synthVisited), time.Hour)
	if from.Before(s.from()) {
		from = s.from()
	}
	all := s.recent.Visits(id, from, s.until)
	for len(all) > 0 {
		n := min(len(all), synthBatch)
		if err := stats.Append(ctx, sample.Batch{Visits: all[:n]}); err != nil {
			return err
		}
		all = all[n:]
	}

	return nil
}

// settle rolls up what was appended, and says which days need no packing.
func (s *synthesis) settle(ctx context.Context, stats *statsDB) error {
	for more := true; more; {
		var err error
		if _, more, err = stats.Roll(ctx, s.until, math.MaxInt16); err != nil {
			return err
		}
	}

	return stats.NotePacked(ctx, s.from(), s.today)
}
