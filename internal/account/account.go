package account

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxLoginBytes is the longest login, in bytes.
const MaxLoginBytes = 64

var (
	// ErrNotFound reports a user that does not exist.
	ErrNotFound = errors.New("user not found")
	// ErrNoSession reports a session that was ended, or never was.
	ErrNoSession = errors.New("session not found")
	// ErrConflict reports a login that is taken.
	ErrConflict = errors.New("login already taken")
	// ErrLastAdmin reports that no active administrator would be left.
	ErrLastAdmin = errors.New("the last administrator: make another first")
	// ErrInvalid reports a login or a role that can never be accepted.
	ErrInvalid = errors.New("invalid user")
)

// Role is what a user may do. Each role may do what the ones below it may.
type Role string

// The roles, from the least to the most.
const (
	Viewer   Role = "viewer"   // reads
	Operator Role = "operator" // also manages servers
	Admin    Role = "admin"    // also manages users, keys and settings, and reads the audit
)

// ParseRole returns the role called name, exactly as written in the constants.
func ParseRole(name string) (Role, error) {
	role := Role(name)
	if role.rank() == 0 {
		return "", fmt.Errorf("%w: the role must be viewer, operator or admin", ErrInvalid)
	}
	return role, nil
}

// Roles returns every role, from the least to the most.
func Roles() []Role { return []Role{Viewer, Operator, Admin} }

// Allows reports whether r may do what least may. An unknown role may do
// nothing, and nobody may do what an unknown role may.
func (r Role) Allows(least Role) bool {
	return least.rank() > 0 && r.rank() >= least.rank()
}

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// User is one who may ask.
type User struct {
	ID           int64
	Login        string
	PasswordHash string // bcrypt, as package auth makes and reads it
	Role         Role
	Active       bool  // false: may not log in, and no token of theirs counts
	TokenEpoch   int64 // drawn at random; tokens of another epoch do not count, so a new one revokes them all
	// EndedSessions are the logins that were logged out and whose tokens may not
	// have expired: none of their tokens counts.
	EndedSessions []string
	CreatedAt     time.Time  // UTC
	LastLoginAt   *time.Time // UTC; nil: never
}

// Change is what changes of a user; what is nil stays.
type Change struct {
	Role         *Role
	Active       *bool
	PasswordHash *string
}

// String gives the user without the password's hash.
func (u User) String() string { return fmt.Sprintf("user %d %q (%s)", u.ID, u.Login, u.Role) }

// GoString is String, so that no verb prints the hash.
func (u User) GoString() string { return u.String() }

// LogValue gives the user without the password's hash.
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("id", u.ID), slog.String("login", u.Login), slog.String("role", string(u.Role)))
}

// ValidateLogin accepts 1 to MaxLoginBytes bytes of UTF-8, printable and
// without spaces at either end. The error says what is wrong and matches
// ErrInvalid.
func ValidateLogin(login string) error {
	switch {
	case login == "":
		return fmt.Errorf("%w: the login is empty", ErrInvalid)
	case len(login) > MaxLoginBytes:
		return fmt.Errorf("%w: the login is %d bytes long, more than %d", ErrInvalid, len(login), MaxLoginBytes)
	case !utf8.ValidString(login):
		return fmt.Errorf("%w: the login is not UTF-8", ErrInvalid)
	case strings.TrimSpace(login) != login:
		return fmt.Errorf("%w: the login begins or ends with a space", ErrInvalid)
	}
	for _, char := range login {
		// IsPrint leaves out controls, format characters (which can hide or
		// reorder text) and every space but the plain one.
		if !unicode.IsPrint(char) {
			return fmt.Errorf("%w: the login holds the unprintable character %U", ErrInvalid, char)
		}
	}
	return nil
}
