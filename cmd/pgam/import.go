package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/legacy"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/target"
)

// exitIncomplete says that an import is done but for what its report names.
const exitIncomplete = 3

// incomplete marks the end of an import that leaves something for a person.
type incomplete struct{ error }

func (e incomplete) Unwrap() error { return e.error }

// importFlags say what is imported.
type importFlags struct {
	from           string
	keyFile        string
	withoutSecrets bool
	unknownRole    string
	statsDSNs      []string
	laterDSN       string
	noHistory      bool
	knownHosts     string
	pin            bool
	dryRun         bool
	asJSON         bool
}

func (t *tool) importCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import --from FOLDER",
		Short: "Take over users, servers and history from the Python version",
		Long: `Takes over what the Python version left: users, who log in with their old
passwords; servers, with their passwords; and the history in the database that
each server's stats_db names, read with the server's own role. A later version
of it kept the history of all servers in one database: give --later-dsn.

What is there already stays as it is. So an import that was interrupted is
started again, and one that is repeated changes nothing. Try --dry-run first: it
reads everything, writes nothing, and prints the same report. The Python version
and the collector may run meanwhile: samples that are not older than pgam's own
first one are left out.

No secret is sent to an SSH host whose key nobody has confirmed. --known-hosts
pins the keys that a known_hosts file confirms, --pin-host-keys those that the
hosts show now; without either, pgam server pin does it for one server.

Exit codes: 0 all of it is there, 1 it did not work, 2 the command line or a
setting is wrong, 3 it is there but for what "To do" in the report says.`,
		Example: `  pgam import --from /etc/pg_activity_monitor --dry-run
  pgam import --from /etc/pg_activity_monitor --known-hosts ~/.ssh/known_hosts
  pgam import --from /etc/pg_activity_monitor --no-history
  pgam import --stats-dsn db1=postgres://monitor@db1.example.org/stats_db?sslmode=require
  pgam import --later-dsn @/run/secrets/pam_stats_url --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.runImport(cmd.Context(), flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.from, "from", "", "`folder` of the Python version: users.json, servers.json, encryption_key.key")
	f.StringVar(&flags.keyFile, "key-file", "", "key `file` of its secrets (default encryption_key.key in the folder)")
	f.BoolVar(&flags.withoutSecrets, "without-secrets", false, "leave the servers' passwords out, so that no key is needed")
	f.StringVar(&flags.unknownRole, "unknown-role", string(account.Viewer), "`role` of users who have none that pgam knows")
	f.StringArrayVar(&flags.statsDSNs, "stats-dsn", nil, "read a server's history from elsewhere: `NAME=URL`, or NAME=@FILE that holds the URL; may be repeated")
	f.StringVar(&flags.laterDSN, "later-dsn", "", "database of a later version, with the history of all servers: a `URL`, or @FILE that holds it")
	f.BoolVar(&flags.noHistory, "no-history", false, "users and servers only")
	f.StringVar(&flags.knownHosts, "known-hosts", "", "pin the SSH host keys that this known_hosts `file` confirms")
	f.BoolVar(&flags.pin, "pin-host-keys", false, "pin the SSH host keys that the hosts show, unseen")
	f.BoolVar(&flags.dryRun, "dry-run", false, "read everything, write nothing, print the report")
	f.BoolVar(&flags.asJSON, "json", false, "print the report as JSON")

	return t.dataFlag(cmd)
}

// importer is one import.
type importer struct {
	t       *tool
	flags   importFlags
	cfg     config.Tool
	role    account.Role
	stats   *statsDB
	shells  *remote.Shells
	folder  legacy.Folder
	sources map[string]target.Endpoint // where history is, by name, as --stats-dsn says
	later   *target.Endpoint
	now     time.Time

	servers map[string]imported // all of pgam's, by name, and those of a dry run
	report  importReport
}

// imported is a server of pgam, and its entry in the folder if it has one.
type imported struct {
	target.Target
	entry *legacy.Server
}

// newImporter reads what is read once: the command line, the settings and the
// folder.
func (t *tool) newImporter(flags importFlags) (*importer, error) {
	i := &importer{t: t, flags: flags, now: time.Now(), servers: make(map[string]imported), sources: make(map[string]target.Endpoint)}
	if flags.from == "" && len(flags.statsDSNs) == 0 && flags.laterDSN == "" {
		return nil, misconfigured{errors.New("nothing to import is given: --from FOLDER, usually /etc/pg_activity_monitor")}
	}
	if flags.noHistory && (len(flags.statsDSNs) > 0 || flags.laterDSN != "") {
		return nil, misconfigured{errors.New("--no-history leaves nothing to do for --stats-dsn and --later-dsn")}
	}
	var err error
	if i.role, err = account.ParseRole(flags.unknownRole); err != nil {
		return nil, misconfigured{fmt.Errorf("--unknown-role: %w", err)}
	}
	for _, given := range flags.statsDSNs {
		name, text, ok := strings.Cut(given, "=")
		if !ok || name == "" {
			return nil, misconfigured{errors.New("--stats-dsn: expected NAME=URL")}
		}
		if i.sources[name], err = t.endpointFrom(text); err != nil {
			return nil, misconfigured{fmt.Errorf("--stats-dsn of %q: %w", name, err)}
		}
	}
	if flags.laterDSN != "" {
		later, err := t.endpointFrom(flags.laterDSN)
		if err != nil {
			return nil, misconfigured{fmt.Errorf("--later-dsn: %w", err)}
		}
		i.later = &later
	}
	if i.cfg, err = t.statsConfig(); err != nil {
		return nil, err
	}
	if flags.from == "" {
		return i, nil
	}
	i.folder, err = legacy.ReadFolder(flags.from, legacy.Options{KeyFile: flags.keyFile, WithoutSecrets: flags.withoutSecrets})
	if errors.Is(err, legacy.ErrNoKey) {
		err = fmt.Errorf("%w: give --key-file FILE, or --without-secrets to set the passwords again later", err)
	}
	if err != nil {
		return nil, misconfigured{err}
	}

	return i, nil
}

// endpointFrom reads a URL, or the file that holds it.
func (t *tool) endpointFrom(text string) (target.Endpoint, error) {
	if path, ok := strings.CutPrefix(text, "@"); ok {
		lines, err := t.readLines(path)
		if err != nil {
			return target.Endpoint{}, err
		}
		if len(lines) != 1 {
			return target.Endpoint{}, fmt.Errorf("read %s: it must hold a URL in one line and nothing else", path)
		}
		text = lines[0]
	}
	e, err := parseServerURL(text)
	if err != nil {
		return e, err
	}
	whole := target.Target{Name: "source", Endpoint: e}
	whole.Defaults()

	return whole.Endpoint, whole.Validate()
}

func (t *tool) runImport(ctx context.Context, flags importFlags) error {
	i, err := t.newImporter(flags)
	if err != nil {
		return err
	}
	if i.stats, err = t.openStatsDB(ctx, true); err != nil {
		return err
	}
	defer i.stats.Close()
	ssh := i.cfg.SSH
	if flags.knownHosts != "" {
		ssh.SSHKnownHosts = flags.knownHosts
	}
	if i.shells, err = newShells(ssh); err != nil {
		return err
	}
	defer i.shells.Close()
	i.report.DryRun = flags.dryRun
	for _, step := range []func(context.Context) error{i.importUsers, i.importServers, i.hostKeys, i.importHistories} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted: what was imported is there; start it again to go on")
			}

			return err
		}
	}
	if err := t.printImport(&i.report, flags.asJSON); err != nil {
		return err
	}
	if n := len(i.report.ToDo); n > 0 {
		return incomplete{fmt.Errorf("imported but for %d: see \"To do\" in the report", n)}
	}

	return nil
}

// toDo adds what a person must see to.
func (i *importer) toDo(format string, args ...any) {
	i.report.ToDo = append(i.report.ToDo, fmt.Sprintf(format, args...))
}
