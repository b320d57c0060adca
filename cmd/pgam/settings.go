package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/catalog"
	"github.com/pgam/pgam/internal/config"
)

// changedBy is who changes settings on the command line.
const changedBy = "cli"

func (t *tool) settingsCommand() *cobra.Command {
	group := t.dataFlag(groupCommand("settings", "Show and change settings of the collector while it runs",
		t.settingsSetCommand(), t.settingsUnsetCommand()))
	group.Long = `Lists the settings that can be changed while the collector runs, with what is in
force and where that comes from: changed here or over the API, the collector's
environment as it was last started, or the default. A change takes effect within
two seconds and comes before the environment, over restarts too.`
	group.Example = `  pgam settings
  pgam settings set retention_activity 14d
  pgam settings unset retention_activity`
	group.RunE = func(cmd *cobra.Command, _ []string) error {
		stats, err := t.openStatsDB(cmd.Context(), false)
		if err != nil {
			return err
		}
		defer stats.Close()
		stored, err := stats.Settings(cmd.Context())
		if err != nil {
			return err
		}
		byName := make(map[string]catalog.Setting, len(stored))
		for _, one := range stored {
			byName[one.Name] = one
		}
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tVALUE\tSOURCE\tDEFAULT\tLIMITS")
		for _, s := range config.Changeable() {
			value, source := s.Effective(byName[s.Name].Value, byName[s.Name].Environment)
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.Name, value, source, s.Default, s.Limits)
		}

		return table.Flush()
	}

	return group
}

func (t *tool) settingsSetCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "set NAME VALUE",
		Short:   "Change a setting; PGAM_ before its name may be left out",
		Example: "  pgam settings set burst_active 80",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("the NAME of the setting and its VALUE are expected")
			}

			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := config.ChangeableName(args[0])
			if err != nil {
				return misconfigured{err}
			}
			value, err := config.CheckChange(name, args[1])
			if err != nil {
				return misconfigured{err}
			}
			if err := t.changeSetting(cmd, name, &value); err != nil {
				return err
			}
			t.say("%s is %s now", name, value)

			return nil
		},
	}
}

func (t *tool) settingsUnsetCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unset NAME",
		Short:   "Take a change back: the collector's environment counts again",
		Example: "  pgam settings unset burst_active",
		Args:    one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := config.ChangeableName(args[0])
			if err != nil {
				return misconfigured{err}
			}
			if err := t.changeSetting(cmd, name, nil); err != nil {
				return err
			}
			t.say("%s is as the collector's environment says", name)

			return nil
		},
	}
}

func (t *tool) changeSetting(cmd *cobra.Command, name string, value *string) error {
	stats, err := t.openStatsDB(cmd.Context(), false)
	if err != nil {
		return err
	}
	defer stats.Close()

	return stats.ChangeSettings(cmd.Context(), map[string]*string{name: value}, changedBy)
}
