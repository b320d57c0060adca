package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (t *tool) retentionCommand() *cobra.Command {
	group := t.dataFlag(groupCommand("retention", "Show what of the history is due to be dropped, and drop it",
		t.retentionApplyCommand()))
	group.Long = `Lists the tables of the history with the partitions that are older than the
collector's settings keep, by the clock of stats_db. The collector drops them by
itself, but not more than a third of a table at once: so much goes only after a
retention was shortened, when nobody collected for long, or by a wrong clock.
pgam retention apply says that it is meant.`
	group.Example = `  pgam retention
  pgam retention apply`
	group.RunE = func(cmd *cobra.Command, _ []string) error {
		stats, err := t.openStatsDB(cmd.Context(), false)
		if err != nil {
			return err
		}
		defer stats.Close()
		now, ahead, err := stats.Now(cmd.Context(), time.Now)
		if err != nil {
			return err
		}
		keep, err := stats.RetentionInForce(cmd.Context())
		if err != nil {
			return err
		}
		plan, err := stats.Expiring(cmd.Context(), keep)
		if err != nil {
			return err
		}
		t.printf("stats_db's clock: %s; this host's is %s ahead of it\n", now.Format(time.RFC3339), ahead.Round(time.Second))
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "TABLE\tPARTITIONS\tEXPIRED\tUP TO\tDROPPED BY")
		for _, e := range plan {
			upTo, by := "-", "-"
			if len(e.Expired) > 0 {
				upTo, by = e.Until.Format(time.DateOnly), "the collector"
			}
			if e.TooMuch {
				by = "pgam retention apply"
			}
			_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\n", e.Table, e.Partitions, len(e.Expired), upTo, by)
		}

		return table.Flush()
	}

	return group
}

func (t *tool) retentionApplyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Drop what is due, also where that is more than a third of a table",
		Long: `Drops what pgam retention lists, for good. The clocks of stats_db and of this
host must agree to a minute: what is old is decided by that of stats_db.`,
		Example: "  pgam retention apply",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stats, err := t.openStatsDB(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer stats.Close()
			keep, err := stats.RetentionInForce(cmd.Context())
			if err != nil {
				return err
			}
			keep.Confirmed = true
			dropped, err := stats.DropExpired(cmd.Context(), time.Now, keep)
			for _, name := range dropped {
				t.printf("%s\n", name)
			}
			if err != nil {
				return err
			}
			t.say("%d partitions were dropped", len(dropped))

			return nil
		},
	}
}
