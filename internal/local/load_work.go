package local

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// sell is one sale: a short transaction over three tables, as pgbench's.
func sell(ctx context.Context, conn *pgx.Conn) error {
	account, amount := 1+rand.IntN(accounts), rand.IntN(1000)-400 //nolint:gosec // Nothing depends on it.
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var balance int64
		if _, err := tx.Exec(ctx, "update shop.account set balance = balance + $2 where id = $1", account, amount); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "select balance from shop.account where id = $1", account).Scan(&balance); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "insert into shop.purchase (account_id, amount) values ($1, $2)", account, amount)

		return err
	})
	if err != nil {
		return err
	}

	return wait(ctx, about(25*time.Millisecond))
}

// report reads all purchases, which do not fit into what PostgreSQL keeps of
// one table, and sorts them.
func report(ctx context.Context, conn *pgx.Conn) error {
	const sql = `select account_id, sum(amount), count(*), max(made_at) from shop.purchase group by account_id order by 2 desc limit 10`
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}

	return wait(ctx, about(2*time.Second))
}

// restock writes many rows at once and takes as many old ones away, so that the
// table does not grow.
func restock(ctx context.Context, conn *pgx.Conn) error {
	const fill = `insert into shop.purchase (account_id, amount) select 1 + i % $1::int, i % 500 from generate_series(1, 5000) i`
	if _, err := conn.Exec(ctx, fill, accounts); err != nil {
		return err
	}
	const trim = `delete from shop.purchase where id < (select max(id) - $1::bigint from shop.purchase)`
	if _, err := conn.Exec(ctx, trim, orders); err != nil {
		return err
	}

	return wait(ctx, about(8*time.Second))
}

// hold counts an article for some seconds, and all who want to sell it wait.
func hold(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update shop.stock set pieces = 100 where id = 1"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "select pg_sleep($1)", about(6*time.Second).Seconds())

		return err
	})
	if err != nil {
		return err
	}

	return wait(ctx, about(8*time.Second))
}

// queue takes an article, then wants the one before it: with the holder of the
// first, the sessions make a chain. All take the higher number first, so none
// can make a ring.
func queue(ctx context.Context, conn *pgx.Conn, mine, wanted int) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, id := range []int{mine, wanted} {
			if _, err := tx.Exec(ctx, "update shop.stock set pieces = pieces - 1 where id = $1", id); err != nil {
				return err
			}
		}

		return nil
	})
	if err != nil {
		return err
	}

	return wait(ctx, about(2*time.Second))
}

// forget leaves a transaction open, as people do who go for lunch.
func forget(ctx context.Context, conn *pgx.Conn) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select sum(balance) from shop.account where id < 100"); err != nil {
			return err
		}

		return wait(ctx, about(40*time.Second))
	})
	if err != nil {
		return err
	}

	return wait(ctx, about(10*time.Second))
}
