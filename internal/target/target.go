package target

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/secret"
)

// Errors of the noun. Their owners map them to an HTTP status or an exit code.
var (
	// ErrNotFound says that no server has this name.
	ErrNotFound = errors.New("server not found")
	// ErrConflict says that another server has this name already.
	ErrConflict = errors.New("server with this name already exists")
	// ErrInvalid is wrapped by every error of Validate.
	ErrInvalid = errors.New("invalid server")
)

// SecretsError says which secrets of a stored server do not open. The server is
// good without them: one for SSH that is broken leaves PostgreSQL's usable.
type SecretsError struct {
	Server string // its name
	// Password is what is wrong with the password of PostgreSQL, Shell with the
	// password or the key of SSH; nil where nothing is.
	Password, Shell error
}

// Error implements error.
func (e *SecretsError) Error() string {
	return fmt.Sprintf("open secrets of %s: %s", e.Server, errors.Join(e.Password, e.Shell))
}

// Unwrap gives what is wrong.
func (e *SecretsError) Unwrap() error { return errors.Join(e.Password, e.Shell) }

// ID identifies a server for ever: it is never reused and survives a rename.
type ID int64

// TLSMode is libpq's sslmode for the connection to PostgreSQL.
type TLSMode string

// The TLS modes, weakest first; Prefer is the default because the clients of
// the Python version cannot name one.
const (
	TLSDisable    TLSMode = "disable"
	TLSAllow      TLSMode = "allow"
	TLSPrefer     TLSMode = "prefer"
	TLSRequire    TLSMode = "require"
	TLSVerifyCA   TLSMode = "verify-ca"
	TLSVerifyFull TLSMode = "verify-full"
)

// PoolProfile names the size of the API's connection pool for a server.
type PoolProfile string

// The pool profiles; their sizes are settings of the API.
const (
	PoolDefault  PoolProfile = "default"
	PoolStatsDB  PoolProfile = "stats_db"
	PoolHighLoad PoolProfile = "high_load"
)

// Endpoint is where and as whom PostgreSQL is reached.
type Endpoint struct {
	// Host is a name, an IPv4 or IPv6 address without brackets, or the
	// absolute path of a Unix socket's folder.
	Host string
	Port int
	User string
	// Database is the one the monitor connects to; default "postgres".
	Database string
	TLS      TLSMode
	Password secret.Value
	// AllowMD5 answers a server that asks for MD5, or for SCRAM with fewer
	// rounds than PostgreSQL's 4096, though TLS does not verify who it is.
	AllowMD5 bool
}

// Shell is where and as whom the host is reached over SSH. Nothing else is
// tried: no agent, no key of the user that runs the program.
type Shell struct {
	// Host is a name or an address; empty: the endpoint's host.
	Host     string
	User     string
	Port     int
	Password secret.Value
	// Key logs in instead of the password; its ID is 0 for none.
	Key ShellKey
	// HostKey pins the host: one public key in the form of authorized_keys
	// ("ssh-ed25519 AAAA…"), empty for none. Without it, and without an entry in
	// the known_hosts file, nobody logs in.
	HostKey string
	// HostKeyVouched is set by who changes HostKey and answers for it: stored
	// passwords then go to a host that shows the new one. It is never stored.
	HostKeyVouched bool
	// Tunnel sends the connection to PostgreSQL through SSH: the endpoint's host
	// and port are then as the SSH host sees them.
	Tunnel bool
}

// DiskSource says how the file systems of a server's host are looked at.
type DiskSource string

// The sources. DiskAuto is what a client chooses that chooses nothing: ssh
// where there is an SSH user and a host to go to, none otherwise.
const (
	DiskAuto  DiskSource = ""
	DiskNone  DiskSource = "none"
	DiskSSH   DiskSource = "ssh"
	DiskLocal DiskSource = "local"
)

// QueryTexts says how the texts of statements are kept.
type QueryTexts string

// The ways to keep texts. A statement is always counted, by the server's
// query_id or by a fingerprint.
const (
	TextsNormalized QueryTexts = "normalized" // every literal is taken out
	TextsFull       QueryTexts = "full"       // as the server shows them
	TextsNone       QueryTexts = "none"
)

// SessionControl says what operators may do with the sessions of a server.
type SessionControl string

// What may be done; who may terminate may cancel as well.
const (
	ControlDefault   SessionControl = "" // as the API is set
	ControlOff       SessionControl = "off"
	ControlCancel    SessionControl = "cancel"    // a statement
	ControlTerminate SessionControl = "terminate" // a session
)

// Or gives c, or where that is ControlDefault what else is set.
func (c SessionControl) Or(otherwise SessionControl) SessionControl {
	if c == ControlDefault {
		return otherwise
	}
	return c
}

// Allows reports whether act, ControlCancel or ControlTerminate, may be done.
func (c SessionControl) Allows(act SessionControl) bool {
	return c == ControlTerminate || c == ControlCancel && act == ControlCancel
}

