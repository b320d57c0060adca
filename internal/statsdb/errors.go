package statsdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Errors that say what is wrong with stats_db. Whatever wraps none of them is a
// fault of the data, of the schema or of ours: waiting does not help.
var (
	// ErrUnavailable says that stats_db cannot be reached, lets nobody in, or
	// cannot write now; trying again later may help.
	ErrUnavailable = errors.New("stats_db is not available")
	// ErrTooSlow says that stats_db is there, but that the answer took longer
	// than a statement or the caller may wait: less has to be asked.
	ErrTooSlow = errors.New("stats_db took too long")
	// ErrLocked says that another session held a lock for longer than a
	// statement may wait for it.
	ErrLocked = errors.New("stats_db is locked")
	// ErrUnconfirmed says that stats_db was told to commit a change, and did not
	// say that it has: what is known of it follows in the text.
	ErrUnconfirmed = errors.New("a change is not confirmed")
	// ErrNoAnswer says that the server ended a pipeline before its time.
	ErrNoAnswer = errors.New("no answer to a statement")
)

// MayPass says whether an error may be gone the next time, without anybody's
// doing.
func MayPass(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrTooSlow) || errors.Is(err, ErrLocked)
}

// Classify gives a driver's error the class it has: one of the errors above,
// context.Canceled where the caller went away, or none, for what is not known.
// The text stays, for the log.
func Classify(err error) error {
	pgErr, told := errors.AsType[*pgconn.PgError](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	class := func() error {
		switch {
		case err == nil, MayPass(err), errors.Is(err, ErrUnconfirmed), errors.Is(err, context.Canceled):
			return nil
		case told && !connecting:
			return stateClass(pgErr.Code)
		case connecting: // refused, cut, too late, or let in by nobody, whatever the reason
			return ErrUnavailable
		case errors.Is(err, context.DeadlineExceeded):
			return ErrTooSlow
		case cut(err):
			return ErrUnavailable
		}
		return nil
	}()
	if class == nil {
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}

// stateClass gives the class of what the server said to a statement, nil for
// what waiting does not cure.
func stateClass(code string) error {
	switch code {
	case "57014", // statement_timeout, or somebody cancelled it
		"25P03", "25P04": // idle_in_transaction_session_timeout, transaction_timeout
		return ErrTooSlow
	case "55P03": // lock_timeout, NOWAIT
		return ErrLocked
	case "40001", "40P01", // serialization, deadlock
		"25006": // read-only: a standby, until somebody is promoted
		return ErrUnavailable
	}
	switch {
	case strings.HasPrefix(code, "08"), // connection exception, a pooler's too
		strings.HasPrefix(code, "53"),  // out of disk, memory, connections
		strings.HasPrefix(code, "57P"): // shut down, crashed, starting up, database dropped
		return ErrUnavailable
	}
	return nil
}

// cut says whether a connection ended before the answer came.
func cut(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, ErrNoAnswer)
}

// IsUnique reports a violated unique constraint or index of this name.
func IsUnique(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23505" && strings.EqualFold(pgErr.ConstraintName, constraint)
}
