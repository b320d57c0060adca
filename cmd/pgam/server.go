package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/probe"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/stack"
	"github.com/pgam/pgam/internal/target"
)

// testWithin bounds the test of a server.
const testWithin = 10 * time.Second

// grants is what makes a role good for watching.
const grants = "create role pgam_monitor login password '…'; grant pg_monitor to pgam_monitor;"

func (t *tool) serverCommand() *cobra.Command {
	group := t.dataFlag(groupCommand("server", "Manage the servers that are watched",
		t.serverAddCommand(), t.serverListCommand(), t.serverRemoveCommand(), t.serverTestCommand()))
	group.Long = `Manages the servers that are watched. A change takes effect within seconds; no
daemon needs a restart.

On a server, as a superuser, make the role that watches it:

  ` + grants

	return group
}

// endpointFlags describe a server on the command line.
type endpointFlags struct {
	url      string
	endpoint target.Endpoint
	tls      string
	password passwordSource
}

func (f *endpointFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "dsn", "", "address as a `URL`: postgres://user:password@host:port/database?sslmode=…")
	flags.StringVar(&f.endpoint.Host, "host", "", "`host`: a name, an address, or the folder of a Unix socket")
	flags.IntVar(&f.endpoint.Port, "port", 0, "`port` (default 5432)")
	flags.StringVar(&f.endpoint.User, "user", "", "`role` to log in as")
	flags.StringVar(&f.endpoint.Database, "database", "", "`database` to connect to (default postgres)")
	flags.StringVar(&f.tls, "tls", "", "`mode`: disable, allow, prefer, require, verify-ca or verify-full (default prefer)")
	f.password.flags(cmd)
}

// given tells whether an address was given at all.
func (f *endpointFlags) given() bool { return f.url != "" || f.endpoint.Host != "" }

// read returns the address: the URL, over which the other flags win, and the
// password, which is asked for where nothing holds it and a person is there.
func (f *endpointFlags) read(ctx context.Context, t *tool) (target.Endpoint, error) {
	var e target.Endpoint
	if f.url != "" {
		parsed, err := parseServerURL(f.url)
		if err != nil {
			return e, misconfigured{err}
		}
		e = parsed
	}
	for _, field := range []struct{ from, into *string }{
		{&f.endpoint.Host, &e.Host}, {&f.endpoint.User, &e.User}, {&f.endpoint.Database, &e.Database}, {&f.tls, (*string)(&e.TLS)},
	} {
		if *field.from != "" {
			*field.into = *field.from
		}
	}
	if f.endpoint.Port != 0 {
		e.Port = f.endpoint.Port
	}
	var err error
	switch {
	case f.password.file != "":
		e.Password, err = t.passwordFromFile(f.password.file)
	case e.Password.IsZero() && isTerminal(t.in):
		e.Password, err = t.prompt(ctx, "Password (empty for none): ")
	}

	return e, err
}

func (t *tool) serverAddCommand() *cobra.Command {
	var flags endpointFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a server to watch, and say whether it can be",
		Long: `Adds a server. Its password is taken from the URL, from a file, or asked for;
it is stored sealed. The server is then tried, and what is missing is said; it
stays added all the same.`,
		Example: `  pgam server add db1 --dsn 'postgres://pgam_monitor@db1.example.org/postgres?sslmode=require' --password-file /run/secrets/db1
  pgam server add here --host /var/run/postgresql --user pgam_monitor`,
		Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !flags.given() {
				return misconfigured{errors.New("no address: give --dsn URL, or --host and --user")}
			}

			return t.addServer(cmd.Context(), args[0], flags)
		},
	}
	flags.add(cmd)

	return cmd
}

func (t *tool) addServer(ctx context.Context, name string, flags endpointFlags) error {
	stats, err := t.openStore(ctx, true)
	if err != nil {
		return err
	}
	defer stats.Close()
	endpoint, err := flags.read(ctx, t)
	if err != nil {
		return err
	}
	made, err := stats.CreateServer(ctx, target.Target{Name: name, Endpoint: endpoint, Enabled: true})
	switch {
	case errors.Is(err, target.ErrInvalid):
		return misconfigured{err}
	case err != nil:
		return fmt.Errorf("server %q: %w", name, err)
	}
	t.say("added server %q", name)
	if findings, ok := testServer(ctx, made); !ok {
		for _, finding := range findings {
			t.say("server %q: %s", name, finding)
		}
	}

	return nil
}

