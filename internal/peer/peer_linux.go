package peer

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// control bounds how long what was sent may stay unacknowledged, which probes do
// not: there are none meanwhile. A kernel that does not know it is no reason not
// to connect.
func control(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneAfter.Milliseconds()))
	})
	return nil
}
