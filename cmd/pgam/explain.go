package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
)

// explainStats says in one line why stats_db cannot be used and what to do.
func explainStats(dsn secret.Value, err error) error {
	where := "stats_db"
	if cfg, parseErr := pgx.ParseConfig(dsn.Reveal()); parseErr == nil {
		where = fmt.Sprintf("stats_db (database %s at %s as user %s)", cfg.Database, net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))), cfg.User)
	}
	reason := remote.Classify(err)
	var pgErr *pgconn.PgError
	switch {
	case reason == sample.NoPrivilege && errors.As(err, &pgErr):
		return fmt.Errorf("%s: %s%s: do it as the owner of the database, or as a superuser", where, pgErr.Message, hint(pgErr))
	case reason == sample.Other && errors.As(err, &pgErr):
		return fmt.Errorf("%s: %s%s (SQLSTATE %s)", where, pgErr.Message, hint(pgErr), pgErr.Code)
	case reason == sample.Other:
		return fmt.Errorf("%s: %w", where, err)
	}

	return fmt.Errorf("%s: %s", where, remote.Explain(reason))
}

func hint(pgErr *pgconn.PgError) string {
	if pgErr.Hint == "" {
		return ""
	}

	return ": " + pgErr.Hint
}
