package catalog

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/statsdb"
)

//go:embed sql/session_create.sql
var createSessionSQL string

// mostSessions is how many sessions of an account are kept: the newest.
const mostSessions = 50

// CreateSession stores a session of a user, as just read, that ends after so long
// at the latest. Sessions that have expired are forgotten with it.
func (c *Catalog) CreateSession(ctx context.Context, hash [sha256.Size]byte, user account.User, longest time.Duration) (account.Session, error) {
	s := account.Session{UserID: user.ID, Epoch: user.TokenEpoch}
	err := c.db.Change(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, createSessionSQL, pgx.StrictNamedArgs{
			"hash": hash[:], "account_id": user.ID, "token_epoch": user.TokenEpoch, "longest": longest, "most": mostSessions,
		}).Scan(&s.CreatedAt, &s.UsedAt)
	})
	if err != nil {
		return s, fmt.Errorf("create session: %w", statsdb.Classify(err))
	}
	s.CreatedAt, s.UsedAt = s.CreatedAt.UTC(), s.UsedAt.UTC()
	return s, nil
}

// Session gives a session, or account.ErrNoSession.
func (c *Catalog) Session(ctx context.Context, hash [sha256.Size]byte) (account.Session, error) {
	const sql = `/* pgam:session */
select account_id, token_epoch, created_at, used_at
  from pgam.session
 where token_hash = $1
   and expires_at > now()`
	var s account.Session
	err := c.pool.QueryRow(ctx, sql, hash[:]).Scan(&s.UserID, &s.Epoch, &s.CreatedAt, &s.UsedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, account.ErrNoSession
	}
	if err != nil {
		return s, fmt.Errorf("read session: %w", statsdb.Classify(err))
	}
	s.CreatedAt, s.UsedAt = s.CreatedAt.UTC(), s.UsedAt.UTC()
	return s, nil
}

// TouchSession notes that a session is used now. It waits for no disk and no
// standby.
func (c *Catalog) TouchSession(ctx context.Context, hash [sha256.Size]byte) error {
	const sql = `/* pgam:session_touch */
with quick as (
     select set_config('synchronous_commit', 'off', true))
update pgam.session
   set used_at = now()
  from quick
 where token_hash = $1`
	if _, err := c.pool.Exec(ctx, sql, hash[:]); err != nil {
		return fmt.Errorf("note use of session: %w", statsdb.Classify(err))
	}
	return nil
}

// DeleteSession ends a session; one that is gone already is no error.
func (c *Catalog) DeleteSession(ctx context.Context, hash [sha256.Size]byte) error {
	err := c.db.Change(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "/* pgam:session_delete */ delete from pgam.session where token_hash = $1", hash[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("end session: %w", statsdb.Classify(err))
	}
	return nil
}
