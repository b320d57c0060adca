package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/faultnet"
	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
	"github.com/pgam/pgam/internal/target"
)

func limits(shells *remote.Shells) remote.Limits {
	return remote.Limits{Application: "remote_test", Connect: 30 * time.Second, Statement: time.Minute, Lock: time.Second, Shells: shells}
}

// through gives a target whose PostgreSQL is reached through an SSH host.
func through(shell target.Shell, server *pgtest.Server) target.Target {
	w := watched(shell)
	w.Shell.Tunnel = true
	w.Endpoint = target.Endpoint{
		Host: server.Host(), Port: server.Port(), User: pgtest.User, Password: secret.New(pgtest.Password),
		Database: "postgres", TLS: target.TLSPrefer,
	}
	return w
}

// connect opens a connection that ends with the test.
func connect(t *testing.T, w target.Target, lim remote.Limits) (*pgx.Conn, error) {
	t.Helper()
	cfg, err := remote.PostgresConfig(w, lim)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func mustConnect(t *testing.T, w target.Target, lim remote.Limits) *pgx.Conn {
	t.Helper()
	conn, err := connect(t, w, lim)
	if err != nil {
		t.Fatalf("%v (%s)", err, remote.Describe(err))
	}
	return conn
}

// count gives the number of sessions of an application that satisfy a
// condition.
func count(t *testing.T, server *pgtest.Server, application, condition string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.SuperuserDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var n int
	err = conn.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1 and "+condition, application).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	for name, start := range map[string]func(*testing.T) target.Shell{
		"in process": func(t *testing.T) target.Shell { return sshtest.InProcess(t).Shell() },
		"OpenSSH":    func(t *testing.T) target.Shell { return sshtest.Start(t).Shell() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTunnel(t, server, start(t), "remote_test "+name)
		})
	}
}

func testTunnel(t *testing.T, server *pgtest.Server, shell target.Shell, application string) {
	t.Helper()
	shells := newShells(t)
	lim := limits(shells)
	lim.Application = application
	w := through(shell, server)
	conn := mustConnect(t, w, lim)
	var n int
	if err := conn.QueryRow(t.Context(), "select sum(length(repeat('x', 200))) from generate_series(1, 20000)").Scan(&n); err != nil || n != 4_000_000 {
		t.Fatalf("%d, %v", n, err)
	}
	rows, err := conn.Query(t.Context(), "select repeat('x', 200) from generate_series(1, 20000)")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(texts) != 20000 {
		t.Fatalf("%d rows, %v", len(texts), err)
	}
	// A large parameter goes up.
	if err := conn.QueryRow(t.Context(), "select length($1::text)", strings.Repeat("y", 1<<20)).Scan(&n); err != nil || n != 1<<20 {
		t.Fatalf("%d, %v", n, err)
	}
	// The same host runs commands meanwhile.
	greet(t, shells, w)

	// A question out of time ends, and the connection goes on.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = conn.Exec(ctx, "select pg_sleep(3600)")
	expect(t, err, sample.Timeout)
	if err := conn.QueryRow(t.Context(), "select 7").Scan(&n); err != nil || n != 7 {
		t.Errorf("after a question out of time: %d, %v", n, err)
	}
	if n := count(t, server, application, "state = 'active'"); n != 0 {
		t.Errorf("%d sessions are still busy", n)
	}

	// Dial is the same way.
	pg, err := remote.Dial(t.Context(), w, lim)
	if err != nil {
		t.Fatal(err)
	}
	if got := pg.Conn().RemoteAddr().String(); got != net.JoinHostPort(server.Host(), strconv.Itoa(server.Port())) {
		t.Errorf("remote address %s", got)
	}
	if err := pg.Close(t.Context()); err != nil {
		t.Error(err)
	}
	others := "pid <> " + strconv.FormatUint(uint64(conn.PgConn().PID()), 10)
	pgtest.WaitFor(t, func() bool { return count(t, server, application, others) == 0 }, "end of a closed session")

	// A socket on the far side.
	w.Endpoint.Host, w.Endpoint.TLS = server.SocketDir(), target.TLSDisable
	w.Endpoint.User = pgtest.User
	socket := mustConnect(t, w, lim)
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = socket.Exec(ctx, "select pg_sleep(20)")
	expect(t, err, sample.Timeout)
	if err := socket.QueryRow(t.Context(), "select 8").Scan(&n); err != nil || n != 8 {
		t.Errorf("over a socket: %d, %v", n, err)
	}

	// Connections end with the way they go.
	shells.Close()
	if err := conn.QueryRow(t.Context(), "select 9").Scan(&n); remote.Classify(err) != sample.ConnectionLost {
		t.Errorf("after Close: %v", err)
	}
}

