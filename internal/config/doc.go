// Package config owns the environment: it is read here, once, into validated
// structs, and nowhere else. Only mains import this package.
//
// Every setting is one field with its name, default, limits and description in
// tags; docs/OPERATIONS.md's table is made from them. Names begin with PGAM_.
// The names of the earlier Python version (SECRET_KEY, TOKEN_EXPIRATION,
// LOG_LEVEL, SERVER_STATUS_CACHE_TTL, SSH_CACHE_TTL) are read where the PGAM_
// name is not set.
//
// Invariants: an empty variable counts as not set; a secret may also come from
// the file that <NAME>_FILE names, or from the file <name> in systemd's
// $CREDENTIALS_DIRECTORY; all faults are reported at once, one line each, with
// the variable, what is wrong and an example; no error ever holds a value.
package config
