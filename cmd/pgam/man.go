package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
)

func (t *tool) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write the manual pages of all programs into a folder",
		Long: `Writes the manual pages into a folder that is there: pgam(1), one for each of its
commands, pgam-collector(8) and pgam-api(8). They are made from the same texts as
--help.`,
		Example: "  pgam man /usr/local/share/man/man1",
		Args:    one("FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := writeManual(cmd.Root(), args[0]); err != nil {
				return fmt.Errorf("write manual: %w", err)
			}
			return nil
		},
	}
}

// daemonLong is what the pages of both daemons say of them.
const daemonLong = `Takes no arguments: its settings are environment variables, or lines of the file that
PGAM_ENV_FILE names. A secret may also be read from the file that the variable with _FILE
appended names, or come as the systemd credential of that name in lower case.

SIGTERM and SIGINT stop it cleanly, within PGAM_SHUTDOWN_TIMEOUT; a second one ends it at
once. SIGHUP has it read the settings again, take over the log level, and log which other
changes wait for a restart.

It ends with 0 when it was asked to stop, with 1 when something that it needs is away, and
with 2 when a setting or the schema of stats_db is wrong; the log says what to do.
`

// writeManual writes the pages into a folder.
func writeManual(root *cobra.Command, folder string) error {
	build := daemon.Build()
	header := func(section string) *doc.GenManHeader {
		// No date: pages of one build are the same whenever they are made.
		return &doc.GenManHeader{Section: section, Source: "pgam " + build.Version, Manual: "PostgreSQL Activity Monitor", Date: new(time.Time)}
	}
	root.DisableAutoGenTag = true
	if err := doc.GenManTree(root, header("1"), folder); err != nil {
		return err
	}
	for program, what := range map[string]string{
		"collector": "Sample PostgreSQL servers into stats_db",
		"api":       "Answer questions about PostgreSQL servers over HTTP",
	} {
		page := &cobra.Command{
			Use: "pgam-" + program, Short: what, Long: daemonLong + "\nSettings:\n\n" + config.Help(program), DisableAutoGenTag: true,
			Run: func(*cobra.Command, []string) {},
		}
		file, err := os.Create(filepath.Join(folder, page.Name()+".8")) //nolint:gosec // the folder is what was asked for
		if err != nil {
			return err
		}
		err = doc.GenMan(page, header("8"), file)
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
	}
	return nil
}
