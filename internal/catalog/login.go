package catalog

import (
	"context"
	"fmt"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/statsdb"
)

// CountLogin counts an attempt to log in and says where it stands. The counters
// are of all processes together; they are in a table that is not logged, and what
// nobody touched for an hour goes.
func (c *Catalog) CountLogin(ctx context.Context, a account.LoginAttempt, limits account.LoginLimits) (account.LoginStanding, error) {
	// The buckets are taken in one order by everybody,
	// so that nobody waits for each other in a circle.
	const sql = `/* pgam:login_count */
with known as (
     select exists (
            select from pgam.login_origin
             where network = $4
               and last_at > now() - interval '90 days') as network),
     gone as (
     delete from pgam.login_bucket
      where key = any (array(
            select b.key
              from pgam.login_bucket b
             where b.filled_at < now() - interval '1 hour'
               and b.key <> all ($1::bytea[])
             order by b.filled_at
             limit 100
               for update skip locked))),
     counted as (
     insert into pgam.login_bucket as b (key, level, capacity, drain)
     select k.key, 1, k.capacity, k.drain
       from unnest($1::bytea[], $2::double precision[], $3::double precision[]) with ordinality as k (key, capacity, drain, n), known
      where k.n <= 2
         or (k.n = 3) = known.network
      order by k.n
     on conflict (key) do update
        set (level, is_full, capacity, drain, filled_at) = (
            select case when now_at.level + excluded.level > excluded.capacity then now_at.level else now_at.level + excluded.level end,
                   now_at.level + excluded.level > excluded.capacity, excluded.capacity, excluded.drain, greatest(b.filled_at, excluded.filled_at)
              from (select greatest(0, b.level - greatest(0, extract(epoch from excluded.filled_at - b.filled_at)) * excluded.drain)) as now_at (level))
     returning b.key, b.level, b.is_full)
select known.network,
       (select is_full from counted where key = ($1::bytea[])[1]) as source_full,
       (select is_full from counted where key = ($1::bytea[])[2]) as network_full,
       (select level from counted where key = any (($1::bytea[])[3:4])) as failures
  from known`
	keys := a.Keys()
	var at account.LoginStanding
	err := c.pool.QueryRow(ctx, sql, [][]byte{keys.Source[:], keys.Network[:], keys.Inside[:], keys.Account[:]},
		[]float64{limits.Source.Capacity, limits.Network.Capacity, limits.Account.Capacity, limits.Account.Capacity},
		[]float64{limits.Source.Drain, limits.Network.Drain, limits.Account.Drain, limits.Account.Drain}, a.Network,
	).Scan(&at.Known, &at.SourceFull, &at.NetworkFull, &at.Failures)
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
	const sql = `/* pgam:login_note */
with quick as (
     select set_config('synchronous_commit', 'off', true)),
     touched as (
     update pgam.account
        set last_login_at = now()
       from quick
      where id = $1
     returning id),
     origin as (
     insert into pgam.login_origin as o (account_id, network)
     select id, $2 from touched
     on conflict (account_id, network) do update
        set last_at = excluded.last_at
      where o.last_at < excluded.last_at - interval '1 day'),
     old as (
     delete from pgam.login_origin
      where account_id = $1
        and network <> $2
        and network = any (array(
            select network from pgam.login_origin where account_id = $1 order by last_at desc offset 50))),
     given_back as (
     update pgam.login_bucket
        set level = greatest(0, level - 1)
      where key = $3)
select count(*) from touched`
	keys := a.Keys()
	counted := keys.Account
	if known {
		counted = keys.Inside
	}
	var n int
	if err := c.pool.QueryRow(ctx, sql, id, a.Network, counted[:]).Scan(&n); err != nil {
		return fmt.Errorf("note login: %w", statsdb.Classify(err))
	}
	if n == 0 {
		return account.ErrNotFound
	}
	return nil
}
