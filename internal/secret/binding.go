package secret

import (
	"encoding/binary"
	"errors"
)

// bindingFormat opens every encoded binding; a change of the encoding changes it.
const bindingFormat = "pgam binding 1"

// Binding says where a secret belongs. It is the associated data of its seal:
// not stored with it, but needed, equal in every field, to open it. Callers
// give every field in the one spelling they store.
type Binding struct {
	Purpose string // table and column, such as "pgam.server.password"; never empty
	RowID   int64  // primary key of the row
	Host    string // host the secret is sent to; "" where there is none
	Port    int    // port of Host; 0 where there is none
	User    string // user the secret belongs to; "" where there is none
	TLSMode string // TLS mode it is sent with, such as "verify-full"; "" where there is none
}

// encode gives the canonical form: each field behind its length, so that no
// byte can pass from one field to its neighbour.
func (b Binding) encode() ([]byte, error) {
	if b.Purpose == "" {
		return nil, errors.New("binding without a purpose")
	}
	out := appendField(nil, bindingFormat)
	out = appendField(out, b.Purpose)
	out = binary.BigEndian.AppendUint64(out, uint64(b.RowID)) //nolint:gosec // a bijection is all that is needed.
	out = appendField(out, b.Host)
	out = binary.BigEndian.AppendUint64(out, uint64(b.Port)) //nolint:gosec // as above.
	out = appendField(out, b.User)
	return appendField(out, b.TLSMode), nil
}

func appendField(out []byte, field string) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(len(field)))
	return append(out, field...)
}
