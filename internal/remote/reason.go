package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/sample"
)

// Classify says which class of failure an error of this package or of a
// question on one of its connections belongs to; sample.None for nil.
func Classify(err error) sample.Reason {
	if err == nil {
		return sample.None
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyState(pgErr.Code)
	}
	var (
		certErr *tls.CertificateVerificationError
		hostErr x509.HostnameError
		authErr x509.UnknownAuthorityError
		recErr  tls.RecordHeaderError
		alert   tls.AlertError
		dnsErr  *net.DNSError
		netErr  net.Error
	)
	text := err.Error()
	switch {
	case errors.As(err, &certErr), errors.As(err, &hostErr), errors.As(err, &authErr), errors.As(err, &recErr), errors.As(err, &alert),
		strings.Contains(text, "server refused TLS connection"):
		return sample.TLSFailed
	case errors.As(err, &dnsErr):
		return sample.Unreachable
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return sample.Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return sample.Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return sample.Timeout
	case errors.Is(err, context.Canceled):
		return sample.NotRunning
	case strings.Contains(text, "authentication method"), strings.Contains(text, "SASL"), strings.Contains(text, "SCRAM"):
		return sample.AuthFailed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), strings.Contains(text, "conn closed"):
		return sample.ConnectionLost
	}
	return sample.Other
}

func classifyState(code string) sample.Reason {
	switch code {
	case "57014":
		return sample.Timeout
	case "55P03":
		return sample.LockTimeout
	case "28P01", "28000":
		return sample.AuthFailed
	case "3D000", "55000":
		return sample.NoDatabase
	case "53300":
		return sample.TooManyConnections
	case "57P03":
		return sample.StartingUp
	case "57P01", "57P02", "57P05", "25P03":
		return sample.ConnectionLost
	case "42501":
		return sample.NoPrivilege
	}
	return sample.Other
}

// Explain gives the sentence a person is shown for a reason: what is wrong
// and what to do, without a host, a user or a driver's text.
func Explain(r sample.Reason) string {
	switch r {
	case sample.None:
		return "ok"
	case sample.Timeout:
		return "timeout"
	case sample.LockTimeout:
		return "a lock on a system catalog is in the way"
	case sample.Connecting:
		return "connecting"
	case sample.Unreachable:
		return "host unreachable"
	case sample.Refused:
		return "connection refused: is PostgreSQL running at this host and port?"
	case sample.AuthFailed:
		return "authentication failed: check user, password and pg_hba.conf"
	case sample.TooManyConnections:
		return "too many connections"
	case sample.StartingUp:
		return "the server is starting up, recovering or shutting down"
	case sample.ConnectionLost:
		return "connection lost"
	case sample.NoPrivilege:
		return "missing privilege: grant pg_monitor to the monitoring user"
	case sample.Unsupported:
		return "this PostgreSQL is too old: version 9.6 or later is needed"
	case sample.NoDatabase:
		return "the database to connect to does not exist or allows no connections"
	case sample.TLSFailed:
		return "TLS failed: check the TLS mode and the server's certificate"
	case sample.BackingOff:
		return "waiting before the next attempt to connect"
	default:
		return "error (" + r.String() + ")"
	}
}
