package remote

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// ErrKeyInvalid is wrapped by what ParseKey and GenerateKey say of a key that
// cannot be used; the text is for the one who gave it and holds nothing of the
// key.
var ErrKeyInvalid = errors.New("invalid SSH key")

const (
	// minRSABits and maxRSABits bound keys that are generated.
	minRSABits = 3072
	maxRSABits = 8192
	// minImportedRSABits admits the keys that ssh-keygen made until 2019.
	minImportedRSABits = 2048
	// maxKeyBytes bounds what is read as a key.
	maxKeyBytes = 64 << 10
	// maxCommentBytes bounds the comment in a public key's line.
	maxCommentBytes = 256
)

// KeyPair is a key that a user logs in with.
type KeyPair struct {
	// Type is the algorithm as SSH names it: ssh-ed25519, ssh-rsa,
	// ecdsa-sha2-nistp256 …
	Type string
	Bits int
	// Public is the line for authorized_keys.
	Public string
	// Fingerprint is "SHA256:…" of the public key.
	Fingerprint string
	// Private is the private key in PEM, sealed with its passphrase if it has
	// one.
	Private secret.Value
}

// GenerateKey makes a key of a kind, "ed25519" or "rsa", without a passphrase.
// bits is for rsa: 3072 to 8192, 0 for 3072. The comment stands in the public
// line. Errors wrap ErrKeyInvalid.
func GenerateKey(kind string, bits int, comment string) (KeyPair, error) {
	if len(comment) > maxCommentBytes || strings.ContainsFunc(comment, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return KeyPair{}, fmt.Errorf("%w: a comment is one line of at most %d bytes", ErrKeyInvalid, maxCommentBytes)
	}
	var (
		key any
		err error
	)
	switch kind {
	case "ed25519":
		if bits != 0 && bits != 256 {
			return KeyPair{}, fmt.Errorf("%w: an ed25519 key has 256 bits", ErrKeyInvalid)
		}
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "rsa":
		if bits == 0 {
			bits = minRSABits
		}
		if bits < minRSABits || bits > maxRSABits {
			return KeyPair{}, fmt.Errorf("%w: an rsa key has %d to %d bits", ErrKeyInvalid, minRSABits, maxRSABits)
		}
		key, err = rsa.GenerateKey(rand.Reader, bits)
	default:
		return KeyPair{}, fmt.Errorf("%w: the kind of a key is ed25519 or rsa", ErrKeyInvalid)
	}
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate key: %w", err)
	}
	return pairOf(key, block, comment)
}

// ParseKey reads a private key in the formats of ssh-keygen and openssl, and
// checks that the passphrase opens it. Errors wrap ErrKeyInvalid and say what
// to do.
func ParseKey(private, passphrase secret.Value) (KeyPair, error) {
	key, block, err := openKey(private.Reveal(), passphrase.Reveal())
	if err != nil {
		return KeyPair{}, err
	}
	return pairOf(key, block, "")
}

// openKey gives a private key and its PEM block.
func openKey(text, passphrase string) (any, *pem.Block, error) {
	if len(text) > maxKeyBytes {
		return nil, nil, fmt.Errorf("%w: it is larger than %d bytes", ErrKeyInvalid, maxKeyBytes)
	}
	block, err := blockOf(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) + "\n")
	if err != nil {
		return nil, nil, err
	}
	canonical := pem.EncodeToMemory(block)
	key, err := ssh.ParseRawPrivateKey(canonical)
	_, sealed := errors.AsType[*ssh.PassphraseMissingError](err)
	switch {
	case sealed && passphrase == "":
		return nil, nil, fmt.Errorf("%w: it has a passphrase: give that too", ErrKeyInvalid)
	case sealed:
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(canonical, []byte(passphrase))
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, nil, fmt.Errorf("%w: the passphrase does not open it", ErrKeyInvalid)
		}
	case err == nil && passphrase != "":
		return nil, nil, fmt.Errorf("%w: it has no passphrase: leave the passphrase empty", ErrKeyInvalid)
	}
	if err != nil {
		// The library's text may hold bytes of the key.
		return nil, nil, fmt.Errorf("%w: its content cannot be read: is it cut off, or sealed in a way that only newer programs know?", ErrKeyInvalid)
	}
	return key, block, nil
}