func TestTunnelRefusals(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t)
	open := sshtest.Start(t)
	shut := sshtest.Start(t, sshtest.WithSetting("AllowTcpForwarding no"), sshtest.WithSetting("AllowStreamLocalForwarding no"))
	shells := newShells(t)
	for name, c := range map[string]struct {
		shell    target.Shell
		change   func(*target.Target)
		want     sample.Reason
		describe string
	}{
		"refused": {
			open.Shell(), func(w *target.Target) { w.Endpoint.Port = faultnet.FreePort(t) },
			sample.Refused, "connection refused by PostgreSQL's host and port as the SSH host sees them",
		},
		"no such name": {
			open.Shell(), func(w *target.Target) { w.Endpoint.Host = "nowhere.invalid" },
			sample.Unreachable, "the SSH host cannot reach PostgreSQL's host",
		},
		"no socket": {
			open.Shell(), func(w *target.Target) { w.Endpoint.Host = t.TempDir() },
			sample.Unreachable, "the SSH host cannot reach PostgreSQL's host",
		},
		"not allowed": {
			shut.Shell(), func(*target.Target) {},
			sample.NoPrivilege, "the SSH server does not allow the tunnel: see AllowTcpForwarding, AllowStreamLocalForwarding and PermitOpen",
		},
		"wrong password of PostgreSQL": {
			open.Shell(), func(w *target.Target) { w.Endpoint.Password = secret.New("wrong") },
			sample.AuthFailed, "authentication failed: check user, password and pg_hba.conf",
		},
		"wrong key of SSH": {
			open.Shell(), func(w *target.Target) { w.Shell.HostKey = shut.HostKeyLine },
			sample.HostKeyChanged,
			"host key changed: the host shows " + mustParse(t, open.HostKeyLine).Fingerprint + ", confirmed is " +
				mustParse(t, shut.HostKeyLine).Fingerprint + "; find out why before the new one is pinned",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := through(c.shell, server)
			w.ID = 0
			c.change(&w)
			_, err := connect(t, w, limits(newShells(t)))
			expect(t, err, c.want)
			if got := remote.Describe(err); got != c.describe {
				t.Errorf("described as %q, want %q, of: %v", got, c.describe, err)
			}
		})
	}
	w := through(open.Shell(), server)
	if _, err := connect(t, w, limits(nil)); !errors.Is(err, target.ErrInvalid) {
		t.Errorf("without Shells: %v", err)
	}
	w.Shell.Tunnel = false
	mustConnect(t, w, limits(nil))
	mustConnect(t, w, limits(shells))
}

