package remote

import (
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

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
	case sample.Oversized:
		return "the server sends more than is read of a start or an answer: is this PostgreSQL, and the right server?"
	case sample.Pooler:
		return "a connection pooler answers, and drops the limits that keep the server safe (statement_timeout, lock_timeout): " +
			"give the address of PostgreSQL itself"
	case sample.NotFound:
		return "the folder does not exist on this host: is PostgreSQL in a container, or on another host?"
	case sample.Overrun:
		return "the visit before was still running"
	case sample.Late:
		return "the collector itself was held up"
	case sample.NotRunning:
		return "interrupted"
	case sample.Truncated:
		return "more sessions than are read in one visit"
	case sample.Other:
		return "a failure of a kind that is not known: the log of the program has its text"
	}
	return "not known to this version of the program"
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
	case sample.Other:
		return "no SSH server that can be agreed with at this host and port"
	default:
		return Explain(r)
	}
}

// Describe gives the sentence a person is shown for an error: that of its
// reason and, where more is known, what exactly it is and what to do: the
// SQLSTATE, the method asked for, the certificate's fault, the SSH host's own
// words. It never holds a secret, a library's text or PostgreSQL's.
func Describe(err error) string {
	text := describe(err)
	if shell, ok := errors.AsType[*ShellError](err); ok && shell.Said != "" {
		text += ": the host says: " + shell.Said
	}
	return text
}

func describe(err error) string {
	if auth, ok := errors.AsType[*AuthError](err); ok {
		return auth.describe()
	}
	hostKey, ok := errors.AsType[*HostKeyError](err)
	switch {
	case errors.Is(err, errDowngrade):
		return "TLS failed: the server has had TLS before and offers none now; find out why, then set tls_mode disable if that is meant"
	case errors.Is(err, ErrHeld):
		return "timeout: the server has accepted the connection and is not ready; a lock on a system catalog may be in the way"
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
	case errors.Is(err, errDropped):
		return "connection lost during the login: is the account expired or locked there? The host's log says why"
	case errors.Is(err, errNoCommands):
		return "the SSH server runs no commands for this user"
	case expired(err):
		return "the host lets this account in no more"
	case errors.Is(err, ErrAnswer):
		return ExplainShell(sample.Malformed)
	case errors.Is(err, errNoShells):
		return "a tunnel is set, but this program makes no SSH connections"
	}
	shell, ok := errors.AsType[*ShellError](err)
	negotiation, disagreed := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	switch {
	case !ok:
		return describePostgres(err)
	case errors.Is(err, target.ErrInvalid):
		return "SSH is not set up: give ssh_user, ssh_port and a host"
	case shell.Step == stepTunnel:
		return describeTunnel(Classify(err))
	case disagreed:
		return "the SSH server is too old or too strict: it offers only " + Said(strings.Join(negotiation.RequestedAlgorithms, ", "))
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
