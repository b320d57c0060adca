package config

import (
	"os"
	"slices"
	"strings"
)

// WithoutLibpq takes out of this process what libpq, and a driver that follows
// it, reads beside an address: its variables (PGHOST, PGSSLROOTCERT, PGSERVICE,
// …), and HOME, where it looks for .pgpass, .pg_service.conf and .postgresql. So
// an address means the same whoever runs a program. It gives the names of the
// variables that were set; a main calls it first.
func WithoutLibpq(environ []string) (set []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		libpq := strings.HasPrefix(name, "PG") && !strings.HasPrefix(name, prefix)
		if !libpq && name != "HOME" {
			continue
		}
		if libpq && value != "" {
			set = append(set, name)
		}
		_ = os.Unsetenv(name) // It fails for names that cannot be set either.
	}
	slices.Sort(set)
	return set
}
