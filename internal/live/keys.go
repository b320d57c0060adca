package live

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/target"
)

// GenerateKey fills all of an SSH key but its name and description; bits of zero
// are the usual ones of the kind, ed25519 or rsa. The error wraps
// target.ErrKeyInvalid where the key is what is wrong.
func GenerateKey(k *target.ManagedKey, kind string, bits int) error {
	pair, err := remote.GenerateKey(kind, bits, k.Name)
	if err != nil {
		return keyFault("", err)
	}
	fillKey(k, pair)
	return nil
}

// ReadKey fills what an SSH key's private part says, opened by its passphrase. The
// error is as of GenerateKey.
func ReadKey(k *target.ManagedKey) error {
	pair, err := remote.ParseKey(k.Private, k.Passphrase)
	if err != nil {
		return keyFault("private_key cannot be used: ", err)
	}
	fillKey(k, pair)
	return nil
}

func fillKey(k *target.ManagedKey, pair remote.KeyPair) {
	k.Type, k.Bits, k.PublicKey, k.Fingerprint, k.Private = pair.Type, pair.Bits, pair.Public, pair.Fingerprint, pair.Private
	k.HasPassphrase = !k.Passphrase.IsZero()
}

// keyFault gives a fault of a key the noun's sentinel; before tells what it is
// said of.
func keyFault(before string, err error) error {
	if !errors.Is(err, remote.ErrKeyInvalid) {
		return err
	}
	return fmt.Errorf("%w: %s%s", target.ErrKeyInvalid, before, strings.TrimPrefix(err.Error(), remote.ErrKeyInvalid.Error()+": "))
}
