package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

// greet runs a command that a working connection answers.
func greet(t *testing.T, shells *remote.Shells, w target.Target) {
	t.Helper()
	out, err := shells.Run(t.Context(), w, "echo $((6*7))\n")
	if err != nil || string(out) != "42\n" {
		t.Fatalf("output %q, error %v", out, err)
	}
}

// expect checks the reason of an error.
func expect(t *testing.T, err error, want sample.Reason) {
	t.Helper()
	if got := remote.Classify(err); got != want {
		t.Errorf("reason %q, want %q, of: %v", got, want, err)
	}
}

func TestRunLogins(t *testing.T) {
	t.Parallel()
	rsaKey, rsaLine := sshtest.NewKey(t, "rsa", "")
	sealedKey, sealedLine := sshtest.NewKey(t, "ed25519", "open, sesame")
	ecdsaKey, ecdsaLine := sshtest.NewKey(t, "ecdsa", "")
	strange, _ := sshtest.NewKey(t, "ed25519", "")
	key := func(private, passphrase string) func(*target.Shell) {
		return func(s *target.Shell) {
			s.Password = secret.New("not to be tried")
			s.Key = target.ShellKey{ID: 3, Private: secret.New(private), Passphrase: secret.New(passphrase)}
		}
	}
	password := func(text string) func(*target.Shell) {
		return func(s *target.Shell) { s.Password, s.Key = secret.New(text), target.ShellKey{} }
	}
	const right = "correct horse"
	logins := []struct {
		name     string
		change   func(*target.Shell)
		want     sample.Reason
		describe string
	}{
		{"password", password(right), sample.None, "ok"},
		{"wrong password", password("wrong"), sample.AuthFailed, "authentication failed: check ssh_user and its password or key"},
		{"rsa key", key(rsaKey, ""), sample.None, "ok"},
		{"ecdsa key", key(ecdsaKey, ""), sample.None, "ok"},
		{"key with passphrase", key(sealedKey, "open, sesame"), sample.None, "ok"},
		{"wrong passphrase", key(sealedKey, "wrong"), sample.AuthFailed, "the stored SSH key cannot be opened: check its passphrase"},
		{"no passphrase", key(sealedKey, ""), sample.AuthFailed, "the stored SSH key cannot be opened: check its passphrase"},
		{"strange key", key(strange, ""), sample.AuthFailed, "authentication failed: check ssh_user and its password or key"},
		{"nothing", password(""), sample.AuthFailed, "no password and no key is stored for SSH"},
		{"no user", func(s *target.Shell) { s.User = "" }, sample.Other, "SSH is not set up: give ssh_user, ssh_port and a host"},
	}
	clients := []sshtest.Option{
		sshtest.WithPassword(right), sshtest.WithClientKey(rsaLine), sshtest.WithClientKey(sealedLine), sshtest.WithClientKey(ecdsaLine),
	}
	prompt := slices.Concat(clients, []sshtest.Option{sshtest.WithKeyboardInteractive(), sshtest.WithHostKey("rsa")})
	for name, start := range map[string]func(*testing.T) target.Shell{
		"in process":         func(t *testing.T) target.Shell { return sshtest.InProcess(t, clients...).Shell() },
		"in process, prompt": func(t *testing.T) target.Shell { return sshtest.InProcess(t, prompt...).Shell() },
		"OpenSSH":            func(t *testing.T) target.Shell { return sshtest.Start(t, clients...).Shell() },
		"OpenSSH, prompt":    func(t *testing.T) target.Shell { return sshtest.Start(t, prompt...).Shell() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell := start(t)
			for _, login := range logins {
				t.Run(login.name, func(t *testing.T) {
					t.Parallel()
					shells := newShells(t)
					w := watched(shell)
					login.change(&w.Shell)
					out, err := shells.Run(t.Context(), w, "echo \"hello $USER\"; echo noise >&2")
					expect(t, err, login.want)
					if err == nil && !bytes.HasPrefix(out, []byte("hello")) {
						t.Errorf("output %q", out)
					}
					if got := remote.Describe(err); got != login.describe {
						t.Errorf("described as %q, want %q", got, login.describe)
					}
				})
			}
		})
	}
}

// A key is shown to a host that wants it, and then nothing else: no password,
// no second key.
func TestNothingElseIsTried(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	w := watched(server.Shell())
	w.Shell.Password = secret.New(server.Password) // The right one.
	other, _ := sshtest.NewKey(t, "ed25519", "")
	w.Shell.Key = target.ShellKey{ID: 3, Private: secret.New(other)}
	_, err := newShells(t).Run(t.Context(), w, "true")
	expect(t, err, sample.AuthFailed)
	// The question for the methods, and the key.
	if n := server.Attempts(); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
}

// A host that asks for more than a password gets nothing.
func TestPromptsForMore(t *testing.T) {
	t.Parallel()
	var answered [][]string
	server := rawServer(t, func(cfg *ssh.ServerConfig) {
		cfg.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: ", "Code: "}, []bool{false, true})
			if err == nil {
				answered = append(answered, answers)
			}
			return nil, errors.New("no")
		}
	}, nil)
	_, err := newShells(t).Run(t.Context(), watched(server), "true")
	expect(t, err, sample.AuthFailed)
	if got := remote.Describe(err); got != "the SSH server asks for more than a password: use a key" {
		t.Errorf("described as %q", got)
	}
	if len(answered) > 0 {
		t.Errorf("answered %q", answered)
	}
}