func (t *tool) serverListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the servers",
		Example: "  pgam server list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stats, err := t.openStore(cmd.Context(), true)
			if err != nil {
				return err
			}
			defer stats.Close()
			servers, faults, err := stats.ListServers(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "NAME\tHOST\tPORT\tDATABASE\tUSER\tTLS\tPASSWORD\tWATCHED")
			for _, s := range servers {
				stored := "none"
				if faults[s.ID] != nil {
					stored = "unreadable: set it again"
				} else if !s.Endpoint.Password.IsZero() {
					stored = "sealed"
				}
				e := s.Endpoint
				_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%t\n", s.Name, e.Host, e.Port, e.Database, e.User, e.TLS, stored, s.Enabled)
			}

			return table.Flush()
		},
	}
}

func (t *tool) serverRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Stop watching a server; its history stays until retention",
		Long: `Stops watching a server and forgets its password. What was recorded stays until
retention drops it.`,
		Example: "  pgam server remove db1",
		Args:    one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stats, err := t.openStore(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer stats.Close()
			if err := stats.DeleteServer(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("server %q: %w", args[0], err)
			}
			t.say("removed server %q", args[0])

			return nil
		},
	}
}

func (t *tool) serverTestCommand() *cobra.Command {
	var flags endpointFlags
	cmd := &cobra.Command{
		Use:   "test [NAME]",
		Short: "Connect to a server and say what is missing",
		Long: `Connects to a server that was added, or to the one at --dsn, and says what is
missing for watching it. Exit code 0 means that nothing is.`,
		Example: `  pgam server test db1
  pgam server test --dsn postgres://pgam_monitor@db1.example.org/postgres`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := t.serverToTest(cmd.Context(), args, flags)
			if err != nil {
				return err
			}
			findings, ok := testServer(cmd.Context(), server)
			for _, finding := range findings {
				t.printf("%s\n", finding)
			}
			if !ok {
				return fmt.Errorf("server %q cannot be watched in full yet", server.Name)
			}

			return nil
		},
	}
	flags.add(cmd)

	return cmd
}

// serverToTest is a stored server, or one that only the command line knows.
func (t *tool) serverToTest(ctx context.Context, args []string, flags endpointFlags) (target.Target, error) {
	if (len(args) == 1) == flags.given() {
		return target.Target{}, misconfigured{errors.New("give the NAME of a server, or an address with --dsn")}
	}
	if len(args) == 0 {
		endpoint, err := flags.read(ctx, t)
		if err != nil {
			return target.Target{}, err
		}
		server := target.Target{Name: stack.ServerName(endpoint), Endpoint: endpoint}
		server.Defaults()
		if err := server.Validate(); err != nil {
			return target.Target{}, misconfigured{err}
		}

		return server, nil
	}
	stats, err := t.openStore(ctx, true)
	if err != nil {
		return target.Target{}, err
	}
	defer stats.Close()
	server, err := stats.Server(ctx, args[0])
	if err != nil && !errors.Is(err, secret.ErrSealBroken) {
		return target.Target{}, fmt.Errorf("server %q: %w", args[0], err)
	}

	return server, err
}

// testServer connects to a server as the collector does and says what it found,
// a line each. ok means that it can be watched in full.
func testServer(ctx context.Context, server target.Target) (findings []string, ok bool) {
	conn, err := probe.Open(ctx, server, remote.Limits{
		Application: "pgam-test", Connect: testWithin, Statement: testWithin / 2, Lock: time.Second,
	})
	switch {
	case errors.Is(err, probe.ErrUnsupported):
		return []string{remote.Explain(sample.Unsupported)}, false
	case err != nil:
		reason := remote.Classify(err)
		if reason == sample.Other {
			return []string{err.Error()}, false
		}

		return []string{remote.Explain(reason)}, false
	}
	defer conn.Close() //nolint:contextcheck // It is bounded by itself.
	findings = []string{"connected to PostgreSQL " + versionText(conn.Version())}
	if !conn.SeesAll() {
		return append(findings, remote.Explain(sample.NoPrivilege)+": as a superuser: grant pg_monitor to "+server.Endpoint.User), false
	}

	return append(findings, "the sessions of all users can be seen"), true
}

// versionText writes server_version_num as people do: 15.18, 9.6.24.
func versionText(number int32) string {
	n := int(number)
	if n >= 100000 {
		return strconv.Itoa(n/10000) + "." + strconv.Itoa(n%10000)
	}

	return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
}
