package probe

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Conn asks one server over one connection. It is for one goroutine at a
// time.
type Conn struct {
	pg       *pgconn.PgConn
	server   string // name, for errors
	version  int32
	pid      uint32 // which is not the driver's where a proxy is between
	seesAll  bool
	control  bool // may read the control file
	database uint32
	slots    int32 // max_connections: a change needs a restart
	prepared map[question]*pgconn.StatementDescription

	sparse   bool      // form of the activity question for the next tick
	plainAt  time.Time // of the last tick with the plain form
	exclude  uint32    // pid of the slow connection, 0 for none
	names    names
	statings map[sample.Key]stating
	shown    int64 // newest query_start that was seen last, as the server sends it
	pids     pidSet
	news     news
	clock    clock
	noNames  time.Time // names are not asked for before: a lock was in the way
	noLocks  time.Time // nor is who blocks whom: it took long
}

// stating remembers which statement a session was running, so that a text
// that did not change is not read again; used where the server gives no
// query_id.
type stating struct {
	start   int64
	queryID int64
}

// clock is by how much a server's clock is ahead of the collector's, give or take
// within.
type clock struct{ offset, within time.Duration }

// clockSlack is how much a measurement may differ from what is known, beside what
// the way there and back hides: instants that move at every tick would be another
// statement's each time.
const clockSlack = 20 * time.Millisecond

// learn takes what the server's clock said between begun and took later.
func (c *clock) learn(server, begun time.Time, took time.Duration) {
	offset := server.Sub(begun.Add(took / 2))
	if (offset - c.offset).Abs() > took/2+clockSlack {
		c.offset = offset
	}
	c.within = took / 2
}

// at reads an instant of the server by the collector's clock, in microseconds; 0
// is unknown.
func (c *clock) at(b []byte) int64 {
	micros := microsAt(b)
	if micros == 0 {
		return 0
	}
	return micros - c.offset.Microseconds()
}

// Open connects to a target and learns what the role may see. The errors are for
// remote.Classify.
func Open(ctx context.Context, t target.Target, lim remote.Limits) (*Conn, error) {
	pg, err := remote.Dial(ctx, t, lim)
	if err != nil {
		return nil, err
	}
	session := remote.SessionOf(pg)
	c := &Conn{
		pg: pg, server: t.Name, version: session.Version, pid: session.PID,
		prepared: make(map[question]*pgconn.StatementDescription),
		names:    newNames(),
		statings: make(map[sample.Key]stating),
		shown:    math.MinInt64,
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lim.Connect, fmt.Errorf("first question to %s: deadline %s", t.Name, lim.Connect))
	defer cancel()
	if err := c.learn(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("first question to %s: %w", t.Name, err)
	}
	return c, nil
}

// learn reads the privileges.
func (c *Conn) learn(ctx context.Context) error {
	stmt, err := c.prepare(ctx, askPrivileges)
	if err != nil {
		return err
	}
	v, err := c.only(c.pg.ExecStatement(ctx, stmt, nil, nil, binaryResults))
	if err != nil {
		return err
	}
	if len(v) > 4 {
		c.seesAll, c.control, c.slots, c.database = boolAt(v[1]), boolAt(v[2]), int32At(v[3]), uint32At(v[4])
	}
	return nil
}

// only reads the only row of an answer; none gives nil.
func (c *Conn) only(rr *pgconn.ResultReader) (row [][]byte, err error) {
	for rr.NextRow() {
		if row != nil {
			_ = c.pg.Conn().Close() // no PostgreSQL does that
			_, _ = rr.Close()
			return nil, fmt.Errorf("%w: more rows than were asked for", remote.ErrOversized)
		}
		row = make([][]byte, 0, len(rr.Values()))
		for _, v := range rr.Values() {
			row = append(row, bytes.Clone(v))
		}
	}
	_, err = rr.Close()
	return row, err
}

// Version gives server_version_num.
func (c *Conn) Version() int32 { return c.version }

// SeesAll reports whether the role may see the sessions of other users.
func (c *Conn) SeesAll() bool { return c.seesAll }

// PID gives the server process that serves this connection.
func (c *Conn) PID() uint32 { return c.pid }

// Exclude leaves the session with this pid, the collector's own second
// connection, out of the samples; 0 for none.
func (c *Conn) Exclude(pid uint32) { c.exclude = pid }

// Alive reports whether the connection can still be used.
func (c *Conn) Alive() bool { return !c.pg.IsClosed() }

// Close ends the connection without waiting for the server.
func (c *Conn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.pg.Close(ctx) // it is gone either way
}

// prepare gives the prepared statement of a question, nil where this version
// has none.
func (c *Conn) prepare(ctx context.Context, q question) (*pgconn.StatementDescription, error) {
	if stmt, ok := c.prepared[q]; ok {
		return stmt, nil
	}
	sql, ok := statementFor(q, c.version)
	if !ok {
		c.prepared[q] = nil
		return nil, nil
	}
	stmt, err := c.pg.Prepare(ctx, "pgam_"+string(q), sql, nil)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", q, err)
	}
	c.prepared[q] = stmt
	return stmt, nil
}

// Size asks for the size of one database; the deadline is the context's. The
// error is for a broken connection, a refusal is a reason in the answer.
func (c *Conn) Size(ctx context.Context, oid uint32, out *sample.DatabaseSize) error {
	stmt, err := c.prepare(ctx, askSize)
	if err == nil {
		var v [][]byte
		v, err = c.only(c.pg.ExecStatement(ctx, stmt, [][]byte{uint32Bytes(oid)}, binaryParam, binaryResults))
		if err == nil && len(v) == 1 && v[0] != nil {
			out.Bytes = sample.Int{V: int64At(v[0]), Known: true}
			return nil
		}
	}
	out.Reason = remote.Classify(err)
	if err == nil {
		out.Reason = sample.NoDatabase // dropped in between
	}
	if !c.Alive() {
		return fmt.Errorf("size of database %d of %s: %w", oid, c.server, err)
	}
	return nil
}
