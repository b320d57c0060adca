package secret

import (
	"encoding/binary"
	"errors"
)

// The formats open every encoded binding; a change of the encoding changes them.
// The first is of bindings without a database and a host key.
const (
	bindingFormat1 = "pgam binding 1"
	bindingFormat2 = "pgam binding 2"
)

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
	// Database is the one that is entered with it, HostKey the key that the SSH
	// host must show before it is sent there, or through there; "" where there is
	// none.
	Database, HostKey string
}

// encode gives the canonical form: each field behind its length, so that no
// byte can pass from one field to its neighbour.
func (b Binding) encode() ([]byte, error) {
	if b.Purpose == "" {
		return nil, errors.New("binding without a purpose")
	}
	format, more := bindingFormat1, b.Database != "" || b.HostKey != ""
	if more {
		format = bindingFormat2
	}
	out := appendField(nil, format)
	out = appendField(out, b.Purpose)
	out = binary.BigEndian.AppendUint64(out, uint64(b.RowID))
	out = appendField(out, b.Host)
	out = binary.BigEndian.AppendUint64(out, uint64(b.Port))
	out = appendField(out, b.User)
	out = appendField(out, b.TLSMode)
	if more {
		out = appendField(out, b.Database)
		out = appendField(out, b.HostKey)
	}
	return out, nil
}

func appendField(out []byte, field string) []byte {
	out = binary.BigEndian.AppendUint64(out, uint64(len(field)))
	return append(out, field...)
}
