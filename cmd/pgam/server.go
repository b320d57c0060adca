package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/target"
)

// grants is what makes a role good for watching.
const grants = "create role pgam_monitor login password '…'; grant pg_monitor to pgam_monitor;"

func (t *tool) serverCommand() *cobra.Command {
	group := t.dataFlag(groupCommand("server", "Manage the servers that are watched",
		t.serverAddCommand(), t.serverSetCommand(), t.serverListCommand(), t.serverRemoveCommand(), t.serverTestCommand(), t.serverPinCommand()))
	group.Long = `Manages the servers that are watched. A change takes effect within seconds; no
daemon needs a restart.

On a server, as a superuser, make the role that watches it:

  ` + grants + `

Where pgam shall also see how full the server's disks are, let it log in over SSH
as a user without rights of its own; it runs nothing but df there. Nothing is
sent to a host before its key is confirmed: pgam server pin.`

	return group
}

func (t *tool) serverAddCommand() *cobra.Command {
	var (
		flags endpointFlags
		shell shellFlags
		keep  keepFlags
	)
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a server to watch, and say whether it can be",
		Long: `Adds a server. Its password is taken from the URL, from a file, or asked for;
it is stored sealed. The server is then tried, and what is missing is said; it
stays added all the same.

With --ssh-user, pgam looks at the server's disks over SSH, and with --tunnel it
goes to PostgreSQL through SSH too: --host and --port are then as the SSH host
sees them. Confirm the host's key with pgam server pin, or give --ssh-host-key.`,
		Example: `  pgam server add db1 --dsn 'postgres://pgam_monitor@db1.example.org/postgres?sslmode=require' --password-file /run/secrets/db1
  pgam server add here --host /var/run/postgresql --user pgam_monitor --disk-source local
  pgam server add db2 --dsn postgres://pgam_monitor@db2.example.org/postgres --ssh-user watch --ssh-key fleet
  pgam server add db3 --host 127.0.0.1 --user pgam_monitor --ssh-host db3.example.org --ssh-user watch --ssh-key fleet --tunnel`,
		Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !flags.given() {
				return misconfigured{errors.New("no address: give --dsn URL, or --host and --user")}
			}
			if err := shell.sharesInput(flags.password); err != nil {
				return err
			}
			stats, err := t.openStatsDB(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer stats.Close()
			server := target.Target{Name: args[0], Enabled: true}
			if server.Endpoint, err = flags.read(cmd.Context(), t); err != nil {
				return err
			}
			if err := shell.read(cmd, t, &server.Shell.Password, shell.user != "" && shell.key == ""); err != nil {
				return err
			}
			if err := errors.Join(shell.apply(cmd.Flags(), &server), keep.apply(cmd.Flags(), &server)); err != nil {
				return err
			}

			return t.addServer(cmd.Context(), stats.Catalog, server)
		},
	}
	flags.add(cmd)
	flags.password.flags(cmd)
	shell.add(cmd)
	keep.add(cmd)

	return cmd
}

func (t *tool) addServer(ctx context.Context, stored *catalog.Catalog, server target.Target) error {
	made, err := stored.CreateServer(ctx, server)
	if err != nil {
		return serverError(server.Name, err)
	}
	t.say("added server %q", made.Name)

	return t.sayWhatIsMissing(ctx, made)
}

// serverError says what became of a change of a server.
func serverError(name string, err error) error {
	if errors.Is(err, target.ErrInvalid) {
		return misconfigured{err}
	}

	return fmt.Errorf("server %q: %w", name, err)
}

func (t *tool) serverSetCommand() *cobra.Command {
	change := serverChange{}
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change a server, and say whether it can be watched",
		Long: `Changes what is given and leaves the rest as it is; an empty value takes away.
A stored password belongs to its address: with another one it is needed again,
from a file or asked for. Another SSH host or port forgets the pinned host key.
The server is then tried, and what is missing is said.`,
		Example: `  pgam server set db1 --host db1.new.example.org --password-file /run/secrets/db1
  pgam server set db1 --ssh-user watch --ssh-key fleet
  pgam server set db1 --ssh-key '' --ask-ssh-password
  pgam server set db1 --disk-source none
  pgam server set db1 --query-texts full --burst-active 80
  pgam server set db1 --name primary --enabled=false`,
		Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := 0
			cmd.Flags().Visit(func(f *pflag.Flag) {
				if f.Name != "data" { // which names the stats_db
					given++
				}
			})
			if given == 0 {
				return misconfigured{errors.New("nothing to change is given")}
			}

			return t.setServer(cmd, args[0], &change)
		},
	}
	change.add(cmd)

	return cmd
}

