package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/statsdb"
)

type accountRow struct {
	ID           int64      `db:"id"`
	Login        string     `db:"login"`
	PasswordHash string     `db:"password_hash"`
	Role         string     `db:"role"`
	Active       bool       `db:"active"`
	TokenEpoch   int64      `db:"token_epoch"`
	Ended        []string   `db:"ended_sessions"`
	CreatedAt    time.Time  `db:"created_at"`
	LastLoginAt  *time.Time `db:"last_login_at"`
}

func (r accountRow) user() account.User {
	u := account.User{
		ID: r.ID, Login: r.Login, PasswordHash: r.PasswordHash, Role: account.Role(r.Role),
		Active: r.Active, TokenEpoch: r.TokenEpoch, EndedSessions: r.Ended, CreatedAt: r.CreatedAt.UTC(),
	}
	if r.LastLoginAt != nil {
		at := r.LastLoginAt.UTC()
		u.LastLoginAt = &at
	}
	return u
}

func collectAccount(row pgx.CollectableRow) (account.User, error) {
	r, err := pgx.RowToStructByName[accountRow](row)
	return r.user(), err
}

const accountColumns = ` id, login, password_hash, role, active, token_epoch,
       array(select e.session from pgam.ended_session e where e.account_id = account.id and e.expires_at > now()) as ended_sessions,
       created_at, last_login_at`

// CreateAccount stores a new user: login, hash, role and whether it is active.
// The error is account.ErrConflict, or wraps account.ErrInvalid.
func (c *Catalog) CreateAccount(ctx context.Context, u account.User) (account.User, error) {
	if err := account.ValidateLogin(u.Login); err != nil {
		return account.User{}, err
	}
	if _, err := account.ParseRole(string(u.Role)); err != nil {
		return account.User{}, err
	}
	const sql = `/* pgam:account_create */
insert into pgam.account (login, password_hash, role, active)
values ($1, $2, $3, $4)
returning` + accountColumns
	var made account.User
	err := c.db.Change(ctx, func(tx pgx.Tx) (err error) {
		rows, _ := tx.Query(ctx, sql, u.Login, u.PasswordHash, string(u.Role), u.Active) // its error is in rows
		made, err = pgx.CollectExactlyOneRow(rows, collectAccount)
		return err
	})
	if statsdb.IsUnique(err, "account_login_key") {
		return account.User{}, account.ErrConflict
	}
	if err != nil {
		return account.User{}, fmt.Errorf("create user: %w", statsdb.Classify(err))
	}
	return made, nil
}

// SetPassword stores a new hash and ends every token of the user. The error is
// account.ErrNotFound if there is none of this login.
func (c *Catalog) SetPassword(ctx context.Context, login, hash string) error {
	return c.changeAccount(ctx, nil, `/* pgam:account_password */
update pgam.account
   set password_hash = $2, token_epoch = pgam.new_token_epoch(), updated_at = now()
 where login = $1`, login, hash)
}

// EndSession ends every token of one login of a user, whose last one expires at
// expiresAt. Ended sessions that have expired are forgotten with it.
func (c *Catalog) EndSession(ctx context.Context, userID int64, session string, expiresAt time.Time) error {
	const sql = `/* pgam:session_end */
with expired as (delete from pgam.ended_session where expires_at < now())
insert into pgam.ended_session (account_id, session, expires_at)
select id, $2, $3 from pgam.account where id = $1
on conflict (account_id, session) do nothing`
	err := c.db.Change(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, userID, session, expiresAt)
		return err
	})
	if err != nil {
		return fmt.Errorf("end session: %w", statsdb.Classify(err))
	}
	return nil
}

// DeleteAccount removes the user; its tokens end with it. The error is
// account.ErrNotFound, or account.ErrLastAdmin for the only active administrator
// unless even that one may go.
func (c *Catalog) DeleteAccount(ctx context.Context, login string, even bool) error {
	const sql = "/* pgam:account_delete */ delete from pgam.account where login = $1"
	if even {
		return c.changeAccount(ctx, nil, sql, login)
	}
	return c.changeAccount(ctx, mayGo, sql, login)
}

// changeAccount runs sql on the user, after first where that is not nil.
func (c *Catalog) changeAccount(ctx context.Context, first func(context.Context, pgx.Tx, string) error, sql, login string, args ...any) error {
	if account.ValidateLogin(login) != nil {
		return account.ErrNotFound
	}
	var tag pgconn.CommandTag
	err := c.db.Change(ctx, func(tx pgx.Tx) (err error) {
		if first != nil {
			if err := first(ctx, tx, login); err != nil {
				return err
			}
		}
		tag, err = tx.Exec(ctx, sql, append([]any{login}, args...)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("change user: %w", statsdb.Classify(err))
	}
	if tag.RowsAffected() == 0 {
		return account.ErrNotFound
	}
	return nil
}

// Account gives the user of this login, or account.ErrNotFound.
func (c *Catalog) Account(ctx context.Context, login string) (account.User, error) {
	if account.ValidateLogin(login) != nil {
		return account.User{}, account.ErrNotFound
	}
	return c.account(ctx, `/* pgam:account */ select`+accountColumns+` from pgam.account where login = $1`, login)
}

// AccountByID gives the user of this id, or account.ErrNotFound.
func (c *Catalog) AccountByID(ctx context.Context, id int64) (account.User, error) {
	return c.account(ctx, `/* pgam:account */ select`+accountColumns+` from pgam.account where id = $1`, id)
}

func (c *Catalog) account(ctx context.Context, sql string, key any) (account.User, error) {
	rows, _ := c.pool.Query(ctx, sql, key) // its error is in rows
	user, err := pgx.CollectExactlyOneRow(rows, collectAccount)
	if errors.Is(err, pgx.ErrNoRows) {
		return account.User{}, account.ErrNotFound
	}
	if err != nil {
		return account.User{}, fmt.Errorf("read user: %w", statsdb.Classify(err))
	}
	return user, nil
}

// ListAccounts gives every user, by login.
func (c *Catalog) ListAccounts(ctx context.Context) ([]account.User, error) {
	rows, _ := c.pool.Query(ctx, `/* pgam:accounts */ select`+accountColumns+` from pgam.account order by login collate "C"`) // its error is in rows
	users, err := pgx.CollectRows(rows, collectAccount)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", statsdb.Classify(err))
	}
	return users, nil
}

// CountAccounts is how many users there are.
func (c *Catalog) CountAccounts(ctx context.Context) (int, error) {
	var n int
	if err := c.pool.QueryRow(ctx, "/* pgam:accounts_count */ select count(*) from pgam.account").Scan(&n); err != nil {
		return 0, fmt.Errorf("count users: %w", statsdb.Classify(err))
	}
	return n, nil
}
