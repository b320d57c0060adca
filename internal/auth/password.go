package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// A new password has at least MinPasswordBytes, and no password more than
// MaxPasswordBytes: bcrypt reads no further.
const (
	MinPasswordBytes = 8
	MaxPasswordBytes = 72
)

// The costs of stored hashes that are worked on. A hash of cost 31 is well
// formed, and would keep a processor busy for days.
const (
	minStoredCost = 4
	maxStoredCost = 14
)

// A hash is "$2b$", two digits of cost, "$", then salt and digest in an
// alphabet of its own.
const (
	hashHeadBytes      = 7
	saltAndDigestBytes = 22 + 31
	hashAlphabet       = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

const (
	defaultCost  = 12
	queuePerSlot = 64
	defaultWait  = 15 * time.Second
)

var (
	// ErrInvalidCredentials reports a user or a password that is wrong, without
	// saying which.
	ErrInvalidCredentials = errors.New("invalid credentials")
	// ErrPasswordInvalid reports a password that cannot be set.
	ErrPasswordInvalid = errors.New("invalid password")
	// ErrHashUnusable reports a stored hash that is not bcrypt, or of a cost
	// outside 4 to 14: the password must be set again.
	ErrHashUnusable = errors.New("stored password hash is unusable: set the password again")
	// ErrBusy reports that too many passwords wait to be hashed: try again in a
	// second.
	ErrBusy = errors.New("too many logins at once")
)

// HasherConfig tunes a Hasher. Its zero value is right for production.
type HasherConfig struct {
	Cost  int // bcrypt's cost of new hashes, 4 to 14; 0 is 12
	Slots int // hashes at a time; 0 is half of the processors, at least 1: the rest is for others
	Queue int // callers that may wait for a slot; 0 is 64 a slot, negative is none
	// Wait is how long they may; 0 is 15 s. It is half of the time that an
	// answer may take, so that whoever waits in vain is told so.
	Wait time.Duration
}

// Hasher makes and checks password hashes, a few at a time. It is safe for
// concurrent use.
type Hasher struct {
	cost  int
	decoy []byte
	line  *line
	// compare is bcrypt's, but in tests.
	compare func(hash, password []byte) error
}

// NewHasher returns a Hasher.
func NewHasher(config HasherConfig) (*Hasher, error) {
	if config.Cost == 0 {
		config.Cost = defaultCost
	}
	if config.Cost < minStoredCost || config.Cost > maxStoredCost {
		return nil, fmt.Errorf("bcrypt cost %d is outside %d to %d", config.Cost, minStoredCost, maxStoredCost)
	}
	if config.Slots <= 0 {
		config.Slots = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if config.Queue == 0 {
		config.Queue = queuePerSlot * config.Slots
	}
	if config.Wait <= 0 {
		config.Wait = defaultWait
	}
	decoy, err := makeDecoy(config.Cost)
	if err != nil {
		return nil, err
	}
	return &Hasher{cost: config.Cost, decoy: decoy, line: newLine(config.Slots, max(config.Queue, 0), config.Wait), compare: bcrypt.CompareHashAndPassword}, nil
}

// makeDecoy returns a well-formed hash of no known password. It costs nothing
// to make, and a comparison with it costs what any other does.
func makeDecoy(cost int) ([]byte, error) {
	text := make([]byte, saltAndDigestBytes)
	if _, err := rand.Read(text); err != nil {
		return nil, fmt.Errorf("make decoy: %w", err)
	}
	for i, char := range text {
		text[i] = hashAlphabet[int(char)%len(hashAlphabet)]
	}
	return fmt.Appendf(nil, "$2b$%02d$%s", cost, text), nil
}

// ValidatePassword accepts MinPasswordBytes to MaxPasswordBytes bytes without NUL
// for a new password. The error says what is wrong, without the password, and
// matches ErrPasswordInvalid.
func ValidatePassword(password string) error {
	if err := checkable(password); err != nil {
		return err
	}
	if len(password) < MinPasswordBytes {
		return fmt.Errorf("%w: it is shorter than %d bytes: take a longer one, such as a few words", ErrPasswordInvalid, MinPasswordBytes)
	}
	return nil
}

// checkable accepts what may be the password of a stored hash, which an older
// version may have made of a short one.
func checkable(password string) error {
	switch {
	case password == "":
		return fmt.Errorf("%w: it is empty", ErrPasswordInvalid)
	case len(password) > MaxPasswordBytes:
		return fmt.Errorf("%w: it is %d bytes long, more than %d", ErrPasswordInvalid, len(password), MaxPasswordBytes)
	case strings.ContainsRune(password, 0):
		return fmt.Errorf("%w: it holds a NUL byte", ErrPasswordInvalid)
	}
	return nil
}

// CheckHash returns ErrHashUnusable for a text that Verify would not work on.
func CheckHash(hash string) error {
	if len(hash) != hashHeadBytes+saltAndDigestBytes || strings.Trim(hash[hashHeadBytes:], hashAlphabet) != "" {
		return ErrHashUnusable
	}
	if prefix := hash[:4]; prefix != "$2a$" && prefix != "$2b$" && prefix != "$2y$" {
		return ErrHashUnusable
	}
	if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost < minStoredCost || cost > maxStoredCost {
		return ErrHashUnusable
	}
	return nil
}

// Hash returns the hash of a new password. It gives ErrPasswordInvalid, ErrBusy,
// or the context's error.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := ValidatePassword(password); err != nil {
		return "", err
	}
	release, err := h.line.acquire(ctx, Origin{})
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), h.cost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// Verify returns nil if password is the one that was hashed, and
// ErrInvalidCredentials if not. Networks take turns; the zero Origin is nobody's.
// Give it an empty hash for a user that does not
// exist: the work is the same. A hash that CheckHash refuses gives both
// ErrInvalidCredentials and ErrHashUnusable. Otherwise it gives ErrBusy or the
// context's error, which say nothing about the password.
func (h *Hasher) Verify(ctx context.Context, from Origin, hash, password string) error {
	against, fault := []byte(hash), error(nil)
	if hash == "" {
		against, fault = h.decoy, ErrInvalidCredentials
	} else if err := CheckHash(hash); err != nil {
		against, fault = h.decoy, fmt.Errorf("%w: %w", ErrInvalidCredentials, err)
	}
	// bcrypt reads no further than 72 bytes, and takes "a\x00a" for "a".
	if checkable(password) != nil {
		against = h.decoy
		if fault == nil {
			fault = ErrInvalidCredentials
		}
	}
	release, err := h.line.acquire(ctx, from)
	if err != nil {
		return err
	}
	defer release()
	if err := h.compare(against, []byte(password)); err != nil && fault == nil {
		fault = ErrInvalidCredentials
	}
	return fault
}

// Outdated reports whether a hash that verified should be replaced by a new one
// of the same password, because its cost is lower than that of new hashes.
func (h *Hasher) Outdated(hash string) bool {
	cost, err := bcrypt.Cost([]byte(hash))
	return err == nil && cost < h.cost
}

// Format implements fmt.Formatter.
func (h *Hasher) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "password hasher") }
