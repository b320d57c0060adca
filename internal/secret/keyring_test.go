package secret_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/pgam/pgam/internal/secret"
)

func newKeyring(t *testing.T) *secret.Keyring {
	t.Helper()
	data, err := secret.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secret.ParseKeyring(data)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func binding() secret.Binding {
	return secret.Binding{
		Purpose: "pgam.server.password", RowID: 42, Host: "db1.example.org", Port: 5432, User: "pgam", TLSMode: "verify-full",
	}
}

func TestKeyring_SealOpen(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t)
	for _, text := range []string{"x", canary, "\x00\xff", strings.Repeat("long", 4096)} {
		first, err := ring.Seal(secret.New(text), binding())
		if err != nil {
			t.Fatal(err)
		}
		again, err := ring.Seal(secret.New(text), binding())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(first, again) {
			t.Error("two seals of one text are equal")
		}
		if bytes.Contains(first, []byte(text)) && len(text) > 3 {
			t.Error("the text stands in the seal")
		}
		if len(first) != len(text)+33 {
			t.Errorf("seal of %d bytes has %d", len(text), len(first))
		}
		opened, err := ring.Open(first, binding())
		if err != nil || opened.Reveal() != text {
			t.Errorf("open %d bytes: %v", len(text), err)
		}
		if id, ok := secret.SealedKeyID(first); !ok || id != ring.PrimaryKeyID() {
			t.Errorf("sealed with key %d %t, primary %d", id, ok, ring.PrimaryKeyID())
		}
	}
}

func TestKeyring_Refuses(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t)
	if _, err := ring.Seal(secret.Value{}, binding()); err == nil {
		t.Error("sealed nothing")
	}
	if _, err := ring.Seal(secret.New("x"), secret.Binding{RowID: 1}); err == nil {
		t.Error("sealed without a purpose")
	}
	if _, err := ring.Open([]byte("x"), secret.Binding{}); err == nil {
		t.Error("opened without a purpose")
	}
}

func TestKeyring_EveryChangedByteIsRejected(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t)
	sealed, err := ring.Seal(secret.New(canary), binding())
	if err != nil {
		t.Fatal(err)
	}
	reject := func(what string, mutant []byte) {
		t.Helper()
		if got, err := ring.Open(mutant, binding()); !errors.Is(err, secret.ErrSealBroken) || !got.IsZero() {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range sealed {
		for bit := range 8 {
			mutant := slices.Clone(sealed)
			mutant[i] ^= 1 << bit
			reject(fmt.Sprintf("byte %d bit %d", i, bit), mutant)
		}
		reject(fmt.Sprintf("first %d bytes", i), sealed[:i])
		reject(fmt.Sprintf("without the first %d bytes", i+1), sealed[i+1:])
	}
	reject("one more byte", append(slices.Clone(sealed), 0))
	reject("doubled", append(slices.Clone(sealed), sealed...))
}

func TestKeyring_EveryOtherBindingIsRejected(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t)
	bindings := []secret.Binding{binding()}
	for _, change := range []func(*secret.Binding){
		func(b *secret.Binding) { b.Purpose = "pgam.server.ssh_password" },
		func(b *secret.Binding) { b.RowID = 43 },
		func(b *secret.Binding) { b.RowID = -42 },
		func(b *secret.Binding) { b.Host = "db2.example.org" },
		func(b *secret.Binding) { b.Host = "DB1.example.org" },
		func(b *secret.Binding) { b.Host = "db1.example.org\x00" },
		func(b *secret.Binding) { b.Host = "" },
		func(b *secret.Binding) { b.Port = 5433 },
		func(b *secret.Binding) { b.Port = 0 },
		func(b *secret.Binding) { b.User = "postgres" },
		func(b *secret.Binding) { b.User = "" },
		func(b *secret.Binding) { b.TLSMode = "disable" },
		// The same bytes in a row, cut elsewhere.
		func(b *secret.Binding) { b.Purpose += "d"; b.Host = b.Host[1:] },
		func(b *secret.Binding) { b.User, b.TLSMode = "pgamverify-full", "" },
		func(b *secret.Binding) { b.User, b.TLSMode = "", "pgamverify-full" },
		func(b *secret.Binding) { b.User, b.TLSMode = b.TLSMode, b.User },
		func(b *secret.Binding) { b.RowID, b.Port = 5432, 42 },
	} {
		changed := binding()
		change(&changed)
		bindings = append(bindings, changed)
	}
	for i, sealedUnder := range bindings {
		sealed, err := ring.Seal(secret.New(canary), sealedUnder)
		if err != nil {
			t.Fatal(err)
		}
		for j, openedUnder := range bindings {
			_, err := ring.Open(sealed, openedUnder)
			if i == j && err != nil {
				t.Errorf("own binding %+v: %v", sealedUnder, err)
			}
			if i != j && !errors.Is(err, secret.ErrSealBroken) {
				t.Errorf("sealed under %+v, opened under %+v: %v", sealedUnder, openedUnder, err)
			}
		}
	}
}

