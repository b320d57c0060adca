package secret

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// keySizeBytes is the only key size accepted: AES-256.
const keySizeBytes = 32

// sealedPrefixBytes is what stands before the nonce of a sealed secret: a
// version byte and the id of the key.
const sealedPrefixBytes = 5

// ErrSealBroken reports a sealed secret that does not open under its binding.
var ErrSealBroken = errors.New("sealed secret does not open: it was moved from another row, " +
	"or the host, port, user, TLS mode, database or pinned host key beside it was changed, or it was sealed with a key that is not in the key file, " +
	"or before host keys and databases were part of the seal; " +
	"set the secret again")

// Keyring seals and opens secrets with AES-256-GCM. It holds one primary key,
// which seals, and any number of older ones, which only open. It is safe for
// concurrent use.
type Keyring struct {
	primitive tink.AEAD
	primaryID uint32
	content   [16]byte
}

// GenerateKeyring makes a keyring of one new key and returns it as a cleartext
// Tink keyset in JSON: whoever reads it can open every secret.
func GenerateKeyring() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out)); err != nil {
		return nil, fmt.Errorf("encode keyring: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// ParseKeyring reads a cleartext Tink keyset in JSON, as GenerateKeyring makes
// it. Every enabled key must be an AES-256-GCM key with a Tink prefix. Its
// errors hold nothing of the input.
func ParseKeyring(data []byte) (*Keyring, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(data)))
	if err != nil {
		// The cause may quote key material.
		return nil, errors.New("not a Tink keyset in JSON")
	}
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil {
			return nil, errors.New("keyset with an unreadable key")
		}
		if entry.KeyStatus() == keyset.Enabled && !acceptable(entry) {
			return nil, fmt.Errorf("key %d is not an AES-256-GCM key with a Tink prefix", entry.KeyID())
		}
	}
	primary, err := handle.Primary()
	if err != nil {
		return nil, errors.New("keyset without an enabled primary key")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("keyset with an unusable key")
	}
	content, err := contentKey(handle)
	if err != nil {
		return nil, err
	}
	return &Keyring{primitive: primitive, primaryID: primary.KeyID(), content: content}, nil
}

// contentKey derives what ContentKey gives from the first key of the file, which
// stays the first when others are added.
func contentKey(handle *keyset.Handle) (derived [16]byte, err error) {
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil {
			return derived, errors.New("keyset with an unreadable key")
		}
		key, ok := entry.Key().(*aesgcm.Key)
		if !ok {
			continue
		}
		secret, err := hkdf.Key(sha256.New, key.KeyBytes().Data(insecuresecretdataaccess.Token{}), nil, "pgam content keys", len(derived))
		if err != nil {
			return derived, errors.New("keyset with an unusable key")
		}
		copy(derived[:], secret)
		return derived, nil
	}
	return derived, errors.New("keyset without a key")
}

// ContentKey is a secret that history is named by: the same in every process that
// has the key file. It opens nothing.
func (k *Keyring) ContentKey() [16]byte { return k.content }

func acceptable(entry *keyset.Entry) bool {
	params, ok := entry.Key().Parameters().(*aesgcm.Parameters)
	return ok && params.KeySizeInBytes() == keySizeBytes && params.Variant() == aesgcm.VariantTink
}

// Seal encrypts plain for exactly one place. The result names its key in the
// first bytes (see SealedKeyID) and is 33 bytes longer than the text. An empty
// secret is refused: store null instead.
func (k *Keyring) Seal(plain Value, binding Binding) ([]byte, error) {
	if plain.IsZero() {
		return nil, errors.New("seal secret: it is empty")
	}
	associated, err := binding.encode()
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	sealed, err := k.primitive.Encrypt([]byte(plain.Reveal()), associated)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made under the same binding. Anything else, whatever
// the reason, is ErrSealBroken.
func (k *Keyring) Open(sealed []byte, binding Binding) (Value, error) {
	associated, err := binding.encode()
	if err != nil {
		return Value{}, fmt.Errorf("open secret: %w", err)
	}
	plain, err := k.primitive.Decrypt(sealed, associated)
	if err != nil {
		return Value{}, fmt.Errorf("open %s: %w", binding.Purpose, ErrSealBroken)
	}
	return New(string(plain)), nil
}

// PrimaryKeyID returns the id of the key that seals.
func (k *Keyring) PrimaryKeyID() uint32 { return k.primaryID }

// Format implements fmt.Formatter: a keyring prints its primary key's id.
func (k *Keyring) Format(state fmt.State, _ rune) {
	if k == nil {
		_, _ = io.WriteString(state, "keyring(nil)")
		return
	}
	_, _ = fmt.Fprintf(state, "keyring(primary %d)", k.primaryID)
}

// SealedKeyID returns the id of the key that sealed, without opening it. ok is
// false where sealed is too short to be a sealed secret.
func SealedKeyID(sealed []byte) (id uint32, ok bool) {
	if len(sealed) <= sealedPrefixBytes || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:sealedPrefixBytes]), true
}
