package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// checkWithin bounds reaching a server, and each question to it.
const checkWithin = 10 * time.Second

func (t *tool) serverTestCommand() *cobra.Command {
	var flags endpointFlags
	cmd := &cobra.Command{
		Use:   "test [NAME]",
		Short: "Connect to a server and its host, and say what is missing",
		Long: `Connects to a server that was added, or to the one at --dsn, and says what is
missing for watching it: the connection, the version, privileges, and, where the
disks are looked at or there is a tunnel, the host's key, SSH and the disks. Exit
code 0 means that nothing is.`,
		Example: `  pgam server test db1
  pgam server test --dsn postgres://pgam_monitor@db1.example.org/postgres`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := t.config()
			if err != nil {
				return err
			}
			server, fault, err := t.serverToTest(cmd.Context(), args, flags)
			if err != nil {
				return err
			}
			found, err := checkServer(cmd.Context(), cfg.SSH, server, fault)
			if err != nil {
				return err
			}
			if err := t.printFindings(found); err != nil {
				return err
			}
			if !found.report.OK {
				return fmt.Errorf("server %q cannot be watched in full yet", server.Name)
			}

			return nil
		},
	}
	flags.add(cmd)
	flags.password.flags(cmd)

	return cmd
}

func (t *tool) printFindings(found check) error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, f := range found.report.Findings {
		verdict := "ok"
		if !f.OK {
			verdict = "no"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, verdict, f.Detail)
	}

	return table.Flush()
}

// serverToTest is a stored server, with what is wrong with its secrets, or one
// that only the command line knows.
func (t *tool) serverToTest(ctx context.Context, args []string, flags endpointFlags) (server target.Target, fault, err error) {
	if (len(args) == 1) == flags.given() {
		return server, nil, misconfigured{errors.New("give the NAME of a server, or an address with --dsn")}
	}
	if len(args) == 0 {
		endpoint, err := flags.read(ctx, t)
		if err != nil {
			return server, nil, err
		}
		server = target.Target{Name: local.ServerName(endpoint), Endpoint: endpoint}
		server.Defaults()
		if err := server.Validate(); err != nil {
			return server, nil, misconfigured{err}
		}

		return server, nil, nil
	}
	stats, err := t.openStatsDB(ctx, true)
	if err != nil {
		return server, nil, err
	}
	defer stats.Close()
	server, err = stats.Server(ctx, args[0])
	if broken, ok := errors.AsType[*target.SecretsError](err); ok {
		return server, broken, nil
	}
	if err != nil {
		return server, nil, serverError(args[0], err)
	}

	return server, nil, nil
}

// sayWhatIsMissing tests a server that was just stored.
func (t *tool) sayWhatIsMissing(ctx context.Context, server target.Target) error {
	cfg, err := t.config()
	if err != nil {
		return err
	}
	found, err := checkServer(ctx, cfg.SSH, server, nil)
	if err != nil {
		return err
	}
	for _, line := range found.missing() {
		t.say("server %q: %s", server.Name, line)
	}

	return nil
}

// check is what was found out about a server.
type check struct{ report live.Report }

// missing gives what there is to do, a line each, where a server cannot be
// watched in full.
func (c check) missing() (lines []string) {
	if c.report.OK {
		return nil
	}
	for _, f := range c.report.Findings {
		if !f.OK {
			lines = append(lines, f.Name+": "+f.Detail)
		}
	}

	return lines
}

// checkServer connects to a server and its host as the API does. fault is what is
// wrong with its stored secrets.
func checkServer(ctx context.Context, cfg config.SSH, server target.Target, fault error) (check, error) {
	shells, err := newShells(cfg)
	if err != nil {
		return check{}, err
	}
	defer shells.Close()
	now, err := live.New(live.Config{
		Catalog: alone{server, fault}, Log: slog.New(slog.DiscardHandler), Application: "pgam-test",
		Pools:    map[target.PoolProfile]live.Size{target.PoolDefault: {Max: 1}},
		Deadline: checkWithin, StatusTTL: checkWithin, Shells: shells, Disks: probe.NewDiskReader(shells), DiskTTL: checkWithin,
	})
	if err != nil {
		return check{}, err
	}
	defer func() { _ = now.Stop(ctx) }()
	if err := now.Refresh(ctx); err != nil {
		return check{}, err
	}
	found := check{now.Test(ctx, server)}
	for i := range found.report.Findings {
		f := &found.report.Findings[i]
		switch {
		case f.OK:
		case f.Name == "connection" && found.report.Status.Reason == sample.Other:
			f.Detail = driverText(ctx, server, shells, f.Detail)
		case f.Name == "privileges" && found.report.Status.VersionNum >= 100000:
			f.Detail += ": as a superuser: grant pg_monitor to " + server.Endpoint.User
		case f.Name == "host_key" && found.report.HostKey != nil && server.ID != 0:
			f.Detail = pinAdvice(server, *found.report.HostKey)
		}
	}

	return found, nil
}

// driverText says what the driver does of a failure that has no class. A person
// at the command line may see it.
func driverText(ctx context.Context, server target.Target, shells *remote.Shells, otherwise string) string {
	conn, err := remote.Dial(ctx, server, remote.Limits{
		Application: "pgam-test", Connect: checkWithin, Statement: checkWithin, Lock: time.Second, Shells: shells,
	})
	if err != nil {
		return remote.Said(err.Error())
	}
	_ = conn.Close(ctx)

	return otherwise
}

func newShells(cfg config.SSH) (*remote.Shells, error) {
	shells, err := remote.NewShells(remote.ShellsConfig{
		KnownHosts: cfg.SSHKnownHosts, Timeout: cfg.SSHTimeout.Std(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, misconfigured{err}
	}

	return shells, nil
}

// alone is a catalog of one server.
type alone struct {
	server target.Target
	fault  error
}

// ListServers implements live.Catalog.
func (a alone) ListServers(context.Context) ([]target.Target, map[target.ID]error, error) {
	faults := map[target.ID]error{}
	if a.fault != nil {
		faults[a.server.ID] = a.fault
	}

	return []target.Target{a.server}, faults, nil
}

// ServersRevision implements live.Catalog.
func (a alone) ServersRevision(context.Context) (int64, error) { return a.server.Revision, nil }
