package sshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pgam/pgam/internal/faultnet"
)

// Server is OpenSSH's sshd, with a configuration of its own.
type Server struct {
	Login

	options *options
	program string
	dir     string

	mu      sync.Mutex
	command *exec.Cmd
	ended   chan struct{}
}

// Start starts OpenSSH's server. Without it installed the test is skipped, or
// fails where CI=true.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s := &Server{options: gather(opts), program: findProgram(tb), dir: tb.TempDir()}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("sshtest: log of sshd:\n%s", s.Log())
		}
		s.Kill(tb)
	})
	me, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	hostPEM, hostLine := NewKey(tb, s.options.hostKey, "")
	clientPEM, clientLine := NewKey(tb, "ed25519", "")
	s.Login = Login{
		Host: host, Port: faultnet.FreePort(tb), User: me.Username, Password: s.options.password,
		HostKeyLine: hostLine, ClientKeyPEM: clientPEM, ClientKeyLine: clientLine,
	}
	s.write(tb, "host_key", hostPEM)
	s.write(tb, "authorized_keys", strings.Join(append([]string{clientLine}, s.options.clientLines...), "\n")+"\n")
	s.write(tb, "sshd_config", s.configuration())
	if s.options.password != "" {
		s.hideAccounts(tb)
	}
	s.Start(tb)

	return s
}

func (s *Server) configuration() string {
	password := "no"
	if s.options.password != "" && !s.options.interactive {
		password = "yes"
	}
	interactive := "no"
	if s.options.interactive {
		interactive = "yes"
	}
	// A home of its own: what the user's shell does at its start is no matter of
	// a test, and may take its time. sshd heeds one SetEnv only.
	environment := append([]string{"HOME=" + s.dir}, s.options.environment...)
	lines := append([]string{}, s.options.settings...)
	lines = append(lines,
		"SetEnv "+strings.Join(environment, " "),
		"ListenAddress "+net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		"HostKey "+filepath.Join(s.dir, "host_key"),
		"AuthorizedKeysFile "+filepath.Join(s.dir, "authorized_keys"),
		"PidFile none",
		"StrictModes no",
		"UsePAM "+interactive,
		"PermitRootLogin yes",
		"PubkeyAuthentication yes",
		"PasswordAuthentication "+password,
		"KbdInteractiveAuthentication "+interactive,
		"AllowTcpForwarding yes",
		"AllowStreamLocalForwarding yes",
		"UseDNS no",
		"MaxStartups 100:30:200",
		"MaxSessions 100",
		"LogLevel VERBOSE",
	)

	return strings.Join(lines, "\n") + "\n"
}

// Start starts a server that was stopped, at the same port.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command != nil {
		tb.Fatal("sshtest: the server runs")
	}
	if os.Geteuid() == 0 {
		// sshd wants it for the part of itself that has no rights.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	args := []string{s.program, "-D", "-f", filepath.Join(s.dir, "sshd_config"), "-E", filepath.Join(s.dir, "log")}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = processAttributes()
	if s.options.password != "" {
		cmd.Args = append([]string{"/bin/sh", filepath.Join(s.dir, "enter")}, args...)
		cmd.Path = "/bin/sh"
		inNamespace(cmd.SysProcAttr)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second // A process of a login that was given up may hold it open.
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			tb.Skipf("sshtest: a password for sshd needs a mount namespace: %v", err)
		}
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	s.command, s.ended = cmd, ended
	if err := waitBanner(s.Host, s.Port, ended); err != nil {
		if errors.Is(err, errEnded) && s.options.password != "" && s.Log() == "" {
			tb.Skipf("sshtest: a password for sshd needs the right to mount: %s", stderr.String())
		}
		tb.Fatalf("sshtest: sshd does not answer: %v\n%s%s", err, stderr.String(), s.Log())
	}
}

// Kill ends the server and all its sessions at once, as a crash does. Start
// starts it anew.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return
	}
	// The first one stops first, so that it makes no others meanwhile.
	first := s.command.Process.Pid
	_ = syscall.Kill(first, syscall.SIGSTOP)
	for _, pid := range descendants(first) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = syscall.Kill(first, syscall.SIGKILL)
	s.command = nil
	select {
	case <-s.ended:
	case <-time.After(waitTimeout):
		tb.Error("sshtest: a killed sshd lives")
	}
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	content, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return ""
	}

	return string(content)
}

// hideAccounts prepares account files in which the user has the password, for
// a server that sees them in the place of the machine's.
func (s *Server) hideAccounts(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("sshtest: a password for sshd needs root")
	}
	ctx, cancel := context.WithTimeout(tb.Context(), waitTimeout)
	defer cancel()
	hash := exec.CommandContext(ctx, "openssl", "passwd", "-6", "-stdin")
	hash.Stdin = strings.NewReader(s.options.password + "\n")
	out, err := hash.Output()
	if err != nil {
		tb.Skipf("sshtest: a password for sshd needs openssl: %v", err)
	}
	s.write(tb, "shadow", fmt.Sprintf("%s:%s:%s\n", s.User, strings.TrimSpace(string(out)), s.options.ages))
	s.write(tb, "pam", "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_unix.so\n")
	pam := ""
	if s.options.interactive {
		pam = fmt.Sprintf("mount --bind '%s' /etc/pam.d/sshd\n", filepath.Join(s.dir, "pam"))
	}
	s.write(tb, "enter", fmt.Sprintf("set -e\nmount --make-rprivate /\nmount --bind '%s' /etc/shadow\n%sexec \"$@\"\n", filepath.Join(s.dir, "shadow"), pam))
}

func (s *Server) write(tb testing.TB, name, content string) {
	tb.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
}

var errEnded = errors.New("it has ended")

// waitBanner waits until a server shows itself at the port.
func waitBanner(address string, port int, ended <-chan struct{}) error {
	deadline := time.Now().Add(waitTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := readBanner(address, port)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ended:
			return errEnded
		case <-tick.C:
		}
	}
}

func readBanner(address string, port int) error {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(port)), time.Second)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(waitTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	banner := make([]byte, 4)
	if _, err := io.ReadFull(conn, banner); err != nil {
		return fmt.Errorf("read banner: %w", err)
	}
	if string(banner) != "SSH-" {
		return fmt.Errorf("banner %q", banner)
	}

	return nil
}

func findProgram(tb testing.TB) string {
	tb.Helper()
	if path, err := exec.LookPath("sshd"); err == nil && filepath.IsAbs(path) {
		return path
	}
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	missing(tb, "sshtest: no sshd: install openssh-server")

	return ""
}
