package peer

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgam/pgam/internal/faultnet"
)

// A connection has probes, and a bound for what is not acknowledged.
func TestDialer(t *testing.T) {
	t.Parallel()
	conn, err := Dialer().DialContext(t.Context(), "tcp", faultnet.Listen(t, nil).Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][3]int{
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		"TCP_KEEPINTVL":    {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 5},
		"TCP_KEEPCNT":      {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3},
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 30_000},
	} {
		err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), want[0], want[1]); err != nil || got != want[2] {
				t.Errorf("%s is %d, want %d (%v)", name, got, want[2], err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