// Names are looked up on the far side, and TLS verifies them all the same.
func TestTunnelTLS(t *testing.T) {
	t.Parallel()
	server := pgtest.Target(t, pgtest.WithSettings(map[string]string{
		"ssl": "on", "ssl_cert_file": ownedByServer(t, "server.crt"), "ssl_key_file": ownedByServer(t, "server.key"),
	}))
	host := sshtest.InProcess(t, sshtest.WithHosts(map[string]string{farName: server.Host(), "other.far.example": server.Host()}))
	shells := newShells(t)
	w := through(host.Shell(), server)
	w.Endpoint.Host, w.Endpoint.TLS = farName, target.TLSVerifyFull
	conn := mustConnect(t, w, limits(shells))
	var encrypted bool
	if err := conn.QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
		t.Errorf("encrypted %v, %v", encrypted, err)
	}
	// The request to cancel goes the same way.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := conn.Exec(ctx, "select pg_sleep(20)")
	expect(t, err, sample.Timeout)
	if conn.IsClosed() {
		t.Error("the connection was lost")
	}
	w.Endpoint.Host = "other.far.example"
	_, err = connect(t, w, limits(shells))
	expect(t, err, sample.TLSFailed)
	w.Endpoint.TLS = target.TLSRequire
	mustConnect(t, w, limits(shells))
}

// ownedByServer gives a copy of a certificate's file that the user who runs
// PostgreSQL may read and nobody else.
func ownedByServer(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(certDir, name))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pgam-remote-tls-") //nolint:usetesting // A test's own is closed to others.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, name)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(file, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return file
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		t.Skipf("the server runs as somebody else: %v", err)
	}
	uid, errUID := strconv.Atoi(owner.Uid)
	gid, errGID := strconv.Atoi(owner.Gid)
	if err := errors.Join(errUID, errGID, os.Chown(file, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return file
}

// A tunnel keeps deadlines whatever the far side does, and what was written
// before Close arrives.
func TestTunnelConn(t *testing.T) {
	t.Parallel()
	received := make(chan []byte, 1)
	var later atomic.Bool
	far := faultnet.Listen(t, func(c *faultnet.Conn) {
		if !later.Swap(true) { // the first takes nothing and says nothing
			<-t.Context().Done()
			return
		}
		all, _ := io.ReadAll(c)
		received <- all
	})
	host := sshtest.InProcess(t)
	shells := newShells(t)
	w := watched(host.Shell())

	conn, err := shells.DialContext(t.Context(), w, "tcp", far.Address())
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr(); got.Network() != "tcp" || got.String() != far.Address() {
		t.Errorf("remote address %s %s", got.Network(), got)
	}
	for what, use := range map[string]func() error{
		"read": func() error { _, err := conn.Read(make([]byte, 1)); return err },
		"write": func() error {
			for {
				if _, err := conn.Write(make([]byte, 1<<16)); err != nil {
					return err
				}
			}
		},
	} {
		if err := conn.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := use(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}

	second, err := shells.DialContext(t.Context(), w, "tcp", far.Address())
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("0123456789", 10000)
	if _, err := io.WriteString(second, want); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	select {
	case got := <-received:
		if string(got) != want {
			t.Errorf("%d bytes arrived of %d", len(got), len(want))
		}
	case <-time.After(time.Minute):
		t.Error("the end of a closed tunnel does not arrive")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	// A way that is retired stays for those who are on it.
	third, err := shells.DialContext(t.Context(), w, "tcp", net.JoinHostPort(host.Host, strconv.Itoa(host.Port)))
	if err != nil {
		t.Fatal(err)
	}
	w.Revision, w.Shell.Password = 2, secret.New("wrong")
	_, err = shells.Run(t.Context(), w, "true")
	expect(t, err, sample.AuthFailed)
	if banner, err := io.ReadAll(io.LimitReader(third, 4)); err != nil || string(banner) != "SSH-" {
		t.Errorf("on the old way: %q, %v", banner, err)
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
	pgtest.WaitFor(t, func() bool { return host.Open() == 0 }, "end of a retired connection")
}

func ExampleDescribe() {
	fmt.Println(remote.Describe(&remote.HostKeyError{Server: "db1", Got: remote.HostKey{Fingerprint: "SHA256:abc"}}))
	// Output: host key not confirmed: the host shows SHA256:abc; compare it with ssh-keygen -l on the host, then pin it
}