func (t *tool) setServer(cmd *cobra.Command, name string, change *serverChange) error {
	ctx := cmd.Context()
	stats, err := t.openStatsDB(ctx, true)
	if err != nil {
		return err
	}
	defer stats.Close()
	before, err := stats.Server(ctx, name)
	if _, broken := errors.AsType[*target.SecretsError](err); err != nil && !broken {
		return serverError(name, err)
	}
	// All that is asked of a person is asked before the change begins.
	if err := change.read(cmd, t, before); err != nil {
		return err
	}
	edit := func(server *target.Target) error { return change.apply(cmd.Flags(), server) }
	changed, err := stats.UpdateServer(ctx, name, edit)
	if pin := change.shell.hostKey; err == nil && pin != "" && changed.Shell.HostKey == "" {
		// The pin is the one from before, and given for the new place too.
		changed, err = stats.UpdateServer(ctx, changed.Name, func(server *target.Target) error {
			return change.shell.apply(cmd.Flags(), server)
		})
	}
	if err != nil {
		return serverError(name, err)
	}
	t.say("changed server %q", changed.Name)
	if before.Shell.HostKey != "" && changed.Shell.HostKey == "" && !cmd.Flags().Changed("ssh-host-key") {
		t.say("the pinned host key was that of the old place, and is forgotten")
	}

	return t.sayWhatIsMissing(ctx, changed)
}

func (t *tool) serverListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the servers",
		Example: "  pgam server list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stats, err := t.openStatsDB(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer stats.Close()
			servers, faults, err := stats.ListServers(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "NAME\tHOST\tPORT\tDATABASE\tUSER\tTLS\tPASSWORD\tSSH\tDISKS\tWATCHED")
			for _, s := range servers {
				broken, _ := errors.AsType[*target.SecretsError](faults[s.ID])
				stored := "none"
				if broken != nil && broken.Password != nil {
					stored = "unreadable: set it again"
				} else if !s.Endpoint.Password.IsZero() {
					stored = "sealed"
				}
				e := s.Endpoint
				_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%t\n", s.Name, e.Host, e.Port, e.Database, e.User, e.TLS, stored,
					describeShell(s, broken != nil && broken.Shell != nil), s.Disks(), s.Enabled)
			}

			return table.Flush()
		},
	}
}

// describeShell says in a few words how a host is entered.
func describeShell(s target.Target, broken bool) string {
	if s.Shell.User == "" {
		return "none"
	}
	by := "without password"
	switch {
	case broken:
		by = "unreadable: set it again"
	case s.Shell.Key.ID != 0:
		by = "by key " + s.Shell.Key.Name
	case !s.Shell.Password.IsZero():
		by = "by password"
	}
	text := s.Shell.User + "@" + net.JoinHostPort(s.ShellHost(), strconv.Itoa(s.Shell.Port)) + " " + by
	if s.Shell.HostKey == "" {
		text += ", not pinned"
	}
	if s.Shell.Tunnel {
		text += ", tunnel"
	}

	return text
}

func (t *tool) serverRemoveCommand() *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Stop watching a server; its history stays until retention, or goes with --purge",
		Long: `Stops watching a server and forgets its secrets. What was recorded stays until
retention drops it. With --purge the collector removes it, within the hour and
a little at a time; that cannot be undone. The name is free at once.`,
		Example: `  pgam server remove db1
  pgam server remove db1 --purge`,
		Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stats, err := t.openStatsDB(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer stats.Close()
			if err := stats.DeleteServer(cmd.Context(), args[0], purge); err != nil {
				return fmt.Errorf("server %q: %w", args[0], err)
			}
			t.say("removed server %q", args[0])
			if purge {
				t.say("the collector will remove its history")
			}

			return nil
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "have the history removed too")

	return cmd
}
