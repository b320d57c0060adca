package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/disk"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/store"
	"github.com/pgam/pgam/internal/target"
)

// dialer connects to targets, through SSH where that is asked for, with limits
// by purpose.
type dialer struct {
	shells        *remote.Shells
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
	lim := remote.Limits{
		Application: "pgam-collector", Connect: d.connect, Lock: lockLimit, Statement: collector.VisitDeadline(cadence) * 3 / 4, Shells: d.shells,
	}
	if p == collector.ForSizes {
		lim.Statement = sizeLimit
	}
	conn, err := probe.Open(ctx, t, lim)
	if err != nil {
		return nil, remote.Classify(err), err
	}
	return conn, sample.None, nil
}

// disks looks at the file systems of targets' hosts.
type disks struct {
	reader *disk.Reader
	shells *remote.Shells
}

// Read implements collector.Disks.
func (d disks) Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, sample.Reason, error) {
	seen, err := d.reader.Read(ctx, t, locations)
	return seen, remote.Classify(err), err
}

// Forget implements collector.Disks.
func (d disks) Forget(server target.ID) { d.shells.Forget(server) }

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

// Removed implements collector.Catalog.
func (c catalog) Removed(ctx context.Context, id target.ID) (time.Time, error) {
	return c.stats.ServerRemoved(ctx, id)
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

// Explain implements collector.History: an error is one of stats_db until it is
// known to be one of the data.
func (history) Explain(err error) collector.Refusal {
	why := collector.Refusal{Fault: collector.Refused, SQLSTATE: store.SQLState(err), Advice: store.Advice(err)}
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled):
		why.Fault = collector.Away
	case errors.Is(err, store.ErrTooSlow), errors.Is(err, store.ErrLocked):
		why.Fault = collector.Slow
	case store.Refused(err):
		why.Fault = collector.Invalid
	}
	return why
}

// upkeep makes partitions ahead, drops old ones, and removes what was kept of
// servers that were deleted with their history.
type upkeep struct {
	stats     *store.Store
	retention func() store.Retention
	log       *slog.Logger
}

const (
	// partitionsAhead is how far ahead partitions are made.
	partitionsAhead = 4 * 24 * time.Hour
	// maxPurge bounds the removal of history by rows, so that partitions are
	// seen to again; what is left comes an hour later.
	maxPurge = 30 * time.Minute
)

var errPurgeDeadline = errors.New("remove history of deleted servers: not done after 30m")

func (u upkeep) run(ctx context.Context) error {
	now := time.Now().UTC()
	if err := u.stats.EnsurePartitions(ctx, now, now.Add(partitionsAhead)); err != nil {
		return err
	}
	dropped, err := u.stats.DropExpired(ctx, time.Now, u.retention())
	if len(dropped) > 0 {
		u.log.InfoContext(ctx, "dropped expired partitions", "partitions", dropped)
	}
	return errors.Join(err, u.forget(ctx), u.purge(ctx))
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
