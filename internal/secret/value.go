package secret

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every way of printing a Value gives.
const redacted = "[redacted]"

var errPlaceholder = errors.New(`"[redacted]" is the placeholder shown in place of a secret, not a secret`)

// Value is a string that never prints. Its zero value holds nothing. Two
// Values are compared with Equal; == does not compile.
type Value struct {
	_ [0]func() // forbids ==, which would compare addresses
	// A pointer, because fmt cannot call methods on unexported fields of other
	// structs and would print a string found there; it prints a pointer as an
	// address.
	text *string
}

// New returns a Value that holds text. New("") is the zero Value.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{text: &text}
}

// Reveal returns the text itself. Give it only to what must have it, and
// never to a logger, an error or an answer.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether v holds nothing.
func (v Value) IsZero() bool { return v.text == nil }

// Equal reports whether v and other hold the same text. It takes the same time
// wherever the first difference is.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(other.Reveal())) == 1
}

// String implements fmt.Stringer.
func (v Value) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (v Value) GoString() string { return redacted }

// Format implements fmt.Formatter, for every verb.
func (v Value) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalJSON accepts a JSON string, or null for nothing. Its errors never
// hold what was given.
func (v *Value) UnmarshalJSON(data []byte) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		*v = Value{}
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("a secret must be a JSON string")
	}
	return v.Decode(text)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Value) UnmarshalText(text []byte) error { return v.Decode(string(text)) }

// Decode takes the text of an environment variable, as envconfig.Decoder. It
// refuses the placeholder, so that a printed value cannot come back as a
// secret.
func (v *Value) Decode(text string) error {
	if text == redacted {
		return errPlaceholder
	}
	*v = New(text)
	return nil
}
