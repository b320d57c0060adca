package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/peer"
	"github.com/pgam/pgam/internal/target"
)

// Errors of entering a host; Classify has them as AuthFailed.
var (
	// ErrNoCredential says that neither a password nor a key is stored for SSH.
	ErrNoCredential = errors.New("no password and no key is stored for SSH")
	// ErrShellKey says that the stored key cannot be opened.
	ErrShellKey = errors.New("the stored SSH key cannot be opened")
	// ErrShellAuth says that the host accepts neither the user nor what was
	// shown.
	ErrShellAuth = errors.New("the SSH server refuses the login")
	// errPrompt says that the host asks for more than a password.
	errPrompt = errors.New("the SSH server asks for more than a password")
	// errDropped says that the host ended the connection when it had seen the key
	// or the password, as it does where PAM lets an account in no more.
	errDropped = errors.New("the SSH server ended the connection during the login")
)

// errSeen ends a handshake that was only about the host's key.
var errSeen = errors.New("the host key was seen")

// clientVersion is how we present ourselves.
const clientVersion = "SSH-2.0-pgam"

// entry is a client and the connection under it.
type entry struct {
	client *ssh.Client
	conn   net.Conn
}

// enter reaches a target's host, checks its key and logs in. All of it ends
// with ctx, which must have a deadline.
func (s *Shells) enter(ctx context.Context, t target.Target) (entry, error) {
	if err := validateShell(t); err != nil {
		return entry{}, &ShellError{Server: t.Name, Step: "check settings", Err: err}
	}
	policy, err := s.policyFor(t)
	if err != nil {
		return entry{}, &ShellError{Server: t.Name, Step: "check host key", Err: err}
	}
	login, err := s.credentialOf(t.Shell)
	if err != nil {
		return entry{}, &ShellError{Server: t.Name, Step: "log in", Err: err}
	}
	var banner words
	got, err := s.handshake(ctx, t, &ssh.ClientConfig{
		User:              t.Shell.User,
		HostKeyAlgorithms: policy.algorithms,
		HostKeyCallback:   func(_ string, remote net.Addr, key ssh.PublicKey) error { return policy.check(remote, key) },
		AuthCallback:      login.next,
		BannerCallback: func(message string) error {
			_, _ = banner.Write([]byte(message + "\n"))
			return nil
		},
		ClientVersion: clientVersion,
	})
	if err == nil {
		return got, nil
	}
	if negotiation, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok && offersOther(negotiation, policy.algorithms) {
		// The host has no key of the confirmed kind: show the one that it has.
		if seen, errScan := s.see(ctx, t, hostKeyTypes()); errScan == nil {
			if errKey := policy.check(seen.remote, seen.key); errKey != nil {
				return entry{}, errKey
			}
		}
	}
	said := cmp.Or(login.said.String(), banner.String())
	switch {
	case login.over && !broken(err):
		err = fmt.Errorf("%w: %w", ErrShellAuth, err)
	case login.over && errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: %w", errDropped, err)
	default:
		return entry{}, err
	}
	return entry{}, &ShellError{Server: t.Name, Step: "log in", Said: said, Err: err}
}

// broken reports whether an error is that of a connection, and no answer.
func broken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// offersOther reports whether the host has keys, but none of those asked for.
func offersOther(e *ssh.AlgorithmNegotiationError, asked []string) bool {
	offered := e.RequestedAlgorithms // By the peer.
	return !slices.ContainsFunc(offered, func(a string) bool { return slices.Contains(asked, a) }) &&
		slices.ContainsFunc(offered, func(a string) bool { return slices.Contains(hostKeyTypes(), a) })
}

// validateShell says what is missing before anything is dialled.
func validateShell(t target.Target) error {
	switch host := t.ShellHost(); {
	case t.Shell.User == "":
		return fmt.Errorf("%w: ssh_user is empty", target.ErrInvalid)
	case host == "" || strings.HasPrefix(host, "/"):
		return fmt.Errorf("%w: ssh_host is empty: give the host that SSH goes to", target.ErrInvalid)
	case t.Shell.Port < 1 || t.Shell.Port > 65535:
		return fmt.Errorf("%w: ssh_port %d is not between 1 and 65535", target.ErrInvalid, t.Shell.Port)
	}
	return nil
}

// handshake dials and runs SSH's handshake up to the end of the login. The
// library's own timeout covers the dial only, so the deadline is put on the
// connection itself.
func (s *Shells) handshake(ctx context.Context, t target.Target, cfg *ssh.ClientConfig) (entry, error) {
	address := net.JoinHostPort(t.ShellHost(), strconv.Itoa(t.Shell.Port))
	conn, err := peer.Dialer().DialContext(ctx, "tcp", address)
	if err != nil {
		return entry{}, &ShellError{Server: t.Name, Step: "dial", Err: endedBy(ctx, err)}
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // A connection that cannot is closed below.
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, address, cfg)
	if !stop() && err == nil {
		_ = c.Close()
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if hostKey, ok := errors.AsType[*HostKeyError](err); ok {
			return entry{}, hostKey
		}
		return entry{}, &ShellError{Server: t.Name, Step: "handshake", Err: endedBy(ctx, err)}
	}
	_ = conn.SetDeadline(time.Time{})
	return entry{client: ssh.NewClient(c, channels, requests), conn: conn}, nil
}

