package catalog

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/statsdb"
)

//go:embed sql/login_count.sql
var countLoginSQL string

//go:embed sql/login_note.sql
var noteLoginSQL string

// CountLogin counts an attempt to log in and says where it stands. The counters
// are of all processes together; they are in a table that is not logged, and what
// nobody touched for an hour goes.
func (c *Catalog) CountLogin(ctx context.Context, a account.LoginAttempt, limits account.LoginLimits) (account.LoginStanding, error) {
	keys := a.Keys()
	var at account.LoginStanding
	err := c.pool.QueryRow(ctx, countLoginSQL, pgx.StrictNamedArgs{
		"keys":       [][]byte{keys.Source[:], keys.Network[:], keys.Inside[:], keys.Account[:]},
		"capacities": []float64{limits.Source.Capacity, limits.Network.Capacity, limits.Account.Capacity, limits.Account.Capacity},
		"drains":     []float64{limits.Source.Drain, limits.Network.Drain, limits.Account.Drain, limits.Account.Drain},
		"network":    a.Network,
	}).Scan(&at.Known, &at.SourceFull, &at.NetworkFull, &at.Failures)
	if err != nil {
		return at, fmt.Errorf("count login: %w", statsdb.Classify(err))
	}
	return at, nil
}

// NoteLogin notes that the user of this id has logged in now, and from which
// network: the newest fifty are kept. It takes back what CountLogin counted
// against the account, where it said that the network is known, or not; and it
// waits for no disk and no standby. The error is account.ErrNotFound if the user
// is gone.
func (c *Catalog) NoteLogin(ctx context.Context, id int64, a account.LoginAttempt, known bool) error {
	keys := a.Keys()
	counted := keys.Account
	if known {
		counted = keys.Inside
	}
	var n int
	args := pgx.StrictNamedArgs{"id": id, "network": a.Network, "counted": counted[:]}
	if err := c.pool.QueryRow(ctx, noteLoginSQL, args).Scan(&n); err != nil {
		return fmt.Errorf("note login: %w", statsdb.Classify(err))
	}
	if n == 0 {
		return account.ErrNotFound
	}
	return nil
}
