package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/daemon"
	"github.com/pgam/pgam/internal/local"
	"github.com/pgam/pgam/internal/schema"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/statsdb"
	"github.com/pgam/pgam/migrations"
)

const (
	// connectWithin bounds connecting to stats_db.
	connectWithin = 10 * time.Second
	// invalidCatalog is an SQLSTATE.
	invalidCatalog = "3D000"
)

func (t *tool) migrateCommand() *cobra.Command {
	var status, create bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring stats_db to the version of this program",
		Long: `Brings stats_db to the schema version that this program was built for, and says
from which to which. It does nothing when stats_db is there already, and may be
run by several hosts at once. The daemons never migrate: they refuse to start on
another version. Run it as the owner of the database, by a direct connection and
not through a transaction pooler.`,
		Example: `  PGAM_STATS_DSN=postgres://pgam@db/stats_db pgam migrate
  pgam migrate --create-database
  pgam migrate --status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status {
				return t.migrationStatus(cmd.Context())
			}

			return t.migrate(cmd.Context(), create)
		},
	}
	cmd.Flags().BoolVar(&status, "status", false, "only say which version stats_db has; exit code 1 unless it is this program's")
	cmd.Flags().BoolVar(&create, "create-database", false, "create the database if it is missing")

	return t.dataFlag(cmd)
}

func (t *tool) migrate(ctx context.Context, create bool) error {
	cfg, err := t.statsConfig()
	if err != nil {
		return err
	}
	if create {
		made, err := local.CreateDatabase(ctx, cfg.StatsDSN)
		if err != nil {
			return explainStats(cfg.StatsDSN, err)
		}
		if made {
			t.say("created the database")
		}
	}
	conn, err := connectStats(ctx, cfg.StatsDSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	before, err := schemaVersion(ctx, conn)
	if err != nil {
		return explainVersion(cfg.StatsDSN, err)
	}
	if err := checkNewEnough(ctx, conn); err != nil {
		return err
	}
	log := daemon.NewLogger(t.errOut, daemon.Options{Level: cfg.LogLevel, Format: cfg.LogFormat})
	if err := schema.Up(ctx, conn, log); err != nil {
		var pgErr *pgconn.PgError
		switch {
		case errors.Is(err, schema.ErrNewer):
			return fmt.Errorf("%w: it has version %d, this program knows %d", err, before, migrations.Latest())
		case errors.As(err, &pgErr):
			return explainStats(cfg.StatsDSN, err)
		}

		return err
	}
	if before == migrations.Latest() {
		t.printf("stats_db is at version %d already\n", before)
	} else {
		t.printf("migrated stats_db from version %d to %d\n", before, migrations.Latest())
	}

	return nil
}

func (t *tool) migrationStatus(ctx context.Context) error {
	cfg, err := t.statsConfig()
	if err != nil {
		return err
	}
	conn, err := connectStats(ctx, cfg.StatsDSN)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	version, err := schemaVersion(ctx, conn)
	if err != nil {
		return explainVersion(cfg.StatsDSN, err)
	}
	switch latest := migrations.Latest(); {
	case version < latest:
		return fmt.Errorf("stats_db has version %d, version %d is needed: run pgam migrate", version, latest)
	case version > latest:
		return fmt.Errorf("stats_db has version %d, this program knows %d: install the newer pgam", version, latest)
	}
	t.printf("stats_db has version %d, as this program needs it\n", version)

	return nil
}

// connectStats connects as it is; a missing database has its own advice.
func connectStats(ctx context.Context, dsn secret.Value) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, misconfigured{errors.New("PGAM_STATS_DSN: cannot be understood: expected postgres://user:password@host:port/stats_db")}
	}
	cfg.RuntimeParams["application_name"] = "pgam-migrate"
	// For what is read before migrations, which have limits of their own.
	cfg.RuntimeParams["lock_timeout"] = versionLockTimeout
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == invalidCatalog:
		return nil, fmt.Errorf("the database %s does not exist: run pgam migrate --create-database, or createdb %[1]s as a user who may", cfg.Database)
	case err != nil:
		return nil, explainStats(dsn, err)
	}

	return conn, nil
}

// checkNewEnough refuses a server that cannot hold stats_db.
func checkNewEnough(ctx context.Context, conn *pgx.Conn) error {
	var number int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&number); err != nil {
		return fmt.Errorf("read the version of PostgreSQL: %w", err)
	}
	if number/10000 < local.OldestPostgres {
		return fmt.Errorf("stats_db needs PostgreSQL %d or newer, and this server is %d: put stats_db on another server (the monitored ones may be older)",
			local.OldestPostgres, number/10000)
	}

	return nil
}

const (
	// versionLockTimeout bounds the wait for a lock on the version's table.
	versionLockTimeout = "10s"
	lockNotAvailable   = "55P03"
)

// explainVersion is explainStats for an error of schemaVersion.
func explainVersion(dsn secret.Value, err error) error {
	if errors.Is(err, schema.ErrLocked) || errors.Is(err, statsdb.ErrOld) {
		return err
	}

	return explainStats(dsn, err)
}

// schemaVersion reads the version of stats_db, 0 for an empty database.
func schemaVersion(ctx context.Context, conn *pgx.Conn) (int32, error) {
	version, err := statsdb.SchemaVersion(ctx, conn)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == lockNotAvailable {
		return 0, fmt.Errorf("%w: the version of stats_db (public.pgam_schema_version) could not be read for %s: look in pg_locks who holds a lock on that table, end it and run again",
			schema.ErrLocked, versionLockTimeout)
	}

	return version, err
}
