package live

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Finding is one thing that a server needs to be watched.
type Finding struct {
	Name string // connection, version, privileges, data_directory, clock, superuser, host_key, ssh, disks
	OK   bool
	// Detail says what is wrong and what to do, or what was found.
	Detail string
}

// Report is what Test found.
type Report struct {
	Findings []Finding
	// OK is set when nothing that matters is missing.
	OK     bool
	Status Status
	// HostKey is what the host shows over SSH; nil: it was not asked, or showed
	// none.
	HostKey  *HostKey
	Duration time.Duration
}

func (r *Report) add(name string, ok bool, detail string) {
	r.Findings = append(r.Findings, Finding{name, ok, detail})
}

// Test connects to a server and its host anew, past pools and caches, and says
// what is missing. The host's key is pinned where that is done at first
// contact.
func (l *Live) Test(ctx context.Context, t target.Target) Report {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, lookTimeout, fmt.Errorf("test of %s: deadline %s", t.Name, lookTimeout))
	defer cancel()
	var host Report
	entered := true
	// A number of its own keeps it apart from the SSH connection that is kept.
	apart := t
	apart.ID = target.ID(-l.tests.Add(1))
	defer l.shells.Forget(apart.ID)
	if t.Shell.Tunnel || t.Disks() == target.DiskSSH {
		if l.brokenShell(t.ID) {
			host.add("ssh", false, brokenShellAdvice)
			entered = false
		} else {
			entered = l.testShell(ctx, t, &apart, &host)
		}
	}
	report := Report{Status: l.tryStatus(ctx, t, apart), HostKey: host.HostKey}
	report.judgeStatus()
	report.Findings = append(report.Findings, host.Findings...)
	if entered && t.Disks() != target.DiskNone && report.Status.Version != nil {
		l.testDisks(ctx, apart, &report)
	}
	report.OK = report.Status.Reason == sample.None
	for _, f := range report.Findings {
		if f.Name == "host_key" || f.Name == "ssh" || f.Name == "disks" {
			report.OK = report.OK && f.OK
		}
	}
	report.Duration = time.Since(begun)
	return report
}

// judgeStatus says what the status tells.
func (r *Report) judgeStatus() {
	s := r.Status
	choose := func(name string, ok bool, good, bad string) {
		if !ok {
			good = bad
		}
		r.add(name, ok, good)
	}
	reached := s.Reason == sample.None || s.Reason == sample.NoPrivilege
	connected := reached || s.Reason == sample.Unsupported
	good := "connected and authenticated"
	if s.Proxy {
		good += "; a proxy stands in between: its sessions keep the time limits, but are not made read-only"
	}
	choose("connection", connected, good, s.Explanation)
	if connected {
		version := ""
		if s.Version != nil {
			version = "PostgreSQL " + *s.Version
		}
		choose("version", reached, version, remote.Explain(sample.Unsupported))
	}
	if !reached {
		return
	}
	choose("privileges", s.Reason == sample.None, "sessions of all users can be seen", privilegeAdvice(s.VersionNum))
	choose("data_directory", s.DataDir != nil, "the data directory can be read", locationAdvice(s.VersionNum))
	choose("clock", s.ClockOffset.Abs()-s.ClockWithin <= sample.ClockTolerance, "its clock agrees with ours",
		fmt.Sprintf("its clock differs from ours by %.1f s: synchronize both with NTP; ages are by the server's clock, instants by the collector's",
			s.ClockOffset.Seconds()))
	if s.Superuser && isOld(s.VersionNum) {
		r.add("superuser", true, "the monitoring user is a superuser, as it must be before PostgreSQL 10 to see the sessions of others")
		return
	}
	choose("superuser", !s.Superuser, "the monitoring user is no superuser",
		"the monitoring user is a superuser: pgam needs no more than pg_monitor")
}