// endedBy puts the end of ctx before an error that it brought about.
func endedBy(ctx context.Context, err error) error {
	ended := ctx.Err()
	if ended == nil || errors.Is(err, ended) {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, ended) {
		return fmt.Errorf("%w: %w", ended, cause)
	}
	return fmt.Errorf("%w: %w", ended, err)
}

// seenKey is a host's key, and where it was seen.
type seenKey struct {
	key    ssh.PublicKey
	remote net.Addr
}

// see asks a host for its key and goes before anything is said about a user.
func (s *Shells) see(ctx context.Context, t target.Target, algorithms []string) (seenKey, error) {
	var seen seenKey
	_, err := s.handshake(ctx, t, &ssh.ClientConfig{
		User:              t.Shell.User,
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
			seen = seenKey{key: key, remote: remote}
			return errSeen
		},
		ClientVersion: clientVersion,
	})
	if seen.key == nil {
		return seenKey{}, err
	}
	return seen, nil
}

// ScanHostKey shows the key of a target's host without logging in: of the kind
// that was confirmed before where the host has it, else the best it has.
func (s *Shells) ScanHostKey(ctx context.Context, t target.Target) (HostKey, error) {
	if host := t.ShellHost(); host == "" || strings.HasPrefix(host, "/") {
		return HostKey{}, fmt.Errorf("%w: ssh_host is empty: give the host that SSH goes to", target.ErrInvalid)
	}
	policy, err := s.policyFor(t)
	if err != nil {
		return HostKey{}, &ShellError{Server: t.Name, Step: "check host key", Err: err}
	}
	ctx, cancel := s.step(ctx, "look at the host key of "+t.Name)
	defer cancel()
	algorithms := slices.Clone(policy.algorithms)
	for _, a := range hostKeyTypes() {
		if !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	seen, err := s.see(ctx, t, algorithms)
	if err != nil {
		return HostKey{}, err
	}
	return describeKey(seen.key), nil
}

// CheckHostKey says by nil that a key would be accepted from a target's host,
// else by a *HostKeyError why not.
func (s *Shells) CheckHostKey(t target.Target, key HostKey) error {
	shown, err := parseHostKey(key.Line)
	if err != nil {
		return err
	}
	policy, err := s.policyFor(t)
	if err != nil {
		return &ShellError{Server: t.Name, Step: "check host key", Err: err}
	}
	return policy.check(&net.TCPAddr{IP: net.IPv4zero}, shown)
}

// credential is what a target logs in with, and nothing else: the key where
// there is one, else the password. It is shown once, to one method.
type credential struct {
	methods  map[string]ssh.AuthMethod
	over     bool // it was shown, or cannot be
	answered bool
	said     words // by the host, when it had the password
}

func (s *Shells) credentialOf(shell target.Shell) (*credential, error) {
	c := &credential{}
	if shell.Key.ID != 0 || !shell.Key.Private.IsZero() {
		signer, err := s.keys.open(shell.Key)
		if err != nil {
			return nil, err
		}
		c.methods = map[string]ssh.AuthMethod{"publickey": ssh.PublicKeys(signer)}
		return c, nil
	}
	if shell.Password.IsZero() {
		return nil, ErrNoCredential
	}
	password := shell.Password.Reveal()
	c.methods = map[string]ssh.AuthMethod{
		"password": ssh.Password(password),
		"keyboard-interactive": ssh.KeyboardInteractive(func(name, instruction string, prompts []string, echos []bool) ([]string, error) {
			if c.answered {
				_, _ = c.said.Write([]byte(strings.Join(append([]string{name, instruction}, prompts...), "\n") + "\n"))
			}
			return c.answer(password, prompts, echos)
		}),
	}
	return c, nil
}

// next is an ssh.ClientAuthCallback. When there is nothing more to try it
// leaves the last word to the library, which knows whether the host refused or
// the connection broke.
func (c *credential) next(state *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if !c.over {
		c.over = true
		for _, name := range []string{"publickey", "password", "keyboard-interactive"} {
			if method := c.methods[name]; method != nil && slices.Contains(state.AllowedMethods, name) {
				return method, nil
			}
		}
	}
	return nil, nil
}

// answer gives the password to the one hidden prompt of a host.
func (c *credential) answer(password string, prompts []string, echos []bool) ([]string, error) {
	switch {
	case len(prompts) == 0:
		return nil, nil // only a message
	case len(prompts) > 1 || echos[0] || c.answered:
		return nil, errPrompt
	}
	c.answered = true
	return []string{password}, nil
}
