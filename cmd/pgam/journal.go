package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/journal"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/target"
)

func (t *tool) journalCommand() *cobra.Command {
	group := t.dataFlag(groupCommand("journal", "List and bring back what stats_db refused",
		t.journalListCommand(), t.journalReplayCommand()))
	group.Long = `What the collector sees waits in its journal, in PGAM_DATA_DIR, until stats_db has
it. What stats_db refuses for what it is (SQLSTATE classes 22 and 23: a violated
constraint, a value out of range), twice and with nothing beside it, is set aside
there, so that it keeps nothing else waiting: 64 MiB at most, the oldest go first.

A journal has one user at a time. Stop the collector before these commands, and
start it again afterwards; what it does not see meanwhile counts as skipped:

  systemctl stop pgam-collector
  pgam journal replay
  systemctl start pgam-collector`

	return group
}

func (t *tool) journalListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what stats_db refused, by server and reason",
		Long: `Lists what is set aside in the journal: of which server (0 is the monitor itself,
or a record that cannot be read), how many records and bytes, from when to when
they were seen, when they were set aside last, and what stats_db said.`,
		Example: "  pgam journal list\n  pgam journal list --data ~/pgam",
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			waiting, err := t.openJournal()
			if err != nil {
				return err
			}
			list, err := waiting.Aside()
			if err = errors.Join(err, waiting.Close()); err != nil {
				return err
			}
			if len(list) == 0 {
				t.say("nothing is set aside")

				return nil
			}
			table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "SERVER\tRECORDS\tBYTES\tFROM\tTO\tSET ASIDE\tREASON")
			for _, one := range summed(list) {
				_, _ = fmt.Fprintf(table, "%d\t%d\t%d\t%s\t%s\t%s\t%s\n",
					one.Server, one.records, one.Bytes, instant(one.From), instant(one.To), instant(one.At), cmp.Or(one.Why, "-"))
			}

			return table.Flush()
		},
	}
}

// refused is what was set aside of one server for one reason.
type refused struct {
	journal.SetAside

	records int
}

// summed sums up by server and reason.
func summed(list []journal.SetAside) []refused {
	type group struct {
		server target.ID
		why    string
	}
	groups := make(map[group]*refused)
	var sums []*refused
	for _, one := range list {
		sum := groups[group{one.Server, one.Why}]
		if sum == nil {
			sum = &refused{SetAside: journal.SetAside{Server: one.Server, Why: one.Why}}
			groups[group{one.Server, one.Why}] = sum
			sums = append(sums, sum)
		}
		sum.records++
		sum.Bytes += one.Bytes
		if !one.From.IsZero() && (sum.From.IsZero() || one.From.Before(sum.From)) {
			sum.From = one.From
		}
		if one.To.After(sum.To) {
			sum.To = one.To
		}
		if one.At.After(sum.At) {
			sum.At = one.At
		}
	}
	slices.SortStableFunc(sums, func(a, b *refused) int { return cmp.Compare(a.Server, b.Server) })
	out := make([]refused, len(sums))
	for i, sum := range sums {
		out[i] = *sum
	}

	return out
}

// instant shows an instant, and - for none.
func instant(at time.Time) string {
	if at.IsZero() {
		return "-"
	}

	return at.UTC().Format(time.RFC3339)
}

func (t *tool) journalReplayCommand() *cobra.Command {
	var server int64
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Bring back what stats_db refused, for another try",
		Long: `Puts what is set aside back to where it stood in the journal. The collector writes
it to stats_db when it runs again; writing twice stores once. Do this when the
reason is gone: what is refused again is set aside again. Records that cannot be
read stay.`,
		Example: "  pgam journal replay\n  pgam journal replay --server 7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			waiting, err := t.openJournal()
			if err != nil {
				return err
			}
			var only *target.ID
			if cmd.Flags().Changed("server") {
				id := target.ID(server)
				only = &id
			}
			n, err := waiting.Replay(only)
			if err = errors.Join(err, waiting.Close()); err != nil {
				return err
			}
			t.say("%s will be written when the collector runs again", count(n, "record"))

			return nil
		},
	}
	cmd.Flags().Int64Var(&server, "server", 0, "only of the server with this `id`")

	return cmd
}

// count tells how many there are of something.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}

	return strconv.Itoa(n) + " " + noun + "s"
}

// openJournal opens the journal of a collector that does not run.
func (t *tool) openJournal() (*journal.Journal, error) {
	dir := local.Journal(t.dataDir)
	if t.dataDir == "" {
		cfg, err := t.config()
		if err != nil {
			return nil, err
		}
		dir = cfg.DataDir
	}
	if _, err := os.Stat(filepath.Join(dir, journal.FileName)); err != nil {
		return nil, misconfigured{fmt.Errorf("find journal: %w: give the collector's PGAM_DATA_DIR, or --data for that of pgam up", err)}
	}
	opened, err := journal.Open(journal.Config{
		Dir: dir, MaxBytes: 1 << 62, MaxAside: 1 << 62, Log: slog.New(slog.NewTextHandler(t.errOut, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	switch {
	case errors.Is(err, journal.ErrLocked):
		return nil, errors.New("the journal is in use by a running collector: stop it (systemctl stop pgam-collector, or end pgam up), run this again, and start it")
	case err != nil:
		return nil, fmt.Errorf("open journal: %w", err)
	}

	return opened, nil
}
