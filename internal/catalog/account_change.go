package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/statsdb"
)

// ChangeAccount changes a user; whatever changes ends every token and session of
// theirs, which a trigger sees to. The error is account.ErrNotFound, or
// account.ErrLastAdmin where no active administrator would be left.
func (c *Catalog) ChangeAccount(ctx context.Context, login string, change account.Change) (account.User, error) {
	if account.ValidateLogin(login) != nil {
		return account.User{}, account.ErrNotFound
	}
	var role *string
	if change.Role != nil {
		parsed, err := account.ParseRole(string(*change.Role))
		if err != nil {
			return account.User{}, err
		}
		text := string(parsed)
		role = &text
	}
	const sql = `/* pgam:account_change */
update pgam.account
   set role = coalesce($2, role), active = coalesce($3, active), password_hash = coalesce($4, password_hash), updated_at = now()
 where login = $1
returning` + accountColumns
	var changed account.User
	err := c.db.Change(ctx, func(tx pgx.Tx) error {
		if role != nil && *role != string(account.Admin) || change.Active != nil && !*change.Active {
			if err := mayGo(ctx, tx, login); err != nil {
				return err
			}
		}
		rows, _ := tx.Query(ctx, sql, login, role, change.Active, change.PasswordHash) // its error is in rows
		found, err := pgx.CollectRows(rows, collectAccount)
		if err == nil && len(found) == 0 {
			err = account.ErrNotFound
		}
		if err == nil {
			changed = found[0]
		}
		return err
	})
	if err != nil {
		return account.User{}, fmt.Errorf("change user: %w", statsdb.Classify(err))
	}
	return changed, nil
}

// mayGo returns account.ErrLastAdmin for the only active administrator. Until tx
// ends nobody else changes users, so that two administrators do not take each
// other away.
func mayGo(ctx context.Context, tx pgx.Tx, login string) error {
	if _, err := tx.Exec(ctx, "/* pgam:account_lock */ lock table pgam.account in share row exclusive mode"); err != nil {
		return err
	}
	var last bool
	const sql = `/* pgam:account_last */
select coalesce(bool_and(login = $1), false) from pgam.account where role = 'admin' and active`
	if err := tx.QueryRow(ctx, sql, login).Scan(&last); err != nil {
		return err
	}
	if last {
		return account.ErrLastAdmin
	}
	return nil
}