func TestKeyring_OtherKeyIsRejected(t *testing.T) {
	t.Parallel()
	sealed, err := newKeyring(t).Seal(secret.New(canary), binding())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newKeyring(t).Open(sealed, binding()); !errors.Is(err, secret.ErrSealBroken) {
		t.Errorf("another keyring: %v", err)
	}
}

func TestKeyring_OlderKeysStillOpen(t *testing.T) {
	t.Parallel()
	manager := keyset.NewManager()
	add := func() *secret.Keyring {
		id, err := manager.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			t.Fatal(err)
		}
		if err := manager.SetPrimary(id); err != nil {
			t.Fatal(err)
		}
		handle, err := manager.Handle()
		if err != nil {
			t.Fatal(err)
		}
		ring, err := secret.ParseKeyring(cleartext(t, handle))
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	old := add()
	sealed, err := old.Seal(secret.New(canary), binding())
	if err != nil {
		t.Fatal(err)
	}
	rotated := add()
	if got, err := rotated.Open(sealed, binding()); err != nil || got.Reveal() != canary {
		t.Errorf("sealed before the rotation: %v", err)
	}
	if rotated.ContentKey() != old.ContentKey() || old.ContentKey() == newKeyring(t).ContentKey() || old.ContentKey() == [16]byte{} {
		t.Error("content is named by the first key of the file, whatever is added")
	}
	if rotated.PrimaryKeyID() == old.PrimaryKeyID() {
		t.Error("the primary key is the same")
	}
	if id, _ := secret.SealedKeyID(sealed); id != old.PrimaryKeyID() {
		t.Errorf("sealed with %d, want %d", id, old.PrimaryKeyID())
	}
}

func TestKeyring_PrintsNoKey(t *testing.T) {
	t.Parallel()
	ring := newKeyring(t)
	want := fmt.Sprintf("keyring(primary %d)", ring.PrimaryKeyID())
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(format, ring); got != want {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func cleartext(t *testing.T, handle *keyset.Handle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&out)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParseKeyring_Refuses(t *testing.T) {
	t.Parallel()
	good, err := secret.GenerateKeyring()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "empty object": []byte("{}"), "array": []byte("[]"),
		"cut": good[:len(good)/2], "rubbish after": append(slices.Clone(good), "x"...), "two": append(slices.Clone(good), good...),
		"no primary": bytes.Replace(good, []byte("primaryKeyId"), []byte("primaryKeyIx"), 1),
		"disabled":   bytes.Replace(good, []byte("ENABLED"), []byte("DISABLED"), 1),
		"raw prefix": bytes.Replace(good, []byte(`"TINK"`), []byte(`"RAW"`), 1),
	}
	weak, err := keyset.NewHandle(aead.AES128GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	cases["128 bits"] = cleartext(t, weak)
	other, err := keyset.NewHandle(aead.AES128CTRHMACSHA256KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	cases["other algorithm"] = cleartext(t, other)
	for name, data := range cases {
		if bytes.Equal(data, good) {
			t.Fatalf("%s: the case is the good keyring", name)
		}
		ring, err := secret.ParseKeyring(data)
		if err == nil || ring != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if key := keyMaterial(good); strings.Contains(err.Error(), key) || len(err.Error()) > 200 {
			t.Errorf("%s: key material in: %v", name, err)
		}
	}
}

// keyMaterial cuts the base64 text of the key out of a keyset in JSON.
func keyMaterial(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte(`"value":`))
	fields := strings.Split(string(rest), `"`)
	if len(fields) < 2 {
		return "no key found"
	}
	return fields[1]
}

func FuzzKeyring_Open(f *testing.F) {
	data, err := secret.GenerateKeyring()
	if err != nil {
		f.Fatal(err)
	}
	ring, err := secret.ParseKeyring(data)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := ring.Seal(secret.New(canary), binding())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed[:len(sealed)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, mutant []byte) {
		if bytes.Equal(mutant, sealed) {
			return
		}
		if _, err := ring.Open(mutant, binding()); !errors.Is(err, secret.ErrSealBroken) {
			t.Fatalf("opened: %v", err)
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	good, err := secret.GenerateKeyring()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"primaryKeyId":1,"key":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ring, err := secret.ParseKeyring(data)
		if err != nil {
			return
		}
		sealed, err := ring.Seal(secret.New("x"), binding())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ring.Open(sealed, binding()); err != nil || got.Reveal() != "x" {
			t.Fatalf("an accepted keyring does not work: %v", err)
		}
	})
}