// rawServer is a server of x/crypto itself, for what good servers do not do.
// Without a channel handler nobody answers to channels.
func rawServer(t *testing.T, change func(*ssh.ServerConfig), channel func(ssh.NewChannel)) target.Shell {
	t.Helper()
	private, line := sshtest.NewKey(t, "ed25519", "")
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }}
	if change != nil {
		cfg.PasswordCallback = nil
		change(cfg)
	}
	cfg.AddHostKey(signer)
	listener := faultnet.Listen(t, func(c *faultnet.Conn) {
		_, channels, requests, err := ssh.NewServerConn(c, cfg)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for newChannel := range channels {
			if channel != nil {
				go channel(newChannel)
			}
		}
	})
	return target.Shell{
		Host: listener.Host(), Port: listener.Port(), User: "u", Password: secret.New("p"), HostKey: line,
	}
}

// Whatever the host does not answer, and whenever it stops, a command ends in
// time and leaves nothing behind.
func TestStalls(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	check := func(t *testing.T, shell target.Shell) {
		t.Helper()
		shells := newShells(t, timeout(limit))
		_, err := shells.Run(t.Context(), watched(shell), "echo hello")
		expect(t, err, sample.Timeout) // without a limit it would be for ever
		shells.Close()
	}
	t.Run("after n bytes", func(t *testing.T) {
		t.Parallel()
		server := sshtest.InProcess(t, sshtest.WithCommand(
			func(ctx context.Context, _ string, _ io.Reader, stdout, _ io.Writer) int {
				_, _ = io.WriteString(stdout, "hello")
				<-ctx.Done()
				return 0
			}))
		// The whole conversation is about 2 kB.
		for cut := int64(0); cut < 3000; cut += 75 {
			proxy, shell := proxied(t, server.Login)
			proxy.After(cut, faultnet.Dark)
			check(t, shell)
		}
	})
	for name, stall := range map[string]func(*testing.T) target.Shell{
		"login": func(t *testing.T) target.Shell {
			t.Helper()
			return rawServer(t, func(cfg *ssh.ServerConfig) {
				cfg.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
					<-t.Context().Done()
					return nil, errors.New("no")
				}
			}, nil)
		},
		"session": func(t *testing.T) target.Shell {
			t.Helper()
			return rawServer(t, nil, nil)
		},
		"exec": func(t *testing.T) target.Shell {
			t.Helper()
			return rawServer(t, nil, func(n ssh.NewChannel) { _, _, _ = n.Accept() })
		},
		"command": func(t *testing.T) target.Shell {
			t.Helper()
			return rawServer(t, nil, func(n ssh.NewChannel) {
				channel, requests, err := n.Accept()
				if err == nil {
					_, _ = channel.Write([]byte("some"))
					for r := range requests {
						_ = r.Reply(true, nil)
					}
				}
			})
		},
		"noise on stderr": func(t *testing.T) target.Shell {
			t.Helper()
			return sshtest.InProcess(t, sshtest.WithCommand(
				func(ctx context.Context, _ string, _ io.Reader, _, stderr io.Writer) int {
					for ctx.Err() == nil {
						if _, err := stderr.Write(make([]byte, 1000)); err != nil {
							return 1
						}
					}
					return 0
				})).Shell()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, stall(t))
		})
	}
}

func TestRunBounds(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	shells := newShells(t)
	w := watched(server.Shell())

	out, err := shells.Run(t.Context(), w, "while :; do echo 0123456789012345678901234567890123456789; done")
	expect(t, err, sample.Malformed)
	if len(out) == 0 || len(out) > 1<<20 {
		t.Errorf("%d bytes of output", len(out))
	}
	// A large script arrives whole.
	script := strings.Repeat(": "+strings.Repeat("x", 1000)+"\n", 2000) + "echo end"
	if out, err = shells.Run(t.Context(), w, script); err != nil || string(out) != "end\n" {
		t.Errorf("output %q, error %v", out, err)
	}
	out, err = shells.Run(t.Context(), w, "echo before; exit 3")
	expect(t, err, sample.Malformed)
	if string(out) != "before\n" {
		t.Errorf("output %q", out)
	}
	// One who gives up does not wait, and is no harm to the next.
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err = shells.Run(ctx, w, "sleep 20"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	greet(t, shells, w)
}

// Users of one server share one connection, and one attempt to make it.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	shells := newShells(t)
	all := func(w target.Target) (failed []error) {
		errs := make(chan error, 20)
		for range cap(errs) {
			go func() {
				_, err := shells.Run(t.Context(), w, "echo hello")
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				failed = append(failed, err)
			}
		}
		return failed
	}
	right := watched(server.Shell())
	if failed := all(right); len(failed) > 0 {
		t.Error(failed[0])
	}
	if n := server.Accepted(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}

	// Nor is a wrong password shown more than once, however many ask.
	wrong := right
	wrong.ID, wrong.Shell.Password = 8, secret.New("wrong")
	before := server.Attempts()
	if failed := all(wrong); len(failed) != 20 || remote.Classify(failed[0]) != sample.AuthFailed {
		t.Errorf("failed: %v", failed)
	}
	if n := server.Attempts() - before; n != 2 {
		t.Errorf("%d attempts, want 2: the question for methods and one password", n)
	}
	// A corrected one is tried at once.
	wrong.Shell.Password, wrong.Revision = right.Shell.Password, 2
	greet(t, shells, wrong)
}

