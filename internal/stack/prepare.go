package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/secret"
)

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

// NewPassword returns a password of 130 random bits that needs no quoting
// anywhere.
func NewPassword() secret.Value { return secret.New(newPassword()) }
