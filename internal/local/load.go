package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/secret"
)

const (
	accounts = 20_000  // rows of shop.account
	orders   = 400_000 // rows of shop.order at the start, and about as many later
	// prepareWithin bounds the filling of the database.
	prepareWithin = 2 * time.Minute
	// longestPause is between attempts to come back.
	longestPause = 5 * time.Second
	// remarkEvery bounds the lines about disturbances.
	remarkEvery = 10 * time.Second
)

// Load is a load on one database that gives something to see: a small shop, with
// updates, scans, a queue of sessions that wait for one another's locks, and a
// session that idles in its transaction. It is paced, not driven: about a quarter
// of one processor, whatever the machine. Every session has an application_name of
// its own. A session that is cut, or finds no server, comes back by itself.
type Load struct {
	config *pgx.ConnConfig
	say    func(format string, args ...any)

	mu     sync.Mutex
	remark time.Time // the last one
}

// NewLoad checks the DSN of the database, whose owner its user must be, and
// starts nothing. say gets a line where the load is disturbed.
func NewLoad(dsn secret.Value, say func(format string, args ...any)) (*Load, error) {
	config, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("demo: the DSN cannot be understood")
	}
	config.ConnectTimeout = 5 * time.Second

	return &Load{config: config, say: say}, nil
}

// Prepare makes and fills the tables, in one transaction, where they are
// missing.
func (l *Load) Prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepareWithin)
	defer cancel()
	conn, err := l.connect(ctx, "shop-setup")
	if err != nil {
		return fmt.Errorf("prepare demo: %w", err)
	}
	defer hangUp(ctx, conn)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var there bool
		err := tx.QueryRow(ctx, "select exists (select from pg_catalog.pg_namespace where nspname = 'shop')").Scan(&there)
		if err != nil || there {
			return err
		}
		_, err = tx.Exec(ctx, fmt.Sprintf(schemaSQL, accounts, orders, accounts))

		return err
	})
	if err != nil {
		return fmt.Errorf("prepare demo: %w", err)
	}

	return nil
}

const schemaSQL = `
create schema shop;
create table shop.account (id integer primary key, balance bigint not null, note text not null);
insert into shop.account select i, 1000, repeat('n', 80) from generate_series(1, %d) i;
create table shop.stock (id integer primary key, pieces integer not null);
insert into shop.stock select i, 100 from generate_series(1, 10) i;
create table shop.purchase (id bigint generated always as identity, account_id integer not null, amount bigint not null,
                            made_at timestamptz not null default now(), note text not null default repeat('p', 60));
insert into shop.purchase (account_id, amount) select 1 + i %% %[3]d, i %% 500 from generate_series(1, %[2]d) i;
create index purchase_id_idx on shop.purchase (id);`

// Run runs the sessions until ctx ends.
func (l *Load) Run(ctx context.Context) {
	var group sync.WaitGroup
	session := func(application string, work func(context.Context, *pgx.Conn) error) {
		group.Go(func() { l.session(ctx, application, work) })
	}
	for i := range 4 {
		session(fmt.Sprintf("shop-web-%d", i+1), sell)
	}
	session("shop-report", report)
	session("shop-import", restock)
	session("shop-inventory", hold)
	session("shop-checkout-1", func(ctx context.Context, conn *pgx.Conn) error { return queue(ctx, conn, 2, 1) })
	session("shop-checkout-2", func(ctx context.Context, conn *pgx.Conn) error { return queue(ctx, conn, 3, 2) })
	session("shop-admin", forget)
	group.Wait()
}

// session repeats work on a connection, and connects again when that is lost.
func (l *Load) session(ctx context.Context, application string, work func(context.Context, *pgx.Conn) error) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		begun := time.Now()
		err := l.repeat(ctx, application, work)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begun) > time.Minute {
			pause = 100 * time.Millisecond
		}
		l.disturbed(application, err)
		_ = wait(ctx, pause)
	}
}

// disturbed says why a session was lost, once for all that are lost together.
func (l *Load) disturbed(application string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.remark) >= remarkEvery {
		l.remark = now
		l.say("demo: session %s was lost and comes back when it can: %v", application, err)
	}
}

func (l *Load) repeat(ctx context.Context, application string, work func(context.Context, *pgx.Conn) error) error {
	conn, err := l.connect(ctx, application)
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	for {
		if err := work(ctx, conn); err != nil {
			return err
		}
	}
}

func (l *Load) connect(ctx context.Context, application string) (*pgx.Conn, error) {
	config := l.config.Copy()
	config.RuntimeParams["application_name"] = application
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}

	return conn, nil
}

// hangUp ends a session, whatever the reason for it; what it was in the middle of
// is rolled back.
func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // It ends with the socket either way.
}

// wait waits, or returns the error of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// about returns a duration between half and one and a half of d, so that the
// sessions do not march in step.
func about(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // Nothing depends on it.
}