// Burst says from when on full detail is taken; nil is the collector's setting,
// zero never.
type Burst struct {
	Active             *int // sessions that are active
	LockWaits          *int // sessions that wait for a lock
	ConnectionsPercent *int // connections, in percent of max_connections
}

// Intervals say how often each question is asked; zero means the global
// setting.
type Intervals struct {
	Activity  time.Duration
	Databases time.Duration
	Inventory time.Duration
	Sizes     time.Duration
	Disks     time.Duration
}

// Target is one watched server.
type Target struct {
	ID       ID
	Name     string
	Endpoint Endpoint
	Shell    Shell
	// StatsDB is the Python contract's stats_db field: kept and returned, empty
	// for none. pgam's own history does not live there.
	StatsDB   string
	Intervals Intervals
	Pool      PoolProfile
	// DiskSource is as chosen; Disks gives what it comes to.
	DiskSource DiskSource
	// QueryTexts says how statements are kept in the history.
	QueryTexts QueryTexts
	Burst      Burst
	// SessionControl is the server's own; ControlDefault where it has none.
	SessionControl SessionControl
	// CPUs is how many processors the host has as somebody typed in; nil: as it says
	// itself.
	CPUs *int
	// Enabled is false when collection is paused.
	Enabled bool
	// Revision grows with every change of any server; equal revisions mean
	// equal rows.
	Revision  int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// DefaultDatabase is the one that is connected to where none is named.
const DefaultDatabase = "postgres"

// Defaults fills what was left out: port 5432, database postgres, SSH port
// 22, TLS prefer, pool default.
func (t *Target) Defaults() {
	if t.Endpoint.Port == 0 {
		t.Endpoint.Port = 5432
	}
	if t.Endpoint.Database == "" {
		t.Endpoint.Database = DefaultDatabase
	}
	if t.Endpoint.TLS == "" {
		t.Endpoint.TLS = TLSPrefer
	}
	if t.Shell.Port == 0 {
		t.Shell.Port = 22
	}
	if t.Pool == "" {
		t.Pool = PoolDefault
	}
	if t.QueryTexts == "" {
		t.QueryTexts = TextsNormalized
	}
}

// SameEndpoint reports whether PostgreSQL is reached in the same way, passwords
// and the way of a tunnel included: if not, connections to the old one must go.
func (t Target) SameEndpoint(o Target) bool {
	a, b := t.Endpoint, o.Endpoint
	return a.Host == b.Host && a.Port == b.Port && a.User == b.User && a.Database == b.Database &&
		a.TLS == b.TLS && a.AllowMD5 == b.AllowMD5 && a.Password.Equal(b.Password) &&
		t.Shell.Tunnel == o.Shell.Tunnel && (!t.Shell.Tunnel || t.SameShell(o))
}

// SameShell reports whether the host is reached over SSH in the same way,
// secrets and pin included.
func (t Target) SameShell(o Target) bool {
	a, b := t.Shell, o.Shell
	return t.ShellHost() == o.ShellHost() && a.Port == b.Port && a.User == b.User && a.Password.Equal(b.Password) &&
		a.Key.ID == b.Key.ID && a.Key.Private.Equal(b.Key.Private) && a.Key.Passphrase.Equal(b.Key.Passphrase) && a.HostKey == b.HostKey
}

// ShellHost is the host that SSH goes to.
func (t Target) ShellHost() string {
	if t.Shell.Host != "" {
		return t.Shell.Host
	}
	return t.Endpoint.Host
}

// Disks gives the source in force: never DiskAuto.
func (t Target) Disks() DiskSource {
	switch {
	case t.DiskSource != DiskAuto:
		return t.DiskSource
	case t.hasShell():
		return DiskSSH
	}
	return DiskNone
}

// MaxCPUs bounds the processors of a host.
const MaxCPUs = 65536

// MaxNameBytes bounds the name of a server or a key.
const MaxNameBytes = 128

// Validate reports every fault at once; each wraps ErrInvalid.
func (t Target) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...)))
	}
	if err := ValidateName(t.Name); err != nil {
		faults = append(faults, err)
	}
	switch h := t.Endpoint.Host; {
	case strings.TrimSpace(h) == "":
		fault("host is empty: give a name, an address or the folder of a Unix socket")
	case h != strings.TrimSpace(h) || strings.ContainsFunc(h, unprintable):
		fault("host has spaces or control characters")
	case strings.ContainsAny(h, ",") || (!strings.HasPrefix(h, "/") && strings.Contains(h, "/")):
		fault("host must be one name or address")
	}
	if p := t.Endpoint.Port; p < 1 || p > 65535 {
		fault("port %d is not between 1 and 65535", p)
	}
	if t.Endpoint.User == "" {
		fault("user is empty")
	}
	for field, v := range map[string]string{
		"user": t.Endpoint.User, "database": t.Endpoint.Database, "ssh_user": t.Shell.User,
		"stats_db": t.StatsDB, "password": t.Endpoint.Password.Reveal(), "ssh_password": t.Shell.Password.Reveal(),
	} {
		if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			fault("%s is not valid text", field)
		}
	}
	switch t.Endpoint.TLS {
	case TLSDisable, TLSAllow, TLSPrefer, TLSRequire, TLSVerifyCA, TLSVerifyFull:
	default:
		fault("tls mode is none of disable, allow, prefer, require, verify-ca, verify-full")
	}
	switch t.Pool {
	case PoolDefault, PoolStatsDB, PoolHighLoad:
	default:
		fault("pool profile is none of default, stats_db, high_load")
	}
	switch t.QueryTexts {
	case TextsNormalized, TextsFull, TextsNone:
	default:
		fault("query_texts is none of normalized, full, none")
	}
	switch t.SessionControl {
	case ControlDefault, ControlOff, ControlCancel, ControlTerminate:
	default:
		fault("session_control is none of off, cancel, terminate")
	}
	if n := t.CPUs; n != nil && (*n < 1 || *n > MaxCPUs) {
		fault("cpu_count is not between 1 and %d", MaxCPUs)
	}
	faults = append(faults, t.Burst.validate()...)
	faults = append(faults, t.validateShell()...)
	faults = append(faults, t.Intervals.validate()...)
	return errors.Join(faults...)
}

