package local

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

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
	if _, err := PrepareStats(ctx, conn, Owner{Role: statsRole, Password: k.stats, SetPassword: true, Database: statsDatabase}); err != nil {
		return err
	}
	if err := prepareRole(ctx, conn, monitorRole, k.monitor); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "grant pg_monitor to "+monitorRole); err != nil {
		return fmt.Errorf("grant pg_monitor: %w", err)
	}
	if !demo {
		return nil
	}
	if err := prepareRole(ctx, conn, demoRole, k.demo); err != nil {
		return err
	}
	_, err := createDatabase(ctx, conn, demoDatabase, demoRole)

	return err
}

// Owner is the role that owns a stats_db, and the database.
type Owner struct {
	Role        string
	Password    secret.Value // ASCII
	SetPassword bool         // give it to a role that is there already, too
	Database    string
}

// PrepareStats makes what a stats_db needs and only an administrator may make:
// its owner, the database, and the role of those who read its views. It tells
// what was made, a line each; what is there already stays as it is.
func PrepareStats(ctx context.Context, admin *pgx.Conn, o Owner) (made []string, err error) {
	if strings.ContainsFunc(o.Password.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("the password of the role must be ASCII: give another, or none to have one made")
	}
	var isSuperuser, hasReader, hasRole bool
	err = admin.QueryRow(ctx, `select rolsuper,
	exists (select from pg_catalog.pg_roles where rolname = $1),
	exists (select from pg_catalog.pg_roles where rolname = $2)
from pg_catalog.pg_roles where rolname = current_user`, readRole, o.Role).Scan(&isSuperuser, &hasReader, &hasRole)
	if err != nil {
		return nil, fmt.Errorf("look for roles: %w", err)
	}
	if !hasReader {
		if err := prepareRole(ctx, admin, readRole, secret.Value{}); err != nil {
			return made, err
		}
		made = append(made, "created role "+readRole)
	}
	if !hasRole || o.SetPassword {
		if err := prepareRole(ctx, admin, o.Role, o.Password); err != nil {
			return made, err
		}
		line := "created role " + o.Role
		if hasRole {
			line = "set the password of role " + o.Role
		}
		made = append(made, line)
	}
	if !isSuperuser && !hasRole { // Who makes a database for a role must belong to it.
		if _, err := admin.Exec(ctx, "grant "+pgx.Identifier{o.Role}.Sanitize()+" to current_user"); err != nil {
			return made, fmt.Errorf("grant role %s: %w", o.Role, err)
		}
	}
	created, err := createDatabase(ctx, admin, o.Database, o.Role)
	if created {
		made = append(made, "created database "+o.Database)
	}

	return made, err
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
