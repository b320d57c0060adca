// Command pgam is the operator's tool: it runs everything together (pgam up),
// and for an installation of its own migrates stats_db, makes keys, and manages
// users and servers. pgam --help lists the commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/pgam/pgam/internal/config"
)

func main() { os.Exit(mainWithSignals()) }

// mainWithSignals ends the context of the command on the first signal, and the
// process on the second.
func mainWithSignals() int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	go func() {
		<-ctx.Done()
		cancel() // From here on a signal does what it does by default.
	}()

	environ := os.Environ()
	config.WithoutLibpq(environ)

	return run(ctx, &tool{environ: environ, in: os.Stdin, out: os.Stdout, errOut: os.Stderr, configDir: defaultConfigDir}, os.Args[1:])
}
