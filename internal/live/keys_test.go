package live

import (
	"errors"
	"testing"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	made := target.ManagedKey{Name: "fleet"}
	if err := GenerateKey(&made, "ed25519", 0); err != nil {
		t.Fatal(err)
	}
	if err := made.Validate(); err != nil || made.Type != "ssh-ed25519" || made.Private.IsZero() || made.HasPassphrase {
		t.Errorf("made %+v: %v", made, err)
	}
	private, line := sshtest.NewKey(t, "ecdsa", "open sesame")
	read := target.ManagedKey{Name: "imported", Private: secret.New(private), Passphrase: secret.New("open sesame")}
	if err := ReadKey(&read); err != nil || read.Validate() != nil || read.PublicKey != line || !read.HasPassphrase {
		t.Errorf("read %+v: %v", read, err)
	}
	for want, fault := range map[string]error{
		"invalid SSH key: the kind of a key is ed25519 or rsa":                                     GenerateKey(&target.ManagedKey{}, "dsa", 0),
		"invalid SSH key: private_key cannot be used: it has a passphrase: give that too":          ReadKey(&target.ManagedKey{Private: secret.New(private)}),
		"invalid SSH key: private_key cannot be used: the passphrase does not open it":             ReadKey(&target.ManagedKey{Private: secret.New(private), Passphrase: secret.New("x")}),
		"invalid SSH key: private_key cannot be used: it is the public part: give the private key": ReadKey(&target.ManagedKey{Private: secret.New(line)}),
	} {
		if !errors.Is(fault, target.ErrKeyInvalid) || fault.Error() != want {
			t.Errorf("%v, want %s", fault, want)
		}
	}
}
