package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgam/pgam/internal/target"
)

// keepFlags say on the command line what is kept of a server, from when on in full
// detail, what may be done with its sessions, and what its host has.
type keepFlags struct {
	queryTexts, control                  string
	active, lockWaits, connections, cpus string
}

// ownDefault is what a flag says for the collector's or the API's setting.
const ownDefault = "default"

func (f *keepFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.queryTexts, "query-texts", "normalized", "how statements are kept, a `word`: normalized (no literal), full, or none")
	flags.StringVar(&f.active, "burst-active", ownDefault, "active sessions from which full detail is taken, a `number`; 0: never; default: the collector's setting")
	flags.StringVar(&f.lockWaits, "burst-lock-waits", ownDefault, "sessions waiting for a lock from which full detail is taken, a `number`, as above")
	flags.StringVar(&f.connections, "burst-connections-percent", ownDefault, "connections in percent of max_connections from which full detail is taken, a `number`, as above")
	flags.StringVar(&f.control, "session-control", ownDefault, "what operators may do with its sessions, a `word`: off, cancel (statements), terminate (sessions too); default: as PGAM_SESSION_CONTROL of the API says")
	flags.StringVar(&f.cpus, "cpu-count", ownDefault, "processors of its host that PostgreSQL may use, a `number`; default: as the host says")
}

// apply writes what was given over a server.
func (f *keepFlags) apply(flags *pflag.FlagSet, server *target.Target) error {
	if flags.Changed("query-texts") {
		server.QueryTexts = target.QueryTexts(f.queryTexts)
		if f.queryTexts == "" {
			server.QueryTexts = target.TextsNormalized
		}
	}
	if flags.Changed("session-control") {
		server.SessionControl = target.SessionControl(f.control)
		if f.control == ownDefault {
			server.SessionControl = target.ControlDefault
		}
	}
	for _, one := range []struct {
		name, text string
		to         **int
	}{
		{"burst-active", f.active, &server.Burst.Active},
		{"burst-lock-waits", f.lockWaits, &server.Burst.LockWaits},
		{"burst-connections-percent", f.connections, &server.Burst.ConnectionsPercent},
		{"cpu-count", f.cpus, &server.CPUs},
	} {
		if !flags.Changed(one.name) {
			continue
		}
		if one.text == ownDefault || one.text == "" {
			*one.to = nil
			continue
		}
		n, err := strconv.Atoi(one.text)
		if err != nil {
			return misconfigured{fmt.Errorf("--%s: %q is neither a whole number nor %s", one.name, one.text, ownDefault)}
		}
		*one.to = &n
	}

	return nil
}
