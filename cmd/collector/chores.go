package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/store"
)

// The chores: what stats_db needs beside being written.
const (
	choreRetention  = "retention"  // old partitions go
	chorePartitions = "partitions" // there are some ahead
	choreTexts      = "texts"      // what is not allowed any more goes
	chorePurge      = "purge"      // so does the history of deleted servers
	choreRollups    = "rollups"
	chorePacking    = "packing"
)

const (
	// choreEvery is how often each chore of the upkeep is done; one that failed is
	// tried again with the next call.
	choreEvery = time.Hour
	// partitionsAhead is how far ahead partitions are made.
	partitionsAhead = 4 * 24 * time.Hour
	// maxPurge bounds the removal of history by rows, so that partitions are
	// seen to again; what is left comes an hour later.
	maxPurge = 30 * time.Minute
)

var errPurgeDeadline = errors.New("remove history of deleted servers: not done after 30m")

// chores knows how each of them went the last time. No chore waits for another to
// succeed; one that fails is named in readyz, in a metric and in the log.
type chores struct {
	desc *prometheus.Desc
	// usable says whether stats_db is there for chores at all; that it is not is the
	// fault of none, and told elsewhere.
	usable func(context.Context) error

	mu     sync.Mutex
	faults map[string]error
	done   map[string]time.Time // when it was last done without a fault
}

func newChores(usable func(context.Context) error) *chores {
	c := &chores{
		usable: usable,
		desc: prometheus.NewDesc("pgam_chore_failing",
			"1 while a chore of the history fails: retention, partitions, texts, purge, rollups or packing; the log says why.", []string{"chore"}, nil),
		faults: make(map[string]error), done: make(map[string]time.Time),
	}
	for _, name := range []string{choreRetention, chorePartitions, choreTexts, chorePurge, choreRollups, chorePacking} {
		c.faults[name] = nil
	}
	return c
}

// note keeps how a chore went, and gives the fault back with its name. One that
// was asked to end has not failed.
func (c *chores) note(ctx context.Context, name string, fault error) error {
	if fault != nil && ctx.Err() != nil {
		return fault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[name] = fault
	if fault != nil {
		return fmt.Errorf("%s: %w", name, fault)
	}
	c.done[name] = time.Now()
	return nil
}

// due reports whether a chore is due again.
func (c *chores) due(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	done, ok := c.done[name]
	return !ok || c.faults[name] != nil || time.Since(done) >= choreEvery-choreSlack
}

// choreSlack is how much early a chore may be done: its calls are not punctual.
const choreSlack = time.Minute

// following notes how each call of a chore went.
func (c *chores) following(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := c.usable(ctx); err != nil {
			return err
		}
		return c.note(ctx, name, run(ctx))
	}
}

// checks gives a check a chore, for readyz.
func (c *chores) checks() []daemon.Check {
	checks := make([]daemon.Check, 0, len(c.faults))
	for _, name := range []string{choreRetention, chorePartitions, choreTexts, chorePurge, choreRollups, chorePacking} {
		checks = append(checks, daemon.Check{Name: name, Run: func(context.Context) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.faults[name]
		}})
	}
	return checks
}

// Describe implements prometheus.Collector.
func (c *chores) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *chores) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, fault := range c.faults {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, oneIf(fault != nil), name)
	}
}

// upkeep drops old partitions, makes them ahead, takes away texts that are not
// allowed any more, and removes what was kept of servers that were deleted with
// their history.
type upkeep struct {
	stats     *store.Store
	chores    *chores
	retention func() store.Retention
	now       func() time.Time // this host's clock
	log       *slog.Logger
}

// run does what is due. Old partitions come first: a full disk needs that most.
func (u upkeep) run(ctx context.Context) error {
	if err := u.chores.usable(ctx); err != nil {
		return err
	}
	var faults []error
	for _, chore := range []struct {
		name string
		run  func(context.Context) error
	}{{choreRetention, u.expire}, {chorePartitions, u.ahead}, {choreTexts, u.forget}, {chorePurge, u.purge}} {
		if ctx.Err() == nil && u.chores.due(chore.name) {
			faults = append(faults, u.chores.note(ctx, chore.name, chore.run(ctx)))
		}
	}
	return errors.Join(faults...)
}

func (u upkeep) expire(ctx context.Context) error {
	dropped, err := u.stats.DropExpired(ctx, u.now, u.retention())
	if len(dropped) > 0 {
		u.log.InfoContext(ctx, "dropped expired partitions", "partitions", dropped)
	}
	return err
}

func (u upkeep) ahead(ctx context.Context) error {
	now, _, err := u.stats.Now(ctx, u.now)
	if err != nil {
		return err
	}
	return u.stats.EnsurePartitions(ctx, now, now.Add(partitionsAhead))
}

// forget takes texts away that servers no longer allow, also where that changed
// while no collector ran.
func (u upkeep) forget(ctx context.Context) error {
	texts, err := u.stats.ForgetTexts(ctx)
	if texts > 0 {
		u.log.InfoContext(ctx, "took stored texts of statements away", "texts", texts)
	}
	return err
}

func (u upkeep) purge(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maxPurge, errPurgeDeadline)
	defer cancel()
	rows, err := u.stats.PurgeDeleted(ctx)
	if rows > 0 {
		u.log.InfoContext(ctx, "removed history of deleted servers", "rows", rows)
	}
	return err
}
