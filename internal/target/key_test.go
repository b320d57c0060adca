package target_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

func validKey() target.ManagedKey {
	return target.ManagedKey{
		Name: "fleet", Type: "ssh-ed25519", Bits: 256, PublicKey: hostKey + " pgam fleet", Fingerprint: hostKeyFingerprint,
		Private: secret.New("pem"), Passphrase: secret.New("words"),
	}
}

func TestManagedKey_Validate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*target.ManagedKey)
		want   string // in the error; "" for none
	}{
		"as it is":           {func(*target.ManagedKey) {}, ""},
		"no comment":         {func(k *target.ManagedKey) { k.PublicKey = hostKey }, ""},
		"as it is read":      {func(k *target.ManagedKey) { k.Private, k.Passphrase = secret.Value{}, secret.Value{} }, ""},
		"description":        {func(k *target.ManagedKey) { k.Description = "für alle\nServer" }, ""},
		"empty name":         {func(k *target.ManagedKey) { k.Name = " " }, "name is empty"},
		"name with a slash":  {func(k *target.ManagedKey) { k.Name = "a/b" }, "name contains a slash"},
		"long name":          {func(k *target.ManagedKey) { k.Name = strings.Repeat("n", target.MaxNameBytes+1) }, "name is longer"},
		"no public key":      {func(k *target.ManagedKey) { k.PublicKey = "" }, "public key is not"},
		"two lines":          {func(k *target.ManagedKey) { k.PublicKey += "\nssh-rsa AAAA" }, "public key is not"},
		"options before it":  {func(k *target.ManagedKey) { k.PublicKey = `command="x" ` + hostKey }, "public key is not"},
		"empty comment":      {func(k *target.ManagedKey) { k.PublicKey = hostKey + " " }, "public key is not"},
		"other type":         {func(k *target.ManagedKey) { k.Type = "ssh-rsa" }, `type "ssh-rsa"`},
		"other fingerprint":  {func(k *target.ManagedKey) { k.Fingerprint = "SHA256:" + strings.Repeat("A", 43) }, "fingerprint"},
		"no size":            {func(k *target.ManagedKey) { k.Bits = 0 }, "0 bits"},
		"passphrase alone":   {func(k *target.ManagedKey) { k.Private = secret.Value{} }, "without the private key"},
		"long description":   {func(k *target.ManagedKey) { k.Description = strings.Repeat("d", target.MaxDescriptionBytes+1) }, "description"},
		"binary description": {func(k *target.ManagedKey) { k.Description = "a\x00" }, "description"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := validKey()
			test.change(&k)
			err := k.Validate()
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, target.ErrKeyInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestKeyInUseError(t *testing.T) {
	t.Parallel()
	var err error = &target.KeyInUseError{Servers: []string{"a", `b "x"`}}
	if !errors.Is(err, target.ErrKeyInUse) || errors.Is(err, target.ErrKeyNotFound) {
		t.Error("it does not match its sentinel alone")
	}
	if !strings.HasSuffix(err.Error(), `to "a", "b \"x\""`) {
		t.Errorf("it says %s", err)
	}
}

// A line that is accepted is a type and a key of that type, and nothing that a
// file of keys or a log would take for something else.
func FuzzValidateHostKey(f *testing.F) {
	for _, seed := range []string{
		hostKey, hostKey + " x", "", " ", "ssh-rsa", "ssh-rsa ", "ssh-rsa AAAA", "ssh-rsa AAAAAA==", "a\tb", "ssh-ed25519  AAAA", hostKey + "\n", "x " + hostKey,
		"a AAAAAWEB", "a AAAAAWE=", "a AAAAAWEC",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if target.ValidateHostKey(line) != nil {
			return
		}
		algorithm, encoded, ok := strings.Cut(line, " ")
		if !ok || strings.ContainsAny(line, "\r\n\t\x00") || strings.Count(line, " ") != 1 {
			t.Fatalf("%q was accepted", line)
		}
		blob, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.BigEndian.Uint32(blob); string(blob[4:4+n]) != algorithm {
			t.Fatalf("%q was accepted", line)
		}
	})
}
