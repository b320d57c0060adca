package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

// dialer connects to targets, with limits by purpose.
type dialer struct {
	connect       time.Duration
	globalCadence time.Duration
}

// Locks are hardly waited for: what is asked every second takes none.
const (
	lockLimit = 100 * time.Millisecond
	sizeLimit = 25 * time.Second
)

// Dial implements collector.Dialer. The server's own limit is shorter than
// the visit's, so that the connection outlives a statement that is stopped.
func (d dialer) Dial(ctx context.Context, t target.Target, p collector.Purpose) (collector.Conn, sample.Reason, error) {
	cadence := d.globalCadence
	if t.Intervals.Activity != 0 {
		cadence = t.Intervals.Activity
	}
	lim := remote.Limits{Application: "pgam-collector", Connect: d.connect, Lock: lockLimit, Statement: collector.VisitDeadline(cadence) * 3 / 4}
	if p == collector.ForSizes {
		lim.Statement = sizeLimit
	}
	conn, err := probe.Open(ctx, t, lim)
	switch {
	case errors.Is(err, probe.ErrUnsupported):
		return nil, sample.Unsupported, err
	case err != nil:
		return nil, remote.Classify(err), err
	}
	return conn, sample.None, nil
}

// catalog reads the servers from stats_db.
type catalog struct {
	stats *store.Store
	log   *slog.Logger
}

// Revision implements collector.Catalog.
func (c catalog) Revision(ctx context.Context) (int64, error) { return c.stats.ServersRevision(ctx) }

// Targets implements collector.Catalog.
func (c catalog) Targets(ctx context.Context) ([]target.Target, []byte, error) {
	sealed, _, err := c.stats.SealedServers(ctx)
	if err != nil {
		return nil, nil, err
	}
	targets, err := c.Unseal(sealed)
	return targets, sealed, err
}

// Unseal implements collector.Catalog. A server whose password cannot be
// opened is watched all the same, and says that it cannot be entered.
func (c catalog) Unseal(sealed []byte) ([]target.Target, error) {
	targets, faults, err := c.stats.OpenServers(sealed)
	for id, fault := range faults {
		c.log.Error("stored password cannot be opened; set it again", "server_id", id, "error", fault)
	}
	return targets, err
}

// history writes to stats_db.
type history struct{ *store.Store }

// Retryable implements collector.History.
func (history) Retryable(err error) bool { return errors.Is(err, store.ErrUnavailable) }

// upkeep makes partitions ahead and drops old ones.
type upkeep struct {
	stats     *store.Store
	retention store.Retention
	log       *slog.Logger
}

// partitionsAhead is how far ahead partitions are made.
const partitionsAhead = 4 * 24 * time.Hour

func (u upkeep) run(ctx context.Context) error {
	now := time.Now().UTC()
	if err := u.stats.EnsurePartitions(ctx, now, now.Add(partitionsAhead)); err != nil {
		return err
	}
	dropped, err := u.stats.DropExpired(ctx, now, u.retention)
	if len(dropped) > 0 {
		u.log.InfoContext(ctx, "dropped expired partitions", "partitions", dropped)
	}
	return err
}
