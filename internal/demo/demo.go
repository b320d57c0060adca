package demo

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

// Load is the load on one database. Its methods are called in the order
// Prepare, Start, Stop, once each; Stop may be repeated.
type Load struct {
	config *pgx.ConnConfig
	say    func(format string, args ...any)

	running context.Context //nolint:containedctx // The life of the sessions, from New to Stop.
	cancel  context.CancelFunc
	group   sync.WaitGroup

	mu     sync.Mutex
	remark time.Time // the last one
}

// New checks the DSN of the database, whose owner its user must be, and
// starts nothing. say gets a line where the load is disturbed.
func New(dsn secret.Value, say func(format string, args ...any)) (*Load, error) {
	config, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("demo: the DSN cannot be understood")
	}
	config.ConnectTimeout = 5 * time.Second
	l := &Load{config: config, say: say}
	l.running, l.cancel = context.WithCancel(context.Background())

	return l, nil
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
	defer l.close(conn) //nolint:contextcheck // The end of a session must not hang on the reason for it.
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

// Start starts the sessions and returns at once.
func (l *Load) Start() {
	for i := range 4 {
		l.session(fmt.Sprintf("shop-web-%d", i+1), sell)
	}
	l.session("shop-report", report)
	l.session("shop-import", restock)
	l.session("shop-inventory", hold)
	l.session("shop-checkout-1", func(ctx context.Context, conn *pgx.Conn) error { return queue(ctx, conn, 2, 1) })
	l.session("shop-checkout-2", func(ctx context.Context, conn *pgx.Conn) error { return queue(ctx, conn, 3, 2) })
	l.session("shop-admin", forget)
}

// Stop ends the sessions and waits for them as long as ctx allows.
func (l *Load) Stop(ctx context.Context) error {
	l.cancel()
	done := make(chan struct{})
	go func() { l.group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop demo: %w", ctx.Err())
	}
}

// session repeats work on a connection, and connects again when that is lost.
func (l *Load) session(application string, work func(context.Context, *pgx.Conn) error) {
	l.group.Go(func() {
		for wait := 100 * time.Millisecond; l.running.Err() == nil; wait = min(2*wait, longestPause) {
			begun := time.Now()
			err := l.repeat(application, work)
			if l.running.Err() != nil {
				return
			}
			if time.Since(begun) > time.Minute {
				wait = 100 * time.Millisecond
			}
			l.disturbed(application, err)
			_ = pause(l.running, wait)
		}
	})
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

func (l *Load) repeat(application string, work func(context.Context, *pgx.Conn) error) error {
	conn, err := l.connect(l.running, application)
	if err != nil {
		return err
	}
	defer l.close(conn)
	for {
		if err := work(l.running, conn); err != nil {
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

// close ends a session; what it was in the middle of is rolled back.
func (l *Load) close(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.running), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // It ends with the socket either way.
}

// pause waits, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
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
