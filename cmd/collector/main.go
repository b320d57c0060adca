// Command pgam-collector samples every registered PostgreSQL server into
// stats_db. Its settings are in the environment; pgam-collector --help lists
// them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// memory is what Go may take of the 128 MiB that the collector stays below: the
// rest is the program itself, and the journal's pages.
const memory = 96 << 20

// maxConns to stats_db are for a few servers that are written at once, what is
// compacted, and a chore or two beside.
const maxConns = 8

func main() {
	if done, code := flags(os.Args[1:], os.Stdout, os.Stderr); done {
		os.Exit(code)
	}
	os.Exit(daemon.Main("pgam-collector", untilAsked))
}

// untilAsked runs the collector. One that is asked to stop while it starts was
// asked to stop, whatever that cut off.
func untilAsked(ctx context.Context, frame *daemon.Frame) error {
	err := run(ctx, frame)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// run wires the collector, from the configuration to the schedule, and waits.
func run(ctx context.Context, frame *daemon.Frame) error {
	libpq := config.WithoutLibpq(os.Environ())
	cfg, err := config.LoadCollector(os.Environ())
	if err != nil {
		return daemon.Configuration(err)
	}
	log := frame.Configure(daemon.Options{Level: cfg.LogLevel, Format: cfg.LogFormat, StopWithin: cfg.ShutdownTimeout.Std()})
	if len(libpq) > 0 {
		log.WarnContext(ctx, "variables of libpq are set and not read: PGAM_STATS_DSN says all", "variables", libpq)
	}
	frame.OnReload(ctx, reloading(frame, cfg))
	runtime.GOMAXPROCS(cfg.MaxProcs)
	daemon.LimitMemory(memory)
	keyring, err := secret.ReadKeyring(cfg.KeyFile)
	if err != nil {
		return daemon.Configuration(err)
	}
	db, err := statsdb.New(statsdb.Config{DSN: cfg.StatsDSN, Application: "pgam-collector", MaxConns: maxConns, StatementTimeout: 30 * time.Second})
	if err != nil {
		return daemon.Configuration(err)
	}
	frame.OnStop("stats_db", func(context.Context) error { db.Close(); return nil })
	hash := sample.NewHash(keyring.ContentKey())
	stored, stats := catalog.New(db, keyring), ingest.New(db, hash)
	kept, err := journal.Open(journal.Config{Dir: cfg.DataDir, MaxBytes: int64(cfg.JournalMaxBytes), KeepDone: keepDone, Log: log})
	if err != nil {
		return daemon.Configuration(err)
	}
	frame.OnStop("journal", func(context.Context) error { return kept.Close() })
	shells, err := remote.NewShells(remote.ShellsConfig{KnownHosts: cfg.SSHKnownHosts, Timeout: cfg.SSHTimeout.Std(), Log: log})
	if err != nil {
		return daemon.Configuration(err)
	}
	frame.OnStop("ssh", func(context.Context) error { shells.Close(); return nil })

	registry := daemon.NewRegistry("pgam-collector")
	beat, clock, now := new(heartbeat), collector.NewClock(), newSettings(stored, log, cfg)
	care, err := keeper{stats, now.retention, time.Now, clock.Now, log}.chores(db.CheckSchema)
	if err != nil {
		return err
	}
	checks := append([]daemon.Check{{Name: "stats_db", Run: db.CheckSchema}, {Name: "history", Run: beat.writes}, {Name: "schedule", Run: beat.ready}}, care.checks()...)
	addr, err := frame.ServeHealth(ctx, cfg.HealthListen, "PGAM_HEALTH_LISTEN", registry, beat.check, checks...)
	if err != nil {
		return err
	}
	own := newHolding(kept, log)
	away, err := ready(ctx, db, kept, own.led, log)
	if err != nil {
		return err
	}
	// One that stands by is well: systemd must not wait for its start to be over.
	started := sync.OnceFunc(func() {
		frame.Watch(ctx, beat.check)
		frame.Ready("health", addr.String())
	})
	lease := ingest.NewLease(db, ingest.LeaseConfig{Holder: own.holder, Log: log, Heard: clock.Heard})
	frame.OnStop("lease", lease.Close)
	registry.MustRegister(newLeaseHeld(lease.Held), care)
	registry.MustRegister(clockSeries(clock)...)
	if !away {
		handIn := func(ctx context.Context) {
			collector.HandIn(ctx, collector.Config{Journal: kept, History: history{stats}, Log: log})
		}
		if err := own.take(ctx, lease, started, handIn); err != nil {
			return err
		}
	}
	fleet := newFleet()
	c, err := collector.New(collector.Config{
		Dialer:  dialer{shells: shells, guard: remote.NewGuard(answersTogether), connect: cfg.ConnectTimeout.Std(), globalCadence: cfg.ActivityInterval.Std()},
		Catalog: servers{stored, stats, log},
		History: history{stats},
		Journal: kept,
		Disks:   disks{probe.NewDiskReader(shells), shells},
		Log:     log,
		Meter:   newMeter(registry, fleet),
		Intervals: target.Intervals{
			Activity: cfg.ActivityInterval.Std(), Databases: cfg.DatabasesInterval.Std(),
			Inventory: cfg.InventoryInterval.Std(), Sizes: cfg.SizesInterval.Std(), Disks: cfg.DisksInterval.Std(),
		},
		Hash:          hash,
		MaxConnecting: cfg.MaxConnecting,
		Burst:         burst(cfg),
		Settings:      now.read,
		ForgetTexts:   stats.ForgetTexts,
		Version:       daemon.Build().Version,
		Clock:         clock,
		Away:          away,
	})
	if err != nil {
		return daemon.Configuration(err)
	}
	fleet.watched = c.Watched
	behind := newLag(stats, clock.Now)
	upkeep, err := behind.service(db.CheckSchema, log)
	if err != nil {
		return err
	}
	sums := newTotals(c.Counts, kept)
	sums.now, fleet.now = clock.Now, clock.Now
	registry.MustRegister(fleet, sums, behind, newExpired(stats.Expired))
	if err := c.Start(ctx); err != nil {
		return err
	}
	frame.OnStop("collector", func(ctx context.Context) error { beat.follow(nil); return c.Stop(ctx) })
	beat.follow(c)
	append(care, upkeep).start(ctx, frame)
	frame.OnStop("heartbeat", beat.watch(ctx, frame.Fail))
	started()
	return own.keep(ctx, lease)
}

// awayAfter is how long a collector that can begin from its journal waits for
// stats_db.
const awayAfter = 3 * time.Second

// ready checks that stats_db is what this program was built for. A collector that
// knows its servers starts all the same where it is away, or refuses it for
// whatever reason: who held the lease last samples, another stands by.
func ready(ctx context.Context, db *statsdb.DB, kept *journal.Journal, led bool, log *slog.Logger) (away bool, err error) {
	targets, err := kept.Targets()
	known := err == nil && targets != nil
	asking := ctx
	if known {
		var cancel context.CancelFunc
		asking, cancel = context.WithTimeout(ctx, awayAfter)
		defer cancel()
	}
	err = db.CheckSchema(asking)
	switch {
	case err == nil:
		return false, nil
	case ctx.Err() != nil:
		return false, err
	case known:
		log.WarnContext(ctx, "stats_db cannot be used yet; the journal says what is watched", "error", err)
		return led, nil
	case errors.Is(err, statsdb.ErrSchema):
		return false, daemon.Configuration(err)
	}
	return false, fmt.Errorf("%w: check PGAM_STATS_DSN and that PostgreSQL runs there", err)
}

// keepDone is how long the journal keeps what stats_db has: one that is restored
// from a dump of these minutes gets it again.
const keepDone = 10 * time.Minute

func retention(cfg config.Collector) ingest.Retention {
	return ingest.Retention{
		Kept: map[statsdb.Kept]time.Duration{
			statsdb.KeptActivity: cfg.RetentionActivity.Std(), statsdb.KeptMinutes: cfg.RetentionMinutes.Std(),
			statsdb.KeptDatabases: cfg.RetentionDatabases.Std(), statsdb.KeptDisks: cfg.RetentionDisks.Std(), statsdb.KeptRollups: cfg.RetentionRollups.Std(),
			statsdb.KeptAudit: cfg.RetentionAudit.Std(),
		},
		DetachConcurrently: cfg.RetentionDetachConcurrently,
	}
}
