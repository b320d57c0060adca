package sshtest_test

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/sshtest"
)

// login enters a server with OpenSSH's own rules for the host's key.
func login(t *testing.T, l sshtest.Login, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(l.HostKeyLine))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", net.JoinHostPort(l.Host, strconv.Itoa(l.Port)), &ssh.ClientConfig{
		User: l.User, Auth: methods, HostKeyCallback: ssh.FixedHostKey(key), Timeout: time.Minute,
	})
	if err == nil {
		t.Cleanup(func() { _ = client.Close() })
	}

	return client, err
}

func run(t *testing.T, client *ssh.Client, command, stdin string) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	session.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	session.Stdout = &out
	if err := session.Run(command); err != nil {
		t.Fatal(err)
	}

	return out.String()
}

func signer(t *testing.T, l sshtest.Login) ssh.AuthMethod {
	t.Helper()
	key, err := ssh.ParsePrivateKey([]byte(l.ClientKeyPEM))
	if err != nil {
		t.Fatal(err)
	}

	return ssh.PublicKeys(key)
}

func TestOpenSSH(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t, sshtest.WithEnvironment("LANG=ru_RU.UTF-8"))
	client, err := login(t, server.Login, signer(t, server.Login))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, client, "sh -s", "echo \"$LANG\"\n"); got != "ru_RU.UTF-8\n" {
		t.Errorf("output %q", got)
	}
	server.Kill(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("a session outlives a killed server")
	}
	server.Start(t)
	if _, err := login(t, server.Login, signer(t, server.Login)); err != nil {
		t.Error(err)
	}
}

func TestOpenSSHPassword(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t, sshtest.WithPassword("right: 100%"))
	client, err := login(t, server.Login, ssh.Password("right: 100%"))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, client, "echo $((6*7))", ""); got != "42\n" {
		t.Errorf("output %q", got)
	}
	if _, err := login(t, server.Login, ssh.Password("wrong")); err == nil {
		t.Error("a wrong password is admitted")
	}
}

func TestOpenSSHKeyboardInteractive(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t, sshtest.WithPassword("right: 100%"), sshtest.WithKeyboardInteractive())
	answer := ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = "right: 100%"
		}

		return answers, nil
	})
	client, err := login(t, server.Login, answer)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, client, "echo $((6*7))", ""); got != "42\n" {
		t.Errorf("output %q", got)
	}
	if _, err := login(t, server.Login, ssh.Password("right: 100%")); err == nil {
		t.Error("the method password is admitted")
	}
}

func TestInProcess(t *testing.T) {
	t.Parallel()
	server := sshtest.InProcess(t)
	for _, method := range []ssh.AuthMethod{ssh.Password(server.Password), signer(t, server.Login)} {
		client, err := login(t, server.Login, method)
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, client, "sh -s", "echo $((6*7))\n"); got != "42\n" {
			t.Errorf("output %q", got)
		}
	}
	if server.Attempts() < 2 || server.Accepted() != 2 || server.Open() != 2 || server.Sessions() != 2 {
		t.Errorf("attempts %d, accepted %d, open %d, sessions %d", server.Attempts(), server.Accepted(), server.Open(), server.Sessions())
	}
	if _, err := login(t, server.Login, ssh.Password("wrong")); err == nil {
		t.Error("a wrong password is admitted")
	}
	server.Stop(t)
	if n := server.Open(); n != 0 {
		t.Errorf("%d connections are open after Stop", n)
	}
	server.Start(t)
	if _, err := login(t, server.Login, ssh.Password(server.Password)); err != nil {
		t.Error(err)
	}
}
