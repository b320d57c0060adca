package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
)

// tool is what every command works with.
type tool struct {
	environ []string
	in      *os.File
	out     io.Writer // results
	errOut  io.Writer // remarks and errors

	configDir string // where pgam setup left the address of stats_db; "" is nowhere

	dataDir string // --data of the commands that work on stats_db
	started bool   // the command line was understood
}

// misconfigured marks an error that only a change of the command line or of the
// configuration cures.
type misconfigured struct{ error }

func (e misconfigured) Unwrap() error { return e.error }

// run executes a command line and returns the exit code.
func run(ctx context.Context, t *tool, args []string) int {
	root := t.rootCommand()
	root.SetArgs(args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.errOut)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return daemon.ExitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		t.say("%s", line)
	}
	var wrong misconfigured
	var rest incomplete
	switch {
	case !t.started:
		t.say("see: %s --help", command.CommandPath())

		return daemon.ExitConfiguration
	case errors.As(err, &wrong):
		return daemon.ExitConfiguration
	case errors.As(err, &rest):
		return exitIncomplete
	}

	return daemon.ExitRuntime
}

func (t *tool) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "pgam",
		Short: "PostgreSQL Activity Monitor: the operator's tool",
		Long: `pgam runs everything on a private PostgreSQL (pgam up), or manages an
installation: its database, keys, users and servers.

Settings are environment variables; a secret may also be read from the file that
the variable with _FILE appended names:

` + config.Help("pgam") + `
Exit codes: 0 done, 1 it did not work, 2 the command line or a setting is wrong.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			t.started = true
		},
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		t.upCommand(), t.setupCommand(), t.migrateCommand(), t.userCommand(), t.serverCommand(), t.settingsCommand(), t.retentionCommand(), t.sshKeyCommand(), t.keyCommand(),
		t.journalCommand(), t.importCommand(), t.openapiCommand(), t.healthcheckCommand(), t.demoCommand(), t.manCommand(), t.versionCommand(),
	)

	return root
}

// groupCommand is a command that only holds others.
func groupCommand(use, short string, children ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(children...)

	return group
}

// one takes exactly one argument, called name.
func one(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing", name)
		case len(args) > 1:
			return fmt.Errorf("only one %s is expected, not %d arguments", name, len(args))
		}

		return nil
	}
}

// say prints a line for a person, apart from the results.
func (t *tool) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.errOut, "pgam: "+format+"\n", args...)
}

// printf prints a result.
func (t *tool) printf(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format, args...) }

// dataFlag lets a command work on the stats_db of pgam up.
func (t *tool) dataFlag(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentFlags().StringVar(&t.dataDir, "data", "", "work on the stats_db that pgam up runs in this data `folder`, instead of PGAM_STATS_DSN")

	return cmd
}

// config reads the settings; with --data those of pgam up take the place of the
// environment's.
func (t *tool) config() (config.Tool, error) {
	environ := t.environ
	if t.dataDir != "" {
		dsnFile, keyFile, err := local.Access(t.dataDir)
		if err != nil {
			return config.Tool{}, misconfigured{err}
		}
		environ = slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
			name, _, _ := strings.Cut(entry, "=")

			return slices.Contains([]string{"PGAM_STATS_DSN", "PGAM_STATS_DSN_FILE", "PGAM_KEY_FILE", "CREDENTIALS_DIRECTORY"}, name)
		})
		environ = append(environ, "PGAM_STATS_DSN_FILE="+dsnFile, "PGAM_KEY_FILE="+keyFile)
	} else {
		environ = t.withSetup(environ)
	}
	cfg, err := config.LoadTool(environ)
	if err != nil {
		return config.Tool{}, misconfigured{err}
	}

	return cfg, nil
}

// withSetup adds where stats_db is, as pgam setup left it, to an environment that
// does not say it.
func (t *tool) withSetup(environ []string) []string {
	for _, entry := range environ {
		switch name, value, _ := strings.Cut(entry, "="); name {
		case "PGAM_STATS_DSN", "PGAM_STATS_DSN_FILE", "CREDENTIALS_DIRECTORY":
			if value != "" {
				return environ
			}
		}
	}
	file := filepath.Join(t.configDir, statsDSNFile)
	if _, err := os.Stat(file); t.configDir == "" || err != nil {
		return environ
	}

	return append(slices.Clone(environ), "PGAM_STATS_DSN_FILE="+file)
}

// statsConfig is config where stats_db is needed.
func (t *tool) statsConfig() (config.Tool, error) {
	cfg, err := t.config()
	if err != nil {
		return cfg, err
	}
	if err := cfg.NeedStatsDSN(); err != nil {
		return cfg, misconfigured{err}
	}

	return cfg, nil
}

// statsDB is stats_db and all that commands ask of it.
type statsDB struct {
	*statsdb.DB
	*catalog.Catalog
	*ingest.Writer
}

// openStatsDB opens a stats_db that is at the version of this program. Without
// keyring no password of a server can be read or stored.
func (t *tool) openStatsDB(ctx context.Context, keyring bool) (*statsDB, error) {
	cfg, err := t.statsConfig()
	if err != nil {
		return nil, err
	}
	var ring *secret.Keyring
	if keyring {
		if ring, err = secret.ReadKeyring(cfg.KeyFile); err != nil {
			return nil, misconfigured{err}
		}
	}
	db, err := statsdb.New(statsdb.Config{DSN: cfg.StatsDSN, Application: "pgam", MaxConns: 2})
	if err != nil {
		return nil, misconfigured{err}
	}
	if err := db.CheckSchema(ctx); err != nil {
		db.Close()
		if statsdb.MayPass(err) {
			return nil, explainStats(cfg.StatsDSN, err)
		}

		return nil, misconfigured{err}
	}

	return &statsDB{db, catalog.New(db, ring), ingest.New(db, contentHash(ring))}, nil
}

// contentHash names content as the collector does. Without a keyring it names
// nothing that a collector would find.
func contentHash(ring *secret.Keyring) sample.Hash {
	if ring == nil {
		return sample.Hash{}
	}

	return sample.NewHash(ring.ContentKey())
}

// readLines returns the lines of a small file, "-" for standard input, without
// the empty ones.
func (t *tool) readLines(path string) ([]string, error) {
	content, err := t.readFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(content) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}

	return lines, nil
}

// readFile returns what is in a small file, "-" for standard input.
func (t *tool) readFile(path string) (string, error) {
	const most = 64 << 10
	file := t.in
	if path != "-" {
		opened, err := os.Open(filepath.Clean(path))
		if err != nil {
			return "", misconfigured{fmt.Errorf("read %s: %w", path, errors.Unwrap(err))}
		}
		defer func() { _ = opened.Close() }()
		file = opened
	}
	content, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}

	return string(content), nil
}
