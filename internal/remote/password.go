package remote

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/stringprep"
)

// preparedPassword is SASLprep as PostgreSQL does it: ASCII as it is; else
// spaces and what maps to nothing are mapped, the result is checked against
// RFC 3454's tables of Unicode 3.2, and normalized to NFKC. A password that the
// rules prohibit is used as it is; the driver then still composes what is
// decomposed, so that a password which is both (Hebrew and Latin mixed, with an
// accent as a character of its own) is not accepted.
func preparedPassword(raw string) string {
	if !utf8.ValidString(raw) || strings.IndexFunc(raw, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return raw
	}
	// The library maps U+200B to nothing, PostgreSQL to a space; and the library
	// checks what it has normalized, PostgreSQL what it will.
	check := stringprep.SASLprep
	check.Normalize = false
	check.Mappings = slices.Clone(check.Mappings)
	slices.Reverse(check.Mappings)
	mapped, err := check.Prepare(raw)
	if err != nil || mapped == "" {
		return raw
	}
	prepared, err := stringprep.Profile{Normalize: true}.Prepare(mapped)
	if err != nil {
		return raw
	}
	return prepared
}

// preparePassword has SCRAM, and no other method, use the prepared password:
// the driver prepares it by other rules (RFC 8265), which leave alone what was
// prepared by SASLprep. LDAP, PAM and MD5 want it as it is. Which method it will
// be, only the server says, on the connection.
func preparePassword(cfg *pgconn.Config) {
	raw := cfg.Password
	prepared := preparedPassword(raw)
	if prepared == raw {
		return
	}
	// The configuration that the hook is given is that of this attempt alone.
	cfg.AfterNetConnect = func(_ context.Context, c *pgconn.Config, conn net.Conn) (net.Conn, error) {
		c.Password = raw
		c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			return pgproto3.NewFrontend(&saslWatch{Reader: r, asked: func() { c.Password = prepared }}, w)
		}
		return conn, nil
	}
}

// saslWatch reads a connection and tells when the server asks for SASL, before
// the driver has seen it.
type saslWatch struct {
	io.Reader
	asked func() // nil: authentication is over, or was not understood

	head []byte // of the message that is being read: type, length, method
	skip int    // bytes left of a message of another type
}

const (
	saslHead    = 9 // type, length and method
	messageHead = 5 // type and length
	methodSASL  = 10
)

// Read implements io.Reader.
func (s *saslWatch) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	for rest := p[:n]; len(rest) > 0 && s.asked != nil; {
		if s.skip > 0 {
			step := min(s.skip, len(rest))
			s.skip, rest = s.skip-step, rest[step:]
			continue
		}
		s.head, rest = append(s.head, rest[0]), rest[1:]
		if len(s.head) < messageHead {
			continue
		}
		body := int(binary.BigEndian.Uint32(s.head[1:])) - 4
		switch {
		case s.head[0] != 'R' && body >= 0 && body <= maxMessageBytes: // A notice comes before, or an error.
			s.head, s.skip = s.head[:0], body
		case s.head[0] != 'R' || body < 4:
			s.asked = nil
		case len(s.head) == saslHead:
			if binary.BigEndian.Uint32(s.head[messageHead:]) == methodSASL {
				s.asked()
			}
			s.asked = nil
		}
	}
	return n, err //nolint:wrapcheck // It is the connection's.
}
