package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/secret"
)

func (t *tool) demoCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "demo --dsn-file FILE",
		Short: "Make load on a database, so that there is something to see",
		Long: `Makes the load of a small shop on a database until it is stopped: updates, scans,
sessions that wait for one another's locks, and one that idles in its
transaction. It makes its tables in a schema of its own, shop, and takes about
a quarter of a processor there. Never run it on a database that matters.`,
		Example: "  pgam demo --dsn-file /run/secrets/demo_dsn",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.demo(cmd.Context(), file) },
	}
	cmd.Flags().StringVar(&file, "dsn-file", "", "read the database's address, as its owner, from the one line of this `file`; - is standard input")

	return cmd
}

func (t *tool) demo(ctx context.Context, file string) error {
	if file == "" {
		return misconfigured{errors.New("no address: give --dsn-file FILE")}
	}
	lines, err := t.readLines(file)
	if err != nil {
		return err
	}
	if len(lines) != 1 {
		return misconfigured{errors.New("the file must hold one line: postgres://user:password@host/database")}
	}
	load, err := local.NewLoad(secret.New(lines[0]), t.say)
	if err != nil {
		return misconfigured{err}
	}
	if err := load.Prepare(ctx); err != nil {
		return err
	}
	t.say("demo: load is on")
	load.Run(ctx)

	return nil
}