// validateShell checks what concerns the host rather than PostgreSQL.
func (t Target) validateShell() (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...)))
	}
	if p := t.Shell.Port; p < 1 || p > 65535 {
		fault("ssh_port %d is not between 1 and 65535", p)
	}
	if h := t.Shell.Host; strings.ContainsFunc(h, unprintable) || strings.ContainsAny(h, " ,/") || !utf8.ValidString(h) {
		fault("ssh_host must be one name or address")
	}
	if t.Shell.HostKey != "" {
		if err := ValidateHostKey(t.Shell.HostKey); err != nil {
			faults = append(faults, err)
		}
	}
	var needs string
	switch t.DiskSource {
	case DiskAuto, DiskNone, DiskLocal:
	case DiskSSH:
		needs = "disk_source ssh"
	default:
		fault("disk_source is none of ssh, local, none")
	}
	if t.Shell.Tunnel {
		needs = "the SSH tunnel"
	}
	switch {
	case needs == "":
	case t.Shell.User == "":
		fault("%s needs ssh_user", needs)
	case !t.hasShell():
		fault("%s needs ssh_host: host is the folder of a Unix socket, where SSH cannot go", needs)
	}
	return faults
}

// hasShell reports whether there is somebody and somewhere to log in over SSH.
func (t Target) hasShell() bool {
	return t.Shell.User != "" && !strings.HasPrefix(t.ShellHost(), "/")
}

func (b Burst) validate() (faults []error) {
	for _, f := range []struct {
		name  string
		value *int
		most  int
	}{
		{"burst_active", b.Active, 1_000_000}, {"burst_lock_waits", b.LockWaits, 1_000_000}, {"burst_connections_percent", b.ConnectionsPercent, 100},
	} {
		if f.value != nil && (*f.value < 0 || *f.value > f.most) {
			faults = append(faults, fmt.Errorf("%w: %s is not between 0 and %d", ErrInvalid, f.name, f.most))
		}
	}
	return faults
}

func (iv Intervals) validate() (faults []error) {
	for _, f := range []struct {
		name     string
		d        time.Duration
		min, max time.Duration
	}{
		{"activity interval", iv.Activity, time.Second, time.Minute},
		{"databases interval", iv.Databases, time.Second, time.Hour},
		{"inventory interval", iv.Inventory, time.Second, 24 * time.Hour},
		{"sizes interval", iv.Sizes, time.Second, 7 * 24 * time.Hour},
		{"disks interval", iv.Disks, time.Second, 24 * time.Hour},
	} {
		if f.d != 0 && (f.d < f.min || f.d > f.max || f.d%time.Second != 0) {
			faults = append(faults, fmt.Errorf("%w: %s %s is not a whole number of seconds from %s to %s", ErrInvalid, f.name, f.d, f.min, f.max))
		}
	}
	return faults
}

// ValidateName checks a server's name: it stands in URLs and must be printable.
func ValidateName(name string) error {
	if wrong := nameFault(name); wrong != "" {
		return fmt.Errorf("%w: %s", ErrInvalid, wrong)
	}
	return nil
}

// nameFault says what is wrong with a name, "" for nothing.
func nameFault(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "name is empty"
	case len(name) > MaxNameBytes:
		return fmt.Sprintf("name is longer than %d bytes", MaxNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable):
		return "name has characters that cannot be printed"
	case strings.Contains(name, "/") || name == "." || name == "..":
		return "name contains a slash or is a path, which cannot stand in a URL"
	}
	return ""
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
