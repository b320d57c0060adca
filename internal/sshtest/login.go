package sshtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// host is where every server listens.
const host = "127.0.0.1"

// waitTimeout bounds the start of a server on a busy machine.
const waitTimeout = time.Minute

// Login is where, as whom and with what a server admits somebody.
type Login struct {
	Host string
	Port int
	User string
	// Password is empty where only keys are accepted.
	Password string
	// HostKeyLine is the host's public key as target.Shell.HostKey holds it.
	HostKeyLine string
	// ClientKeyPEM is a private key without passphrase that is admitted, and
	// ClientKeyLine its public part.
	ClientKeyPEM  string
	ClientKeyLine string
}

// Shell gives the login in a target's terms: with the host's key pinned, the
// password where there is one, else the key.
func (l Login) Shell() target.Shell {
	shell := target.Shell{Host: l.Host, Port: l.Port, User: l.User, HostKey: l.HostKeyLine}
	if l.Password != "" {
		shell.Password = secret.New(l.Password)
		return shell
	}
	shell.Key = l.Key()
	return shell
}

// Key gives the client's key in a target's terms.
func (l Login) Key() target.ShellKey {
	return target.ShellKey{ID: 1, Name: "sshtest", Private: secret.New(l.ClientKeyPEM)}
}

// NewKey makes a key of a kind: "ed25519", "rsa" (of 2048 bits) or "ecdsa". It
// returns the private part in OpenSSH's PEM form, sealed with the passphrase if
// that is not empty, and the public part as a line.
func NewKey(tb testing.TB, kind, passphrase string) (private, line string) {
	tb.Helper()
	var (
		key any
		err error
	)
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("kind of key %q", kind)
	}
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "sshtest")
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		tb.Fatal(err)
	}

	private = string(pem.EncodeToMemory(block))
	if passphrase != "" {
		private = seal(tb, private, passphrase)
	}

	return private, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// seal gives a key a passphrase. Unlike the library's, one round is enough:
// with the race detector the usual sixteen take seconds.
func seal(tb testing.TB, private, passphrase string) string {
	tb.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		missing(tb, "sshtest: a passphrase needs ssh-keygen: %v", err)
	}
	file := filepath.Join(tb.TempDir(), "key")
	if err := os.WriteFile(file, []byte(private), 0o600); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), waitTimeout)
	defer cancel()

	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", file).CombinedOutput(); err != nil {
		tb.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	sealed, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}

	return string(sealed)
}

// Option changes a server.
type Option func(*options)

type options struct {
	user        string
	password    string
	interactive bool
	hostKey     string
	clientLines []string
	command     Command
	environment []string
	settings    []string
	hosts       map[string]string
	ages        string
}

// WithUser names the user that InProcess admits; default "monitor".
func WithUser(name string) Option { return func(o *options) { o.user = name } }

// WithPassword admits this password; InProcess has "sshtest: 100% secret"
// without it. OpenSSH needs the right to make a mount namespace for it.
func WithPassword(password string) Option { return func(o *options) { o.password = password } }

// WithKeyboardInteractive has the password asked for by one prompt, as PAM
// does, and refuses the method "password".
func WithKeyboardInteractive() Option { return func(o *options) { o.interactive = true } }

// WithAges sets the fields of shadow(5) after the password, such as
// "0:0:99999:7:::" for one that has to be changed.
func WithAges(fields string) Option { return func(o *options) { o.ages = fields } }

// WithHostKey chooses the kind of the host's key as NewKey does; default
// ed25519.
func WithHostKey(kind string) Option { return func(o *options) { o.hostKey = kind } }

// WithClientKey admits another key, by its public line.
func WithClientKey(line string) Option {
	return func(o *options) { o.clientLines = append(o.clientLines, line) }
}

// WithCommand has InProcess run this instead of /bin/sh.
func WithCommand(command Command) Option { return func(o *options) { o.command = command } }

// WithEnvironment adds variables ("LANG=ru_RU.UTF-8") to those of commands.
func WithEnvironment(variables ...string) Option {
	return func(o *options) { o.environment = append(o.environment, variables...) }
}

// WithSetting adds a line to the configuration of OpenSSH, before all others.
func WithSetting(line string) Option {
	return func(o *options) { o.settings = append(o.settings, line) }
}

// WithHosts has InProcess know names that nobody else knows, as a host in
// another network does: by name the address.
func WithHosts(hosts map[string]string) Option { return func(o *options) { o.hosts = hosts } }

func gather(opts []Option) *options {
	o := &options{hostKey: "ed25519", ages: "20000:0:99999:7:::"}
	for _, opt := range opts {
		opt(o)
	}

	return o
}

// missing ends a test for want of a program or a right.
func missing(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}
