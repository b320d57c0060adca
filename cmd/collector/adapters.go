package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/collector"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/internal/target"
)

// dialer connects to targets, through SSH where that is asked for, with limits
// by purpose.
type dialer struct {
	shells        *remote.Shells
	guard         *remote.Guard
	connect       time.Duration
	globalCadence time.Duration
}

// answersTogether bounds the long answers that are being read of all targets.
const answersTogether = 32 << 20

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
		Application: "pgam-collector", Connect: d.connect, Lock: lockLimit, Statement: collector.VisitDeadline(cadence) * 3 / 4,
		Shells: d.shells, Hold: true, Guard: d.guard,
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
	reader *probe.DiskReader
	shells *remote.Shells
}

// Read implements collector.Disks.
func (d disks) Read(ctx context.Context, t target.Target, locations []sample.Location) (sample.Disks, sample.Reason, error) {
	seen, err := d.reader.Read(ctx, t, locations)
	return seen, remote.Classify(err), err
}

// Forget implements collector.Disks.
func (d disks) Forget(server target.ID) { d.shells.Forget(server) }

// servers reads from stats_db what is watched.
type servers struct {
	catalog *catalog.Catalog
	history *ingest.Writer
	log     *slog.Logger
}

// Revision implements collector.Catalog.
func (s servers) Revision(ctx context.Context) (int64, error) { return s.catalog.ServersRevision(ctx) }

// Targets implements collector.Catalog.
func (s servers) Targets(ctx context.Context) ([]target.Target, []byte, error) {
	sealed, _, err := s.catalog.SealedServers(ctx)
	if err != nil {
		return nil, nil, err
	}
	targets, err := s.Unseal(sealed)
	return targets, sealed, err
}

// Removed implements collector.Catalog.
func (s servers) Removed(ctx context.Context, id target.ID) (time.Time, error) {
	return s.history.ServerRemoved(ctx, id)
}

// Unseal implements collector.Catalog. A server whose password cannot be
// opened is watched all the same, and says that it cannot be entered.
func (s servers) Unseal(sealed []byte) ([]target.Target, error) {
	targets, faults, err := s.catalog.OpenServers(sealed)
	for id, fault := range faults {
		s.log.Error("stored password cannot be opened; set it again", "server_id", id, "error", fault)
	}
	return targets, err
}

// history writes to stats_db.
type history struct{ *ingest.Writer }

// Explain implements collector.History: an error is one of stats_db until it is
// known to be one of the data.
func (history) Explain(err error) collector.Refusal {
	why := collector.Refusal{Fault: collector.Refused, SQLSTATE: statsdb.SQLState(err), Advice: statsdb.Advice(err)}
	switch {
	case errors.Is(err, ingest.ErrReplaced):
		why.Fault, why.Advice = collector.Replaced, "nothing is to be done: what it may not know is offered again"
	case errors.Is(err, statsdb.ErrUnavailable), errors.Is(err, context.Canceled):
		why.Fault = collector.Away
	case errors.Is(err, statsdb.ErrTooSlow):
		why.Fault = collector.Slow
	case errors.Is(err, statsdb.ErrLocked):
		why.Fault = collector.Busy
	case statsdb.Refused(err):
		why.Fault = collector.Invalid
	}
	return why
}
