// Package daemon owns the frame of a process: signals, exit codes, the log, the
// build's version, systemd's notifications, an HTTP listener for health and
// metrics, and a stop that is named, in reverse order and bounded.
//
// A main is `os.Exit(daemon.Main(name, run))`, and run is a straight line that
// wires parts, registers how each is stopped, says Ready and waits for its
// context. Nothing here knows what the parts do, nor where settings come from.
//
// Invariants: the first SIGINT or SIGTERM ends run's context, the second ends
// the process at once; every registered stop is called exactly once, the last
// registered first, and together they take no longer than the bound; systemd's
// watchdog is fed only while the caller's heartbeat says that work goes on.
package daemon
