package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/sample"
)

// Classify says which class of failure an error of this package or of a
// question on one of its connections belongs to; sample.None for nil.
func Classify(err error) sample.Reason {
	if err == nil {
		return sample.None
	}
	if reason := classifyGuard(err); reason != sample.None {
		return reason
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		if isPooler(pgErr) {
			return sample.Pooler
		}
		return classifyState(pgErr.Code)
	}
	if reason := classifyShell(err); reason != sample.None {
		return reason
	}
	var (
		dnsErr *net.DNSError
		netErr net.Error
	)
	text := err.Error()
	switch {
	case errors.Is(err, ErrUnsupported):
		return sample.Unsupported
	case errors.Is(err, ErrPooler):
		return sample.Pooler
	case describeTLS(err) != "":
		return sample.TLSFailed
	case errors.As(err, &dnsErr):
		return sample.Unreachable
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOTSOCK),
		isDial(err) && (errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPROTOTYPE)):
		return sample.Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EADDRNOTAVAIL):
		return sample.Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return sample.Timeout
	case errors.Is(err, context.Canceled):
		return sample.NotRunning
	case strings.Contains(text, "authentication method"), strings.Contains(text, "SASL"), strings.Contains(text, "SCRAM"),
		strings.Contains(text, "failed GSS auth"), strings.Contains(text, "unknown authentication type"):
		return sample.AuthFailed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe), strings.Contains(text, "conn closed"):
		return sample.ConnectionLost
	case errors.Is(err, errProtocol), strings.Contains(text, "failed to receive message"), strings.Contains(text, "received unexpected message"):
		return sample.Malformed
	case strings.Contains(text, "tls error"):
		// Last: where TLS is only preferred, the attempt without it says what is wrong.
		return sample.TLSFailed
	}
	return sample.Other
}

// errProtocol says that what answers does not keep PostgreSQL's protocol.
var errProtocol = errors.New("the answer is not PostgreSQL's")

// isDial reports whether a connection was not made at all.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// isPooler knows the refusal of a start-up parameter that every PostgreSQL takes.
func isPooler(err *pgconn.PgError) bool {
	return err.Code == "08P01" && strings.Contains(err.Message, "startup parameter")
}

// classifyGuard knows what is refused of a server; sample.None for all else.
func classifyGuard(err error) sample.Reason {
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	auth, _ := errors.AsType[*AuthError](err)
	switch {
	case errors.Is(err, ErrOversized), errors.As(err, &tooLong):
		return sample.Oversized
	case errors.Is(err, errDowngrade):
		return sample.TLSFailed
	case auth != nil:
		return sample.AuthFailed
	case errors.Is(err, ErrHeld):
		return sample.Timeout
	}
	return sample.None
}

func classifyState(code string) sample.Reason {
	switch code {
	case "57014":
		return sample.Timeout
	case "55P03":
		return sample.LockTimeout
	case "28P01", "28000":
		return sample.AuthFailed
	case "08001", "08003", "08004", "08006":
		return sample.ConnectionLost
	case "3D000", "55000", "57P04":
		return sample.NoDatabase
	case "53300":
		return sample.TooManyConnections
	case "57P03":
		return sample.StartingUp
	case "57P01", "57P02", "57P05", "25P03", "25P04":
		return sample.ConnectionLost
	case "42501":
		return sample.NoPrivilege
	}
	return sample.Other
}

// expired reports whether a host ran no command because of the account's age.
func expired(err error) bool {
	shell, ok := errors.AsType[*ShellError](err)
	return ok && strings.Contains(strings.ToLower(shell.Said), "expired")
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
	case failed && expired(err):
		return sample.AuthFailed
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
