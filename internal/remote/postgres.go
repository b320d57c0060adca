package remote

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/peer"
	"github.com/pgam/pgam/internal/target"
)

// Limits are what a connection may cost the server and us.
type Limits struct {
	// Application becomes application_name.
	Application string
	// Connect bounds name look-up, TCP, TLS and authentication together; with
	// Hold only what comes before the server is told who wants in.
	Connect time.Duration
	// Hold keeps a start that the server does not finish until it does, or says
	// no, for an hour at most: an abandoned one would leave a process there. Who
	// sets it makes one start at a time.
	Hold bool
	// Answer is how many bytes of one answer are read; 0: 32 MiB, negative: all.
	Answer int64
	// Turn, of room for one, has starts come one after the other, also where a pool
	// makes them; nil: they do not wait for each other.
	Turn chan struct{}
	// Guard is what the connections of a process have in common; nil: one of its
	// own for this configuration.
	Guard *Guard
	// Statement becomes statement_timeout.
	Statement time.Duration
	// Lock becomes lock_timeout.
	Lock time.Duration
	// Shells makes the tunnels of targets that have Shell.Tunnel; the
	// connections of all others do without.
	Shells *Shells
}

// PostgresConfig gives the driver's configuration for a target. It reads
// nothing from the environment that could redirect the connection or add a
// password, and the error never holds a secret. Over a tunnel TLS still
// verifies the endpoint's own name.
func PostgresConfig(t target.Target, lim Limits) (*pgx.ConnConfig, error) {
	e := t.Endpoint
	settings := [][2]string{
		{"host", e.Host},
		{"port", strconv.Itoa(e.Port)},
		{"user", e.User},
		{"dbname", e.Database},
		{"sslmode", string(e.TLS)},
		// The rest is what PG* variables and ~/.postgresql would say else.
		{"password", ""},
		{"passfile", "/dev/null"},
		{"target_session_attrs", "any"},
		{"connect_timeout", "0"},
		{"sslcert", ""},
		{"sslkey", ""},
		{"sslpassword", ""},
		{"sslrootcert", ""},
		{"sslcertmode", "allow"},
		{"sslsni", "1"},
		{"sslnegotiation", "postgres"},
		{"channel_binding", "prefer"},
		{"require_auth", ""},
		{"min_protocol_version", "3.0"},
		{"max_protocol_version", "3.0"},
	}
	var dsn strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&dsn, "%s='%s' ", s[0], quoteKeyword.Replace(s[1]))
	}
	cfg, err := pgx.ParseConfig(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("%w: the connection to %s cannot be described: host, port, user or database is wrong, or PGSERVICE is set: unset it", target.ErrInvalid, t.Name)
	}
	cfg.Password = e.Password.Reveal()
	cfg.ConnectTimeout = lim.start()
	cfg.MaxProtocolMessageBodyLen = maxMessageBytes
	cfg.DialFunc = peer.Dialer().DialContext
	if t.Shell.Tunnel {
		if lim.Shells == nil {
			return nil, errNoShells
		}
		lim.Shells.through(t, &cfg.Config)
	}
	guard := lim.Guard
	if guard == nil {
		guard = NewGuard(answerBytes)
	}
	guard.over(t, lim, &cfg.Config)
	cfg.RuntimeParams = map[string]string{
		"application_name":                    lim.Application,
		"statement_timeout":                   millis(lim.Statement),
		"lock_timeout":                        millis(lim.Lock),
		"idle_in_transaction_session_timeout": "10000",
		// A standby refuses serializable, and deferrable would wait on a primary.
		"default_transaction_isolation":  "read committed",
		"default_transaction_deferrable": "off",
		// The session is made read-only when it stands. Until then not even by a
		// setting of the role: a login event trigger may write.
		"default_transaction_read_only": "off",
		"search_path":                   "pg_catalog",
		// No conversion: names and statements of other databases may be in any
		// encoding, or in none, and one bad byte must not fail the question.
		"client_encoding": "SQL_ASCII",
		"datestyle":       "ISO",
		"timezone":        "UTC",
	}
	cfg.AfterConnect = begin(lim)
	return cfg, nil
}

var quoteKeyword = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// start bounds all of a start.
func (lim Limits) start() time.Duration {
	if lim.Hold {
		return lim.Connect + admitWithin + readyWithin
	}
	return lim.Connect
}

// Dial connects once, within lim.Connect unless lim.Hold says otherwise.
func Dial(ctx context.Context, t target.Target, lim Limits) (*pgconn.PgConn, error) {
	cfg, err := PostgresConfig(t, lim)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lim.start(), fmt.Errorf("connect to %s: deadline %s", t.Name, lim.start()))
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Name, err)
	}
	return conn, nil
}