// testShell asks for the host's key and logs in. apart is brought up to date
// where the key was pinned.
func (l *Live) testShell(ctx context.Context, t target.Target, apart *target.Target, report *Report) (entered bool) {
	shown, err := l.shells.ScanHostKey(ctx, *apart)
	if err != nil {
		report.add("host_key", false, remote.Describe(err))
		return false
	}
	report.HostKey = &shown
	err = l.shells.CheckHostKey(*apart, shown)
	if l.firstContact(err) {
		if t, err = l.pin(ctx, t); err == nil {
			apart.Shell.HostKey = t.Shell.HostKey
			err = l.shells.CheckHostKey(*apart, shown)
		}
	}
	switch reason := remote.Classify(err); {
	case err == nil:
		report.add("host_key", true, shown.Type+" "+shown.Fingerprint+" is the key that was confirmed")
	case reason == sample.HostKeyUnknown:
		report.add("host_key", false, "the host shows "+shown.Type+" "+shown.Fingerprint+
			", which nobody has confirmed: compare it on the host with ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub, then store ssh.host_key "+shown.Line)
		return false
	default:
		report.add("host_key", false, remote.Describe(err))
		return false
	}
	if _, err := l.shells.Run(ctx, *apart, "exit 0\n"); err != nil {
		report.add("ssh", false, remote.Describe(err))
		return false
	}
	report.add("ssh", true, "logged in")
	return true
}

// testDisks looks at the file systems.
func (l *Live) testDisks(ctx context.Context, t target.Target, report *Report) {
	if len(report.Status.Locations) == 0 {
		report.add("disks", false, locationAdvice(report.Status.VersionNum))
		return
	}
	seen, err := l.reader.Read(ctx, t, report.Status.Locations)
	found := l.judge(ctx, t, seen, err, report.Status.VersionNum)
	if found.Reason != sample.None {
		report.add("disks", false, found.Explanation)
		return
	}
	report.add("disks", true, describeDisks(found.Disks))
}

// describeDisks says what was seen, in a line.
func describeDisks(d sample.Disks) string {
	var parts []string
	for _, f := range d.FileSystems {
		text := strings.Join(f.Uses, ", ") + " on " + f.MountPoint
		if f.Total.Known && f.Free.Known {
			text += fmt.Sprintf(": %.1f of %.1f GiB free", float64(f.Free.V)/(1<<30), float64(f.Total.V)/(1<<30))
		}
		parts = append(parts, text)
	}
	for _, m := range d.Missing {
		text := m.Use + " cannot be looked at: " + remote.ExplainShell(m.Reason)
		if m.Detail != "" {
			text += " (" + m.Detail + ")"
		}
		parts = append(parts, text)
	}
	return validText(strings.Join(parts, "; "))
}

// connectApart makes a connection that is the caller's. A start that the server
// does not finish in time goes on without him, and its turn with it.
func (l *Live) connectApart(ctx context.Context, t, apart target.Target) (*pgx.Conn, error) {
	cfg, err := remote.PostgresConfig(apart, l.pools.testLimits(t.ID))
	if err != nil {
		return nil, err
	}
	hold, end, ok := l.behind(ctx, 0, "test of "+t.Name)
	if !ok {
		return nil, errStopped
	}
	type made struct {
		conn *pgx.Conn
		err  error
	}
	done := make(chan made)
	go func() {
		defer end()
		conn, err := pgx.ConnectConfig(hold, cfg)
		select {
		case done <- made{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close(hold)
			}
		}
	}()
	select {
	case m := <-done:
		return m.conn, m.err
	case <-ctx.Done():
		return nil, fmt.Errorf("test of %s: %w", t.Name, remote.ErrHeld)
	}
}

// tryStatus asks for the status of t on a connection of its own, by the SSH
// connection of apart.
func (l *Live) tryStatus(ctx context.Context, t, apart target.Target) Status {
	if advice := l.cannotAsk(t); advice != "" {
		return Status{Reason: sample.AuthFailed, Explanation: advice}.finish(nil)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.deadline, fmt.Errorf("test of %s: deadline %s", t.Name, l.deadline))
	defer cancel()
	conn, err := l.connectApart(ctx, t, apart)
	if err != nil {
		return Status{}.finish(failure(err))
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	status, err := statusOf(ctx, conn)
	if err != nil {
		return Status{}.finish(failure(err))
	}
	if t.Disks() != target.DiskNone {
		status.Locations = locationsOf(ctx, conn)
	}
	return status.finish(nil)
}
