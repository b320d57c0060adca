package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
)

const usage = `pgam-collector samples every registered PostgreSQL server into stats_db.

It takes no arguments: settings are environment variables. Secrets may also be
read from files named by the variable with _FILE appended.

`

// flags answers --help and --version; done says that there is nothing else to
// do.
func flags(args []string, out, errOut io.Writer) (done bool, code int) {
	switch {
	case len(args) == 0:
		return false, 0
	case args[0] == "--version" || args[0] == "-version":
		b := daemon.Build()
		_, _ = fmt.Fprintf(out, "pgam-collector %s (%s, %s)\n", b.Version, b.Revision, b.GoVersion)
		return true, 0
	case args[0] == "--help" || args[0] == "-h" || args[0] == "-help":
		_, _ = io.WriteString(out, usage+config.Help("collector"))
		return true, 0
	}
	_, _ = fmt.Fprintf(errOut, "pgam-collector: unexpected argument %s: settings are environment variables, see pgam-collector --help\n", strings.Join(args, " "))
	return true, daemon.ExitConfiguration
}
