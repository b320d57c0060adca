package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// describePostgres speaks of a connection to PostgreSQL, or a question on it.
func describePostgres(err error) string {
	reason := Classify(err)
	if err == nil {
		return Explain(reason)
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		return describeState(pgErr, reason, connecting)
	}
	text := err.Error()
	if errors.Is(err, target.ErrInvalid) { // the words are ours
		_, text, _ = strings.Cut(text, target.ErrInvalid.Error()+": ")
		return text
	}
	switch method := askedMethod.FindStringSubmatch(text); {
	case reason == sample.TLSFailed && describeTLS(err) != "":
		return "TLS failed: " + describeTLS(err)
	case reason == sample.TLSFailed && strings.Contains(text, "server refused TLS connection"):
		return "TLS failed: the server offers none: switch ssl on there, or choose another TLS mode"
	case reason == sample.AuthFailed && method != nil:
		return describeMethod(method[1])
	case reason == sample.AuthFailed && strings.Contains(text, "failed GSS auth"):
		return describeMethod("gss")
	case reason == sample.Refused && errors.Is(err, os.ErrPermission):
		return "connection refused: permissions on this machine (the socket's, or a firewall's) do not let the program in"
	case reason == sample.Malformed:
		return "what answers at this host and port does not speak as PostgreSQL does"
	}
	return Explain(reason)
}

// describeState speaks of an error of PostgreSQL by its SQLSTATE. Its text is
// left to the log: it may quote data.
func describeState(err *pgconn.PgError, reason sample.Reason, connecting bool) string {
	code := err.Code
	if !validState.MatchString(code) {
		code = "XX000" // as PostgreSQL says of what has none
	}
	switch {
	case isPooler(err):
		return "a connection pooler answers, and refuses the start-up parameters that keep the server safe (SQLSTATE 08P01): " +
			"give the address of PostgreSQL itself"
	case code == "28000":
		return "authentication failed: pg_hba.conf does not let this user in from here, or the role may not log in (SQLSTATE 28000)"
	case reason == sample.NoPrivilege && connecting:
		return "missing privilege: grant connect on this database to the monitoring user (SQLSTATE 42501)"
	case reason == sample.Other:
		class := stateClasses[code[:2]]
		if class == "" {
			class = "an error"
		}
		return "PostgreSQL refuses: " + class + " (SQLSTATE " + code + "): its log has the text"
	case reason == sample.NoDatabase:
		return Explain(reason) + " (SQLSTATE " + code + ")"
	}
	return Explain(reason)
}

var (
	validState = regexp.MustCompile(`^[0-9A-Z]{5}$`)
	// askedMethod finds a method in the driver's text, which has its name from a
	// table of its own.
	askedMethod = regexp.MustCompile(`server requested ([a-z0-9-]+) authentication`)
)

// stateClasses are the classes of SQLSTATE, its first two characters.
var stateClasses = map[string]string{
	"08": "the connection broke, or the protocol was not kept",
	"0A": "a feature that is not supported there",
	"22": "data that it does not take",
	"23": "a constraint",
	"25": "the state of the transaction does not allow it",
	"28": "the authorization is not valid",
	"39": "a function that it called",
	"40": "the transaction was rolled back",
	"42": "a statement that this version, or this role, does not know",
	"53": "it is short of memory, disk or another resource",
	"54": "a limit of the program was passed",
	"55": "an object is not in the state that is needed",
	"57": "somebody, or a limit, stopped it",
	"58": "the operating system gave an error",
	"F0": "its configuration files have a fault",
	"P0": "a function raised an error",
	"XX": "an internal error, or damaged data",
}

// describeMethod speaks of how a server wants a user to prove itself.
func describeMethod(method string) string {
	switch method {
	case "password":
		return "authentication failed: the server asks for the password in the clear (method password), which is sent only where its " +
			"certificate is checked: choose the TLS mode verify-full or verify-ca, or the method scram-sha-256 in pg_hba.conf"
	case "gss", "sspi", "oauth":
		return "authentication failed: the server asks for the method " + method + ", which pgam does not speak: " +
			"choose scram-sha-256 in pg_hba.conf"
	}
	return "authentication failed: the server asks for the method " + method + ", which is not answered here: choose scram-sha-256 in pg_hba.conf"
}

// describeTLS says what is wrong with a certificate or a handshake; empty: it
// is something else.
func describeTLS(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case invalid.Reason != x509.Expired || invalid.Cert == nil:
			return "the server's certificate is not valid for a server"
		case time.Now().Before(invalid.Cert.NotBefore):
			return "a certificate of the server is not valid before " + invalid.Cert.NotBefore.UTC().Format(time.DateTime) +
				" UTC: is this machine's clock right?"
		}
		return "a certificate of the server expired at " + invalid.Cert.NotAfter.UTC().Format(time.DateTime) + " UTC"
	}
	var (
		hostErr  x509.HostnameError
		authErr  x509.UnknownAuthorityError
		rootsErr x509.SystemRootsError
		certErr  *tls.CertificateVerificationError
		recErr   tls.RecordHeaderError
		alert    tls.AlertError
	)
	switch {
	case errors.As(err, &hostErr):
		return "the server's certificate is for another name than the host that was given: verify-full needs the same"
	case errors.As(err, &authErr):
		return "the server's certificate is signed by an authority that this machine does not know"
	case errors.As(err, &rootsErr):
		return "this machine's list of authorities cannot be read"
	case errors.As(err, &certErr):
		return "the server's certificate cannot be checked"
	case errors.As(err, &recErr):
		return "what answers at this host and port does not speak TLS"
	case errors.As(err, &alert):
		return "the server ended the handshake: " + alert.Error() // of a fixed list
	}
	return ""
}
