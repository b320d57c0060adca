package remote

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/target"
)

// HostKey is the public key by which an SSH host is recognized.
type HostKey struct {
	// Line is the key as target.Shell.HostKey holds it: "ssh-ed25519 AAAA…".
	Line string
	// Type is the algorithm as SSH names it, e.g. ssh-ed25519.
	Type string
	// Fingerprint is "SHA256:…", as ssh-keygen -l shows it.
	Fingerprint string
}

// HostKeyError says that an SSH host shows a key that nobody has confirmed, or
// another one than was confirmed. Nothing secret was sent to the host.
type HostKeyError struct {
	// Server is the watched server's name.
	Server string
	// Got is the key that the host shows.
	Got HostKey
	// Want are the fingerprints of the keys that were confirmed; none: the host
	// is unknown.
	Want []string
	// Revoked says that the known_hosts file rules the shown key out.
	Revoked bool
}

// Error implements error.
func (e *HostKeyError) Error() string {
	switch {
	case e.Revoked:
		return fmt.Sprintf("host key of %s: %s is revoked", e.Server, e.Got.Fingerprint)
	case len(e.Want) == 0:
		return fmt.Sprintf("host key of %s: %s is unknown", e.Server, e.Got.Fingerprint)
	}
	return fmt.Sprintf("host key of %s: got %s, want %s", e.Server, e.Got.Fingerprint, strings.Join(e.Want, " or "))
}

// Changed reports whether another key was confirmed, or this one ruled out: a
// person must look. Else the host is merely unknown.
func (e *HostKeyError) Changed() bool { return e.Revoked || len(e.Want) > 0 }

// hostKeyTypes are the kinds of host keys that are accepted, the preferred
// first. SHA-1 and DSA are not among them.
func hostKeyTypes() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
}

// algorithmsOf gives the signature algorithms of one type of key.
func algorithmsOf(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// ParseHostKey reads a host's public key as it stands in authorized_keys, in a
// .pub file, in known_hosts or in what ssh-keyscan prints. Its errors wrap
// target.ErrInvalid.
func ParseHostKey(line string) (HostKey, error) {
	key, err := parseHostKey(line)
	if err != nil {
		return HostKey{}, err
	}
	return describeKey(key), nil
}

func parseHostKey(line string) (ssh.PublicKey, error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the host key is no public key such as %q", target.ErrInvalid, "ssh-ed25519 AAAA…")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: the host key is more than one line", target.ErrInvalid)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("%w: the host key is a certificate: give the key itself", target.ErrInvalid)
	}
	if !slices.Contains(hostKeyTypes(), algorithmsOf(key.Type())[0]) {
		return nil, fmt.Errorf("%w: a host key of type %s is not accepted: use ssh-ed25519, ecdsa or ssh-rsa", target.ErrInvalid, key.Type())
	}
	return key, nil
}

func describeKey(key ssh.PublicKey) HostKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return HostKey{
		Line:        strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))),
		Type:        key.Type(),
		Fingerprint: ssh.FingerprintSHA256(key),
	}
}

// hostPolicy decides which key a server's host may show.
type hostPolicy struct {
	server  string
	address string        // host:port, in lower case, as known_hosts has it
	pinned  ssh.PublicKey // nil: none
	known   *knownHosts
	want    []ssh.PublicKey // from known_hosts, where none is pinned
	// algorithms that the host may prove itself with.
	algorithms []string
}

// policyFor reads the pin and the known_hosts file.
func (s *Shells) policyFor(t target.Target) (*hostPolicy, error) {
	known, errKnown := s.known.load()
	p := &hostPolicy{
		server: t.Name, known: known, algorithms: hostKeyTypes(),
		address: net.JoinHostPort(strings.ToLower(t.ShellHost()), strconv.Itoa(t.Shell.Port)),
	}
	if t.Shell.HostKey != "" {
		// A pin stands by itself: a fault in the file is no reason to stop.
		pinned, err := parseHostKey(t.Shell.HostKey)
		if err != nil {
			return nil, err
		}
		p.pinned, p.algorithms = pinned, algorithmsOf(pinned.Type())
		return p, nil
	}
	if errKnown != nil {
		return nil, errKnown
	}
	keys, algorithms := known.of(p.address)
	if len(keys) > 0 {
		p.want, p.algorithms = keys, algorithms
	}
	return p, nil
}

// check accepts a key, or says by a *HostKeyError why not.
func (p *hostPolicy) check(remote net.Addr, key ssh.PublicKey) error {
	verdict := p.known.judge(p.address, remote, key)
	refused := &HostKeyError{Server: p.server, Got: describeKey(key), Revoked: verdict == keyRefused}
	switch {
	case refused.Revoked:
		return refused
	case p.pinned != nil:
		if bytes.Equal(key.Marshal(), p.pinned.Marshal()) {
			return nil
		}
		refused.Want = []string{ssh.FingerprintSHA256(p.pinned)}
	case verdict == keyKnown:
		return nil
	default:
		refused.Want = p.wanted()
	}
	return refused
}

// wanted gives the fingerprints of the confirmed keys, each once.
func (p *hostPolicy) wanted() []string {
	if p.pinned != nil {
		return []string{ssh.FingerprintSHA256(p.pinned)}
	}
	var prints []string
	for _, key := range p.want {
		if text := ssh.FingerprintSHA256(key); !slices.Contains(prints, text) {
			prints = append(prints, text)
		}
	}
	return prints
}
