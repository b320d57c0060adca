package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/ingest"
)

const (
	// choreEvery is how often what changes by the day is looked after, choreAgain
	// how soon after a failure.
	choreEvery = time.Hour
	choreAgain = 5 * time.Minute
	// choreTimeout bounds a turn: what is left comes with the next one.
	choreTimeout = 30 * time.Minute
	// partitionsAhead is how far ahead partitions are made.
	partitionsAhead = 4 * 24 * time.Hour
	// compactEvery is how often it is looked what is to be compacted.
	compactEvery = 15 * time.Second
)

// keeper looks after the history: what stats_db needs beside being written.
type keeper struct {
	history   *ingest.Writer
	retention func() ingest.Retention
	host      func() time.Time // this host's clock
	now       func() time.Time // stats_db's, as far as it is heard
	log       *slog.Logger
}

// chores makes a service of each: none waits for another, and one that fails is
// named in readyz, in a metric and in the log. usable says whether stats_db is
// there at all.
func (k keeper) chores(usable func(context.Context) error) (chores, error) {
	var (
		all    chores
		faults []error
	)
	for _, c := range []daemon.ServiceConfig{
		{Name: "retention", Run: once(k.expire), Every: choreEvery, Again: choreAgain},
		{Name: "partitions", Run: once(k.partitions), Every: choreEvery, Again: choreAgain},
		{Name: "texts", Run: once(k.forget), Every: choreEvery, Again: choreAgain},
		{Name: "purge", Run: once(k.purge), Every: choreEvery, Again: choreAgain},
		{Name: "compaction", Run: k.compact, Every: compactEvery, Again: compactEvery},
	} {
		c.Log, c.Usable, c.Timeout = k.log, usable, choreTimeout
		s, err := daemon.NewService(c)
		all, faults = append(all, s), append(faults, err)
	}
	return all, errors.Join(faults...)
}

func once(run func(context.Context) error) func(context.Context) (bool, error) {
	return func(ctx context.Context) (more bool, err error) { return false, run(ctx) }
}

// expire drops old partitions.
func (k keeper) expire(ctx context.Context) error {
	dropped, err := k.history.DropExpired(ctx, k.host, k.retention())
	if len(dropped) > 0 {
		k.log.InfoContext(ctx, "dropped expired partitions", "partitions", dropped)
	}
	return err
}

func (k keeper) partitions(ctx context.Context) error {
	now, _, err := k.history.Now(ctx, k.host)
	if err != nil {
		return err
	}
	return k.history.EnsurePartitions(ctx, now, now.Add(partitionsAhead))
}

// forget takes texts away that servers no longer allow, also where that changed
// while no collector ran.
func (k keeper) forget(ctx context.Context) error {
	texts, err := k.history.ForgetTexts(ctx)
	if texts > 0 {
		k.log.InfoContext(ctx, "took stored texts of statements away", "texts", texts)
	}
	return err
}

// purge removes what was kept of servers that were deleted with their history.
func (k keeper) purge(ctx context.Context) error {
	rows, err := k.history.PurgeDeleted(ctx)
	if rows > 0 {
		k.log.InfoContext(ctx, "removed history of deleted servers", "rows", rows)
	}
	return err
}

func (k keeper) compact(ctx context.Context) (more bool, err error) {
	_, more, err = k.history.CompactDue(ctx, k.now())
	return more, err
}

// chores are the services that look after the history.
type chores []*daemon.Service

func (c chores) start(ctx context.Context, frame *daemon.Frame) {
	for _, s := range c {
		s.Start(ctx)
		frame.OnStop(s.Name(), s.Stop)
	}
}

// checks gives a check a chore, for readyz.
func (c chores) checks() []daemon.Check {
	checks := make([]daemon.Check, len(c))
	for i, s := range c {
		checks[i] = s.Check()
	}
	return checks
}

var choreFailing = prometheus.NewDesc("pgam_chore_failing",
	"1 while a chore of the history fails: retention, partitions, texts, purge or compaction; the log says why.", []string{"chore"}, nil)

// Describe implements prometheus.Collector.
func (c chores) Describe(ch chan<- *prometheus.Desc) { ch <- choreFailing }

// Collect implements prometheus.Collector.
func (c chores) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c {
		ch <- prometheus.MustNewConstMetric(choreFailing, prometheus.GaugeValue, oneIf(s.Err() != nil), s.Name())
	}
}
