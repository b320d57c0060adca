package legacy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/fernet/fernet-go"

	"github.com/pgam/pgam/internal/secret"
)

// ErrSecret is wrapped by every error about a secret that does not decrypt; its
// text is for a person.
var ErrSecret = errors.New("the secret does not decrypt")

// The layout of a token: version, time, IV, at least one block, HMAC.
const (
	tokenVersion  = 0x80
	tokenOverhead = 1 + 8 + 16 + 32
	tokenBlock    = 16
)

// Key decrypts the secrets of servers.json.
type Key struct{ fernet *fernet.Key }

// ParseKey reads the content of encryption_key.key: 32 bytes as base64 of
// either alphabet, with space around it. The error holds nothing of it.
func ParseKey(content []byte) (Key, error) {
	text := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(string(content)))
	raw, err := base64.URLEncoding.DecodeString(text)
	if err != nil || len(raw) != len(fernet.Key{}) {
		return Key{}, errors.New("not a Fernet key: it must hold 44 characters of base64")
	}
	return Key{fernet: (*fernet.Key)(raw)}, nil
}

// Format implements fmt.Formatter: a key does not print.
func (k Key) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "fernet key") }

// Open decrypts a token and checks all of it: alphabet, version, HMAC, padding,
// text. Its age does not matter. The error wraps ErrSecret.
func (k Key) Open(token string) (secret.Value, error) {
	// The library skips what it cannot decode and trusts lengths and padding.
	raw, err := base64.URLEncoding.Strict().DecodeString(token)
	payload := len(raw) - tokenOverhead
	switch {
	case err != nil || strings.ContainsAny(token, "\r\n") || payload < tokenBlock || payload%tokenBlock != 0 || raw[0] != tokenVersion:
		return secret.Value{}, fmt.Errorf("%w: it is not a Fernet token", ErrSecret)
	case k.fernet == nil:
		return secret.Value{}, fmt.Errorf("%w: there is no key", ErrSecret)
	}
	text := fernet.VerifyAndDecrypt([]byte(token), 0, []*fernet.Key{k.fernet})
	if text == nil || len(text) >= payload || len(text) < payload-tokenBlock {
		return secret.Value{}, fmt.Errorf("%w: it was made with another key, or changed since", ErrSecret)
	}
	if !utf8.Valid(text) {
		return secret.Value{}, fmt.Errorf("%w: what is in it is not text", ErrSecret)
	}
	return secret.New(string(text)), nil
}
