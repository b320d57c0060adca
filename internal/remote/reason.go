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
	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
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
	if reason := classifyShell(err); reason != sample.None {
		return reason
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
	case errors.As(err, &certErr), errors.As(err, &hostErr), errors.As(err, &authErr), errors.As(err, &recErr), errors.As(err, &alert):
		return sample.TLSFailed
	case errors.As(err, &dnsErr):
		return sample.Unreachable
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return sample.Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return sample.Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return sample.Timeout
	case errors.Is(err, context.Canceled):
		return sample.NotRunning
	case strings.Contains(text, "authentication method"), strings.Contains(text, "SASL"), strings.Contains(text, "SCRAM"):
		return sample.AuthFailed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), strings.Contains(text, "conn closed"):
		return sample.ConnectionLost
	case strings.Contains(text, "server refused TLS connection"):
		// Last: where TLS is only preferred, the attempt without it says what is wrong.
		return sample.TLSFailed
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

// classifyShell knows the errors of SSH; sample.None for all others.
func classifyShell(err error) sample.Reason {
	if hostKey, ok := errors.AsType[*HostKeyError](err); ok {
		if hostKey.Changed() {
			return sample.HostKeyChanged
		}
		return sample.HostKeyUnknown
	}
	exit, failed := errors.AsType[*ssh.ExitError](err)
	switch {
	case errors.Is(err, errKnownHosts):
		return sample.HostKeyUnknown
	case errors.Is(err, ErrNoCredential), errors.Is(err, ErrShellKey), errors.Is(err, ErrShellAuth):
		return sample.AuthFailed
	case errors.Is(err, errNoCommands):
		return sample.NoPrivilege
	case errors.Is(err, errOutput), errors.Is(err, ErrAnswer), failed && exit.Signal() == "":
		return sample.Malformed
	case failed, errors.Is(err, errSilent):
		return sample.ConnectionLost
	}
	refused, ok := errors.AsType[*ssh.OpenChannelError](err)
	if !ok {
		return sample.None
	}
	text := strings.ToLower(refused.Message)
	switch {
	case refused.Reason == ssh.Prohibited:
		return sample.NoPrivilege
	case refused.Reason == ssh.ResourceShortage:
		return sample.TooManyConnections
	case refused.Reason == ssh.ConnectionFailed && (strings.Contains(text, "refused") || strings.Contains(text, "no such file")):
		return sample.Refused
	case refused.Reason == ssh.ConnectionFailed:
		return sample.Unreachable
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
	case sample.Malformed:
		return "the answer could not be understood"
	case sample.HostKeyUnknown, sample.HostKeyChanged:
		return ExplainShell(r)
	default:
		return "error (" + r.String() + ")"
	}
}

// ExplainShell is Explain for a failure of SSH; "ok (SSH: …)" takes it.
func ExplainShell(r sample.Reason) string {
	switch r {
	case sample.Unreachable:
		return "unreachable"
	case sample.Refused:
		return "connection refused: is an SSH server running at this host and port?"
	case sample.AuthFailed:
		return "authentication failed: check ssh_user and its password or key"
	case sample.NoPrivilege:
		return "missing privilege: the SSH server or the file system does not let this user"
	case sample.HostKeyUnknown:
		return "host key not confirmed: compare its fingerprint with the host's and pin it"
	case sample.HostKeyChanged:
		return "host key changed: find out why before the new one is pinned"
	case sample.Malformed:
		return "the host does not answer as a POSIX shell does: may the user run sh there?"
	case sample.NotRunning:
		return "interrupted"
	case sample.Other:
		return "no SSH server that can be agreed with at this host and port"
	case sample.None, sample.Timeout, sample.ConnectionLost, sample.TooManyConnections:
		return Explain(r)
	default:
		return "error (" + r.String() + ")"
	}
}

// Describe gives the sentence a person is shown for an error: that of its
// reason and, where more is known, what exactly it is and what to do. It never
// holds a host, a user or a library's text.
func Describe(err error) string {
	hostKey, ok := errors.AsType[*HostKeyError](err)
	switch {
	case ok && hostKey.Revoked:
		return "host key revoked: the known_hosts file rules out " + hostKey.Got.Fingerprint
	case ok && hostKey.Changed():
		return "host key changed: the host shows " + hostKey.Got.Fingerprint + ", confirmed is " + strings.Join(hostKey.Want, " or ") +
			"; find out why before the new one is pinned"
	case ok:
		return "host key not confirmed: the host shows " + hostKey.Got.Fingerprint + "; compare it with ssh-keygen -l on the host, then pin it"
	case errors.Is(err, errKnownHosts):
		return "the known_hosts file has a fault: see the log"
	case errors.Is(err, ErrNoCredential):
		return "no password and no key is stored for SSH"
	case errors.Is(err, ErrShellKey):
		return "the stored SSH key cannot be opened: check its passphrase"
	case errors.Is(err, errPrompt):
		return "the SSH server asks for more than a password: use a key"
	case errors.Is(err, errNoCommands):
		return "the SSH server runs no commands for this user"
	case errors.Is(err, ErrAnswer):
		return ExplainShell(sample.Malformed)
	case errors.Is(err, errNoShells):
		return "a tunnel is set, but this program makes no SSH connections"
	}
	shell, ok := errors.AsType[*ShellError](err)
	switch {
	case !ok:
		return Explain(Classify(err))
	case errors.Is(err, target.ErrInvalid):
		return "SSH is not set up: give ssh_user, ssh_port and a host"
	case shell.Step == stepTunnel:
		return describeTunnel(Classify(err))
	}
	return ExplainShell(Classify(err))
}

// describeTunnel speaks of the way from the SSH host to PostgreSQL.
func describeTunnel(r sample.Reason) string {
	switch r {
	case sample.Refused:
		return "connection refused by PostgreSQL's host and port as the SSH host sees them"
	case sample.Unreachable:
		return "the SSH host cannot reach PostgreSQL's host"
	case sample.NoPrivilege:
		return "the SSH server does not allow the tunnel: see AllowTcpForwarding, AllowStreamLocalForwarding and PermitOpen"
	default:
		return ExplainShell(r)
	}
}
