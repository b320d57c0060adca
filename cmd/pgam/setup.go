package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/auth"
	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/migrations"
)

// localAdmin is the administrator that --create means.
const localAdmin = "postgres:///postgres?host=/var/run/postgresql&user=postgres"

// setupOptions are the flags of pgam setup.
type setupOptions struct {
	configDir, statsDSN, group, login string
	create                            string // where the administrator enters; "" for making nothing
	password                          passwordSource
	dryRun                            bool
}

func (t *tool) setupCommand() *cobra.Command {
	var o setupOptions
	var local bool
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Set up an installation: secrets, stats_db and a first administrator",
		Long: `Sets up what pgam-collector and pgam-api need, in one go: the files of settings
and secrets in /etc/pgam, the schema of stats_db, and a first administrator, whose
password is printed this once. What is there already stays as it is, so it may be
run again: then it says that nothing was changed, or goes on where it ended.

Where stats_db is comes from --stats-dsn, from PGAM_STATS_DSN, from an earlier
setup, or is asked for. If its role or the database is missing, the SQL to run is
said. With --create it is run in the PostgreSQL of this machine, where root enters
as the user postgres, and with --create-as on any server, as the administrator at
that URL. What is not given is then chosen: role pgam, database stats_db and a
random password.

Keys are never overwritten. A new --stats-dsn replaces the old one once it works.`,
		Example: `  pgam setup --create
  pgam setup --stats-dsn @/root/stats.dsn --create-as 'postgres://postgres@db1.example.org/postgres'
  pgam setup --stats-dsn postgres://pgam@db1.example.org/stats_db --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if local {
				o.create = localAdmin
			}

			return (&setup{t: t, o: o}).run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.configDir, "config-dir", defaultConfigDir, "`folder` of settings and secrets")
	flags.StringVar(&o.statsDSN, "stats-dsn", "", "where stats_db is: a `URL`, or @FILE that holds it")
	flags.BoolVar(&local, "create", false, "make the role and the database if they are missing, in the PostgreSQL of this machine")
	flags.StringVar(&o.create, "create-as", "", "the same on any server, as the administrator at this `URL`, or @FILE that holds it")
	cmd.MarkFlagsMutuallyExclusive("create", "create-as")
	flags.StringVar(&o.login, "admin", "admin", "`login` of the first administrator")
	flags.StringVar(&o.password.file, "admin-password-file", "", "read the administrator's password from the one line of this `file`; - is standard input (default: a random one is printed)")
	flags.StringVar(&o.group, "group", "pgam", "`group` that may read the settings, if there is such a group")
	flags.BoolVar(&o.dryRun, "dry-run", false, "change nothing, and say what would be done")

	return cmd
}

// setup is one run of pgam setup.
type setup struct {
	t       *tool
	o       setupOptions
	dsn     statsAddress
	changed bool
}

// did says what was changed, or would be.
func (s *setup) did(format string, args ...any) {
	s.changed = true
	if s.o.dryRun {
		format = "would have " + format
	}
	s.t.say(format, args...)
}

func (s *setup) run(ctx context.Context) error {
	dir, err := filepath.Abs(s.o.configDir)
	if err != nil {
		return misconfigured{err}
	}
	s.o.configDir = dir
	if err := account.ValidateLogin(s.o.login); err != nil {
		return misconfigured{err}
	}
	if s.dsn, err = s.chooseDSN(ctx); err != nil {
		return err
	}
	conn, err := s.reach(ctx)
	if err != nil {
		return err
	}
	if conn != nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	}
	version, err := s.checkDatabase(ctx, conn)
	if err != nil {
		return err
	}
	if err := s.writeFiles(ctx, conn, version); err != nil {
		return err
	}
	if err := s.migrate(ctx, conn, version); err != nil {
		return err
	}
	if err := s.createAdmin(ctx, version); err != nil {
		return err
	}
	if !s.changed {
		s.t.say("everything is in place: nothing was changed")
	}
	s.sayNext()

	return nil
}

func (s *setup) migrate(ctx context.Context, conn *pgx.Conn, version int32) error {
	latest := migrations.Latest()
	switch {
	case version == latest:
		return nil
	case version > latest:
		return fmt.Errorf("%w: it has version %d, this program knows %d", schema.ErrNewer, version, latest)
	case !s.o.dryRun:
		if err := schema.Up(ctx, conn, daemon.NewLogger(s.t.errOut, daemon.Options{Level: slog.LevelWarn})); err != nil {
			return explainStats(s.dsn.value, err)
		}
	}
	s.did("migrated stats_db from version %d to %d", version, latest)

	return nil
}

// createAdmin makes an administrator where there is none.
func (s *setup) createAdmin(ctx context.Context, version int32) error {
	if s.o.dryRun && version != migrations.Latest() {
		s.did("created admin %q", s.o.login)

		return nil
	}
	db, err := statsdb.New(statsdb.Config{DSN: s.dsn.value, Application: "pgam-setup", MaxConns: 1})
	if err != nil {
		return misconfigured{err}
	}
	defer db.Close()
	stored := catalog.New(db, nil)
	users, err := stored.ListAccounts(ctx)
	if err != nil {
		return explainStats(s.dsn.value, err)
	}
	for _, user := range users {
		if user.Role == account.Admin && user.Active {
			return nil
		}
		if user.Login == s.o.login {
			return fmt.Errorf("user %q is there and no active administrator: name another with --admin", user.Login)
		}
	}
	if s.o.dryRun {
		s.did("created admin %q", s.o.login)

		return nil
	}
	source := s.o.password
	source.generate = source.file == ""
	password, err := source.read(ctx, s.t)
	if err != nil {
		return err
	}
	hasher, err := auth.NewHasher(auth.HasherConfig{})
	if err != nil {
		return err
	}
	hash, err := hasher.Hash(ctx, password.Reveal())
	if err != nil {
		return err
	}
	if _, err := stored.CreateAccount(ctx, account.User{Login: s.o.login, PasswordHash: hash, Role: account.Admin, Active: true}); err != nil {
		return fmt.Errorf("user %q: %w", s.o.login, err)
	}
	if source.generate {
		s.did("created admin %q; this password is shown once:", s.o.login)
	} else {
		s.did("created admin %q", s.o.login)
	}
	s.t.show(password, source)

	return nil
}

// sayNext says how what was set up is started.
func (s *setup) sayNext() {
	switch {
	case s.o.dryRun:
		s.t.say("nothing was changed: this was a dry run")
	case s.o.configDir == defaultConfigDir && isFolder("/run/systemd/system"):
		s.t.say("start both daemons, now and after each boot: systemctl enable --now pgam.target")
	default:
		s.t.say("start the daemons with PGAM_STATS_DSN_FILE=%s PGAM_KEY_FILE=%s, and pgam-api also with PGAM_TOKEN_KEY_FILE=%s",
			s.path(statsDSNFile), s.path(keyringFile), s.path(tokenKeyFile))
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)

	return err == nil && info.IsDir()
}

var errLostKeyring = errors.New("the keyring is missing, and stats_db holds secrets that were sealed with it: restore it from its backup, " +
	"or set those secrets again after making a new one with pgam key generate")