// blockOf finds the private key in what somebody gave.
func blockOf(text string) (*pem.Block, error) {
	switch {
	case text == "\n":
		return nil, fmt.Errorf("%w: it is empty", ErrKeyInvalid)
	case strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return nil, fmt.Errorf("%w: it is in PuTTY's format: convert it with puttygen -O private-openssh", ErrKeyInvalid)
	case strings.HasPrefix(text, "ssh-") || strings.HasPrefix(text, "ecdsa-"):
		return nil, fmt.Errorf("%w: it is the public part: give the private key", ErrKeyInvalid)
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: it is no private key in PEM: give the whole file, with its BEGIN and END lines", ErrKeyInvalid)
	case len(strings.TrimSpace(string(rest))) > 0:
		return nil, fmt.Errorf("%w: there is text after it: give one key", ErrKeyInvalid)
	}
	// The public part of OpenSSH's form is not sealed.
	opensshHas := func(kind string) bool {
		return block.Type == "OPENSSH PRIVATE KEY" && bytes.Contains(block.Bytes, []byte(kind))
	}
	switch {
	case opensshHas("ssh-dss"):
		return nil, errDSA()
	case opensshHas("sk-ssh-"), opensshHas("sk-ecdsa-"):
		return nil, fmt.Errorf("%w: it needs a security key to be touched: use another one", ErrKeyInvalid)
	}
	switch block.Type {
	case "OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY":
		return block, nil
	case "DSA PRIVATE KEY":
		return nil, errDSA()
	case "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("%w: it is sealed as PKCS #8: write it anew with ssh-keygen -p -f FILE", ErrKeyInvalid)
	}
	return nil, fmt.Errorf("%w: it is no private key of ssh-keygen or openssl", ErrKeyInvalid)
}

func errDSA() error {
	return fmt.Errorf("%w: DSA is too weak and servers refuse it: use ed25519", ErrKeyInvalid)
}

// pairOf describes a key, if it is one that may be used.
func pairOf(key any, block *pem.Block, comment string) (KeyPair, error) {
	var bits int
	switch k := key.(type) {
	case *ed25519.PrivateKey:
		bits = 256
	case ed25519.PrivateKey:
		bits = 256
	case *rsa.PrivateKey:
		bits = k.N.BitLen()
		if bits < minImportedRSABits || bits > 2*maxRSABits {
			return KeyPair{}, fmt.Errorf("%w: an RSA key of %d bits: it must have %d to %d", ErrKeyInvalid, bits, minImportedRSABits, 2*maxRSABits)
		}
	case *ecdsa.PrivateKey:
		bits = k.Curve.Params().BitSize
	default:
		if strings.Contains(fmt.Sprintf("%T", key), "dsa.") {
			return KeyPair{}, errDSA()
		}
		return KeyPair{}, fmt.Errorf("%w: its kind cannot be used: use ed25519, rsa or ecdsa", ErrKeyInvalid)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("%w: its kind cannot be used: use ed25519, rsa or ecdsa", ErrKeyInvalid)
	}
	public := signer.PublicKey()
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	if comment != "" {
		line += " " + comment
	}
	return KeyPair{
		Type: public.Type(), Bits: bits, Public: line, Fingerprint: ssh.FingerprintSHA256(public),
		Private: secret.New(string(pem.EncodeToMemory(block))),
	}, nil
}

// keyRing keeps managed keys opened: a passphrase costs a tenth of a second of
// CPU each time.
type keyRing struct {
	mu     sync.Mutex
	opened map[target.KeyID]openedKey
}

type openedKey struct {
	private, passphrase secret.Value
	signer              ssh.Signer
	err                 error
}

func (r *keyRing) open(key target.ShellKey) (ssh.Signer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.opened[key.ID]; ok && key.ID != 0 && have.private.Equal(key.Private) && have.passphrase.Equal(key.Passphrase) {
		return have.signer, have.err
	}
	opened := openedKey{private: key.Private, passphrase: key.Passphrase}
	raw, _, err := openKey(key.Private.Reveal(), key.Passphrase.Reveal())
	if err == nil {
		opened.signer, err = ssh.NewSignerFromKey(raw)
	}
	if err != nil {
		opened.err = fmt.Errorf("%w: %w", ErrShellKey, err)
	}
	if r.opened == nil {
		r.opened = make(map[target.KeyID]openedKey)
	}
	r.opened[key.ID] = opened
	return opened.signer, opened.err
}
