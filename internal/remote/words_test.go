package remote_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Every reason there is has words; "(other)" is never the last one.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	for r := sample.None; r == sample.None || r == sample.Other || r.String() != sample.Other.String(); r++ {
		for _, text := range []string{remote.Explain(r), remote.ExplainShell(r)} {
			if text == "" || r != sample.None && text == "ok" || strings.Contains(text, "(") && strings.Contains(text, "("+r.String()+")") ||
				strings.Contains(text, "not known to this version") {
				t.Errorf("%s: %q", r, text)
			}
		}
	}
}

// A failure is told with what is known of it: the SQLSTATE, the method that was
// asked for, the fault of the certificate; and never with a text of somebody
// else's.
func TestFailuresSayWhatIsKnown(t *testing.T) {
	t.Parallel()
	const canary = "canary \x1b[31m"
	state := func(code string) error { return fmt.Errorf("ask: %w", &pgconn.PgError{Code: code, Message: canary}) }
	expired := x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotAfter: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	dial := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", errno)}
	}
	for name, tt := range map[string]struct {
		err    error
		reason sample.Reason
		says   string
	}{
		"a standby":          {state("0A000"), sample.Other, "SQLSTATE 0A000"},
		"a trigger":          {state("25006"), sample.Other, "SQLSTATE 25006"},
		"disk full":          {state("53100"), sample.Other, "short of memory, disk"},
		"damaged":            {state("XX001"), sample.Other, "SQLSTATE XX001"},
		"no class":           {state("ZZ999"), sample.Other, "SQLSTATE ZZ999"},
		"hostile code":       {state("\x1b[31m"), sample.Other, "SQLSTATE XX000"},
		"pg_hba.conf":        {state("28000"), sample.AuthFailed, "SQLSTATE 28000"},
		"password":           {state("28P01"), sample.AuthFailed, "check user, password"},
		"no database":        {state("3D000"), sample.NoDatabase, "SQLSTATE 3D000"},
		"cut by a limit":     {state("25P04"), sample.ConnectionLost, "connection lost"},
		"expired":            {fmt.Errorf("tls error: %w", expired), sample.TLSFailed, "expired at 2026-01-02 03:04:05"},
		"expired, in a list": {&tls.CertificateVerificationError{Err: expired}, sample.TLSFailed, "expired at 2026-01-02 03:04:05"},
		"another name":       {x509.HostnameError{Certificate: &x509.Certificate{}, Host: canary}, sample.TLSFailed, "another name"},
		"unknown CA":         {x509.UnknownAuthorityError{}, sample.TLSFailed, "authority that this machine does not know"},
		"no TLS":             {errors.New("tls error: server refused TLS connection"), sample.TLSFailed, "offers none"},
		"no TLS spoken":      {tls.RecordHeaderError{Msg: canary}, sample.TLSFailed, "does not speak TLS"},
		"other TLS":          {errors.New("tls error: " + canary), sample.TLSFailed, "TLS"},
		"no socket":          {dial(syscall.ENOENT), sample.Refused, "refused"},
		"a file":             {dial(syscall.ENOTDIR), sample.Refused, "refused"},
		"no right":           {dial(syscall.EACCES), sample.Refused, "permissions"},
		"no such address":    {dial(syscall.EADDRNOTAVAIL), sample.Unreachable, "unreachable"},
		"no protocol":        {errors.New("failed to receive message: unknown message type: H"), sample.Malformed, "does not speak as PostgreSQL"},
		"unknown":            {errors.New(canary), sample.Other, "not known"},
	} {
		text := remote.Describe(tt.err)
		if got := remote.Classify(tt.err); got != tt.reason || !strings.Contains(text, tt.says) || strings.Contains(text, "canary") || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %s: %q", name, got, text)
		}
	}
}

// A host's words are shown in one line of a bounded length, whatever it sends.
func TestSaidIsOneCleanLine(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"": "", " \r\n": "", "Your account\r\n has\texpired.\n": "Your account has expired.", "\x1b[31mred\x1b[0m": "[31mred [0m",
		"\xff\xfe": "??", "a\u202eb": "a?b", "\x00x": "x",
	} {
		if got := remote.Said(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	if got := remote.Said(strings.Repeat("long ", 100_000)); len(got) > 310 {
		t.Errorf("%d bytes", len(got))
	}
}

// What libpq's variables and ~/.postgresql say is for libpq: a target is reached
// as it was described.
func TestTargetsIgnoreLibpqsEnvironment(t *testing.T) {
	server := pgtest.Target(t)
	for _, entry := range pgtest.LibpqEnvironment(t) {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	conn := mustConnect(t, direct(server), limits(nil))
	var application, zone string
	err := conn.QueryRow(t.Context(), "select current_setting('application_name'), current_setting('timezone')").Scan(&application, &zone)
	if err != nil || application != "remote_test" || zone != "UTC" {
		t.Errorf("application %q, time zone %q, %v", application, zone, err)
	}
	// The one that cannot be overruled is named.
	t.Setenv("PGSERVICE", "nosuch")
	_, err = connect(t, direct(server), limits(nil))
	if !errors.Is(err, target.ErrInvalid) || !strings.Contains(remote.Describe(err), "PGSERVICE") {
		t.Errorf("with PGSERVICE: %v, %q", err, remote.Describe(err))
	}
}
