package live

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Finding is one thing that a server needs to be watched.
type Finding struct {
	Name string // connection, version, privileges, data_directory, superuser
	OK   bool
	// Detail says what is wrong and what to do, or what was found.
	Detail string
}

// Report is what Test found.
type Report struct {
	Findings []Finding
	// OK is set when nothing that matters is missing.
	OK       bool
	Status   Status
	Duration time.Duration
}

// Test connects to a server anew, past pools and caches, and says what is
// missing.
func (l *Live) Test(ctx context.Context, t target.Target) Report {
	begun := time.Now()
	status := l.tryStatus(ctx, t)
	report := Report{Status: status, Duration: time.Since(begun)}
	add := func(name string, ok bool, good, bad string) {
		detail := good
		if !ok {
			detail = bad
		}
		report.Findings = append(report.Findings, Finding{name, ok, detail})
	}
	reached := status.Reason == sample.None || status.Reason == sample.NoPrivilege
	connected := reached || status.Reason == sample.Unsupported
	add("connection", connected, "connected and authenticated", status.Explanation)
	report.OK = status.Reason == sample.None
	if connected {
		version := ""
		if status.Version != nil {
			version = "PostgreSQL " + *status.Version
		}
		add("version", reached, version, remote.Explain(sample.Unsupported))
	}
	if !reached {
		return report
	}
	add("privileges", status.Reason == sample.None, "sessions of all users can be seen", remote.Explain(sample.NoPrivilege))
	add("data_directory", status.DataDir != nil, "the data directory can be read",
		"the data directory cannot be read: grant pg_monitor, or pg_read_all_settings, to the monitoring user")
	add("superuser", !status.Superuser, "the monitoring user is no superuser",
		"the monitoring user is a superuser: pgam needs no more than pg_monitor")
	return report
}

// tryStatus asks for the status on a connection of its own.
func (l *Live) tryStatus(ctx context.Context, t target.Target) Status {
	if l.SecretBroken(t.ID) {
		return Status{Reason: sample.AuthFailed, Explanation: brokenAdvice}.finish(nil)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.deadline, fmt.Errorf("test of %s: deadline %s", t.Name, l.deadline))
	defer cancel()
	fail := func(err error) Status {
		return Status{}.finish(&Error{Reason: remote.Classify(err), err: err})
	}
	cfg, err := remote.PostgresConfig(t, remote.Limits{
		Application: l.pools.application, Connect: l.deadline, Statement: l.deadline, Lock: lockWait,
	})
	if err != nil {
		return fail(err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fail(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if v := parseVersion(conn.PgConn().ParameterStatus("server_version")); v < minVersion {
		return Status{Reason: sample.Unsupported}.finish(nil)
	}
	status, err := statusOf(ctx, conn)
	if err != nil {
		return fail(err)
	}
	return status.finish(nil)
}
