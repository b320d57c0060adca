package remote

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/pgam/pgam/internal/target"
)

// The rounds of SCRAM that are computed. PostgreSQL makes 4096 unless
// scram_iterations says otherwise; a proof of fewer can be tried offline about
// as fast as MD5. More than the most would cost us a tenth of a second of CPU a
// connection and more.
const (
	minRounds = 4096
	maxRounds = 100_000
)

// errOrder says that a request for authentication comes where none may.
var errOrder = errors.New("the server asks for authentication out of order")

// The requests for authentication that are looked at.
const (
	authOK           = 0
	authClearText    = 3
	authMD5          = 5
	authSASL         = 10
	authSASLContinue = 11
)

// AuthError says that a server asks for an authentication that is not given to
// it; no byte that depends on the password has been sent. Classify has it as
// AuthFailed.
type AuthError struct {
	// Method is what is asked for: "password", "md5" or "scram-sha-256".
	Method string
	// Rounds are those of SCRAM.
	Rounds int
}

// Error implements error.
func (e *AuthError) Error() string {
	switch {
	case e.Method == "password":
		return "the server asks for the password in clear text, which is sent over verified TLS only"
	case e.Method == "md5":
		return "the server asks for the method md5, from whose answer the password can be guessed: choose scram-sha-256 in pg_hba.conf " +
			"and set the password again there, or set allow_md5 for this server (the password is needed again)"
	case e.Rounds > maxRounds:
		return fmt.Sprintf("the server asks for %d rounds of SCRAM, at most %d are computed: lower scram_iterations and set the password again", e.Rounds, maxRounds)
	}
	return fmt.Sprintf("the server asks for %d rounds of SCRAM, fewer than %d, which is as weak as MD5: "+
		"raise scram_iterations and set the password again there, or set allow_md5 for this server", e.Rounds, minRounds)
}

// describe says it to a person.
func (e *AuthError) describe() string {
	if e.Method == "password" {
		return describeMethod(e.Method)
	}
	return "authentication failed: " + e.Error()
}

// authentication looks at a request before the driver answers it.
func (f *front) authentication() error {
	f.c.mu.Lock()
	ready, hashing := f.c.ready, f.c.hashing
	f.c.mu.Unlock()
	if ready || hashing || len(f.body) < 4 {
		return errOrder
	}
	e := f.c.t.Endpoint
	verified := f.c.tls && (e.TLS == target.TLSVerifyCA || e.TLS == target.TLSVerifyFull)
	switch binary.BigEndian.Uint32(f.body) {
	case authOK:
		f.c.waitAgain(readyWithin)
	case authClearText:
		if !verified {
			return &AuthError{Method: "password"}
		}
	case authMD5:
		if !verified && !e.AllowMD5 {
			return &AuthError{Method: "md5"}
		}
	case authSASL:
		f.c.cfg.Password = f.c.prepared
	case authSASLContinue:
		rounds, ok := roundsOf(f.body[4:])
		if !ok {
			return nil // the driver says what is wrong, and computes nothing
		}
		if rounds > maxRounds || rounds < minRounds && !verified && !e.AllowMD5 {
			return &AuthError{Method: "scram-sha-256", Rounds: rounds}
		}
		return f.c.awaitTurn()
	}
	return nil
}

// roundsOf reads the rounds in SCRAM's first message from the server, as the
// driver does: they are the last of it.
func roundsOf(message []byte) (int, bool) {
	at := bytes.LastIndex(message, []byte(",i="))
	if at < 0 {
		return 0, false
	}
	rounds, err := strconv.Atoi(string(message[at+3:]))
	return rounds, err == nil && rounds > 0
}
