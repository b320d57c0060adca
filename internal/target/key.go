package target

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgam/pgam/internal/secret"
)

// Errors of managed keys. Their owners map them to an HTTP status or an exit
// code.
var (
	// ErrKeyNotFound says that no SSH key has this name.
	ErrKeyNotFound = errors.New("SSH key not found")
	// ErrKeyConflict is wrapped where another SSH key has this name, or is this
	// very key; the text says which.
	ErrKeyConflict = errors.New("SSH key already exists")
	// ErrKeyInvalid is wrapped by every error of ManagedKey.Validate.
	ErrKeyInvalid = errors.New("invalid SSH key")
	// ErrKeyInUse is what a KeyInUseError matches.
	ErrKeyInUse = errors.New("SSH key is in use")
)

// KeyInUseError says which servers an SSH key is bound to, so that it cannot go.
type KeyInUseError struct {
	Servers []string // by name, at least one
}

// Error implements error.
func (e *KeyInUseError) Error() string {
	quoted := make([]string, len(e.Servers))
	for i, name := range e.Servers {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%s: bind another key or a password first to %s", ErrKeyInUse, strings.Join(quoted, ", "))
}

// Is makes it match ErrKeyInUse.
func (e *KeyInUseError) Is(other error) bool { return other == ErrKeyInUse }

// KeyID identifies a managed SSH key; it is never reused.
type KeyID int64

// ShellKey is a managed SSH key, bound to a server.
type ShellKey struct {
	ID KeyID
	// Name, Private and Passphrase are filled where a server is read: Private
	// is the private key in PEM, Passphrase opens it, empty where it is open. To
	// bind a key, the ID or the Name alone is enough.
	Name       string
	Private    secret.Value
	Passphrase secret.Value
}

// ManagedKey is an SSH key that pgam keeps: what can be shown of it, and, on the
// way in only, its private part.
type ManagedKey struct {
	ID   KeyID
	Name string
	// Type is the algorithm as SSH names it, e.g. ssh-ed25519; Bits its size.
	Type string
	Bits int
	// PublicKey is the line for authorized_keys, with or without a comment;
	// Fingerprint is of it, in the form SHA256:….
	PublicKey     string
	Fingerprint   string
	HasPassphrase bool
	Description   string
	// CreatedBy is the login of whoever made or imported it; empty: unknown.
	CreatedBy string
	CreatedAt time.Time
	UpdatedAt time.Time
	// Servers are the names of the servers it is bound to, sorted.
	Servers []string
	// Private is the private key in PEM and Passphrase what opens it. They are
	// given to make a key or to replace it, and never filled by reading.
	Private    secret.Value
	Passphrase secret.Value
}

// MaxDescriptionBytes bounds a key's description.
const MaxDescriptionBytes = 1024

// Validate reports every fault at once; each wraps ErrKeyInvalid. Whether the
// private part is that of the public one is for who parses it.
func (k ManagedKey) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: %s", ErrKeyInvalid, fmt.Sprintf(format, args...)))
	}
	if wrong := nameFault(k.Name); wrong != "" {
		fault("%s", wrong)
	}
	switch line, ok := parseKeyLine(k.PublicKey); {
	case !ok:
		fault("public key is not a line of authorized_keys: type, base64, comment")
	case line.algorithm != k.Type:
		fault("type %q is not the public key's", k.Type)
	case fingerprint(line.blob) != k.Fingerprint:
		fault("fingerprint is not the public key's")
	}
	if k.Bits < 1 {
		fault("size of %d bits", k.Bits)
	}
	if !k.Passphrase.IsZero() && k.Private.IsZero() {
		fault("a passphrase is given without the private key that it opens")
	}
	if len(k.Description) > MaxDescriptionBytes || !utf8.ValidString(k.Description) || strings.ContainsRune(k.Description, 0) {
		fault("description is not text of at most %d bytes", MaxDescriptionBytes)
	}
	return errors.Join(faults...)
}

// ValidateHostKey accepts the form of a pin: an algorithm and a key in base64,
// one space between them, and nothing else. The error wraps ErrInvalid.
func ValidateHostKey(text string) error {
	if line, ok := parseKeyLine(text); ok && line.comment == "" {
		return nil
	}
	return fmt.Errorf(`%w: ssh_host_key is not a public key in the form "ssh-ed25519 AAAA…", without a host before it and a comment behind it`, ErrInvalid)
}

// keyLine is a public key in the form of authorized_keys.
type keyLine struct {
	algorithm string
	blob      []byte
	comment   string
}

// maxKeyLineBytes bounds a line; a key of 16384 bits of RSA takes 2.8 KB.
const maxKeyLineBytes = 16 << 10

// parseKeyLine reads a line without options before the key. It compares only
// the two places that name the algorithm: the rest is cryptography's.
func parseKeyLine(text string) (keyLine, bool) {
	if len(text) > maxKeyLineBytes || strings.ContainsFunc(text, unprintable) || !utf8.ValidString(text) {
		return keyLine{}, false
	}
	algorithm, rest, ok := strings.Cut(text, " ")
	if !ok || algorithm == "" {
		return keyLine{}, false
	}
	encoded, comment, hasComment := strings.Cut(rest, " ")
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || hasComment && strings.TrimSpace(comment) == "" {
		return keyLine{}, false
	}
	const lengthBytes = 4
	if len(blob) < lengthBytes {
		return keyLine{}, false
	}
	n := uint64(binary.BigEndian.Uint32(blob))
	inside := blob[lengthBytes:]
	if n >= uint64(len(inside)) || string(inside[:n]) != algorithm {
		return keyLine{}, false
	}
	return keyLine{algorithm: algorithm, blob: blob, comment: comment}, true
}

func fingerprint(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
