package sshtest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/pgam/pgam/internal/faultnet"
)

// Command is what InProcess does with the command of a session. The context
// ends when the client goes away; the result is the exit status.
type Command func(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int

// InProcessServer is an SSH server inside the test binary.
type InProcessServer struct {
	Login

	options *options
	signer  ssh.Signer
	clients map[string]bool // wire forms of admitted keys

	mu       sync.Mutex
	server   *gliderssh.Server
	stopped  chan struct{}
	open     map[net.Conn]struct{}
	accepted atomic.Int64
	attempts atomic.Int64
	sessions atomic.Int64
	tunnels  atomic.Int64
}

// InProcess starts a server that accepts a password (by the method "password",
// or by keyboard-interactive where that is asked for) and a key.
func InProcess(tb testing.TB, opts ...Option) *InProcessServer {
	tb.Helper()
	o := gather(opts)
	if o.user == "" {
		o.user = "monitor"
	}
	if o.password == "" {
		o.password = "sshtest: 100% secret"
	}
	s := &InProcessServer{options: o, clients: map[string]bool{}, open: map[net.Conn]struct{}{}}
	hostPEM, hostLine := NewKey(tb, o.hostKey, "")
	clientPEM, clientLine := NewKey(tb, "ed25519", "")
	signer, err := ssh.ParsePrivateKey([]byte(hostPEM))
	if err != nil {
		tb.Fatal(err)
	}
	s.signer = signer
	for _, line := range append([]string{clientLine}, o.clientLines...) {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			tb.Fatal(err)
		}
		s.clients[string(key.Marshal())] = true
	}
	s.Login = Login{
		Host: host, Port: faultnet.FreePort(tb), User: o.user, Password: o.password,
		HostKeyLine: hostLine, ClientKeyPEM: clientPEM, ClientKeyLine: clientLine,
	}
	s.Start(tb)
	tb.Cleanup(func() { s.Stop(tb) })

	return s
}

// Start starts a server that was stopped, at the same port.
func (s *InProcessServer) Start(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		tb.Fatal("sshtest: the server runs")
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		tb.Fatal(err)
	}
	server, stopped := s.newServer(), make(chan struct{})
	s.server, s.stopped = server, stopped
	go func() {
		defer close(stopped)
		_ = server.Serve(listener)
	}()
}

// Stop ends the server and cuts its connections.
func (s *InProcessServer) Stop(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	server, stopped := s.server, s.stopped
	s.server = nil
	s.mu.Unlock()
	if server == nil {
		return
	}
	if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		tb.Error(err)
	}
	s.Cut()
	<-stopped
}

// Cut closes the connections that are open.
func (s *InProcessServer) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.Close()
	}
	clear(s.open)
}

// Accepted counts the connections ever made.
func (s *InProcessServer) Accepted() int { return int(s.accepted.Load()) }

// Attempts counts the attempts to log in ever made, right or wrong, and the
// question which methods there are: it is 0 only where nobody said a word about
// a user.
func (s *InProcessServer) Attempts() int { return int(s.attempts.Load()) }

// Sessions counts the commands ever run.
func (s *InProcessServer) Sessions() int { return int(s.sessions.Load()) }

// Tunnels counts the tunnels ever asked for.
func (s *InProcessServer) Tunnels() int { return int(s.tunnels.Load()) }

// Open counts the connections that are open.
func (s *InProcessServer) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.open)
}

func (s *InProcessServer) newServer() *gliderssh.Server {
	server := &gliderssh.Server{
		Handler:     s.handle,
		HostSigners: []gliderssh.Signer{s.signer},
		ConnCallback: func(_ gliderssh.Context, conn net.Conn) net.Conn {
			s.accepted.Add(1)
			return s.track(conn)
		},
		ServerConfigCallback: func(gliderssh.Context) *ssh.ServerConfig {
			return &ssh.ServerConfig{AuthLogCallback: func(ssh.ConnMetadata, string, error) { s.attempts.Add(1) }}
		},
		PublicKeyHandler: func(ctx gliderssh.Context, key gliderssh.PublicKey) bool {
			return ctx.User() == s.User && s.clients[string(key.Marshal())]
		},
		ChannelHandlers: map[string]gliderssh.ChannelHandler{
			"session":                        gliderssh.DefaultSessionHandler,
			"direct-tcpip":                   s.forwardTCP,
			"direct-streamlocal@openssh.com": s.forwardSocket,
		},
	}
	if s.options.interactive {
		server.KeyboardInteractiveHandler = func(ctx gliderssh.Context, ask ssh.KeyboardInteractiveChallenge) bool {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			return err == nil && len(answers) == 1 && ctx.User() == s.User && answers[0] == s.Password
		}
	} else {
		server.PasswordHandler = func(ctx gliderssh.Context, password string) bool {
			return ctx.User() == s.User && password == s.Password
		}
	}

	return server
}

func (s *InProcessServer) handle(session gliderssh.Session) {
	s.sessions.Add(1)
	run := s.options.command
	if run == nil {
		run = s.shell
	}
	_ = session.Exit(run(session.Context(), session.RawCommand(), session, session, session.Stderr()))
}

// shell runs a command as sshd does: by the user's shell, with -c.
func (s *InProcessServer) shell(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Env = append(os.Environ(), s.options.environment...)
	cmd.WaitDelay = waitTimeout
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
			return exit.ExitCode()
		}
		return 255
	}

	return 0
}

// tracked tells the server when it is closed.
type tracked struct {
	net.Conn
	server *InProcessServer
}

func (s *InProcessServer) track(conn net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		_ = conn.Close()
	} else {
		s.open[conn] = struct{}{}
	}

	return &tracked{Conn: conn, server: s}
}

// Close implements net.Conn.
func (t *tracked) Close() error {
	t.server.mu.Lock()
	delete(t.server.open, t.Conn)
	t.server.mu.Unlock()

	return t.Conn.Close()
}

// forwardTCP opens a tunnel to a host and port as the server sees them.
func (s *InProcessServer) forwardTCP(_ *gliderssh.Server, _ *ssh.ServerConn, newChan ssh.NewChannel, ctx gliderssh.Context) {
	var want struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(newChan.ExtraData(), &want); err != nil {
		_ = newChan.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	if address, ok := s.options.hosts[want.Host]; ok {
		want.Host = address
	}
	s.forward(ctx, newChan, "tcp", net.JoinHostPort(want.Host, strconv.FormatUint(uint64(want.Port), 10)))
}

// forwardSocket opens a tunnel to a Unix socket.
func (s *InProcessServer) forwardSocket(_ *gliderssh.Server, _ *ssh.ServerConn, newChan ssh.NewChannel, ctx gliderssh.Context) {
	var want struct {
		Path     string
		Reserved string
		Port     uint32
	}
	if err := ssh.Unmarshal(newChan.ExtraData(), &want); err != nil {
		_ = newChan.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	s.forward(ctx, newChan, "unix", want.Path)
}

func (s *InProcessServer) forward(ctx context.Context, newChan ssh.NewChannel, network, address string) {
	s.tunnels.Add(1)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		_ = newChan.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := newChan.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	copyThenClose := func(to io.WriteCloser, from io.ReadCloser) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	go copyThenClose(conn, channel)
	go copyThenClose(channel, conn)
}