func TestWayChanges(t *testing.T) {
	t.Parallel()
	first, second := sshtest.InProcess(t), sshtest.InProcess(t)
	shells := newShells(t)
	old := watched(first.Shell())
	greet(t, shells, old)
	changed := watched(second.Shell())
	changed.Revision = 2
	greet(t, shells, changed)
	if n := second.Sessions(); n != 1 {
		t.Errorf("%d sessions on the new host, want 1", n)
	}
	pgtest.WaitFor(t, func() bool { return first.Open() == 0 }, "end of the old connection")
	// Who has not heard of the change yet does not undo it.
	greet(t, shells, old)
	if n := first.Accepted(); n != 1 {
		t.Errorf("%d connections to the old host, want 1", n)
	}
	shells.Forget(changed.ID)
	pgtest.WaitFor(t, func() bool { return second.Open() == 0 }, "end of a forgotten connection")
	// A server without an id is one that somebody tries out.
	changed.ID = 0
	greet(t, shells, changed)
	pgtest.WaitFor(t, func() bool { return second.Open() == 0 }, "end of a connection without a server")
}

func TestIdleCloses(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	shells := newShells(t, func(c *remote.ShellsConfig) { c.Idle = 20 * time.Millisecond })
	greet(t, shells, watched(server.Shell()))
	pgtest.WaitFor(t, func() bool { return server.Open() == 0 }, "end of an idle connection")
	greet(t, shells, watched(server.Shell()))
	if n := server.Accepted(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestDeadConnections(t *testing.T) {
	t.Parallel()
	t.Run("cut", func(t *testing.T) {
		t.Parallel()
		server := sshtest.InProcess(t)
		shells := newShells(t)
		for range 20 {
			greet(t, shells, watched(server.Shell()))
			server.Cut() // Whether we notice before the next one or not.
		}
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		server := sshtest.Start(t)
		shells := newShells(t)
		w := watched(server.Shell())
		greet(t, shells, w)
		server.Kill(t)
		_, err := shells.Run(t.Context(), w, "true")
		expect(t, err, sample.Refused)
		if got, want := remote.Describe(err), "connection refused: is an SSH server running at this host and port?"; got != want {
			t.Errorf("described as %q", got)
		}
		shells.Forget(w.ID) // No pause after the failure.
		server.Start(t)
		greet(t, shells, w)
		server.Kill(t)
		server.Start(t)
		greet(t, shells, w)
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		server := sshtest.InProcess(t)
		proxy, shell := proxied(t, server.Login)
		shells := newShells(t, timeout(2*time.Second), func(c *remote.ShellsConfig) { c.KeepAlive = time.Hour })
		w := watched(shell)
		greet(t, shells, w)
		proxy.Set(faultnet.Dark)
		// The command notices by itself that nobody answers, and the second
		// connection finds the way stopped up too.
		_, err := shells.Run(t.Context(), w, "true")
		expect(t, err, sample.Timeout)
		if n := proxy.Connections.Load(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
	t.Run("silent and idle", func(t *testing.T) {
		t.Parallel()
		server := sshtest.InProcess(t)
		proxy, shell := proxied(t, server.Login)
		shells := newShells(t, timeout(5*time.Second), func(c *remote.ShellsConfig) { c.KeepAlive = 20 * time.Millisecond })
		w := watched(shell)
		w.Shell.Tunnel = true
		conn, err := shells.DialContext(t.Context(), w, "tcp", net.JoinHostPort(server.Host, portText(server.Port)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil { // Another "SSH-".
			t.Fatal(err)
		}
		proxy.Set(faultnet.Dark)
		started := time.Now()
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took > pgtest.Patience {
			t.Errorf("a dead connection was noticed after %s", took)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	shells := newShells(t)
	w := watched(server.Shell())
	var users sync.WaitGroup
	for range 5 {
		users.Go(func() {
			_, err := shells.Run(t.Context(), w, "sleep 20")
			if err == nil {
				t.Error("a command outlives its connection")
			}
		})
	}
	pgtest.WaitFor(t, func() bool { return server.Sessions() == 5 }, "five commands")
	shells.Close()
	users.Wait()
	if _, err := shells.Run(t.Context(), w, "true"); !errors.Is(err, remote.ErrShellsClosed) {
		t.Errorf("error %v", err)
	}
	shells.Close()
}

func TestNewShellsValidates(t *testing.T) {
	t.Parallel()
	for _, cfg := range []remote.ShellsConfig{{}, {Timeout: time.Second}} {
		if _, err := remote.NewShells(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
