package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// statusKey names a server as it was at one change of it.
type statusKey struct {
	id       target.ID
	revision int64
}

// Status is how a server is. Nil is unknown.
type Status struct {
	At time.Time
	// Reason is None when all is well; NoPrivilege comes with all that could
	// be read, the others with nothing.
	Reason sample.Reason
	// Explanation is for a person: "ok", or what is wrong and what to do.
	Explanation string
	Version     *string
	VersionNum  int32
	// Connections are client backends by state, the monitor's own left out;
	// "null" counts those whose state the role may not see.
	Connections map[string]int64
	Uptime      *time.Duration
	DataDir     *string
	// ClockOffset is by how much the server's clock is ahead of ours, give or take
	// ClockWithin.
	ClockOffset, ClockWithin time.Duration
	InRecovery               bool
	Superuser                bool
	// Proxy says that something stands between us and PostgreSQL.
	Proxy bool
	// Locations are where the data lies: data directory, WAL and tablespaces,
	// without those that the role may not know. Asked for only where file
	// systems are looked at.
	Locations []sample.Location
}

type statusRow struct {
	Version    string    `db:"version"`
	VersionNum int32     `db:"version_num"`
	DataDir    *string   `db:"data_dir"`
	Uptime     float64   `db:"uptime"`
	InRecovery bool      `db:"in_recovery"`
	Clock      time.Time `db:"clock"`
	SeesAll    bool      `db:"sees_all"`
	Superuser  bool      `db:"superuser"`
}

type connectionsRow struct {
	State       string `db:"state"`
	Connections int64  `db:"connections"`
}

// Status gives how a server is, at most the cache's time ago. Many may ask at
// once: the server is asked once. A server that does not answer has a Status
// too.
func (l *Live) Status(ctx context.Context, t target.Target) Status {
	load := otter.LoaderFunc[statusKey, Status](func(ctx context.Context, _ statusKey) (Status, error) {
		// Others may wait for this answer, so nobody's leaving ends it.
		return l.askStatus(context.WithoutCancel(ctx), t), nil
	})
	ctx, cancel := context.WithTimeout(ctx, l.deadline)
	defer cancel()
	status, err := l.statuses.Get(ctx, statusKey{t.ID, t.Revision}, load)
	if err != nil {
		return Status{At: time.Now().UTC(), Reason: sample.Timeout, Explanation: remote.Explain(sample.Timeout)}
	}
	return status
}

// Statuses gives the status of each server, in their order. All are asked at
// once, so it takes no longer than the slowest, and that no longer than the
// deadline.
func (l *Live) Statuses(ctx context.Context, servers []target.Target) []Status {
	list := make([]Status, len(servers))
	var asking sync.WaitGroup
	for i, t := range servers {
		if s, ok := l.statuses.GetIfPresent(statusKey{t.ID, t.Revision}); ok {
			list[i] = s
			continue
		}
		asking.Go(func() { list[i] = l.Status(ctx, t) })
	}
	asking.Wait()
	return list
}

func (l *Live) askStatus(ctx context.Context, t target.Target) Status {
	var status Status
	err := l.ask(ctx, t, "status", func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		status, err = statusOf(ctx, conn.Conn())
		if err == nil && t.Disks() != target.DiskNone {
			status.Locations = locationsOf(ctx, conn.Conn())
		}
		return err
	})
	if len(status.Locations) > 0 {
		l.places.Set(statusKey{t.ID, t.Revision}, status.Locations)
	}
	return status.finish(err)
}

// statusOf reads a status on a connection.
func statusOf(ctx context.Context, conn *pgx.Conn) (Status, error) {
	var s Status
	begun := time.Now()
	rows, err := rowsOf[statusRow](ctx, conn, "status")
	s.ClockWithin = time.Since(begun) / 2
	if err != nil {
		return s, err
	}
	if len(rows) != 1 {
		return s, fmt.Errorf("%d rows where one was expected", len(rows))
	}
	r := rows[0]
	s.ClockOffset = r.Clock.Sub(begun.Add(s.ClockWithin))
	states, err := rowsOf[connectionsRow](ctx, conn, "connections")
	if err != nil {
		return s, err
	}
	s.Connections = make(map[string]int64, len(states))
	for _, c := range states {
		s.Connections[validText(c.State)] += c.Connections
	}
	version := validText(r.Version)
	uptime := time.Duration(max(r.Uptime, 0) * float64(time.Second))
	s.Version, s.VersionNum, s.Uptime, s.InRecovery, s.Superuser = &version, r.VersionNum, &uptime, r.InRecovery, r.Superuser
	if r.DataDir != nil {
		dir := validText(*r.DataDir)
		s.DataDir = &dir
	}
	s.Proxy = remote.SessionOf(conn.PgConn()).Proxy
	if !r.SeesAll {
		s.Reason, s.Explanation = sample.NoPrivilege, privilegeAdvice(r.VersionNum)
	}
	return s, nil
}

// finish puts the explanation to what was read.
func (s Status) finish(err error) Status {
	if err != nil {
		s = Status{Reason: sample.Other}
		if failed, ok := errors.AsType[*Error](err); ok {
			s.Reason, s.Explanation = failed.Reason, failed.Explain()
		}
	}
	if s.Explanation == "" {
		s.Explanation = remote.Explain(s.Reason)
	}
	s.At = time.Now().UTC()
	return s
}
