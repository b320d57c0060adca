package stack

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/secret"
)

// The roles and databases that a stack makes in its cluster.
const (
	statsDatabase = "stats_db"
	statsRole     = "pgam"
	monitorRole   = "pgam_monitor"
	demoDatabase  = "pgam_demo"
	demoRole      = "pgam_demo"
	readRole      = "pgam_read" // given by the migrations, which only a superuser may make it for
)

// scramIterations is PostgreSQL's own default.
const scramIterations = 4096

// duplicateDatabase is the SQLSTATE of a database that exists already.
const duplicateDatabase = "42P04"

// CreateDatabase makes the database that a DSN names, through the database
// postgres of the same server, and tells whether it was missing.
func CreateDatabase(ctx context.Context, dsn secret.Value) (made bool, err error) {
	cfg, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return false, errors.New("create database: the DSN cannot be understood")
	}
	name := cfg.Database
	cfg.Database = "postgres"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("create database: connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()

	return createDatabase(ctx, conn, name, "")
}

func createDatabase(ctx context.Context, conn *pgx.Conn, name, owner string) (made bool, err error) {
	var exists bool
	err = conn.QueryRow(ctx, "select exists (select from pg_catalog.pg_database where datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return false, err
	}
	sql := "create database " + pgx.Identifier{name}.Sanitize()
	if owner != "" {
		sql += " owner " + pgx.Identifier{owner}.Sanitize()
	}
	_, err = conn.Exec(ctx, sql)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == duplicateDatabase: // Someone else was faster.
		return false, nil
	case err != nil:
		return false, fmt.Errorf("create database %s: %w", name, err)
	}

	return true, nil
}

// prepareCluster makes the roles and databases of a stack, where they are
// missing, and gives the roles the passwords in the data folder.
func prepareCluster(ctx context.Context, conn *pgx.Conn, k keys, demo bool) error {
	for _, role := range []struct {
		name     string
		password secret.Value
		wanted   bool
	}{
		{readRole, secret.Value{}, true},
		{statsRole, k.stats, true},
		{monitorRole, k.monitor, true},
		{demoRole, k.demo, demo},
	} {
		if !role.wanted {
			continue
		}
		if err := prepareRole(ctx, conn, role.name, role.password); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, "grant pg_monitor to "+monitorRole); err != nil {
		return fmt.Errorf("grant pg_monitor: %w", err)
	}
	if _, err := createDatabase(ctx, conn, statsDatabase, statsRole); err != nil {
		return err
	}
	if demo {
		if _, err := createDatabase(ctx, conn, demoDatabase, demoRole); err != nil {
			return err
		}
	}

	return nil
}

// prepareRole makes a role and sets its password; without one it cannot log in.
func prepareRole(ctx context.Context, conn *pgx.Conn, name string, password secret.Value) error {
	var exists bool
	err := conn.QueryRow(ctx, "select exists (select from pg_catalog.pg_roles where rolname = $1)", name).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for role %s: %w", name, err)
	}
	verb, login := "alter", ""
	if !exists {
		verb = "create"
	}
	if !password.IsZero() {
		verifier, err := scramVerifier(password)
		if err != nil {
			return err
		}
		// The verifier holds no quote: base64, dollars and colons.
		login = " login password '" + verifier + "'"
	} else if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, verb+" role "+pgx.Identifier{name}.Sanitize()+login); err != nil {
		return fmt.Errorf("%s role %s: %w", verb, name, err)
	}

	return nil
}

// scramVerifier returns what PostgreSQL stores of a password (RFC 5802), so that
// the password itself stands in no statement, and so in no log, no
// pg_stat_activity and no sample. The password must be ASCII, as those made
// here are.
func scramVerifier(password secret.Value) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make salt: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, password.Reveal(), salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))

		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString

	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, encode(salt), encode(stored[:]), encode(sign("Server Key"))), nil
}
