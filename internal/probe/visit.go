package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
)

// step is one question of a visit and the reader of its answer.
type step struct {
	q      question
	params [][]byte
	read   func(*answer) error
	// keep is called once the answer is known to be whole; nil for none.
	keep func()
}

// maxRows bounds every answer, whatever the SQL says: of databases, the SQL lists
// so many.
const maxRows = 20_000

// answer reads the rows of one answer, as many as may be.
type answer struct {
	*pgconn.ResultReader
	left int
	over bool
}

// NextRow is the driver's, until there are too many.
func (a *answer) NextRow() bool {
	if !a.ResultReader.NextRow() {
		return false
	}
	a.over = a.left == 0
	a.left--
	return !a.over
}

// Visit asks everything that is due and fills v, whose Tick is there with its
// Planned instant and Cadence. It always leaves an outcome; the error
// says the same for the log and is not nil unless the outcome is OK. Visit
// never waits longer than the context allows. v.Tick.Sessions is reused.
func (c *Conn) Visit(ctx context.Context, ask sample.Ask, dict *sample.Dictionary, v *sample.Visit) error {
	t := v.Tick
	begun := time.Now()
	if t.Started.IsZero() { // else the caller has a clock of its own
		t.Started = begun.UTC()
	}
	t.Backends, t.NextXID, t.Sessions, t.Edges = sample.Unset, 0, t.Sessions[:0], nil
	v.Load = sample.Load{MaxConnections: c.slots}
	dict.Texts(ask.Texts, ask.Full)
	r := reader{begun: begun, conn: c, dict: dict, visit: v, day: sample.Day(t.Planned), ask: ask}
	steps, answered := r.steps(ask)
	done, err := c.run(ctx, steps)
	r.first = time.Since(begun)
	if done >= answered && c.Alive() && ctx.Err() == nil {
		err = errors.Join(err, r.resolve(ctx))
		if err == nil {
			err = r.news(ctx)
		}
		c.chooseForm(r.backends, len(t.Sessions))
	}
	if done >= answered {
		c.shown = r.shown
		r.edges()
		r.load()
	}
	r.unresolved()
	t.Duration = time.Since(begun)
	v.Entries = dict.Take()
	t.Outcome, t.Reason = sample.OK, remote.Classify(err)
	switch {
	case done < answered:
		t.Outcome, t.Sessions, t.Backends = sample.Failed, t.Sessions[:0], sample.Unset
	case err != nil || !c.seesAll || r.truncated:
		t.Outcome = sample.Degraded
	}
	switch {
	case err != nil:
		return fmt.Errorf("visit %s: %w", c.server, err)
	case !c.seesAll:
		t.Reason = sample.NoPrivilege
	case r.truncated:
		t.Reason = sample.Truncated
	}
	return nil
}

// steps lists the questions; the first answered of them make a tick.
func (r *reader) steps(ask sample.Ask) (steps []step, answered int) {
	c := r.conn
	activity := step{q: askActivity, params: [][]byte{uint32Bytes(c.exclude)}, read: r.activity}
	r.shown = c.shown
	if c.sparse && r.visit.Tick.Started.Sub(c.plainAt) < plainEvery {
		activity.q, activity.params = askSparse, append(activity.params, arrayBytes(oidInt4, c.pids.list()))
	} else {
		c.plainAt = r.visit.Tick.Started
	}
	activity.params = append(activity.params, int64Bytes(c.shown))
	steps = append(steps,
		step{q: askPulse, read: r.pulse},
		activity)
	answered = len(steps)
	// What is listed is listed of an instance.
	if ask.Databases || ask.Inventory {
		identity := askIdentityPlain
		if c.control {
			identity = askIdentity
		}
		steps = append(steps, step{q: identity, read: r.identity, keep: func() { r.visit.Identity = r.found.identity }})
	}
	if ask.Databases {
		steps = append(steps, step{q: askDatabases, read: r.databases, keep: func() { r.visit.Databases = r.found.databases }})
	}
	if ask.Inventory {
		steps = append(steps, step{q: askInventory, read: r.inventory, keep: func() { r.visit.Inventory = r.found.inventory }})
	}
	// Last: what goes wrong with it costs nothing else.
	if ask.Locations {
		steps = append(steps, step{q: askLocations, read: r.locations, keep: func() { r.visit.Locations = r.found.locations }})
	}
	return steps, answered
}

// run sends the steps as one batch and reads their answers; done counts the
// steps that were answered in full.
func (c *Conn) run(ctx context.Context, steps []step) (done int, err error) {
	batch := &pgconn.Batch{}
	for _, s := range steps {
		stmt, err := c.prepare(ctx, s.q)
		if err != nil {
			return 0, err
		}
		batch.ExecStatement(stmt, s.params, binaryParam[:min(1, len(s.params))], binaryResults)
	}
	results := c.pg.ExecBatch(ctx, batch)
	for done < len(steps) && results.NextResult() {
		rr := &answer{ResultReader: results.ResultReader(), left: maxRows}
		if q := steps[done].q; q == askActivity || q == askSparse {
			rr.left = maxSessions
		}
		readErr := steps[done].read(rr)
		if rr.over {
			// No PostgreSQL does that: the rest is not even read.
			_ = c.pg.Conn().Close()
			_ = results.Close()
			return done, fmt.Errorf("%s: %w: more rows than were asked for", steps[done].q, remote.ErrOversized)
		}
		if _, err := rr.Close(); err != nil {
			_ = results.Close() // says the same
			return done, fmt.Errorf("%s: %w", steps[done].q, err)
		}
		if readErr != nil {
			_ = results.Close() // the answers left do not matter any more
			return done, fmt.Errorf("%s: %w", steps[done].q, readErr)
		}
		if keep := steps[done].keep; keep != nil {
			keep()
		}
		done++
	}
	if err := results.Close(); err != nil {
		if done < len(steps) {
			return done, fmt.Errorf("%s: %w", steps[done].q, err)
		}
		return done, err
	}
	return done, nil
}

// The sparse form costs by session in a transaction, the plain one by
// backend; measured on PostgreSQL 15 and 18 they meet at about a third. The
// gap between the two limits keeps the choice from swinging. A transaction that
// began and failed between two ticks is idle, aborted and without xact_start:
// the plain form, now and then, finds it, and from then on it is asked for.
const (
	plainEvery        = 10 * time.Second
	sparseMinBackends = 50
	sparseEnterShare  = 0.15
	sparseLeaveShare  = 0.25
)

func (c *Conn) chooseForm(backends int32, sessions int) {
	share := float64(sessions) / float64(max(backends, 1))
	limit := sparseEnterShare
	if c.sparse {
		limit = sparseLeaveShare
	}
	c.sparse = c.seesAll && c.version >= 100000 && backends >= sparseMinBackends && share <= limit
}
