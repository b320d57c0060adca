package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgam/pgam/internal/faultnet"
)

// Pooler starts PgBouncer before a server, in transaction mode, with more lines
// of its configuration, and returns its port. It asks nobody for a password and
// enters the server as User. Without the program the test is skipped, or fails
// where CI=true.
func (s *Server) Pooler(tb testing.TB, lines ...string) (port int) {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/pgbouncer"); err != nil {
			missing(tb, fmt.Errorf("no pgbouncer: %w", err))
		}
		program = "/usr/sbin/pgbouncer"
	}
	dir, err := makeDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	port = faultnet.FreePort(tb)
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s password='%s'
[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_check_delay = 0
%s
`, host, s.Port(), User, Password, host, port, strings.Join(lines, "\n"))
	path := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program, path)
	if os.Geteuid() == 0 { // It refuses root.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody(tb)}
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if tb.Failed() {
			tb.Logf("pgtest: log of pgbouncer:\n%s", log.String())
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=%s dbname=postgres sslmode=disable", host, port, User))
		if err == nil {
			_ = conn.Close(ctx)

			return port
		}
		select {
		case <-ended:
			tb.Fatalf("pgbouncer has ended: %s", log.String())
		case <-ctx.Done():
			tb.Fatalf("pgbouncer does not answer: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// nobody is the user without rights.
func nobody(tb testing.TB) *syscall.Credential {
	tb.Helper()
	account, err := user.Lookup("nobody")
	if err != nil {
		tb.Fatal(err)
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		tb.Fatalf("user nobody has the ids %q and %q", account.Uid, account.Gid)
	}

	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
