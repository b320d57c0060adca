package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/target"
)

// upOptions are the flags of pgam up.
type upOptions struct {
	data, binDir, postgresBin, listen string
	targets                           []string
	demo, json                        bool
}

// defaultListen is where the API listens unless that is taken.
const defaultListen = "127.0.0.1:8000"

func (t *tool) upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything on a private PostgreSQL, without set-up",
		Long: `Runs everything on a private PostgreSQL: makes a cluster in the data folder,
migrates stats_db, makes keys and a first administrator, whose password is shown
once, registers the cluster itself as the first server, and starts pgam-collector
and pgam-api as they run anywhere else. Ctrl-C stops it all; the next start goes on
with the same data.

PostgreSQL is looked for in PATH and in the usual folders; on a machine without
one, root installs it from the distribution. As root, PostgreSQL itself runs as
the user postgres or nobody.

Settings of the collector and the API are taken from the environment, but for
those that are about parts of the whole: ` + "PGAM_STATS_DSN, PGAM_KEY_FILE,\nPGAM_DATA_DIR, PGAM_HEALTH_LISTEN, PGAM_LISTEN, PGAM_TOKEN_KEY and\nPGAM_SHUTDOWN_TIMEOUT" + `.`,
		Example: `  pgam up
  pgam up --data ./data --demo
  pgam up --target 'postgres://pgam_monitor@db1.example.org/postgres'
  printf '%s\n' "$URL" | pgam up --target - --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.up(cmd.Context(), o, !cmd.Flags().Changed("listen"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "data `folder` (default "+defaultDataDir(t.environ)+")")
	flags.StringVar(&o.binDir, "bin-dir", "", "`folder` of pgam-collector and pgam-api (default that of pgam)")
	flags.StringVar(&o.postgresBin, "postgres-bin", "", "`folder` of initdb and postgres (default: found)")
	flags.StringVar(&o.listen, "listen", defaultListen, "`address` of the API; port 0 takes a free one, and so does the default if it is taken")
	flags.StringArrayVar(&o.targets, "target", nil, "also watch the server at this `URL`; - reads URLs from standard input, a line each; may be repeated")
	flags.BoolVar(&o.demo, "demo", false, "make some load on the private cluster, and a week of history of made-up servers, so that there is something to see")
	flags.BoolVar(&o.json, "json", false, "print one line of JSON once everything answers, for scripts")

	return cmd
}

// defaultDataDir follows the XDG base directories. Root's own folder would not
// do: PostgreSQL does not run as root.
func defaultDataDir(environ []string) string {
	home := ""
	for _, entry := range environ {
		switch name, value, _ := strings.Cut(entry, "="); {
		case name == "XDG_DATA_HOME" && filepath.IsAbs(value):
			return filepath.Join(value, "pgam")
		case name == "HOME":
			home = value
		}
	}
	if os.Geteuid() == 0 || home == "" {
		return "/var/lib/pgam-up"
	}

	return filepath.Join(home, ".local", "share", "pgam")
}

func (t *tool) up(ctx context.Context, o upOptions, anyPort bool) error {
	cfg, err := t.config()
	if err != nil {
		return err
	}
	for _, name := range local.SetAside(t.environ) {
		t.say("%s is set and left aside: pgam up has its own", name)
	}
	targets, err := t.readTargets(o.targets)
	if err != nil {
		return err
	}
	if o.data == "" {
		o.data = defaultDataDir(t.environ)
	}
	if o.binDir == "" {
		if o.binDir, err = ownFolder(); err != nil {
			return err
		}
	}
	level := max(slog.LevelWarn, cfg.LogLevel.Level())
	if cfg.LogLevel.Level() < slog.LevelInfo {
		level = slog.LevelDebug
	}
	s, err := local.New(local.Config{
		DataDir: o.data, BinDir: o.binDir, PostgresBin: o.postgresBin, Listen: o.listen, AnyPort: anyPort,
		Targets: targets, Demo: o.demo, Environ: t.environ,
		Log: daemon.NewLogger(t.errOut, daemon.Options{Level: level, Format: cfg.LogFormat}), Say: t.say,
	})
	if err != nil {
		return misconfigured{err}
	}
	report, err := s.Start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			t.say("stopped before everything was up")

			return nil //nolint:nilerr // It ended as it was asked to.
		}

		return err
	}
	printUp := t.printReport
	if o.json {
		printUp = t.printReportJSON
	}
	if err := printUp(report); err != nil {
		return errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	t.testTargets(ctx, targets)

	select {
	case <-ctx.Done():
		t.say("stopping")
		err = nil
	case err = <-s.Failed():
	}
	if err = errors.Join(err, s.Stop(context.WithoutCancel(ctx))); err == nil {
		t.say("stopped; the data stay in %s", report.DataDir)
	}

	return err
}

// ownFolder is where this program lies, behind links.
func ownFolder() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", misconfigured{fmt.Errorf("find the folder of this program: %w: name it with --bin-dir", err)}
	}

	return filepath.Dir(path), nil
}

// readTargets reads the URLs on the command line or, for "-", on standard input.
func (t *tool) readTargets(urls []string) ([]target.Target, error) {
	var targets []target.Target
	for _, text := range urls {
		lines := []string{text}
		if text == "-" {
			var err error
			if lines, err = t.readLines("-"); err != nil {
				return nil, err
			}
		}
		for _, line := range lines {
			endpoint, err := parseServerURL(strings.TrimSpace(line))
			if err != nil {
				return nil, misconfigured{err}
			}
			targets = append(targets, target.Target{Endpoint: endpoint})
		}
	}

	return targets, nil
}

// testTargets says what the servers asked for lack. They are watched all the
// same, and seen as soon as it is there.
func (t *tool) testTargets(ctx context.Context, targets []target.Target) {
	for _, server := range targets {
		server.Name = local.ServerName(server.Endpoint)
		server.Defaults()
		found, err := checkServer(ctx, config.SSH{SSHTimeout: config.Duration(checkWithin)}, server, nil)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.say("server %s: %s", server.Name, err)
		}
		for _, line := range found.missing() {
			t.say("server %s: %s", server.Name, line)
		}
	}
}

// upJSON is the line of --json.
type upJSON struct {
	APIURL       string   `json:"api_url"`
	CollectorURL string   `json:"collector_url"`
	Login        string   `json:"login"`
	Password     string   `json:"password"` // empty unless it was made just now
	StatsDSN     string   `json:"stats_dsn"`
	DataDir      string   `json:"data_dir"`
	Servers      []string `json:"servers"`
}

func (t *tool) printReportJSON(r local.Report) error {
	line := upJSON{
		APIURL: r.APIURL, CollectorURL: r.CollectorURL, Login: r.Login, Password: r.Password.Reveal(),
		StatsDSN: r.StatsDSN.Reveal(), DataDir: r.DataDir, Servers: r.Servers,
	}
	if line.Servers == nil {
		line.Servers = []string{}
	}
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil { //nolint:gosec // The password is what it is for.
		return fmt.Errorf("print what runs: %w", err)
	}

	return nil
}

func (t *tool) printReport(r local.Report) error {
	placeholder := "PASSWORD"
	password := placeholder
	if !r.Password.IsZero() {
		password = r.Password.Reveal()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n  console   %s/ui/\n", r.APIURL)
	if password != placeholder {
		fmt.Fprintf(&b, "  login     %s\n  password  %s  (shown this once)\n", r.Login, password)
	} else {
		fmt.Fprintf(&b, "  login     %s, as before; another password: pgam user passwd %[1]s --data %s\n", r.Login, r.DataDir)
	}
	fmt.Fprintf(&b, "  API       %s  (what it can: %[1]s/docs)\n", r.APIURL)
	fmt.Fprintf(&b, "  servers   %s\n", strings.Join(r.Servers, ", "))
	fmt.Fprintf(&b, "  stats_db  psql \"$(cat %s)\"  (PostgreSQL %s in %s)\n",
		filepath.Join(r.DataDir, "keys", "stats.dsn"), r.Postgres, r.ClusterDir)
	fmt.Fprintf(&b, "  data      %s  (what the programs say: log/)\n", r.DataDir)
	try := "servers" // Where nothing is watched, nothing happens.
	if len(r.Servers) > 0 {
		try = "api/v1/servers/" + url.PathEscape(r.Servers[len(r.Servers)-1]) + "/activity"
	}
	fmt.Fprintf(&b, `
  token=$(curl -s %[1]s/token -d username=%[2]s -d password=%[3]s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s -H "Authorization: Bearer $token" %[1]s/%[4]s

  Ctrl-C stops everything.
`, r.APIURL, r.Login, password, try)
	if _, err := io.WriteString(t.out, b.String()); err != nil {
		return fmt.Errorf("print what runs: %w", err)
	}

	return nil
}
