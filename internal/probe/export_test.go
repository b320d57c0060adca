package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgam/pgam/internal/sample"
)

// SetSparse chooses the form of the next activity question.
func SetSparse(c *Conn, sparse bool) { c.sparse = sparse }

// Sparse tells the form of the next activity question.
func Sparse(c *Conn) bool { return c.sparse }

// PrepareAll prepares every question that the server's version is given.
func PrepareAll(ctx context.Context, c *Conn) error {
	var errs []error
	asked := 0
	for _, file := range Questions() {
		q := question(strings.SplitN(file, ".", 2)[0])
		stmt, err := c.prepare(ctx, q)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
		if stmt != nil {
			asked++
		}
	}
	if asked < 10 {
		errs = append(errs, fmt.Errorf("only %d questions", asked))
	}
	return errors.Join(errs...)
}

// LocationPath is how a path is taken over.
func LocationPath(told, data string) string { return locationPath(told, data) }

// Executions tells how often each question was asked over this connection;
// PostgreSQL 14 and later count it.
func Executions(ctx context.Context, c *Conn) (map[string]int64, error) {
	const sql = "select name, generic_plans + custom_plans from pg_catalog.pg_prepared_statements"
	res := c.pg.ExecParams(ctx, sql, nil, nil, nil, []int16{0, 1}).Read()
	asked := make(map[string]int64)
	for _, row := range res.Rows {
		asked[strings.TrimPrefix(string(row[0]), "pgam_")] = int64At(row[1])
	}
	return asked, res.Err
}

// Prepared lists the questions that were asked over this connection at least
// once.
func Prepared(c *Conn) []string {
	var asked []string
	for q, stmt := range c.prepared {
		if stmt != nil {
			asked = append(asked, string(q))
		}
	}
	slices.Sort(asked)
	return asked
}

// MaxWaiters is how many waiting sessions are asked about outside of a burst.
const MaxWaiters = maxWaiters

// Conflict tells whether a lock of one mode has to wait for one of the other.
func Conflict(wanted, held string) bool { return conflict(wanted, held) }

// Rest makes the connection not ask about locks for a while.
func Rest(c *Conn, d time.Duration) { c.noLocks = time.Now().Add(d) }

// Texts gives what is kept of a statement that a server without query ids, and
// one with them, shows.
func Texts(shown []byte, ask sample.Ask) sample.Entries {
	dict := sample.NewDictionary(sample.Hash{})
	dict.Texts(ask.Texts, ask.Full)
	r := reader{conn: &Conn{statings: make(map[sample.Key]stating)}, dict: dict, visit: &sample.Visit{Tick: &sample.Tick{}}, day: 1, ask: ask}
	v := make([][]byte, numActivityCols)
	v[colQuery] = shown
	r.query(1, sample.Session{Session: 1}, v)
	dict.Query(1, false, r.day)
	dict.QueryText(1, false, r.text(shown))
	return dict.Take()
}
